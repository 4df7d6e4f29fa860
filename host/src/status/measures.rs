//! Histograms of a projection's events and batches. Its counters are in `status`, its gauges in `admin::health`.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use metrics::{counter, histogram};

use super::activity::Activity;
use super::exemplars::Exemplar;
use super::recently::Measured;
use super::{LaneStatus, Status, StatusState};
use crate::failure::Failure;
use crate::position::Position;
use crate::readmodel::control::command::CommandEnd;
use crate::readmodel::lane::batch::{Batch, Entry, Passed, Verdict};

pub const LATENCY: &str = "laterna_commit_latency_seconds";
const PROJECTING: &str = "laterna_projecting_seconds";
const COMMITTING: &str = "laterna_committing_seconds";
const BATCH: &str = "laterna_batch_events";
const ROUND_TRIPS: &str = "laterna_batch_round_trips";
pub(super) const COMMIT_BY_TYPE: &str = "laterna_event_commit_seconds";

/// The upper ends of the buckets of times, in seconds: from a millisecond to an hour.
const SECONDS: [f64; 21] = [
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 120.0, 300.0,
    600.0, 1200.0, 1800.0, 3600.0,
];

/// The upper ends of the buckets of batches, in events.
const EVENTS: [f64; 12] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0];

/// The upper ends of the buckets of round trips.
const TRIPS: [f64; 14] = [4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 12.0, 15.0, 20.0, 30.0, 50.0, 100.0, 500.0];

/// The upper ends of the buckets of the time that one event of a batch takes, in seconds.
const SHARES: [f64; 12] =
    [0.00001, 0.00002, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.005, 0.02, 0.1, 1.0, 10.0];

/// The histograms, and the upper ends of their buckets.
pub const BUCKETS: [(&str, &[f64]); 6] = [
    (LATENCY, &SECONDS),
    (PROJECTING, &SECONDS),
    (COMMITTING, &SECONDS),
    (BATCH, &EVENTS),
    (ROUND_TRIPS, &TRIPS),
    (COMMIT_BY_TYPE, &SHARES),
];

/// A lane was at work for so long.
pub(super) fn worked(status: &Status, work: Activity, time: Duration) {
    let (name, measured) = match work {
        Activity::Projecting(_) => (PROJECTING, Measured::Projecting),
        Activity::Committing(1..) => (COMMITTING, Measured::Committing),
        Activity::Committing(0) | Activity::Letter => return,
    };
    status.measurements.add(measured, micros(time), 1);
    let projection = &status.projection;
    histogram!(name, "projection" => projection.clone()).record(time.as_secs_f64());
}

/// Something is tried again.
pub(super) fn tries_again(projection: &str, failure: &Failure) {
    counter!("laterna_retries_total", "projection" => projection.to_owned(), "class" => failure.class())
        .increment(1);
}

/// A batch was committed just now. One without events, which only writes a position, is not counted.
pub(super) fn committed(status: &Status, batch: &Batch) {
    if batch.entries.is_empty() {
        return;
    }
    let named = |name: &'static str| histogram!(name, "projection" => status.projection.clone());
    status.measurements.add(Measured::Batch, batch.entries.len() as u64, 1);
    #[expect(clippy::cast_precision_loss, reason = "a batch is small")]
    named(BATCH).record(batch.entries.len() as f64);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let latency = named(LATENCY);
    let fresh = batch.entries.iter().filter(|entry| entry.verdict != Verdict::Pass(Passed::Duplicate));
    // A clock of MongoDB's that is ahead of this one makes it no less than nothing.
    let fresh: Vec<&Entry> = fresh.filter(|entry| entry.delivery.wall_ms.is_some()).collect();
    // Many are of one millisecond.
    for same in fresh.chunk_by(|a, b| a.delivery.wall_ms == b.delivery.wall_ms) {
        let written = Duration::from_millis(same[0].delivery.wall_ms.unwrap_or_default());
        let took = now.saturating_sub(written);
        let newest = same.iter().rev();
        let mut parents = newest.filter_map(|entry| entry.delivery.event.as_ref().ok()?.trace_parent());
        if let Some(parent) = parents.find(|parent| parent.is_sampled) {
            status.exemplars.note(&SECONDS, parent, took, now);
        }
        latency.record_many(took.as_secs_f64(), same.len());
        status.measurements.add(Measured::Latency, micros(took), same.len() as u64);
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl Status {
    pub fn begins(&self, lane: usize, work: Activity) {
        self.change(|state| state.lanes[lane].work[work.slot()] = Some((work, Instant::now())));
    }

    pub fn ends(&self, lane: usize, work: Activity) {
        let since = self.change(|state| state.lanes[lane].work[work.slot()].take());
        if let Some((_, since)) = since {
            let took = since.elapsed();
            worked(self, work, took);
            self.timed(lane, work, took);
        }
    }

    /// Events whose traces are kept, one for each bucket of the latency.
    pub fn exemplars(&self) -> Vec<Exemplar> {
        self.exemplars.all()
    }

    /// A batch with events was committed in so many answers of MySQL that were waited for, one after the other.
    pub fn took_round_trips(&self, round_trips: u32) {
        histogram!(ROUND_TRIPS, "projection" => self.projection.clone()).record(f64::from(round_trips));
    }

    /// Shows the counters before there is anything to count, so that the first of each is seen to come.
    pub fn shows_counters(&self) {
        let projection = || self.projection.clone();
        for name in ["laterna_batches_total", "laterna_events_read_total", "laterna_letters_erased_total"] {
            counter!(name, "projection" => projection()).increment(0);
        }
        counter!("laterna_retries_total", "projection" => projection(), "class" => "connection-lost")
            .increment(0);
        for end in CommandEnd::ALL {
            counter!("laterna_operations_total", "projection" => projection(), "outcome" => end.name())
                .increment(0);
        }
        for verdict in Verdict::NAMES {
            counter!("laterna_events_total", "projection" => projection(), "verdict" => verdict).increment(0);
        }
    }

    /// How far the read model is behind the outbox, in seconds with their fractions as far as those are known.
    pub fn lag(&self) -> f64 {
        self.change(|state| state.lag())
    }
}

impl StatusState {
    /// In whole seconds, as cluster times are; while events wait that are read, within that second by the primary's clock. A lane
    /// that was idle has its last event's time, which is long ago, so the whole seconds bound it.
    fn lag(&self) -> f64 {
        let seconds = f64::from(self.lag_seconds());
        let read = self.read_up_to.as_ref().filter(|position| matches!(position, Position::Stream { .. }));
        let waiting = self.lanes.iter().filter(|lane| lane.waiting > 0);
        let behind = |lane: &LaneStatus| Some(self.read_wall_ms?.saturating_sub(lane.wall_ms?));
        match waiting.filter_map(behind).max() {
            Some(millis) if read.is_some() => {
                let exact = Duration::from_millis(millis).as_secs_f64();
                exact.clamp((seconds - 1.0).max(0.0), seconds + 1.0)
            }
            _ => seconds,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at, row};
    use crate::position::ClusterTime;
    use crate::readmodel::lane::dead_letter::LetterCounts;
    use crate::status::Status;
    use crate::status::snapshot::Phase;

    /// A projection that has read up to a second, and has one lane.
    fn reading(lane_at: u32, read_up_to: u32, now: u32) -> Status {
        let status = Status::new("accounts");
        status.starts("accounts 1", "", 1, &[row(0, lane_at)]);
        status.observed_source(ClusterTime { seconds: now, increment: 1 }, 10);
        status.change(|state| state.read_up_to = Some(at(read_up_to)));
        status
    }

    #[test]
    fn the_first_event_after_an_hour_is_no_hour_behind() {
        let status = reading(4_600, 4_600, 4_600);
        status.change(|state| {
            (state.read_wall_ms, state.lanes[0].wall_ms) = (Some(4_600_300), Some(1_000_000));
            state.lanes[0].waiting = 1;
        });
        assert!(status.lag() <= 1.0, "{}", status.lag());
        status.change(|state| state.lanes[0].wall_ms = Some(4_600_050));
        assert!((status.lag() - 0.25).abs() < 1e-9, "{}", status.lag());
    }

    #[test]
    fn a_standby_shows_nothing_of_the_time_when_it_wrote() {
        let status = reading(1_000, 1_000, 1_300);
        let letters = LetterCounts { held: 4, by_class: [("rejected".to_owned(), 3)].into() };
        status.observed_letters(letters, Some(5));
        status.observed_oplog(Some(ClusterTime { seconds: 900, increment: 1 }));
        let before = status.snapshot();
        assert_eq!((before.lag_seconds, before.parked), (300, 3));
        assert!(status.lag() > 0.0 && before.lag_events > 0 && before.oplog.is_some());
        status.enter(Phase::Standby { owner: "another".into() });
        let after = status.snapshot();
        assert_eq!((after.lag_seconds, after.lag_events, after.parked, after.held), (0, 0, 0, 0));
        assert!(before.letters[0].class == "rejected" && after.letters.is_empty());
        assert!(status.lag() == 0.0 && after.oplog.is_none() && after.lanes.is_empty());
    }
}
