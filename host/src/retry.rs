//! How long to wait before something is tried again.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// Waits that grow from 50 ms to at most 5 s with their jitter, for as long as it takes.
pub struct Backoff {
    waits: ExponentialBackoff,
    attempts: u32,
}

impl Backoff {
    pub fn new() -> Self {
        let waits = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(50))
            .with_max_delay(Duration::from_millis(2500))
            .with_factor(2.0)
            .with_jitter()
            .without_max_times()
            .build();
        Self { waits, attempts: 0 }
    }

    /// How often [`Backoff::next_wait`] was asked.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    pub fn next_wait(&mut self) -> Duration {
        self.attempts = self.attempts.saturating_add(1);
        self.waits.next().unwrap_or(Duration::from_secs(5))
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_limit_and_never_end() {
        let mut backoff = Backoff::new();
        let waits: Vec<_> = (0..40).map(|_| backoff.next_wait()).collect();
        assert!(waits[0] < Duration::from_millis(101), "{:?}", waits[0]);
        assert!(
            waits[39] >= Duration::from_millis(2500) && waits[39] <= Duration::from_secs(5),
            "{:?}",
            waits[39]
        );
        assert_eq!(backoff.attempts(), 40);
    }
}
