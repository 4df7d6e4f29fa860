//! A model of MySQL with the control schema: what is stored, who may write, and its loss.
//!
//! Every write is a transaction on a copy that takes the place of the tables. Before it does, [`super::examine`] says
//! whether a right projection would have written it.

mod tables;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::commands::CommandRows;
use super::generations::BesideTables;
use super::outbox::{OutboxModel, place};
use super::steps::Steps;
use crate::failure::Failure;
use crate::fingerprint::Seed;
use crate::position::Position;
use crate::readmodel::control::lease::Acquired;
use crate::readmodel::lane::checkpoint::LaneRow;
use crate::readmodel::lane::dead_letter::{Letter, document_key};
use tables::OpenBreaker;

pub use tables::Tables;

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
    pub broken: TroubledTime,
    /// During this time every statement of events is refused, with a code that no table knows.
    pub strange: TroubledTime,
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

/// During which time something is wrong.
pub type TroubledTime = Option<(Duration, Duration)>;

/// What MySQL refuses just now.
#[derive(Debug, Clone, Copy)]
pub struct Refuses {
    /// What events are at fault for.
    pub faults: bool,
    /// Everything.
    pub all: bool,
}

impl Store {
    pub fn new(
        outbox: Arc<OutboxModel>,
        steps: Steps,
        lanes: u32,
        [broken, strange]: [TroubledTime; 2],
    ) -> Self {
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

    /// As `release_lease` does.
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

    /// As `open_breaker` does.
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
