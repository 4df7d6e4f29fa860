//! A model of MySQL with the control schema: what is stored, who may write, and its loss.
//!
//! Every write is a transaction on a copy that takes the place of the tables. Before it does, [`super::examine`] says
//! whether a right projection would have written it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::commands::CommandRows;
use super::generations::BesideTables;
use super::outbox::{Fact, OutboxModel, place};
use super::steps::Steps;
use crate::failure::Failure;
use crate::fingerprint::{Fingerprint, Seed};
use crate::position::Position;
use crate::readmodel::control::lease::Acquired;
use crate::readmodel::lane::batch::Entry;
use crate::readmodel::lane::checkpoint::{self, LaneRow};
use crate::readmodel::lane::dead_letter::{Discarded, Letter, document_key};
use crate::statement::{Operation, Value};

/// How long a lease holds without renewal.
pub const LEASE: Duration = Duration::from_secs(10);

/// How many older states are kept, to go back to.
const KEPT_MAX: usize = 8;

/// The key of the marks of events: of one installation.
pub fn seed() -> Seed {
    Seed::new(*b"of one key's use")
}

#[derive(Clone)]
pub struct Store {
    pub outbox: Arc<OutboxModel>,
    pub steps: Steps,
    state: Arc<Mutex<State>>,
}

pub struct State {
    pub tables: Tables,
    pub beside: BesideTables,
    /// Older states of this epoch.
    kept: Vec<Tables>,
    /// The epoch in which commits were last lost: its lanes may not know it yet.
    pub lost_in: Option<u64>,
    /// An operator has widened the columns and taken away what was in the way.
    pub mended: bool,
    /// During this time a table is missing.
    pub broken: Trouble,
    /// During this time every statement of events is refused, with a code that no table knows.
    pub strange: Trouble,
    /// How many hosts were started, and other versions deployed: each knows nothing of what another one met.
    pub starts: u32,
    /// How often a run ended because the source is an older copy.
    pub notices: u64,
    /// What operators ordered, of which aggregate or document.
    pub wishes: BTreeSet<(WishedTry, Vec<u8>)>,
    /// Commands about letters.
    pub commands: CommandRows,
}

/// What an operator wants of a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WishedTry {
    /// Of its whole aggregate: what is held follows.
    Try,
    Discard,
    Erase,
}

/// What an order about a letter is known by.
pub fn wish(letter: &Letter, wanted: WishedTry) -> (WishedTry, Vec<u8>) {
    let aggregate = letter.aggregate_key.clone().filter(|_| wanted == WishedTry::Try);
    // Another generation may have met the same event in another document.
    let event = letter.event_id.as_ref().map(|id| id.clone().into_bytes());
    (wanted, aggregate.or(event).unwrap_or_else(|| letter.document_key.clone()))
}

/// Everything that is stored.
#[derive(Clone, Default)]
pub struct Tables {
    pub epoch: u64,
    owner: String,
    until: Option<Instant>,
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
    digest: String,
    pub resumed: bool,
}

/// During which time something is wrong.
pub type Trouble = Option<(Duration, Duration)>;

/// What MySQL refuses just now.
#[derive(Debug, Clone, Copy)]
pub struct Refuses {
    /// What events are at fault for.
    pub faults: bool,
    /// Everything.
    pub all: bool,
}

impl Store {
    pub fn new(outbox: Arc<OutboxModel>, steps: Steps, lanes: u32, [broken, strange]: [Trouble; 2]) -> Self {
        let events = outbox.facts.len();
        let (written, marked, settled) = (vec![false; events], vec![false; events], vec![None; events]);
        let mut tables = Tables { written, marked, settled, generation: 1, ..Tables::default() };
        tables.place_lanes(lanes, &outbox.beginning());
        let discarded = outbox.documents.iter().filter(|placed| outbox.facts[placed.number].discarded);
        for placed in discarded {
            let delivery = &placed.delivery;
            tables.discarded.insert(document_key(delivery), delivery.id().map(ToString::to_string));
        }
        let state = State {
            tables,
            beside: BesideTables::default(),
            kept: vec![],
            lost_in: None,
            mended: false,
            broken,
            strange,
            starts: 0,
            notices: 0,
            wishes: BTreeSet::new(),
            commands: CommandRows::new(),
        };
        Self { outbox, steps, state: Arc::new(Mutex::new(state)) }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts new tables in the place of the old ones: the commit of a transaction.
    pub fn commit(&self, tables: Tables) {
        let keep = self.steps.pick(0..=2) == 0;
        let mut state = self.state();
        let before = std::mem::replace(&mut state.tables, tables);
        if state.kept.last().is_some_and(|kept| kept.epoch != state.tables.epoch) {
            state.kept.clear();
        }
        if keep && before.epoch == state.tables.epoch {
            state.kept.push(before);
            if state.kept.len() > KEPT_MAX {
                state.kept.remove(0);
            }
        }
    }

    /// Other tables are the live ones; what was kept of those before does not fit any more.
    pub fn replace_live(&self, tables: Tables) {
        let mut state = self.state();
        (state.tables, state.kept) = (tables, vec![]);
    }

    /// A fail-over to a server that had not got the last commits.
    pub fn lose_commits(&self) {
        let back = self.steps.pick(1..=KEPT_MAX as u64);
        let mut state = self.state();
        let at = state.kept.len().saturating_sub(usize::try_from(back).unwrap_or_default());
        if state.kept.get(at).is_none_or(|kept| kept.epoch != state.tables.epoch) {
            return;
        }
        let mut tables = state.kept.swap_remove(at);
        state.kept.clear();
        (tables.owner, tables.until) = (state.tables.owner.clone(), state.tables.until);
        state.lost_in = Some(tables.epoch);
        state.tables = tables;
        drop(state);
        self.steps.note(|| format!("commits are lost: {}", self.told()));
    }

    /// Gives this owner the lease, under a new epoch, unless another one holds it.
    pub fn acquire(&self, owner: &str) -> Acquired {
        let mut tables = self.state().tables.clone();
        if tables.owner != owner && tables.until.is_some_and(|until| until > Instant::now()) {
            return Acquired::Taken { owner: tables.owner };
        }
        tables.epoch += 1;
        owner.clone_into(&mut tables.owner);
        tables.until = Some(Instant::now() + LEASE);
        for row in &mut tables.lanes {
            row.epoch = tables.epoch;
        }
        let epoch = tables.epoch;
        for beside in self.state().beside.tables.values_mut() {
            beside.lanes.iter_mut().for_each(|row| row.epoch = epoch);
        }
        self.steps.note(|| format!("{owner} writes under epoch {epoch}"));
        self.commit(tables);
        Acquired::Mine { epoch }
    }

    /// The lease of this owner runs out, if it holds one.
    pub fn expire(&self, owner: &str) {
        let mut state = self.state();
        if state.tables.owner == owner {
            state.tables.until = None;
        }
    }

    /// As `lease::release` does.
    pub fn release(&self, epoch: u64) -> Result<(), Failure> {
        self.proven(epoch)?;
        self.state().tables.until = None;
        Ok(())
    }

    pub fn renew(&self, epoch: u64) -> Result<(), Failure> {
        let mut state = self.state();
        if state.tables.epoch != epoch {
            return Err(Failure::Fenced { mine: epoch, found: state.tables.epoch });
        }
        state.tables.until = Some(Instant::now() + LEASE);
        Ok(())
    }

    pub fn replace_lanes(
        &self,
        epoch: u64,
        generation: u32,
        lanes: u32,
        position: &Position,
    ) -> Result<(), Failure> {
        self.proven(epoch)?;
        let Some(mut tables) = self.tables(generation) else { return Ok(()) };
        if tables.lanes.iter().any(|row| row.position != *position) {
            self.steps.violated(|| "lanes are replaced that do not stand at one position".to_owned());
        }
        tables.place_lanes(lanes, position);
        self.steps.note(|| format!("{lanes} lanes of {generation} from {}", place(position)));
        self.commit_to(tables);
        Ok(())
    }

    /// Another generation takes the live one's place, while no lane runs.
    pub fn take_over(&self, epoch: u64) -> Result<(), Failure> {
        if self.state().mended {
            return Ok(());
        }
        let mut tables = self.proven(epoch)?;
        tables.take_over();
        self.steps.note(|| format!("generation {} is live", tables.generation));
        self.commit(tables);
        Ok(())
    }

    /// As `pause::open_breaker` does.
    pub fn open_breaker(&self, epoch: u64, digest: &str) -> Result<(), Failure> {
        let mut tables = self.proven(epoch)?;
        tables.breaker = Some(OpenBreaker { digest: digest.to_owned(), resumed: false });
        self.commit(tables);
        Ok(())
    }

    /// Closes a breaker that opened for another component. Whether an operator resumed this one.
    pub fn settle_breaker(&self, epoch: u64, digest: &str) -> Result<bool, Failure> {
        let mut tables = self.proven(epoch)?;
        tables.breaker = tables.breaker.filter(|breaker| breaker.digest == digest);
        let is_muted = tables.breaker.as_ref().is_some_and(|breaker| breaker.resumed);
        self.commit(tables);
        Ok(is_muted)
    }

    /// An operator ends what an open breaker keeps back. Whether one did.
    pub fn resume(&self) -> bool {
        let mut tables = self.state().tables.clone();
        let Some(breaker) = tables.breaker.as_mut().filter(|breaker| !breaker.resumed) else { return false };
        breaker.resumed = true;
        self.commit(tables);
        true
    }

    /// The live tables, where nobody else has taken the lease.
    pub fn proven(&self, epoch: u64) -> Result<Tables, Failure> {
        let tables = self.state().tables.clone();
        if tables.epoch != epoch {
            return Err(Failure::Fenced { mine: epoch, found: tables.epoch });
        }
        Ok(tables)
    }

    /// Whether a table is missing just now.
    pub fn is_broken(&self) -> bool {
        let now = self.outbox.began.elapsed();
        self.state().broken.is_some_and(|(from, to)| from <= now && now < to)
    }

    pub fn refuses(&self) -> Refuses {
        let now = self.outbox.began.elapsed();
        let state = self.state();
        let all = state.strange.is_some_and(|(from, to)| from <= now && now < to);
        Refuses { faults: !state.mended, all: all && !state.mended }
    }

    /// Whether every lane has committed the last document.
    pub fn is_through(&self) -> bool {
        let end = self.outbox.end();
        self.state().tables.lanes.iter().all(|row| row.position.covers(&end))
    }

    /// The oldest letter of each aggregate, and all letters without one.
    pub fn heads(&self) -> Vec<Letter> {
        let mut seen = BTreeSet::new();
        let state = self.state();
        let letters = state.tables.letters.values().map(|(_, letter)| &**letter);
        let is_head =
            |letter: &&Letter| letter.aggregate_key.as_ref().is_none_or(|key| seen.insert(key.clone()));
        letters.filter(is_head).cloned().collect()
    }

    /// The lanes, for the record.
    pub fn told(&self) -> String {
        let state = self.state();
        let lane = |row: &LaneRow| format!("#{} {} ({})", row.lane, place(&row.position), row.batch);
        let lanes: Vec<String> = state.tables.lanes.iter().map(lane).collect();
        format!("epoch {}, {}, {} letters", state.tables.epoch, lanes.join(", "), state.tables.letters.len())
    }
}

impl Tables {
    /// As `checkpoint::replace` does.
    fn place_lanes(&mut self, lanes: u32, position: &Position) {
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
        operations: &[Operation],
    ) -> Result<(), Failure> {
        for operation in operations {
            let [Value::Integer(number), Value::Integer(at)] = operation.parameters[..] else {
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
            state: if parked { "parked" } else { "held" }.to_owned(),
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
    fn take_over(&mut self) {
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
