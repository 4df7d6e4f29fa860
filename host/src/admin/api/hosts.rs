//! Hosts: the one that answers, and who leads which projection.

use axum::Json;
use axum::extract::State;

use crate::admin::AdminContext;
use crate::admin::problem::Problem;
use crate::operation::hosts::Hosts;
use crate::status::snapshot::Snapshot;

/// Lists who leads which projection, other hosts included.
#[utoipa::path(get, path = "/hosts", tag = "hosts", responses((status = 200, body = Hosts)))]
pub async fn list(State(shown): State<AdminContext>) -> Result<Json<Hosts>, Problem> {
    let phases = shown.snapshots().iter().map(Snapshot::named_phase).collect();
    let mut seat = shown.desk.sit().await?;
    let found = Hosts::read(&mut seat.session, &seat.servers, &shown.host, phases).await;
    seat.rise(found.map_err(Problem::from)).map(Json)
}
