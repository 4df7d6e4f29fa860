//! How far an operator's pause has come: a pause is written down first, and lanes stop then.

use serde::{Deserialize, Serialize};

use super::ask::{self, Refusal};
use crate::failure::Failure;
use crate::readmodel::control::pause::Pause;
use crate::readmodel::control::take_up;
use crate::readmodel::mysql::session::Session;
use crate::servers::Servers;

/// How far an operator's pause has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PauseStep {
    /// No operator pauses the projection.
    None,
    /// It is written down. Lanes that ran then may still commit what they have.
    Asked,
    /// No lane takes events.
    Still,
    /// It is written down, and hosts of another version do not report when their lanes have stopped.
    Unreported,
}

/// A projection's pause, and who leads the projection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PauseProgress {
    pub step: PauseStep,
    /// Who paused it, since when and why.
    pub reason: Option<String>,
    /// The host that leads the projection, as far as that can be seen.
    pub leader: Option<String>,
}

/// Looks how far a pause has come.
pub async fn look(
    session: &mut Session,
    servers: &Servers,
    projection: &str,
) -> Result<PauseProgress, Refusal> {
    ask::registered(session, servers, projection).await?;
    let mut db = servers.control.of(session, projection);
    let reason = match db.find_pause().await? {
        Some(pause @ Failure::Paused { .. }) => Some(pause.to_string()),
        _ => None,
    };
    let leader = db.lease_holder().await?;
    let is_reported = db.version().await?.is_some_and(|version| version >= take_up::SINCE);
    let step = match reason {
        None => PauseStep::None,
        Some(_) if !is_reported => PauseStep::Unreported,
        Some(_) => match db.pause_progress().await? {
            Pause::Still => PauseStep::Still,
            Pause::Over => PauseStep::None,
            // Whoever takes the lease from now on finds the pause.
            Pause::Asked if db.is_deserted().await? => PauseStep::Still,
            Pause::Asked => PauseStep::Asked,
        },
    };
    Ok(PauseProgress { step, reason, leader })
}
