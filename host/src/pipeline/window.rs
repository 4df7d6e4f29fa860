//! The marks of the events that were applied lately, of all lanes: by them, an event that is sent again is known.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::fingerprint::MarkSet;

/// The window of recent events that the lanes of one run share. Each learns from its own commits.
#[derive(Debug)]
pub struct DedupeWindow(Mutex<RecentMarks>);

/// At most `size` marks; the oldest one gives way.
#[derive(Debug)]
pub struct RecentMarks {
    size: usize,
    known: MarkSet,
    order: VecDeque<u128>,
}

impl DedupeWindow {
    /// A window that knows some marks, the oldest one first.
    pub fn new(size: usize, known: impl IntoIterator<Item = u128>) -> Self {
        let mut marks = RecentMarks { size, known: MarkSet::default(), order: VecDeque::new() };
        for mark in known {
            marks.insert(mark);
        }
        Self(Mutex::new(marks))
    }

    /// The marks, while nobody else looks.
    pub fn marks(&self) -> MutexGuard<'_, RecentMarks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RecentMarks {
    pub fn contains(&self, mark: u128) -> bool {
        self.known.contains(&mark)
    }

    pub fn insert(&mut self, mark: u128) {
        if self.size == 0 || !self.known.insert(mark) {
            return;
        }
        self.order.push_back(mark);
        if self.order.len() > self.size
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_mark_gives_way_whoever_brought_it() {
        let window = DedupeWindow::new(3, [1, 2]);
        window.marks().insert(3);
        window.marks().insert(2);
        assert!([1, 2, 3].into_iter().all(|mark| window.marks().contains(mark)));
        window.marks().insert(4);
        assert!(!window.marks().contains(1));
        assert!([2, 3, 4].into_iter().all(|mark| window.marks().contains(mark)));
    }
}
