//! How often each caller may ask: a bucket for each, out of which every request takes one, and which fills again steadily.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often one caller may ask.
#[derive(Debug, Clone, Copy)]
pub struct CallerRate {
    pub a_second: u32,
    /// After a while of silence.
    pub at_once: u32,
}

/// The buckets of all callers. One that is full again is forgotten.
#[derive(Debug, Clone)]
pub struct CallerRates {
    /// In which a bucket gets one more.
    every: Duration,
    /// In which an empty one is full.
    whole: Duration,
    full_at: Arc<Mutex<HashMap<String, Instant>>>,
}

impl CallerRates {
    pub fn new(CallerRate { a_second, at_once }: CallerRate) -> Self {
        let every = Duration::from_secs(1) / a_second;
        Self { every, whole: every * at_once, full_at: Arc::default() }
    }

    /// Takes one out of a caller's bucket. Returns false where it is empty.
    pub fn take(&self, caller: &str, now: Instant) -> bool {
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let next = full_at.get(caller).map_or(now, |at| now.max(*at)) + self.every;
        if next > now + self.whole {
            return false;
        }
        if full_at.len() == full_at.capacity() {
            full_at.retain(|_, at| *at > now);
        }
        full_at.insert(caller.to_owned(), next);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: CallerRate = CallerRate { a_second: 100, at_once: 200 };

    /// How many of so many requests at one moment are let through.
    fn taken(rates: &CallerRates, caller: &str, now: Instant) -> usize {
        (0..1_000).filter(|_| rates.take(caller, now)).count()
    }

    #[test]
    fn a_caller_may_ask_so_often_at_once_and_then_so_often_a_second() {
        let (rates, began) = (CallerRates::new(RATE), Instant::now());
        assert_eq!(taken(&rates, "a", began), 200);
        assert_eq!(taken(&rates, "b", began), 200, "each has a bucket of its own");
        assert_eq!(taken(&rates, "a", began + Duration::from_millis(9)), 0);
        assert_eq!(taken(&rates, "a", began + Duration::from_millis(10)), 1);
        assert_eq!(taken(&rates, "a", began + Duration::from_millis(1_010)), 100);
        assert_eq!(taken(&rates, "a", began + Duration::from_mins(1)), 200, "it is full, and holds no more");
        let steadily = (0..1_000).filter(|n| rates.take("c", began + Duration::from_millis(10 * n)));
        assert_eq!(steadily.count(), 1_000, "who asks just so often is never refused");
    }

    #[test]
    fn those_who_asked_long_ago_are_forgotten() {
        let (rates, mut now) = (CallerRates::new(RATE), Instant::now());
        for n in 0..10_000 {
            assert!(rates.take(&n.to_string(), now));
            now += Duration::from_millis(1);
        }
        assert!(rates.full_at.lock().expect("nobody panicked").len() < 100);
    }
}
