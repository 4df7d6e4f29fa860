//! One projection on this host: the servers, settings, component versions and status that its control plane works with.

use std::sync::Arc;

use super::settings::Settings;
use crate::component::registry::Versions;
use crate::readmodel::control::control_db::ProjectionDb;
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
    /// The projection's rows in a session.
    pub fn db<'a>(&'a self, session: &'a mut Session) -> ProjectionDb<'a> {
        self.servers.control.of(session, &self.settings.name)
    }
}
