//! How much is done for a generation to come near the live one: pure.
//!
//! In the stream, what was written while it read history waits for it, and more comes. So it has to take more in a second than the
//! live lanes do. Where it does not, it gets more of the time, then the live reader waits for it, for a part of a second at a time:
//! so it comes near at any load, and no longer than its own slowness demands is the live side slower.

use std::time::Duration;

/// How many times as many events as the live lanes it takes at least, or more is done.
pub const GAIN_MIN: f64 = 1.25;

/// The same while it only has its share of the time: twice as many halve with each look back what there is to catch up with.
pub const GAIN_OF_SHARE: f64 = 2.0;

/// With so many, less is done.
const GAIN_ENOUGH: f64 = 4.0;

/// What is done for a generation, from least to most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effort {
    /// It has its share of the time.
    #[default]
    Share,
    /// It has all of the time that the live lanes leave.
    All,
    /// The live reader waits for it for half of the time.
    Half,
    /// The live reader waits for it for eight ninths of the time.
    Most,
}

impl Effort {
    /// What is done where it takes so many times as many events as the live lanes.
    pub fn next(self, gain: f64) -> Self {
        match self {
            Self::Share if gain < GAIN_OF_SHARE => Self::All,
            Self::All if gain < GAIN_MIN => Self::Half,
            Self::Half if gain < GAIN_MIN => Self::Most,
            Self::Half if gain > GAIN_ENOUGH => Self::All,
            // What it takes while the live reader waits says little of what it takes beside it.
            Self::Most if gain > GAIN_ENOUGH * 4.0 => Self::Half,
            same => same,
        }
    }

    /// How long the live reader waits at a time, and how long it goes on then.
    pub fn live_waits(self) -> Option<(Duration, Duration)> {
        let of = |waits, goes| Some((Duration::from_millis(waits), Duration::from_millis(goes)));
        match self {
            Self::Share | Self::All => None,
            Self::Half => of(100, 100),
            Self::Most => of(400, 50),
        }
    }

    /// How much of the time its lanes have, in percent, where their share is so much.
    pub fn percent(self, share: u32) -> u32 {
        if self == Self::Share { share } else { 100 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_does_not_come_nearer_gets_more_until_the_live_reader_waits() {
        let mut effort = Effort::default();
        let efforts: Vec<Effort> = [3.0, 1.9, 1.3, 1.2, 1.0, 1.0, 8.0, 17.0, 5.0, 5.0]
            .map(|gain| {
                effort = effort.next(gain);
                effort
            })
            .into();
        let [share, all, half, most] = [Effort::Share, Effort::All, Effort::Half, Effort::Most];
        assert_eq!(efforts, [share, all, all, half, most, most, most, half, all, all]);
    }

    #[test]
    fn the_live_reader_waits_for_less_than_half_a_second_at_a_time() {
        for effort in [Effort::Share, Effort::All, Effort::Half, Effort::Most] {
            let waits = effort.live_waits().map_or(Duration::ZERO, |(waits, _)| waits);
            assert!(waits < Duration::from_millis(500), "{effort:?}");
            assert_eq!(waits.is_zero(), effort <= Effort::All, "{effort:?}");
            assert_eq!(effort.percent(20), if effort == Effort::Share { 20 } else { 100 });
        }
    }
}
