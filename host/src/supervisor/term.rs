//! The time of one run, under one epoch.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use tokio_util::sync::CancellationToken;

use crate::pipeline::rendezvous::Rendezvous;

/// The time during which a host holds the lease under one epoch: one run.
#[derive(Clone)]
pub struct Term {
    pub epoch: u64,
    /// Cancelled when the live lanes cannot run, and nobody has to wait for them.
    pub alone: CancellationToken,
    /// The generation for which the live lanes had their time to come to one position with it, in the run before.
    pub waited_for: Arc<AtomicU32>,
    /// Where the live lanes and those of another generation come to one position.
    pub rendezvous: Arc<Rendezvous>,
}
