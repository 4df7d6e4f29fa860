//! How fast a generation comes on, how long it will take until it is live, and what is done for it meanwhile: pure.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::effort::{Effort, GAIN_MIN, GAIN_OF_SHARE};

/// How far the source may be ahead of a generation that has caught up, in seconds.
pub const BEHIND_MAX: u64 = 5;

/// The last time in which its pace is measured.
const WINDOW: Duration = Duration::from_secs(15);

/// Below this, a pace is chance; and whether it comes nearer is not judged.
const LEAST: Duration = Duration::from_secs(1);
const JUDGED: Duration = Duration::from_secs(2);

/// How many times as fast a generation is that has all of the time, at most, as far as anybody can know before.
const FASTER_MAX: f64 = 2.0;

/// How long it takes until more is done, in seconds.
const TRIED: f64 = 3.0;

/// How long it takes to come to one position with the live one and in its place, in seconds.
const SWITCH: u64 = 4;

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

/// What is known of a generation's pace, and what is done about it.
pub struct GenerationPace {
    samples: VecDeque<PaceSample>,
    /// How much of the time it has as its share, in percent.
    share: u32,
    effort: Effort,
    /// How many events a second came when the live reader did not wait.
    arrival: f64,
    /// The seconds that were left when that was told last.
    told: Option<(Instant, u64)>,
}

impl GenerationPace {
    pub fn new(share: u32) -> Self {
        let (samples, effort) = (VecDeque::new(), Effort::default());
        Self { samples, share: share.clamp(1, 100), effort, arrival: 0.0, told: None }
    }

    pub fn effort(&self) -> Effort {
        self.effort
    }

    /// Learns how far the generation is, and in the stream decides what is to be done for it.
    pub fn add(&mut self, sample: PaceSample) {
        while self.samples.front().is_some_and(|first| sample.at - first.at > WINDOW) {
            self.samples.pop_front();
        }
        if sample.behind.is_some() {
            // What it was in history says nothing of the stream.
            self.samples.retain(|before| before.behind.is_some());
        }
        self.samples.push_back(sample);
        if let Some(gain) = self.gain() {
            self.makes(self.effort.next(gain));
        }
    }

    /// Does so much from now on. The pace that it had before says nothing any more.
    pub fn makes(&mut self, effort: Effort) {
        if effort != self.effort {
            self.effort = effort;
            self.samples.drain(..self.samples.len().saturating_sub(1));
        }
    }

    /// Returns true where it comes no nearer to the live one, as far as can be judged.
    pub fn is_stuck(&self) -> bool {
        self.gain().is_some_and(|gain| gain < GAIN_MIN)
    }

    /// How many times as many events as the live lanes it takes in the stream. None where nothing is written, or that cannot be
    /// judged yet.
    fn gain(&self) -> Option<f64> {
        let (first, last) = (self.samples.front()?, self.samples.back()?);
        let is_judged = first.behind.is_some() && last.at - first.at >= JUDGED && last.live > first.live;
        let taken = last.events.saturating_sub(first.events);
        is_judged.then(|| number(taken) / number(last.live - first.live))
    }

    /// In how many seconds it will take the live one's place. `expected` is how many events history has, and `age` for how many
    /// seconds it has been built. None where nobody knows yet.
    pub fn left(&mut self, expected: u64, age: u64) -> Option<u64> {
        let now = self.samples.back()?.at;
        if let Some(left) = self.estimate(expected, age) {
            self.told = Some((now, left));
        }
        let (then, left) = self.told?;
        Some(left.saturating_sub((now - then).as_secs()).max(1))
    }

    /// How many times as fast as with its share it is expected to be with all of the time.
    fn faster(&self) -> f64 {
        (100.0 / f64::from(self.share)).min(FASTER_MAX)
    }

    fn estimate(&mut self, expected: u64, age: u64) -> Option<u64> {
        let (first, last) = (self.samples.front()?, self.samples.back()?);
        if last.behind.is_some_and(|behind| behind <= 1) {
            return Some(SWITCH);
        }
        let time = last.at - first.at;
        if time < LEAST {
            return None;
        }
        let per_second = |then: u64, now: u64| number(now.saturating_sub(then)) / time.as_secs_f64();
        let (pace, arrival) = (per_second(first.events, last.events), per_second(first.live, last.live));
        if self.effort.live_waits().is_none() {
            self.arrival = arrival;
        }
        // What live lanes take that wait is less than what comes.
        let arrival = arrival.max(self.arrival);
        let seconds = if let Some(behind) = last.behind {
            let gain = if arrival > 0.0 { pace / arrival } else { f64::INFINITY };
            // Its share does not do: it gets all of the time.
            let is_share_too_small = self.effort == Effort::Share && gain < GAIN_OF_SHARE;
            let gain = if is_share_too_small { gain * self.faster() } else { gain };
            // More is done until it is so much.
            number(behind) / (gain - 1.0).max(GAIN_MIN - 1.0)
        } else {
            if pace <= 0.0 {
                return None;
            }
            let history = number(expected.saturating_sub(last.events)) / pace;
            // What has come since it was begun comes behind history. It is taken with its share of the time, and where that is tried and
            // does not do, with all of it.
            let (tried, faster) =
                if pace < arrival * GAIN_OF_SHARE { (TRIED, self.faster() * pace) } else { (0.0, pace) };
            let nearer = (faster - arrival).max(arrival * (GAIN_MIN - 1.0));
            let written = arrival * (number(age) + history + tried);
            history + tried + if arrival > 0.0 { written / nearer } else { 0.0 }
        };
        Some(whole(seconds).saturating_add(SWITCH))
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

    fn pace(share: u32, samples: &[(u64, u64, u64, Option<u64>)]) -> GenerationPace {
        let (began, mut pace) = (Instant::now(), GenerationPace::new(share));
        for &(seconds, events, live, behind) in samples {
            pace.add(PaceSample { at: began + Duration::from_secs(seconds), events, live, behind });
        }
        pace
    }

    #[test]
    fn history_takes_as_long_as_its_rest_and_what_came_meanwhile() {
        let mut found = pace(100, &[(0, 0, 0, None), (10, 10_000, 0, None)]);
        assert_eq!(found.left(40_000, 10), Some(30 + SWITCH));
        let mut found = pace(100, &[(0, 0, 0, None), (10, 10_000, 5_000, None)]);
        assert_eq!(found.left(40_000, 10), Some(30 + 40 + SWITCH), "500 a second come on, half of the pace");
        let mut found = pace(50, &[(0, 0, 0, None), (10, 10_000, 5_000, None)]);
        assert_eq!(found.left(40_000, 10), Some(30 + 40 + SWITCH), "its share does");
        let mut found = pace(50, &[(0, 0, 0, None), (10, 10_000, 6_000, None)]);
        assert_eq!(found.left(40_000, 10), Some(30 + 3 + 19 + SWITCH), "in the end it has all of the time");
        let mut found = pace(100, &[(0, 0, 0, None), (10, 10_000, 10_000, None)]);
        assert_eq!(
            found.left(10_000, 10),
            Some(3 + 52 + SWITCH),
            "as many come as are taken, so more is done"
        );
        assert_eq!(pace(100, &[(0, 0, 0, None), (10, 0, 0, None)]).left(10_000, 10), None);
    }

    #[test]
    fn the_stream_takes_as_long_as_it_comes_nearer() {
        let mut found = pace(100, &[(0, 0, 0, Some(60)), (10, 2_000, 1_000, Some(50))]);
        assert_eq!(found.left(0, 100), Some(50 + SWITCH), "more than were expected is no time of nought");
        let mut found =
            pace(100, &[(0, 0, 0, None), (10, 2_000, 1_000, Some(60)), (11, 2_200, 1_100, Some(59))]);
        assert_eq!(found.left(0, 100), Some(59 + SWITCH), "what it was in history does not count");
        assert_eq!(pace(100, &[(0, 900, 1_000, Some(1))]).left(0, 100), Some(SWITCH));
        assert_eq!(pace(100, &[(0, 0, 0, Some(9)), (1, 0, 0, Some(9))]).left(0, 100), Some(SWITCH));
    }

    #[test]
    fn the_pace_that_it_had_with_less_of_the_time_says_nothing() {
        let mut found = pace(100, &[(0, 0, 0, Some(50)), (1, 300, 100, Some(48))]);
        assert_eq!(found.left(0, 100), Some(24 + SWITCH));
        found.makes(Effort::All);
        let at = found.samples.back().map(|last| last.at).expect("there is one");
        found.add(PaceSample { at, events: 300, live: 100, behind: Some(47) });
        assert_eq!(found.left(0, 100), Some(24 + SWITCH), "what was told still holds");
        let at = at + Duration::from_secs(1);
        found.add(PaceSample { at, events: 900, live: 200, behind: Some(40) });
        assert_eq!(found.left(0, 100), Some(8 + SWITCH));
    }

    #[test]
    fn one_that_does_not_come_nearer_is_noticed() {
        let mut found = pace(50, &[(0, 0, 0, None), (8, 0, 900, None)]);
        assert_eq!((found.effort(), found.is_stuck()), (Effort::Share, false), "history has its own pace");
        let mut add = |seconds, events, live| {
            let at = found.samples.back().map(|last| last.at).expect("there is one");
            found.add(PaceSample { at: at + Duration::from_secs(seconds), events, live, behind: Some(40) });
            (found.effort(), found.is_stuck())
        };
        assert_eq!(add(8, 0, 900), (Effort::Share, false));
        assert_eq!(add(8, 0, 900), (Effort::Share, false), "nothing is written");
        assert_eq!(add(2, 300, 1_100), (Effort::All, false), "it is judged anew with all of the time");
        assert_eq!(add(2, 700, 1_300), (Effort::All, false));
        assert_eq!(add(2, 700, 1_500), (Effort::Half, false));
        assert_eq!(add(2, 700, 1_700), (Effort::Most, false));
        assert_eq!(add(1, 700, 1_720), (Effort::Most, false));
        assert_eq!(add(1, 700, 1_740), (Effort::Most, true));
    }

    /// A machine on which a generation is built: so many events a second are written, and it takes so many.
    #[derive(Debug, Clone, Copy)]
    struct BuildModel {
        history: f64,
        arrival: f64,
        /// With all of the time beside the live lanes, and with the machine for itself.
        beside: f64,
        alone: f64,
        share: u32,
    }

    impl BuildModel {
        /// For how many seconds it was built, and the times that were told at each.
        fn built(self) -> (u64, Vec<(u64, u64)>) {
            let Self { history, arrival, beside, alone, share } = self;
            let (began, mut pace, mut told) = (Instant::now(), GenerationPace::new(share), vec![]);
            let (mut live, mut events) = (history, 0.0_f64);
            for second in 0..100_000 {
                let written = history + arrival * number(second);
                let behind = (events >= history).then(|| whole((written - events) / arrival));
                let sample = PaceSample {
                    at: began + Duration::from_secs(second),
                    events: whole(events),
                    live: whole(live),
                    behind,
                };
                pace.add(sample);
                if behind.is_some() && events >= live - arrival / 10.0 {
                    return (second, told);
                }
                told.extend(pace.left(whole(history), second).map(|left| (second, left)));
                let effort = pace.effort();
                let waits = effort
                    .live_waits()
                    .map_or(0.0, |(waits, goes)| waits.as_secs_f64() / (waits + goes).as_secs_f64());
                let written = history + arrival * number(second + 1);
                live = written.min(live + (1.0 - waits) * 2.0 * arrival);
                let possible = beside + (alone - beside) * waits;
                events = written.min(events + possible * f64::from(effort.percent(share)) / 100.0);
            }
            (u64::MAX, told)
        }
    }

    #[test]
    fn it_comes_to_an_end_at_any_load_in_the_time_that_was_told_and_half_of_it() {
        for arrival in [1.0, 100.0, 5_000.0, 15_000.0, 19_000.0] {
            for share in [10, 20, 50, 100] {
                for (beside, alone) in [(12_000.0, 30_000.0), (40_000.0, 40_000.0)] {
                    let model = BuildModel { history: 300_000.0, arrival, beside, alone, share };
                    let (took, told) = model.built();
                    assert!(took < 1_000, "{model:?} took {took} s");
                    assert!(told.len() > 3, "{model:?}: {told:?}");
                    for (at, left) in told {
                        let really = number(took - at);
                        assert!(
                            really <= number(left) * 1.5,
                            "{model:?}: {left} s were told at {at}, and it took {took}"
                        );
                        // Nor is far too much told: what all of the time brings is not known before, but five times the whole is too long.
                        assert!(
                            left <= took * 5,
                            "{model:?}: {left} s were told at {at}, and it took {took} only"
                        );
                    }
                }
            }
        }
    }
}
