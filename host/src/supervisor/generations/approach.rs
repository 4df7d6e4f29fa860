//! How near a generation's lanes are to the live ones, by what these have handed out and when: pure.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::pipeline::rendezvous::ReaderDistance;
use crate::position::Position;

/// How long ago the live reader may have handed out what a generation that is near has not committed.
pub const NEAR: Duration = Duration::from_millis(100);

/// How many moments are remembered.
const MOMENTS_MAX: usize = 10_000;

/// Where the live reader was when, as far as the other lanes have not come there.
#[derive(Default)]
pub struct Approach {
    passed: VecDeque<(Instant, Position)>,
    /// They have come to where it was looked first, so it is known when the live reader was where they are.
    is_known: bool,
}

impl Approach {
    /// Returns true where the lanes have committed all that the live reader handed out a moment ago.
    pub fn is_near(&mut self, now: Instant, distance: &ReaderDistance) -> bool {
        let ReaderDistance { live, beside } = distance;
        let is_new = self.passed.back().is_none_or(|(_, last)| last.compare(live).is_lt());
        if is_new && self.passed.len() < MOMENTS_MAX {
            self.passed.push_back((now, live.clone()));
        }
        while self.passed.front().is_some_and(|(_, passed)| beside.covers(passed)) {
            self.passed.pop_front();
            self.is_known = true;
        }
        self.is_known && self.passed.front().is_none_or(|(then, _)| now - *then <= NEAR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::Token;

    fn at(place: u32) -> Position {
        Position::Stream { token: Token { data: format!("82{place:04}").into(), type_bits: None } }
    }

    #[test]
    fn near_is_who_has_done_what_was_handed_out_a_moment_ago() {
        let (began, mut approach) = (Instant::now(), Approach::default());
        let mut is_near = |ms, live, beside| {
            let distance = ReaderDistance { live: at(live), beside: at(beside) };
            approach.is_near(began + Duration::from_millis(ms), &distance)
        };
        assert!(!is_near(0, 10, 3), "nobody knows when the live reader was at 3");
        assert!(!is_near(60, 20, 9));
        assert!(is_near(90, 30, 12), "20 was handed out 30 ms ago");
        assert!(!is_near(190, 40, 15), "20 was handed out 130 ms ago");
        assert!(!is_near(200, 40, 20), "30 was, 110 ms ago");
        assert!(is_near(210, 40, 30));
    }

    #[test]
    fn who_has_done_everything_is_near() {
        let (began, mut approach) = (Instant::now(), Approach::default());
        let same = ReaderDistance { live: at(5), beside: at(5) };
        assert!(approach.is_near(began, &same));
        assert!(approach.is_near(began + Duration::from_secs(5), &same));
    }
}
