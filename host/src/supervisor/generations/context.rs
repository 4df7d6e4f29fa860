//! What everything about generations works with.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use tokio_util::sync::CancellationToken;

use crate::component::registry::Versions;
use crate::readmodel::control::poller::ControlFeed;
use crate::servers::Servers;
use crate::status::Status;
use crate::supervisor::settings::Settings;

/// What every part of this works with.
#[derive(Clone)]
pub struct GenerationContext {
    pub servers: Servers,
    pub settings: Settings,
    pub versions: Arc<Versions>,
    pub epoch: u64,
    /// That of the live lanes.
    pub live: Arc<Status>,
    /// How the control schema says that the projection stands.
    pub feed: ControlFeed,
    /// Cancelled when the live lanes cannot run, and nobody has to be waited for.
    pub alone: CancellationToken,
    /// The generation for which the live lanes had their time to come to one position with it, in the run before.
    pub waited_for: Arc<AtomicU32>,
}
