//! How a projection is to run.

use std::time::Duration;

use crate::failure::Failure;
use crate::pipeline::breaker::BreakerSettings;
use crate::pipeline::room::RoomPart;
use crate::readmodel::lane::acknowledge::Acknowledge;
use crate::readmodel::lane::letter_limits::Limits;
use crate::source::OnLost;

/// How a projection is to run.
#[derive(Clone, PartialEq)]
pub struct Settings {
    pub name: String,
    /// Who this host is.
    pub owner: String,
    pub lanes: u32,
    pub batch_max: usize,
    /// How many recent event ids are remembered.
    pub window: usize,
    /// How many bytes may wait in all lanes together.
    pub room: RoomPart,
    /// What becomes of the outbox's documents.
    pub acknowledge: Acknowledge,
    /// Whether a projection without a checkpoint begins with the outbox's history.
    pub from_history: bool,
    /// What is to be done where the place in the change stream is lost.
    pub resume_lost: OnLost,
    pub lease_ttl: Duration,
    pub stop_timeout: Duration,
    pub letters: LetterSettings,
    /// After how many days the audit forgets operations that are over; 0: never.
    pub audit_retention_days: u32,
    /// After how many days a component is removed that nothing refers to; 0: never.
    pub component_retention_days: u32,
    /// How much of the time lanes beside the live ones may take, in percent.
    pub rebuild_percent: u32,
}

impl Settings {
    /// Fails where the projection takes only what comes: history does not make its tables, then.
    pub fn takes_history(&self) -> Result<(), Failure> {
        if self.from_history {
            return Ok(());
        }
        Err(Failure::misconfigured(
            format!("`{}` has `start = \"now\"`, so its tables are not made from history", self.name),
            "set `start = \"history\"` if it began so; otherwise configure a projection of another name, with other tables, that \
             begins with it",
        ))
    }
}

/// How dead letters are dealt with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LetterSettings {
    pub limits: Limits,
    pub breaker: BreakerSettings,
    /// What a parked event holds back; as the projector's ordering says unless given.
    pub hold: Option<Hold>,
    /// After how many days letters are erased; 0: never.
    pub retention_days: u32,
    /// Whether another component tries the letters again that others failed.
    pub replay_after_deployment: bool,
}

/// What a parked event holds back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// The later events of its aggregate.
    Aggregate,
    /// Everything behind it.
    Stream,
}
