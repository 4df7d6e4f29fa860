//! How many entries a lane's transaction may have, learned from those that failed for their size.

use crate::failure::Failure;

/// After so many transactions of the size that is allowed, a larger one is tried.
const GOOD_TRANSACTIONS: u32 = 64;

/// The most entries that a transaction is given.
#[derive(Debug)]
pub struct BatchSize {
    most: usize,
    good: u32,
}

impl BatchSize {
    /// No limit but the batch's.
    pub fn any() -> Self {
        Self { most: usize::MAX, good: 0 }
    }

    pub fn most(&self) -> usize {
        self.most
    }

    /// A transaction of so many entries is tried in so many parts.
    pub fn split(&mut self, entries: usize, parts: usize) {
        *self = Self { most: (entries / parts).max(1), good: 0 };
    }

    /// A transaction of so many entries is committed.
    pub fn committed(&mut self, entries: usize) {
        if entries < self.most {
            return;
        }
        self.good += 1;
        if self.good >= GOOD_TRANSACTIONS {
            *self = Self { most: self.most.saturating_mul(2), good: 0 };
        }
    }
}

/// How often a batch failed in the same way, one time after the other.
#[derive(Debug, Default)]
pub struct Repeats {
    class: &'static str,
    times: u32,
}

impl Repeats {
    /// Counts a failure, and gives how many of the same class came right before it.
    pub fn count(&mut self, failure: &Failure) -> u32 {
        let times = if failure.class() == self.class { self.times + 1 } else { 0 };
        *self = Self { class: failure.class(), times };
        times
    }

    /// A part of the batch is committed. That the rest takes too long stays known: each try takes all its time.
    pub fn committed(&mut self) {
        if self.class != "too-slow" {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_that_failed_is_halved_and_tried_again_much_later() {
        let mut size = BatchSize::any();
        size.committed(500);
        assert_eq!(size.most(), usize::MAX);
        size.split(500, 2);
        size.split(250, 2);
        assert_eq!(size.most(), 125);
        for _ in 1..GOOD_TRANSACTIONS {
            size.committed(125);
            size.committed(3);
        }
        assert_eq!(size.most(), 125);
        size.committed(125);
        assert_eq!(size.most(), 250);
        size.split(1, 2);
        assert_eq!(size.most(), 1);
    }

    #[test]
    fn only_failures_of_one_class_in_a_row_are_repeats() {
        let lost = Failure::ConnectionLost { message: String::new() };
        let locked = Failure::TransactionLost { code: 1205, message: String::new() };
        let mut repeats = Repeats::default();
        let counts = [&lost, &lost, &locked, &lost, &lost, &lost].map(|failure| repeats.count(failure));
        assert_eq!(counts, [0, 1, 0, 0, 1, 2]);
        repeats.committed();
        assert_eq!(repeats.count(&lost), 0);
        let slow = Failure::TooSlow { message: String::new() };
        assert_eq!(repeats.count(&slow), 0);
        repeats.committed();
        assert_eq!(repeats.count(&slow), 1, "the parts of a batch that is slow are not tried twice each");
    }
}
