//! Hosts: who leads which projection, and who stands by.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::readmodel::control::lease::LeaseRecord;
use crate::readmodel::mysql::session::Session;
use crate::servers::Servers;

/// The host that answers, and all leases.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Hosts {
    /// The `host.id` of the one that answers.
    pub here: String,
    pub version: String,
    pub leases: Vec<LeaseRecord>,
    /// The phase of each projection on the host that answers; `standby` where another one leads it.
    pub phases: BTreeMap<String, String>,
}

impl Hosts {
    /// Reads the leases, also those of other hosts.
    pub async fn read(
        session: &mut Session,
        servers: &Servers,
        here: &str,
        phases: BTreeMap<String, String>,
    ) -> Result<Self, Failure> {
        let leases = servers.control.on(session).leases().await?;
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Ok(Self { here: here.to_owned(), version, leases, phases })
    }
}
