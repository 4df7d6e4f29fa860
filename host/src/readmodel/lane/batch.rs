//! A batch: deliveries with what becomes of each, and the component that gave the operations.
//!
//! Data only, and the same however often it is tried: `pipeline` plans it, and `apply` writes it. What a lane needs beside it to
//! write it now, in a transaction of its own or of several lanes, is a `LaneBatch`.

use std::sync::Arc;

use crate::event::{Anchor, Delivery, Id};
use crate::failure::Failure;
use crate::fingerprint::Fingerprint;
use crate::position::Position;
use crate::statement::{Deployed, FittedOperation};

/// Deliveries in order, each with what becomes of it, and the position behind them.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    pub entries: Vec<Entry>,
    pub position: Position,
    /// The component that gave the operations, with the statements that they name.
    pub version: Arc<Deployed>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub delivery: Delivery,
    pub verdict: Verdict,
    /// The mark of its event's id, where it has one.
    pub mark: Option<u128>,
}

/// The verdict on one delivery.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    Apply(Vec<FittedOperation>),
    /// Nothing is to be done, for this reason.
    Pass(Passed),
    /// It becomes a dead letter.
    Park {
        failure: Failure,
        operations: Vec<FittedOperation>,
    },
    /// It waits behind a dead letter of its aggregate.
    Hold,
}

/// Why a delivery needs nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passed {
    /// The projector does not take its event type.
    Unhandled,
    /// The upcaster made nothing of it.
    Ignored,
    /// Its id is in the dedupe window.
    Duplicate,
    /// An operator discarded it earlier.
    Discarded,
}

/// The ids of a batch's events by what became of them, without those that came again.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct IdsByOutcome<'a> {
    /// Their operations were run, or they became letters.
    pub done: Vec<&'a Id>,
    /// Those of `done` that became letters.
    pub letters: Vec<&'a Id>,
    /// They came to nothing: to no operation.
    pub ignored: Vec<&'a Id>,
    /// They were given up before.
    pub discarded: Vec<&'a Id>,
}

impl Batch {
    pub fn operations(&self) -> impl Iterator<Item = &FittedOperation> {
        self.entries.iter().flat_map(Entry::operations)
    }

    /// The last event of the change stream in it.
    pub fn anchor(&self) -> Option<Anchor> {
        self.entries.iter().rev().find_map(|entry| entry.delivery.anchor())
    }

    /// The ids that enter the dedupe window, by what became of their events.
    pub fn outcomes(&self) -> IdsByOutcome<'_> {
        let mut all = IdsByOutcome::default();
        for entry in &self.entries {
            if matches!(entry.verdict, Verdict::Park { .. } | Verdict::Hold) {
                all.letters.extend(entry.delivery.id());
            }
            let ids = match &entry.verdict {
                Verdict::Pass(Passed::Duplicate) => continue,
                Verdict::Pass(Passed::Discarded) => &mut all.discarded,
                Verdict::Pass(Passed::Unhandled | Passed::Ignored) => &mut all.ignored,
                Verdict::Apply(operations) if operations.is_empty() => &mut all.ignored,
                Verdict::Apply(_) | Verdict::Park { .. } | Verdict::Hold => &mut all.done,
            };
            ids.extend(entry.delivery.id());
        }
        all
    }

    /// Which events the batch adds to those of its lane: all that have an id, but those that came again.
    pub fn fingerprint(&self) -> Fingerprint {
        let fresh = self.entries.iter().filter(|entry| entry.verdict != Verdict::Pass(Passed::Duplicate));
        fresh.filter_map(|entry| entry.mark).fold(Fingerprint::default(), Fingerprint::with)
    }

    /// The ids of events that came again, which are in the dedupe window.
    pub fn repeated(&self) -> Vec<&Id> {
        let repeated = self.entries.iter().filter(|entry| entry.verdict == Verdict::Pass(Passed::Duplicate));
        repeated.filter_map(|entry| entry.delivery.id()).collect()
    }
}

impl IdsByOutcome<'_> {
    /// How many events enter the dedupe window.
    pub fn events(&self) -> u32 {
        let events = self.done.len() + self.ignored.len() + self.discarded.len();
        u32::try_from(events).expect("a batch is bounded")
    }
}

impl Verdict {
    /// The words for all verdicts.
    pub const NAMES: [&'static str; 7] =
        ["applied", "unhandled", "ignored", "duplicate", "discarded", "parked", "held"];

    /// The word for it, in metrics: its place among [`Self::NAMES`].
    pub fn word(&self) -> usize {
        match self {
            Self::Apply(_) => 0,
            Self::Pass(Passed::Unhandled) => 1,
            Self::Pass(Passed::Ignored) => 2,
            Self::Pass(Passed::Duplicate) => 3,
            Self::Pass(Passed::Discarded) => 4,
            Self::Park { .. } => 5,
            Self::Hold => 6,
        }
    }

    /// The word for it, in metrics.
    pub fn name(&self) -> &'static str {
        Self::NAMES[self.word()]
    }
}

impl Entry {
    /// The operations to run; none unless the verdict is to apply them.
    pub fn operations(&self) -> &[FittedOperation] {
        match &self.verdict {
            Verdict::Apply(operations) => operations,
            _ => &[],
        }
    }
}
