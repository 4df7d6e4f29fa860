//! How far away the server is, by the transactions that were written: how many write at a time follows from it, and how long one
//! waits for others.

use std::time::Duration;

use crate::readmodel::lane::lane_batch::Pace;

/// How long a transaction that has begun waits for lanes whose batch is on its way, at most: half of what it takes, and this.
const GATHERING_MAX: Duration = Duration::from_millis(5);

/// How much of a transaction's time the host waits for the way.
#[derive(Debug, Default)]
pub(super) struct Distance {
    /// The shortest way there and back of late.
    round_trip: Option<Duration>,
    /// Both on average.
    time: Duration,
    on_the_way: Duration,
}

impl Distance {
    pub(super) fn learn(&mut self, pace: Pace, time: Duration) {
        // It grows slowly: one that was short for once is no change of the distance, and one that was long is none at all.
        let known = self.round_trip.map_or(pace.round_trip, |known| known + known / 32);
        let round_trip = known.min(pace.round_trip);
        self.round_trip = Some(round_trip);
        let on_the_way = (round_trip * pace.round_trips).min(time);
        let average = |known: Duration, new: Duration| {
            if known.is_zero() { new } else { (known * 7 + new) / 8 }
        };
        self.time = average(self.time, time);
        self.on_the_way = average(self.on_the_way, on_the_way);
    }

    /// How long one that has begun waits for others: what it takes itself is what they would have to wait otherwise.
    pub(super) fn gathering(&self) -> Duration {
        (self.time / 2).min(GATHERING_MAX)
    }

    /// With how many writers the server has something to do all the time.
    pub(super) fn writers(&self) -> u32 {
        let at_work = self.time.saturating_sub(self.on_the_way).max(self.time / 64);
        if at_work.is_zero() {
            return 1;
        }
        let writers = (self.time + at_work / 2).as_nanos() / at_work.as_nanos();
        u32::try_from(writers).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(round_trip_us: u64, round_trips: u32) -> Pace {
        Pace { round_trip: Duration::from_micros(round_trip_us), round_trips }
    }

    fn writers(round_trip_us: u64, round_trips: u32, time_us: u64) -> u32 {
        let mut distance = Distance::default();
        for _ in 0..50 {
            distance.learn(pace(round_trip_us, round_trips), Duration::from_micros(time_us));
        }
        distance.writers()
    }

    #[test]
    fn as_many_write_as_keep_the_server_at_work() {
        assert_eq!(Distance::default().writers(), 1, "nothing is known yet");
        assert_eq!(writers(50, 6, 2300), 1, "on the same machine");
        assert_eq!(writers(500, 6, 5000), 3, "3 ms on the way, 2 ms at work");
        assert_eq!(writers(5000, 6, 32_000), 16, "30 ms on the way, 2 ms at work");
        assert_eq!(writers(5000, 6, 30_000), 64, "what is at work cannot be seen any more");
        assert_eq!(writers(5000, 6, 10_000), 64, "more than all of the time is on the way");
    }

    #[test]
    fn a_round_trip_that_was_slow_for_once_is_no_distance() {
        let mut distance = Distance::default();
        for time in 0..64 {
            let slow = if time % 8 == 0 { 40 } else { 20_000 };
            distance.learn(pace(slow, 6), Duration::from_millis(2));
        }
        assert_eq!(distance.writers(), 1);
    }
}
