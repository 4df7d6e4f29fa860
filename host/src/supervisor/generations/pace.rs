//! How fast a generation comes on, and how long it will take until it has caught up: pure.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// How far the source may be ahead of a generation that has caught up, in seconds.
pub const BEHIND_MAX: u64 = 5;

/// The last time in which its pace is measured.
const WINDOW: Duration = Duration::from_secs(15);

/// Below this, a pace is chance.
const LEAST: Duration = Duration::from_secs(1);

/// After so long without coming nearer, more is done about it.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long it takes to come near the live one, to one position with it and in its place, in seconds.
const SWITCH: u64 = 3;

/// How far a generation is at a moment.
#[derive(Debug, Clone, Copy)]
pub struct PaceSample {
    pub at: Instant,
    /// How many events its lanes have taken.
    pub events: u64,
    /// How many the live lanes have.
    pub live: u64,
    /// How many seconds it is behind the source; none while it reads history.
    pub behind: Option<u64>,
}

/// What is known of a generation's pace.
#[derive(Default)]
pub struct GenerationPace {
    samples: VecDeque<PaceSample>,
    /// The least that it was behind the source, and since when.
    nearest: Option<(u64, Instant)>,
}

impl GenerationPace {
    pub fn add(&mut self, sample: PaceSample) {
        while self.samples.front().is_some_and(|first| sample.at - first.at > WINDOW) {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
        self.nearest = match (sample.behind, self.nearest) {
            (Some(behind), Some((nearest, _))) if behind >= nearest && behind > BEHIND_MAX => self.nearest,
            (behind, _) => behind.map(|behind| (behind, sample.at)),
        };
    }

    /// Forgets the pace that it had: from now on it has more of the time, or less.
    pub fn changes(&mut self) {
        self.samples.clear();
    }

    /// How often, within the time of patience, it has not come nearer to the source.
    pub fn stalls(&self, now: Instant) -> u32 {
        let since = self.nearest.map_or(Duration::ZERO, |(_, since)| now - since);
        u32::try_from(since.as_secs() / PATIENCE.as_secs()).unwrap_or(u32::MAX)
    }

    /// In how many seconds it will take the live one's place, where it goes on so. `expected` is how many events history has, and
    /// `age` for how many seconds it has been built. None where it does not come nearer, or nobody knows yet.
    pub fn left(&self, expected: u64, age: u64) -> Option<u64> {
        let (first, last) = (self.samples.front()?, self.samples.back()?);
        if last.behind.is_some_and(|behind| behind <= BEHIND_MAX) {
            return Some(SWITCH);
        }
        let time = last.at - first.at;
        if time < LEAST {
            return None;
        }
        let per_second = |then: u64, now: u64| number(now.saturating_sub(then)) / time.as_secs_f64();
        let (pace, arrival) = (per_second(first.events, last.events), per_second(first.live, last.live));
        let (rest, nearer) = match (last.behind, first.behind) {
            (Some(behind), Some(then)) => {
                (number(behind), (number(then) - number(behind)) / time.as_secs_f64())
            }
            // It has just begun with the stream.
            (Some(behind), None) => (number(behind), if arrival > 0.0 { pace / arrival - 1.0 } else { pace }),
            // What has come since it was begun comes behind history.
            (None, _) => {
                (number(expected.saturating_sub(last.events)) + arrival * number(age), pace - arrival)
            }
        };
        (nearer > 0.0).then(|| whole(rest / nearer).saturating_add(SWITCH))
    }
}

#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn number(count: u64) -> f64 {
    count as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is bounded, and not below 0")]
fn whole(seconds: f64) -> u64 {
    seconds.ceil().clamp(0.0, 1e9) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(samples: &[(u64, u64, u64, Option<u64>)]) -> (GenerationPace, Instant) {
        let (began, mut pace) = (Instant::now(), GenerationPace::default());
        let at = |seconds| began + Duration::from_secs(seconds);
        for &(seconds, events, live, behind) in samples {
            pace.add(PaceSample { at: at(seconds), events, live, behind });
        }
        (pace, at(samples.last().map_or(0, |sample| sample.0)))
    }

    #[test]
    fn history_takes_as_long_as_its_rest_and_what_came_meanwhile() {
        let (found, _) = pace(&[(0, 0, 0, None), (10, 10_000, 0, None)]);
        assert_eq!(found.left(40_000, 10), Some(30 + SWITCH));
        let (found, _) = pace(&[(0, 0, 0, None), (10, 10_000, 5_000, None)]);
        assert_eq!(
            found.left(40_000, 10),
            Some(70 + SWITCH),
            "500 a second come on, which is half of the pace"
        );
        let (found, _) = pace(&[(0, 0, 0, None), (10, 5_000, 5_000, None)]);
        assert_eq!(found.left(40_000, 10), None, "as many come as are taken");
    }

    #[test]
    fn the_stream_takes_as_long_as_it_comes_nearer() {
        let (found, _) = pace(&[(0, 0, 0, Some(60)), (10, 2_000, 1_000, Some(50))]);
        assert_eq!(found.left(0, 100), Some(50 + SWITCH), "more than were expected is no time of nought");
        let (found, _) = pace(&[(0, 0, 0, Some(50)), (10, 900, 1_000, Some(51))]);
        assert_eq!(found.left(0, 100), None);
        let (found, _) = pace(&[(0, 0, 0, None), (10, 2_000, 1_000, Some(50))]);
        assert_eq!(found.left(0, 100), Some(50 + SWITCH));
        let (found, _) = pace(&[(0, 900, 1_000, Some(3))]);
        assert_eq!(found.left(0, 100), Some(SWITCH));
    }

    #[test]
    fn the_pace_that_it_had_with_less_of_the_time_says_nothing() {
        let (mut found, now) = pace(&[(0, 0, 0, Some(50)), (15, 1_500, 1_490, Some(49))]);
        assert_eq!(found.left(0, 100), Some(735 + SWITCH));
        found.changes();
        assert_eq!(found.left(0, 100), None);
        for (seconds, behind) in [(0, 49), (2, 39)] {
            let at = now + Duration::from_secs(seconds);
            found.add(PaceSample { at, events: 0, live: 0, behind: Some(behind) });
        }
        assert_eq!(found.left(0, 100), Some(8 + SWITCH));
    }

    #[test]
    fn one_that_does_not_come_nearer_is_noticed() {
        let (found, now) = pace(&[(0, 0, 0, Some(30)), (8, 0, 0, Some(29)), (17, 0, 0, Some(30))]);
        assert_eq!(found.stalls(now), 0);
        assert_eq!(found.stalls(now + Duration::from_secs(1)), 1);
        assert_eq!(found.stalls(now + Duration::from_secs(15)), 2);
        let (found, now) = pace(&[(0, 0, 0, Some(4)), (40, 0, 0, Some(4))]);
        assert_eq!(found.stalls(now), 0, "near is near");
        let (found, now) = pace(&[(0, 0, 0, None), (40, 0, 0, None)]);
        assert_eq!(found.stalls(now), 0, "history is read at its own pace");
    }
}
