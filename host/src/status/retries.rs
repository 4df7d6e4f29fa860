//! What is logged of a lane that tries the same again and again: one line when it begins, one a minute, and one with the count when it
//! goes on.

use std::time::Duration;

use tokio::time::Instant;

use super::{Status, measures};
use crate::failure::Failure;

/// How often it is told that a lane still tries.
const INTERVAL: Duration = Duration::from_mins(1);

/// The tries of a lane that failed in the same way, one after the other.
#[derive(Debug)]
pub struct Retries {
    said: String,
    times: u64,
    told: Instant,
}

impl Retries {
    /// Adds a failure to those of a lane, and returns the line that is due.
    pub fn add(of_lane: &mut Option<Self>, said: &str) -> Option<String> {
        let now = Instant::now();
        match of_lane {
            Some(same) if same.said == said => {
                same.times += 1;
                if now - same.told < INTERVAL {
                    return None;
                }
                same.told = now;
                Some(format!("{said}; trying again ({} times so far)", same.times))
            }
            _ => {
                *of_lane = Some(Self { said: said.to_owned(), times: 1, told: now });
                Some(format!("{said}; trying again"))
            }
        }
    }

    /// The line about a lane that goes on, where it tried more than once.
    pub fn over(self) -> Option<String> {
        let Self { said, times, .. } = self;
        (times > 1).then(|| format!("the lane goes on after {times} tries: {said}"))
    }
}

impl Status {
    /// A lane failed, and tries the same again.
    pub fn lane_waits(&self, lane: usize, failure: &Failure) {
        self.count_failure(failure);
        measures::tries_again(&self.projection, failure);
        let message = self.change(|state| {
            let state = &mut state.lanes[lane];
            state.trouble = Some(failure.clone());
            Retries::add(&mut state.retries, &failure.without_values())
        });
        if let Some(message) = message {
            tracing::warn!(projection = self.projection, lane, "{message}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_fails_again_and_again_is_told_once_and_counted() {
        let (mut lane, mut lines) = (None, vec![]);
        for _ in 0..54 {
            lines.extend(Retries::add(&mut lane, "duplicate"));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(lines, ["duplicate; trying again"]);
        assert_eq!(
            lane.take().and_then(Retries::over).as_deref(),
            Some("the lane goes on after 54 tries: duplicate")
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_lasts_is_told_each_minute_and_something_else_at_once() {
        let (mut lane, mut lines) = (None, vec![]);
        for _ in 0..125 {
            lines.extend(Retries::add(&mut lane, "away"));
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert_eq!(Retries::add(&mut lane, "a deadlock").as_deref(), Some("a deadlock; trying again"));
        assert_eq!(lane.and_then(Retries::over), None, "once is no count");
    }
}
