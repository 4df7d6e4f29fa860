//! A lane's part of a transaction, which may be that of several lanes: a batch, with what proves the lane's turn and what it
//! keeps of its past. Made anew for each try. And what a transaction tells in return.

use std::sync::Arc;
use std::time::Duration;

use super::batch::{Batch, Verdict};
use super::checkpoint::BatchToken;
use super::dedupe::DedupeMark;
use crate::fingerprint::Fingerprint;

/// A batch, and what its lane knows of itself at this try.
#[derive(Debug)]
pub struct LaneBatch {
    pub turn: BatchToken,
    pub batch: Arc<Batch>,
    /// Which events the lane has taken with it.
    pub fingerprint: Fingerprint,
    /// The last of its marks that the window does not need any more.
    pub outdated: Option<DedupeMark>,
    /// The batch before it was another component's.
    pub changes_component: bool,
}

impl LaneBatch {
    /// Returns true where dead letters come of it.
    pub fn has_letters(&self) -> bool {
        self.batch.entries.iter().any(|entry| matches!(entry.verdict, Verdict::Park { .. } | Verdict::Hold))
    }
}

/// What a transaction tells about the way to the server.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// How long it took to begin: little but the way there and back.
    pub round_trip: Duration,
    /// How often the host waited for an answer; 0 where nobody counted.
    pub round_trips: u32,
}
