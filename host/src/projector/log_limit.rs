//! How many lines the guests of a component may write to the log in a while.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// So many lines of a component are published within so much time; others are counted.
pub(super) const LINES_MAX: u64 = 1000;
pub(super) const WINDOW: Duration = Duration::from_secs(10);

/// The lines that a component may still log; all its guests share it.
#[derive(Default)]
pub(super) struct LogLimit(Mutex<LogWindow>);

#[derive(Default)]
struct LogWindow {
    began: Option<Instant>,
    admitted: u64,
    dropped: u64,
}

impl LogLimit {
    /// How many lines were dropped in a window that is over.
    pub(super) fn settle(&self, now: Instant) -> Option<u64> {
        let mut window = self.window();
        let is_over = window.began.is_none_or(|began| now.duration_since(began) >= WINDOW);
        if !is_over {
            return None;
        }
        let before = std::mem::replace(&mut *window, LogWindow { began: Some(now), admitted: 0, dropped: 0 });
        (before.dropped > 0).then_some(before.dropped)
    }

    pub(super) fn admit(&self, now: Instant) -> bool {
        let mut window = self.window();
        window.began.get_or_insert(now);
        let admits = window.admitted < LINES_MAX;
        window.admitted += u64::from(admits);
        admits
    }

    /// Counts dropped lines, and returns true for the first ones.
    pub(super) fn drop_lines(&self, lines: u64) -> bool {
        let mut window = self.window();
        window.dropped += lines;
        window.dropped == lines
    }

    pub(super) fn has_room(&self) -> bool {
        self.window().admitted < LINES_MAX
    }

    fn window(&self) -> MutexGuard<'_, LogWindow> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_too_much_is_counted_until_the_window_is_over() {
        let (limit, began) = (LogLimit::default(), Instant::now());
        assert_eq!(limit.settle(began), None);
        assert!((0..LINES_MAX).all(|_| limit.admit(began)));
        assert!(!limit.admit(began));
        assert!(limit.drop_lines(3), "the first ones are reported at once");
        assert!(!limit.drop_lines(4));
        assert_eq!(limit.settle(began + WINDOW / 2), None);
        assert_eq!(limit.settle(began + WINDOW), Some(7));
        assert!(limit.admit(began + WINDOW), "there is room again");
        assert_eq!(limit.settle(began + WINDOW * 2), None);
    }
}
