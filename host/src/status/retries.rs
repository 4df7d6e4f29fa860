//! What is logged of a lane that tries the same again and again: one line when it begins, one a minute, and one with the count when it
//! goes on. Where it goes on each time, as after deadlocks at a row that many write, the count is kept over commits, and there is one
//! line a minute.

use std::time::Duration;

use tokio::time::Instant;

use super::{Status, measures};
use crate::failure::Failure;

/// How often it is told that a lane still tries.
const INTERVAL: Duration = Duration::from_mins(1);

/// What lasts this long is told, although the same has passed by itself within the last minute.
const LASTING: Duration = Duration::from_secs(5);

/// So many ways to fail are kept apart.
const KINDS_MAX: usize = 8;

/// The tries of a lane that failed in the last minute, or fail now.
#[derive(Debug, Default)]
pub struct Retries(Vec<SameFailure>);

/// Tries that failed in the same way.
#[derive(Debug)]
struct SameFailure {
    said: String,
    /// Since the lane went on, one after the other; when that began, and whether it was told.
    in_a_row: u64,
    since: Instant,
    is_told: bool,
    /// Those of before that no line has counted yet.
    untold: u64,
    told: Instant,
}

impl Retries {
    /// Adds a failure to those of a lane, and returns the line that is due.
    pub fn add(&mut self, said: &str) -> Option<String> {
        let now = Instant::now();
        if let Some(same) = self.0.iter_mut().find(|tried| tried.said == said) {
            if same.in_a_row == 0 {
                same.since = now;
            }
            same.in_a_row += 1;
            let is_due = !same.is_told || now - same.told >= INTERVAL;
            if now - same.since < LASTING || !is_due {
                return None;
            }
            (same.told, same.is_told) = (now, true);
            return Some(format!("{said}; trying again ({} times so far)", same.in_a_row));
        }
        if self.0.len() == KINDS_MAX {
            self.0.remove(0);
        }
        let (said, line) = (said.to_owned(), format!("{said}; trying again"));
        self.0.push(SameFailure { said, in_a_row: 1, since: now, is_told: true, untold: 0, told: now });
        Some(line)
    }

    /// The lane goes on: the lines about what it tried more than once, and those that are due.
    pub fn passed(&mut self) -> Vec<String> {
        let mut lines = vec![];
        for tried in self.0.iter_mut().filter(|tried| tried.in_a_row > 0) {
            let times = std::mem::take(&mut tried.in_a_row);
            if !std::mem::take(&mut tried.is_told) {
                tried.untold += times;
            } else if times > 1 {
                lines.push(format!("the lane goes on after {times} tries: {}", tried.said));
            }
        }
        lines.extend(self.due());
        lines
    }

    /// The lines about what failed and went on again and again, each a minute after the last one. What has not failed
    /// for a minute is forgotten.
    pub fn due(&mut self) -> Vec<String> {
        let now = Instant::now();
        let is_due = |tried: &SameFailure| tried.in_a_row == 0 && now - tried.told >= INTERVAL;
        self.0.retain(|tried| !is_due(tried) || tried.untold > 0);
        let mut lines = vec![];
        for tried in self.0.iter_mut().filter(|tried| is_due(tried)) {
            tried.told = now;
            let times = std::mem::take(&mut tried.untold);
            lines.push(format!(
                "{times} more tries failed in the last minute, and the lane went on: {}",
                tried.said
            ));
        }
        lines
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
            state.retries.add(&failure.without_values())
        });
        if let Some(message) = message {
            tracing::warn!(projection = self.projection, lane, "{message}");
        }
    }

    /// Lines about lanes that tried again and again.
    pub(super) fn log_retries(&self, lines: Vec<(usize, String)>) {
        for (lane, line) in lines {
            tracing::info!(projection = self.projection, lane, "{line}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A_MOMENT: Duration = Duration::from_millis(100);

    #[tokio::test(start_paused = true)]
    async fn what_fails_again_and_again_is_told_once_and_counted() {
        let (mut lane, mut lines) = (Retries::default(), vec![]);
        for _ in 0..54 {
            lines.extend(lane.add("duplicate"));
            tokio::time::sleep(A_MOMENT).await;
        }
        assert_eq!(lines, ["duplicate; trying again"]);
        assert_eq!(lane.passed(), ["the lane goes on after 54 tries: duplicate"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_lasts_is_told_each_minute_and_something_else_at_once() {
        let (mut lane, mut lines) = (Retries::default(), vec![]);
        for _ in 0..125 {
            lines.extend(lane.add("away"));
            lines.extend(lane.due());
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert_eq!(lane.add("a deadlock").as_deref(), Some("a deadlock; trying again"));
        assert_eq!(lane.passed(), ["the lane goes on after 125 tries: away"], "once is no count");
        // It has passed; the next one lasts.
        for _ in 0..10 {
            lines.extend(lane.add("away"));
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(
            lines.last().map(String::as_str),
            Some("away; trying again (6 times so far)"),
            "{lines:?}"
        );
        assert_eq!(lane.passed(), ["the lane goes on after 10 tries: away"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_and_goes_on_again_and_again_is_a_line_a_minute_with_the_count() {
        let (mut lane, mut lines) = (Retries::default(), vec![]);
        // For two minutes and a half.
        for n in 0..1500 {
            lines.extend(lane.add(if n % 3 == 0 { "a lock" } else { "a deadlock" }));
            lines.extend(lane.passed());
            tokio::time::sleep(A_MOMENT).await;
        }
        let counted = |times: u64, said: &str| {
            format!("{times} more tries failed in the last minute, and the lane went on: {said}")
        };
        let each = [counted(200, "a lock"), counted(400, "a deadlock")];
        let begins = ["a lock; trying again".to_owned(), "a deadlock; trying again".to_owned()];
        assert_eq!(lines, [begins, each.clone(), each].concat());
        // What is over is told of once more, and then forgotten.
        let mut last = vec![];
        for _ in 0..300 {
            last.extend(lane.due());
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(last, [counted(99, "a lock"), counted(199, "a deadlock")]);
        assert_eq!(lane.add("a lock").as_deref(), Some("a lock; trying again"), "it begins anew");
    }

    #[test]
    fn no_number_of_ways_to_fail_fills_the_memory() {
        let mut lane = Retries::default();
        for n in 0..1000 {
            lane.add(&format!("way {n}"));
        }
        assert_eq!(lane.0.len(), KINDS_MAX);
    }
}
