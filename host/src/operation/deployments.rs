//! What a projection was given, and from where on its lanes work with it.

use serde::{Deserialize, Serialize};

use super::ask::{self, Refusal};
use crate::readmodel::control::deployment::{Deployment, LaneChange};
use crate::readmodel::mysql::session::Session;
use crate::servers::Servers;

/// What was deployed, and from where on each lane works with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Deployments {
    pub deployments: Vec<Deployment>,
    pub lanes: Vec<LaneChange>,
    /// How many lanes the projection has.
    pub lane_count: u32,
}

/// The last deployments, the newest first.
pub async fn deployments(
    session: &mut Session,
    servers: &Servers,
    projection: &str,
    limit: u32,
) -> Result<Deployments, Refusal> {
    let (control, registered) = (&servers.control, ask::registered(session, servers, projection).await?);
    let mut db = control.of(session, projection);
    let deployments = db.deployments(limit).await?;
    let generation = registered.live_generation;
    let lanes = db.lane_changes(generation).await?;
    Ok(Deployments { deployments, lanes, lane_count: registered.lanes })
}
