//! Hosts: the one that answers, and who leads which projection.

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::admin::AdminContext;
use crate::admin::problem::Problem;
use crate::readmodel::control::lease::{self, LeaseRecord};

/// The host that answers, and all leases.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Hosts {
    /// The `host.id` of the one that answers.
    here: String,
    version: String,
    leases: Vec<LeaseRecord>,
}

/// Lists who leads which projection, other hosts included.
#[utoipa::path(get, path = "/hosts", tag = "hosts", responses((status = 200, body = Hosts)))]
pub async fn list(State(shown): State<AdminContext>) -> Result<Json<Hosts>, Problem> {
    let mut seat = shown.desk.sit().await?;
    let leases = lease::all(&mut seat.session, &seat.servers.control).await;
    let leases = seat.rise(leases.map_err(Problem::from))?;
    let version = env!("CARGO_PKG_VERSION").to_owned();
    Ok(Json(Hosts { here: shown.host.to_string(), version, leases }))
}
