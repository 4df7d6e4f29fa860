//! One projection on this host: the servers, settings, component versions and status that its control plane works with.

use std::sync::Arc;

use super::settings::Settings;
use crate::component::registry::Versions;
use crate::failure::Failure;
use crate::readmodel::control::poller::ControlFeed;
use crate::readmodel::mysql::session::Session;
use crate::servers::Servers;
use crate::status::Status;

#[derive(Clone)]
pub struct OnServers {
    pub servers: Servers,
    pub settings: Settings,
    pub versions: Arc<Versions>,
    pub status: Arc<Status>,
    /// How the control schema says that the projection stands.
    pub feed: ControlFeed,
}

impl OnServers {
    /// The kept session, or a new one.
    pub async fn session(&self, kept: &mut Option<Session>) -> Result<Session, Failure> {
        match kept.take() {
            Some(session) => Ok(session),
            None => self.servers.applier.connect().await,
        }
    }
}
