//! The tables of one generation in the model of MySQL, with its lanes, letters and marks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;

use super::Refuses;
use crate::failure::Failure;
use crate::fingerprint::Fingerprint;
use crate::position::Position;
use crate::readmodel::lane::batch::Entry;
use crate::readmodel::lane::checkpoint::{self, LaneRow};
use crate::readmodel::lane::dead_letter::{Discarded, Letter, LetterState, document_key};
use crate::statement::{FittedOperation, Sent};
use crate::supervisor::simulation::outbox::{Fact, OutboxModel};

/// Everything that is stored.
#[derive(Clone, Default)]
pub struct Tables {
    pub epoch: u64,
    pub(super) owner: String,
    pub(super) until: Option<Instant>,
    pub lanes: Vec<LaneRow>,
    /// The rows of events in the order in which they were written, by aggregate.
    pub rows: BTreeMap<Vec<u8>, Vec<(usize, usize)>>,
    /// The events that have rows.
    pub written: Vec<bool>,
    pub letters: BTreeMap<u64, (usize, Arc<Letter>)>,
    /// The number of the newest one, of all generations.
    pub letter: Arc<AtomicU64>,
    /// The number under which each was written first, and the command under which it failed last.
    pub born: BTreeMap<u64, u64>,
    pub tried: BTreeMap<u64, u64>,
    /// The generation that is live.
    pub generation: u32,
    pub discarded: Discarded,
    /// The events in the dedupe window, which is large enough for all of them.
    pub marked: Vec<bool>,
    /// What became of the events that are done with: applied, replayed, unhandled or discarded.
    pub settled: Vec<Option<&'static str>>,
    /// An open breaker.
    pub breaker: Option<OpenBreaker>,
    /// The aggregates of events that were parked and are not at fault.
    pub blamed: BTreeSet<Vec<u8>>,
    /// The aggregates of which events were parked, and in which epoch.
    pub parked: (u64, BTreeSet<Vec<u8>>),
}

/// That a breaker opened.
#[derive(Clone)]
pub struct OpenBreaker {
    pub(super) digest: String,
    pub resumed: bool,
}

impl Tables {
    /// As `replace_lanes` does.
    pub(super) fn place_lanes(&mut self, lanes: u32, position: &Position) {
        let batch = self.lanes.iter().map(|row| row.batch + 1).max().unwrap_or_default();
        let (all, anchor) = (self.fingerprint(), checkpoint::anchor(&self.lanes));
        let row = |lane| LaneRow {
            lane,
            epoch: self.epoch,
            batch,
            position: position.clone(),
            digest: String::new(),
            events: 0,
            parked: 0,
            fingerprint: if lane == 0 { all } else { Fingerprint::default() },
            known_events: 0,
            anchor: anchor.clone(),
            connection_id: None,
        };
        self.lanes = (0..lanes).map(row).collect();
    }

    /// Which events all lanes have taken.
    pub fn fingerprint(&self) -> Fingerprint {
        self.lanes.iter().fold(Fingerprint::default(), |all, row| all.and(row.fingerprint))
    }

    /// How many lanes there are.
    pub fn count(&self) -> u32 {
        u32::try_from(self.lanes.len()).expect("a schedule has few lanes")
    }

    /// Runs operations, each of which appends a row to its event's aggregate.
    pub fn run(
        &mut self,
        outbox: &OutboxModel,
        refuses: Refuses,
        aggregate: Option<&Vec<u8>>,
        operations: &[FittedOperation],
    ) -> Result<(), Failure> {
        for operation in operations {
            let [Sent::Integer(Some(number)), Sent::Integer(Some(at))] = operation.parameters[..] else {
                return Err(Failure::SchemaMismatch { code: 1210, message: "wrong parameters".to_owned() });
            };
            let (Ok(number), Ok(at)) = (usize::try_from(number), usize::try_from(at)) else {
                return Err(Failure::SchemaMismatch { code: 1210, message: "wrong parameters".to_owned() });
            };
            // All operations of an event are refused, or none.
            if outbox.facts[number].strange && refuses.faults && number % 2 == 1 {
                return Err(Failure::TooSlow { message: "made up".to_owned() });
            }
            self.judge(&outbox.facts[number], refuses)?;
            self.rows.entry(aggregate.cloned().unwrap_or_default()).or_default().push((number, at));
            self.written[number] = true;
        }
        Ok(())
    }

    /// What MySQL says to an event's values.
    fn judge(&self, fact: &Fact, refuses: Refuses) -> Result<(), Failure> {
        if refuses.all || (fact.strange && refuses.faults) {
            return Err(Failure::UnknownRefusal { code: 60_000, message: "made up".to_owned() });
        }
        if fact.refused && refuses.faults {
            return Err(Failure::RefusedValue { code: 1406, message: "too long".to_owned() });
        }
        if fact.impossible && refuses.faults {
            return Err(Failure::KeyConflict { code: 1062, message: "it is there".to_owned() });
        }
        if fact.needs.is_some_and(|needed| !self.written[needed]) {
            return Err(Failure::KeyConflict {
                code: 1452,
                message: "what it needs is not there".to_owned(),
            });
        }
        Ok(())
    }

    /// Writes a letter, unless this document has one.
    pub fn write_letter(&mut self, number: usize, entry: &Entry, parked: bool, digest: &str) {
        let document = document_key(&entry.delivery).to_vec();
        if self.letters.values().any(|(_, letter)| letter.document_key == document) {
            return;
        }
        let letter = Letter {
            id: self.next_letter(),
            state: if parked { LetterState::Parked } else { LetterState::Held },
            aggregate: None,
            aggregate_exact: None,
            event_id: entry.delivery.id().map(ToString::to_string),
            event_type: None,
            class: None,
            reason: None,
            digest: digest.to_owned(),
            attempts: u32::from(parked),
            created_at: String::new(),
            updated_at: String::new(),
            document_bytes: entry.delivery.document.len() as u64,
            erased_at: None,
            parts: 0,
            aggregate_key: entry.delivery.aggregate().map(crate::event::Aggregate::key),
            document_key: document,
            event_key: None,
        };
        self.born.insert(letter.id, letter.id);
        self.letters.insert(letter.id, (number, Arc::new(letter)));
    }

    fn next_letter(&self) -> u64 {
        self.letter.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The tables of another generation, before anything is in them.
    #[must_use]
    pub fn made_anew(&self, generation: u32, lanes: u32, beginning: &Position) -> Self {
        let events = self.written.len();
        let mut tables = Self {
            epoch: self.epoch,
            generation,
            letter: self.letter.clone(),
            discarded: self.discarded.clone(),
            written: vec![false; events],
            marked: vec![false; events],
            settled: vec![None; events],
            ..Self::default()
        };
        tables.place_lanes(lanes, beginning);
        tables
    }

    /// The tables become the live ones in the place of others.
    pub fn take_lease_of(&mut self, live: &Self) {
        (self.epoch, self.owner, self.until) = (live.epoch, live.owner.clone(), live.until);
        self.breaker.clone_from(&live.breaker);
    }

    /// Another generation, which has the same rows and letters of its own.
    pub(super) fn take_over(&mut self) {
        self.generation += 1;
        self.tried.clear();
        for (number, letter) in std::mem::take(&mut self.letters).into_values() {
            let id = self.next_letter();
            let born = self.born.remove(&letter.id).unwrap_or(letter.id);
            self.born.insert(id, born);
            self.letters.insert(id, (number, Arc::new(Letter { id, ..(*letter).clone() })));
        }
    }

    /// The oldest letter of an aggregate.
    pub fn head(&self, key: &[u8]) -> Option<&Letter> {
        self.letter_behind(key, 0)
    }

    pub fn letter_behind(&self, key: &[u8], after: u64) -> Option<&Letter> {
        let mut letters = self.letters.range(after + 1..).map(|(_, (_, letter))| &**letter);
        letters.find(|letter| letter.aggregate_key.as_deref() == Some(key))
    }
}
