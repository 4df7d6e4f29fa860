//! Exemplars of the latency histogram: of each bucket the newest event whose trace is kept, so that a slow bucket leads to a trace.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::event::TraceParent;

/// An event of a trace that whoever began it keeps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exemplar {
    /// The upper end of its bucket, in seconds.
    pub bucket: f64,
    pub trace_id: [u8; 16],
    /// Its latency.
    pub took: Duration,
    /// When its rows were committed, since 1970.
    pub at: Duration,
}

/// The newest exemplar of each bucket, by the bucket's number.
#[derive(Debug, Default)]
pub(super) struct Exemplars(Mutex<BTreeMap<usize, Exemplar>>);

impl Exemplars {
    /// Notes an event that was committed at a moment, in the bucket of these that it belongs to.
    pub(super) fn note(&self, buckets: &[f64], parent: TraceParent, took: Duration, at: Duration) {
        let number = buckets.partition_point(|end| *end < took.as_secs_f64());
        let bucket = buckets.get(number).copied().unwrap_or(f64::INFINITY);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(number, Exemplar { bucket, trace_id: parent.trace_id, took, at });
    }

    pub(super) fn all(&self) -> Vec<Exemplar> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bucket_has_the_newest_event_that_belongs_to_it() {
        let exemplars = Exemplars::default();
        for (n, millis) in [1_u64, 10, 11, 7, 5_000].into_iter().enumerate() {
            let n = u8::try_from(n).expect("few");
            let parent = TraceParent { trace_id: [n; 16], span_id: [1; 8], is_sampled: true };
            exemplars.note(&[0.01, 1.0], parent, Duration::from_millis(millis), Duration::from_secs(9));
        }
        let all: Vec<(f64, u8)> = exemplars.all().iter().map(|one| (one.bucket, one.trace_id[0])).collect();
        assert_eq!(all, [(0.01, 3), (1.0, 2), (f64::INFINITY, 4)]);
    }
}
