//! What keeps a lane busy, for whoever asks why it is not done yet.

use std::time::Duration;

/// What keeps a lane busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// The projector has so many events.
    Projecting(usize),
    /// MySQL has a batch of so many events.
    Committing(usize),
    /// An operator's order about a dead letter.
    Letter,
}

impl Activity {
    /// A lane has one work of each kind at a time.
    pub(super) fn slot(self) -> usize {
        match self {
            Self::Projecting(_) => 0,
            Self::Committing(_) => 1,
            Self::Letter => 2,
        }
    }

    /// What keeps it, and since when.
    pub(super) fn describe(self, time: Duration) -> String {
        format!("{} for {:.1} s", self.what(), time.as_secs_f64())
    }

    pub(super) fn what(self) -> String {
        match self {
            Self::Projecting(events) => format!("waiting for the projector with {events} events"),
            Self::Committing(events) => format!("waiting for MySQL to commit a batch of {events} events"),
            Self::Letter => "carrying out an order about a dead letter".to_owned(),
        }
    }
}
