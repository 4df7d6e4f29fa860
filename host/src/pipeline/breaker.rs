//! The breaker: many events parked in a short time, of different aggregates and more than a share of all that were
//! projected, mean that the projector is broken and not the events. It opens before the batch that shows it is
//! committed, so most of them are not parked.
//!
//! Documents that are no events do not count: no projector saw them. Nor do held events: one aggregate, one fault.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use xxhash_rust::xxh3::xxh3_64;

use crate::failure::Failure;
use crate::readmodel::lane::batch::{Batch, Verdict};

/// When the breaker opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerSettings {
    /// So many different aggregates were parked; 0: never.
    pub aggregates: usize,
    /// Within so many seconds.
    pub seconds: u32,
    /// Share of the projected events that has to be parked too, in percent.
    pub percent: u32,
}

/// One for all lanes of a run.
pub struct Breaker {
    settings: BreakerSettings,
    state: Mutex<BreakerState>,
    /// An operator resumed the projection after it had opened.
    muted: bool,
}

#[derive(Default)]
struct BreakerState {
    /// Counts of recent commits, oldest first.
    recent: VecDeque<(Instant, Count)>,
    /// Counts of what each lane is about to commit.
    pending: HashMap<usize, Count>,
    open: Option<String>,
    /// The component that this is about.
    digest: String,
}

#[derive(Default, Clone)]
struct Count {
    /// Events that a projector's answer decided about.
    projected: usize,
    parked: usize,
    /// The parked events' aggregates, by their hash.
    aggregates: HashSet<u64>,
}

impl Breaker {
    pub fn new(settings: BreakerSettings) -> Self {
        Self { settings, state: Mutex::default(), muted: false }
    }

    /// One that never opens.
    pub fn off() -> Self {
        Self::new(BreakerSettings { aggregates: 0, seconds: 1, percent: 0 })
    }

    /// One that has opened for this component, and whose events an operator lets be parked.
    pub fn muted() -> Self {
        Self { muted: true, ..Self::off() }
    }

    pub fn is_muted(&self) -> bool {
        self.muted
    }

    /// Lets a lane commit a batch, or opens. Once open, nothing more is let through.
    pub fn admit(&self, lane: usize, batch: &Batch) -> Result<(), Failure> {
        if self.settings.aggregates == 0 {
            return Ok(());
        }
        self.changes(&batch.version.digest);
        self.admit_at(lane, count(batch), Instant::now())
    }

    /// Forgets the counts where another component works now: they are no evidence about this one.
    fn changes(&self, digest: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.digest != digest {
            *state = BreakerState { digest: digest.to_owned(), ..BreakerState::default() };
        }
    }

    /// The batch that was let through is committed.
    pub fn committed(&self, lane: usize) {
        if self.settings.aggregates > 0 {
            self.committed_at(lane, Instant::now());
        }
    }

    fn admit_at(&self, lane: usize, count: Count, now: Instant) -> Result<(), Failure> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let parks = count.parked > 0;
        state.pending.insert(lane, count);
        if state.open.is_none() && parks {
            let window = Duration::from_secs(self.settings.seconds.into());
            while state.recent.front().is_some_and(|(at, _)| now.duration_since(*at) > window) {
                state.recent.pop_front();
            }
            state.open = self.verdict(&state);
        }
        match &state.open {
            Some(reason) => {
                Err(Failure::BreakerOpen { reason: reason.clone(), digest: Some(state.digest.clone()) })
            }
            None => Ok(()),
        }
    }

    fn committed_at(&self, lane: usize, now: Instant) {
        /// Counts that are so close in time become one.
        const GRAIN: Duration = Duration::from_millis(500);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(count) = state.pending.remove(&lane) else { return };
        match state.recent.back_mut() {
            Some((at, last)) if now.duration_since(*at) < GRAIN => last.add(count),
            _ => state.recent.push_back((now, count)),
        }
        let window = Duration::from_secs(self.settings.seconds.into());
        while state.recent.front().is_some_and(|(at, _)| now.duration_since(*at) > window) {
            state.recent.pop_front();
        }
    }

    /// Why it opens, if it does.
    fn verdict(&self, state: &BreakerState) -> Option<String> {
        let mut sum = Count::default();
        for count in state.recent.iter().map(|(_, count)| count).chain(state.pending.values()) {
            sum.add(count.clone());
        }
        let Count { projected, parked, aggregates } = sum;
        let BreakerSettings { aggregates: aggregates_max, seconds, percent } = self.settings;
        let share = parked * 100 > projected * percent as usize;
        (aggregates.len() >= aggregates_max && share).then(|| {
            format!(
                "{} different aggregates would be parked within {seconds} s, {parked} of {projected} events: the \
                 projector looks broken, not the events; deploy a component that works, or run `laterna resume` to let the events be parked",
                aggregates.len()
            )
        })
    }
}

impl Count {
    fn add(&mut self, other: Self) {
        self.projected += other.projected;
        self.parked += other.parked;
        self.aggregates.extend(other.aggregates);
    }
}

fn count(batch: &Batch) -> Count {
    let mut count = Count::default();
    for entry in &batch.entries {
        match &entry.verdict {
            Verdict::Apply(_) => count.projected += 1,
            Verdict::Park { failure, .. } if !matches!(failure, Failure::Undecodable { .. }) => {
                count.projected += 1;
                count.parked += 1;
                count
                    .aggregates
                    .extend(entry.delivery.aggregate().map(|aggregate| xxh3_64(&aggregate.key())));
            }
            Verdict::Park { .. } | Verdict::Pass(_) | Verdict::Hold => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker() -> Breaker {
        Breaker::new(BreakerSettings { aggregates: 4, seconds: 10, percent: 50 })
    }

    /// A batch of so many events, and the parked ones' aggregates.
    fn batch(projected: usize, aggregates: impl IntoIterator<Item = u64>) -> Count {
        let aggregates: HashSet<u64> = aggregates.into_iter().collect();
        Count { projected, parked: aggregates.len(), aggregates }
    }

    #[test]
    fn it_opens_with_the_last_of_so_many_aggregates_and_stays_open() {
        let (breaker, now) = (breaker(), Instant::now());
        assert!(breaker.admit_at(0, batch(3, 0..3), now).is_ok());
        breaker.committed_at(0, now);
        assert!(breaker.admit_at(0, batch(1, 3..4), now).is_err());
        assert!(breaker.admit_at(1, batch(100, []), now).is_err(), "no other lane goes on");
    }

    #[test]
    fn it_names_the_component_whose_events_opened_it() {
        let (breaker, now) = (breaker(), Instant::now());
        breaker.changes("first");
        breaker.changes("second");
        let opened = breaker.admit_at(0, batch(4, 0..4), now);
        let Err(Failure::BreakerOpen { digest, .. }) = opened else { panic!("{opened:?}") };
        assert_eq!(digest.as_deref(), Some("second"));
    }

    #[test]
    fn one_aggregate_that_fails_over_and_over_is_no_broken_projector() {
        let (breaker, now) = (breaker(), Instant::now());
        for _ in 0..100 {
            assert!(breaker.admit_at(0, batch(1, [7]), now).is_ok());
            breaker.committed_at(0, now);
        }
    }

    #[test]
    fn most_events_must_be_parked() {
        let (breaker, now) = (breaker(), Instant::now());
        assert!(breaker.admit_at(0, batch(8, 0..4), now).is_ok(), "half of them is not more than half");
        assert!(breaker.admit_at(0, batch(7, 0..4), now).is_err());
    }

    #[test]
    fn what_is_long_ago_does_not_count() {
        let (breaker, now) = (breaker(), Instant::now());
        assert!(breaker.admit_at(0, batch(3, 0..3), now).is_ok());
        breaker.committed_at(0, now);
        assert!(breaker.admit_at(0, batch(3, 3..6), now + Duration::from_secs(11)).is_ok());
    }

    #[test]
    fn lanes_that_commit_at_the_same_time_see_each_other() {
        let (breaker, now) = (breaker(), Instant::now());
        assert!(breaker.admit_at(0, batch(2, 0..2), now).is_ok());
        assert!(breaker.admit_at(1, batch(2, 2..4), now).is_err());
    }

    #[test]
    fn a_batch_that_is_tried_again_counts_once() {
        let (breaker, now) = (breaker(), Instant::now());
        for _ in 0..10 {
            assert!(breaker.admit_at(0, batch(3, 0..3), now).is_ok());
        }
    }

    #[test]
    fn it_can_be_off() {
        let batch = Batch {
            entries: vec![],
            position: crate::position::Position::Stream {
                token: crate::position::Token { data: "82".into(), type_bits: None },
            },
            version: crate::statement::Deployed::empty("d"),
        };
        assert!(Breaker::off().admit(0, &batch).is_ok());
    }
}
