//! How long to wait before something is tried again, and for an answer.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use crate::failure::Failure;

/// How often a paused projection looks whether its set-up was fixed.
pub const PAUSED: Duration = Duration::from_secs(15);

/// A server that takes longer to answer is shown as trouble.
const SILENCE: Duration = Duration::from_millis(800);

/// How long a server may take to answer before it is asked anew.
const PATIENCE: Duration = Duration::from_secs(15);

/// Waits for a server's answer. After [`SILENCE`], `silent` is called with the failure that `failure` makes of a sentence.
pub async fn answer<T>(
    asking: impl Future<Output = Result<T, Failure>>,
    failure: impl Fn(String) -> Failure,
    silent: impl FnOnce(Failure),
) -> Result<T, Failure> {
    let none_for = |limit: Duration| failure(format!("no answer for {} ms", limit.as_millis()));
    tokio::pin!(asking);
    if let Ok(answer) = tokio::time::timeout(SILENCE, &mut asking).await {
        return answer;
    }
    silent(none_for(SILENCE));
    tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| Err(none_for(SILENCE + PATIENCE)))
}

/// The longest short wait.
const SHORT_MAX: Duration = Duration::from_millis(500);

/// Waits that grow from 50 ms to at most 2.5 s with their jitter, for as long as it takes.
pub struct Backoff {
    waits: ExponentialBackoff,
    attempts: u32,
}

impl Backoff {
    pub fn new() -> Self {
        let waits = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(50))
            .with_max_delay(Duration::from_millis(1250))
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
        self.waits.next().unwrap_or(Duration::from_millis(2500))
    }

    /// The next wait, but never longer than half a second: for a try that has waited already, e.g. for a lock.
    pub fn next_short_wait(&mut self) -> Duration {
        let wait = self.next_wait();
        // What is over is jitter, so that those who met do not meet again.
        let over = Duration::from_millis(u64::from(wait.subsec_micros()) % 250);
        wait.min(SHORT_MAX.saturating_sub(over))
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
            waits[39] >= Duration::from_millis(1250) && waits[39] <= Duration::from_millis(2500),
            "{:?}",
            waits[39]
        );
        assert_eq!(backoff.attempts(), 40);
    }

    #[test]
    fn short_waits_stay_short_and_apart() {
        let mut backoff = Backoff::new();
        let waits: Vec<_> = (0..40).map(|_| backoff.next_short_wait()).collect();
        assert!(waits.iter().all(|wait| *wait <= SHORT_MAX), "{waits:?}");
        let late: std::collections::BTreeSet<_> = waits[20..].iter().collect();
        assert!(late.len() > 10 && *late.first().expect("some") >= &Duration::from_millis(250), "{late:?}");
    }
}
