//! How long things took lately, and how large batches were: quantiles over a window that slides.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::projector::Buckets;

/// A window is so many slots, of which the oldest is given up at a time.
const SLOTS: usize = 6;
const SLOT: Duration = Duration::from_secs(10);

/// The upper ends of the ranges of batches, in events.
pub(super) const EVENTS: [u64; 12] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000];

/// The upper ends of the ranges of latencies, in microseconds: from a millisecond to ten seconds.
const LATENCIES: [u64; 13] = [
    1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000, 2_000_000, 5_000_000,
    10_000_000,
];

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Measured {
    /// From an event's write, by the primary's clock, to its commit.
    Latency,
    /// A batch in the sandbox.
    Projecting,
    /// A batch's transaction.
    Committing,
    /// How many events a batch has.
    Batch,
}

/// The measurements of one projection.
pub(super) struct Measurements {
    began: Instant,
    slots: Mutex<VecDeque<Slot>>,
}

#[derive(Default)]
struct Slot {
    number: u64,
    buckets: [Buckets; 4],
}

/// What most of some numbers were no larger than, rounded up by at most an eighth.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Quantiles {
    /// Half of them.
    pub p50: f64,
    /// 99 of 100.
    pub p99: f64,
    /// How many they are.
    pub count: u64,
}

/// How long things took in the last minute, and how large batches were. None: nothing was measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LastMinute {
    /// From an event's write, by the primary's clock, to its commit, in milliseconds. None for events of history.
    pub latency_ms: Option<Quantiles>,
    /// A batch in the sandbox, in milliseconds.
    pub projecting_ms: Option<Quantiles>,
    /// A batch's transaction, in milliseconds.
    pub committing_ms: Option<Quantiles>,
    /// The events of a batch.
    pub batch_events: Option<Quantiles>,
    /// How many events took how long, up to 1, 2, 5, 10, 20, 50, 100, 200, 500, 1,000, 2,000, 5,000 milliseconds and more.
    #[serde(default)]
    pub latencies: Vec<u64>,
    /// How many batches there were of each size, up to 1, 2, 5, 10, 20, 50, 100, 200, 500, 1,000, 2,000 and more events.
    pub batches: Vec<u64>,
}

impl Default for Measurements {
    fn default() -> Self {
        Self { began: Instant::now(), slots: Mutex::default() }
    }
}

impl Measurements {
    /// Counts a number, of microseconds or events, as often as it came.
    pub(super) fn add(&self, measured: Measured, number: u64, times: u64) {
        self.add_at(self.began.elapsed(), measured, number, times);
    }

    pub(super) fn last_minute(&self) -> LastMinute {
        self.at(self.began.elapsed())
    }

    fn add_at(&self, now: Duration, measured: Measured, value: u64, times: u64) {
        let mut slots = self.slots();
        let number = slot(now);
        if slots.back().is_none_or(|last| last.number < number) {
            slots.push_back(Slot { number, ..Slot::default() });
            while slots.len() > SLOTS {
                slots.pop_front();
            }
        }
        if let Some(last) = slots.back_mut() {
            last.buckets[measured as usize].add_many(value, times);
        }
    }

    fn at(&self, now: Duration) -> LastMinute {
        let oldest = (slot(now) + 1).saturating_sub(SLOTS as u64);
        let mut all: [Buckets; 4] = std::array::from_fn(|_| Buckets::default());
        for slot in self.slots().iter().filter(|slot| slot.number >= oldest) {
            all.iter_mut().zip(&slot.buckets).for_each(|(all, some)| all.merge(some));
        }
        let [latency, projecting, committing, batch] = &all;
        let is_any = batch.count() > 0;
        LastMinute {
            latency_ms: quantiles(latency, 1000),
            projecting_ms: quantiles(projecting, 1000),
            committing_ms: quantiles(committing, 1000),
            batch_events: quantiles(batch, 1),
            latencies: if latency.count() > 0 { latency.by_range(&LATENCIES) } else { vec![] },
            batches: if is_any { batch.by_range(&EVENTS) } else { vec![] },
        }
    }

    fn slots(&self) -> MutexGuard<'_, VecDeque<Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn slot(since: Duration) -> u64 {
    since.as_secs() / SLOT.as_secs()
}

fn quantiles(buckets: &Buckets, unit: u64) -> Option<Quantiles> {
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let of = |percent| Some(buckets.quantile(percent)? as f64 / unit as f64);
    Some(Quantiles { p50: of(50)?, p99: of(99)?, count: buckets.count() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_of_the_last_minute_and_of_nothing_older() {
        let measurements = Measurements::default();
        let at = Duration::from_secs;
        measurements.add_at(at(5), Measured::Latency, 9_000_000, 100);
        measurements.add_at(at(31), Measured::Latency, 10_000, 100);
        let both = measurements.at(at(31)).latency_ms.expect("it was measured");
        assert!(both.p99 >= 9_000.0 && both.count == 200, "{both:?}");
        let later = measurements.at(at(61)).latency_ms.expect("it was measured");
        assert!((10.0..=11.25).contains(&later.p99) && later.count == 100, "{later:?}");
        assert_eq!(measurements.at(at(100)), LastMinute::default(), "all of it is old");
        for size in [1, 3, 40, 9_000] {
            measurements.add_at(at(3_600), Measured::Batch, size, 1);
        }
        let batches = measurements.at(at(3_600)).batches;
        assert_eq!(batches, [1, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1]);
        for micros in [900, 3_000, 70_000_000] {
            measurements.add_at(at(3_600), Measured::Latency, micros, 1);
        }
        let latencies = measurements.at(at(3_600)).latencies;
        assert_eq!(latencies, [1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    }
}
