//! How fast a projection goes, and whether its source moves at all.

use std::time::{Duration, Instant};

use crate::failure::Failure;

/// How long a source may answer without the stream moving: an idle primary writes every 10 s.
const STILL_MAX: Duration = Duration::from_secs(30);

/// Since when the source has answered with the same position. While nobody asks it, it is not said to be still.
#[derive(Default)]
pub struct Stillness {
    since: Option<Instant>,
    answered: Option<Instant>,
}

impl Stillness {
    /// True when this answer is the one that makes it stalled.
    pub fn answered(&mut self, moved: bool, now: Instant) -> bool {
        let before = self.is_stalled();
        self.since = self.since.filter(|_| !moved).or(Some(now));
        self.answered = Some(now);
        self.is_stalled() && !before
    }

    pub fn is_stalled(&self) -> bool {
        self.since.zip(self.answered).is_some_and(|(since, last)| last.duration_since(since) >= STILL_MAX)
    }
}

/// Events per second over the last few seconds.
#[derive(Default)]
pub struct Rate {
    since: Option<Instant>,
    events: u64,
    before: f64,
}

impl Rate {
    const SPAN: Duration = Duration::from_secs(3);

    pub fn add(&mut self, events: u64) {
        self.roll();
        self.events += events;
    }

    pub fn per_second(&mut self) -> f64 {
        self.roll();
        self.before
    }

    fn roll(&mut self) {
        let since = *self.since.get_or_insert_with(Instant::now);
        if since.elapsed() >= Self::SPAN {
            #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
            let events = self.events as f64;
            self.before = events / since.elapsed().as_secs_f64();
            self.events = 0;
            self.since = Some(Instant::now());
        }
    }
}

/// What a source is that stands still.
pub fn stalled_source() -> Failure {
    Failure::SourceStalled { seconds: STILL_MAX.as_secs() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_answers_and_does_not_move_is_stalled() {
        let mut stillness = Stillness::default();
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        assert!(!stillness.answered(true, at(0)));
        assert!(!stillness.answered(false, at(29)));
        assert!(stillness.answered(false, at(30)), "now it is");
        assert!(!stillness.answered(false, at(31)), "that is told once");
        assert!(stillness.is_stalled());
        assert!(!stillness.answered(true, at(32)));
        assert!(!stillness.is_stalled());
        // Nobody asked for a minute, because the lanes had enough to do.
        assert!(!stillness.answered(true, at(95)));
        assert!(!stillness.is_stalled());
    }
}
