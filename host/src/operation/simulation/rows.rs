//! The rows that hosts and operators share, the outbox beside them, and every change of them as one transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::OperatorSchedule;
use crate::event::Id;
use crate::failure::Failure;
use crate::fingerprint::Fingerprint;
use crate::position::{Position, Token};
use crate::readmodel::control::command::overtake::{LockedRows as Locked, Other, overtakes};
use crate::readmodel::control::command::{Act, Command, CommandOutcome, Request, Step};
use crate::readmodel::control::generation::{self, Generation, GenerationState, Purpose};
use crate::readmodel::control::lease::Acquired;
use crate::readmodel::lane::checkpoint::LaneRow;
use crate::supervisor::simulation::generation_rows::GenerationRows;
use crate::supervisor::simulation::steps::Steps;
use crate::supervisor::simulation::store::LEASE;
pub use crate::supervisor::simulation::store::seed;

/// The second of the stream's first event.
pub const FIRST: u32 = 1_000;

pub const PROJECTION: &str = "accounts";

#[derive(Clone)]
pub struct SharedWorld {
    pub schedule: Arc<OperatorSchedule>,
    pub steps: Steps,
    pub began: Instant,
    rows: Arc<Mutex<Rows>>,
}

/// A command, and how it stands.
#[derive(Debug, Clone)]
pub struct AskedCommand {
    pub command: Command,
    pub at: Instant,
    pub ended: Option<CommandOutcome>,
    pub waits: Option<(String, Instant)>,
}

/// Tables as a generation has them.
#[derive(Debug, Clone)]
pub struct GenerationTables {
    pub row: LaneRow,
    /// The events that rows were made from, in their order.
    pub made: Vec<i64>,
}

impl GenerationTables {
    pub fn events(&self) -> BTreeSet<i64> {
        self.made.iter().copied().collect()
    }
}

#[derive(Debug, Clone)]
pub struct DeployedRow {
    pub digest: String,
    pub command: Option<u64>,
    pub at: Instant,
}

pub struct Rows {
    pub epoch: u64,
    owner: u64,
    until: Option<Instant>,
    pub live: u32,
    pub numbers: u32,
    pub tables: BTreeMap<u32, GenerationTables>,
    pub standing: GenerationRows,
    pub commands: BTreeMap<u64, AskedCommand>,
    pub deployments: Vec<DeployedRow>,
    /// When it was shown what a generation lacks, and which may lack it since an operator knew and confirmed it.
    pub shown: BTreeMap<u32, Instant>,
    pub words: BTreeSet<u32>,
    /// How often another generation took the live one's place.
    pub cut_overs: u64,
    /// How many deployments there were when a generation was begun.
    pub opened: BTreeMap<u32, usize>,
    /// Documents as they were stored, and everything that was ever inserted.
    pub documents: Vec<i64>,
    pub log: Vec<i64>,
    /// The stream before this is gone.
    pub lost_before: usize,
}

pub fn stream(taken: usize) -> Position {
    let seconds = FIRST + u32::try_from(taken).expect("a schedule is small");
    Position::Stream { token: Token { data: format!("82{seconds:08X}00000000").into(), type_bits: None } }
}

/// How many events a place in the stream is behind; none in history.
pub fn taken(position: &Position) -> Option<usize> {
    let time = position.time().filter(|_| matches!(position, Position::Stream { .. }))?;
    Some((time.seconds - FIRST) as usize)
}

impl SharedWorld {
    pub fn new(schedule: &OperatorSchedule, steps: Steps) -> Self {
        let mut live = GenerationTables { row: row(stream(0)), made: vec![] };
        // What does not match counts as not known.
        live.row.known_events = u64::from(schedule.is_older);
        let rows = Rows {
            epoch: 0,
            owner: 0,
            until: None,
            live: 1,
            numbers: 1,
            tables: BTreeMap::from([(1, live)]),
            standing: GenerationRows::default(),
            commands: BTreeMap::new(),
            deployments: vec![DeployedRow { digest: "a0".to_owned(), command: None, at: Instant::now() }],
            shown: BTreeMap::new(),
            words: BTreeSet::new(),
            cut_overs: 0,
            opened: BTreeMap::new(),
            documents: vec![],
            log: vec![],
            lost_before: 0,
        };
        let (schedule, rows) = (Arc::new(schedule.clone()), Arc::new(Mutex::new(rows)));
        Self { schedule, steps, began: Instant::now(), rows }
    }

    pub fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn is_away(&self) -> bool {
        let now = self.began.elapsed();
        self.schedule.away.is_some_and(|(from, to)| from <= now && now < to)
    }

    /// MongoDB is asked for something.
    pub fn answers(&self) -> Result<(), Failure> {
        if self.is_away() {
            return Err(Failure::SourceUnavailable { message: "made up".to_owned() });
        }
        Ok(())
    }

    /// Reads and writes the rows in one transaction under the lease.
    pub fn under<T>(&self, epoch: u64, write: impl FnOnce(&mut Rows) -> T) -> Result<T, Failure> {
        let mut rows = self.rows();
        if rows.epoch != epoch {
            return Err(Failure::Fenced { mine: epoch, found: rows.epoch });
        }
        Ok(write(&mut rows))
    }
}

fn row(position: Position) -> LaneRow {
    LaneRow {
        lane: 0,
        epoch: 0,
        batch: 0,
        position,
        digest: String::new(),
        events: 0,
        parked: 0,
        fingerprint: Fingerprint::default(),
        known_events: 0,
        anchor: None,
        connection_id: None,
    }
}

impl Rows {
    /// Gives a host the lease, under a new epoch, unless another one holds it.
    pub fn acquire(&mut self, who: u64) -> Acquired {
        let now = Instant::now();
        if self.owner != who && self.until.is_some_and(|until| until > now) {
            return Acquired::Taken { owner: self.owner.to_string() };
        }
        (self.owner, self.epoch, self.until) = (who, self.epoch + 1, Some(now + LEASE));
        Acquired::Mine { epoch: self.epoch }
    }

    pub fn renew(&mut self) {
        self.until = Some(Instant::now() + LEASE);
    }

    pub fn release(&mut self) {
        self.until = None;
    }

    pub fn insert(&mut self, event: i64) {
        self.documents.push(event);
        self.log.push(event);
    }

    /// Empty tables, and a lane at the beginning of history.
    pub fn begin(&mut self, generation: u32) {
        let Position::Stream { token: start } = stream(self.log.len()) else { return };
        let row = row(Position::Scan { start, key: None, beside: 0 });
        self.tables.insert(generation, GenerationTables { row, made: vec![] });
    }

    pub fn lanes(&self, generation: u32) -> Vec<LaneRow> {
        self.tables.get(&generation).map(|tables| tables.row.clone()).into_iter().collect()
    }

    pub fn in_force(&self) -> (u64, String) {
        let last = self.deployments.last().expect("there is a first one");
        (self.deployments.len() as u64, last.digest.clone())
    }

    /// As `lock_rows` reads it.
    pub fn lock(&self, command: &Command) -> Locked {
        let is_other = |one: &&AskedCommand| one.ended.is_none() && overtakes(&one.command.request);
        let others = self.commands.values().filter(is_other);
        let other = |other: &AskedCommand| Other {
            id: other.command.id,
            is_rollback: other.command.request == Request::Rollback,
        };
        Locked {
            is_pending: self.commands.get(&command.id).is_some_and(|asked| asked.ended.is_none()),
            deployments: others.map(other).collect(),
            in_force: Some(self.in_force()),
            standing: self.standing.to_vec(),
            stands_for: self.standing.iter().any(|one| one.command == Some(command.id)),
        }
    }

    pub fn finish(&mut self, command: u64, outcome: CommandOutcome) {
        if let Some(asked) = self.commands.get_mut(&command).filter(|asked| asked.ended.is_none()) {
            (asked.ended, asked.waits) = (Some(outcome), None);
        }
    }

    /// Makes the changes that were decided on.
    pub fn apply(&mut self, command: &Command, act: &Act<'_>, number: u32, steps: Vec<Step>) {
        for step in steps {
            match step {
                Step::Finish(id, outcome) => self.finish(id, outcome),
                Step::GiveUp(numbers, why) => {
                    let given_up = |one: &&mut Generation| numbers.contains(&one.generation);
                    for one in self.standing.iter_mut().filter(given_up) {
                        (one.state, one.reason) = (one.given_up(), Some(why.clone()));
                    }
                }
                Step::Set(changed) => {
                    if changed.lacks.is_none() {
                        self.shown.remove(&changed.generation);
                        self.words.remove(&changed.generation);
                    }
                    self.opened.insert(changed.generation, self.deployments.len());
                    let found = self.standing.iter_mut().find(|one| one.generation == changed.generation);
                    if let Some(found) = found {
                        *found = *changed;
                    }
                }
                Step::Open => {
                    let Act::Open(wanted) = act else { continue };
                    self.opened.insert(number, self.deployments.len());
                    let opened = Generation {
                        purpose: wanted.purpose,
                        state: GenerationState::Building,
                        digest: wanted.digest.to_owned(),
                        accepted: wanted.accepted,
                        origin: wanted.origin,
                        command: wanted.command,
                        ..Generation::plain(number, GenerationState::Kept)
                    };
                    self.standing.push(opened);
                }
                Step::Deploy => {
                    let Act::Deploy(Some(proposal)) = act else { continue };
                    let (digest, command) = (proposal.digest.to_owned(), Some(command.id));
                    self.deployments.push(DeployedRow { digest, command, at: Instant::now() });
                }
            }
        }
    }

    /// Begins a generation that nobody asked for, unless something else takes the live one's place just now.
    pub fn replace_unasked(&mut self) {
        let Ok(gives_up) = generation::opening(&self.standing, true) else { return };
        for one in self.standing.iter_mut().filter(|one| gives_up.contains(&one.generation)) {
            (one.state, one.reason) = (one.given_up(), Some("superseded by a rebuild".to_owned()));
        }
        self.numbers += 1;
        let (number, digest) = (self.numbers, self.in_force().1);
        self.opened.insert(number, self.deployments.len());
        self.standing.push(Generation {
            state: GenerationState::Building,
            digest,
            ..Generation::plain(number, GenerationState::Kept)
        });
    }

    /// As `record_lacks`. From now on it is shown.
    pub fn record_lacks(&mut self, of: &Generation, purpose: Purpose, lacks: &str) -> bool {
        let is_new = self.standing.record_lacks(of, purpose, lacks);
        if is_new == Some(true) {
            self.shown.insert(of.generation, Instant::now());
        }
        is_new.is_some()
    }

    /// As `command_waits`: since when it has waited.
    pub fn waits(&mut self, command: u64, reason: &str) -> Option<Instant> {
        let asked = self.commands.get_mut(&command).filter(|asked| asked.ended.is_none())?;
        let since = asked.waits.as_ref().map_or_else(Instant::now, |(_, since)| *since);
        asked.waits = Some((reason.to_owned(), since));
        Some(since)
    }

    /// As `command_goes_on`.
    pub fn goes_on(&mut self, command: u64) {
        if let Some(asked) = self.commands.get_mut(&command) {
            asked.waits = None;
        }
    }

    /// As `cut_over` does: the tables change places, and the generation's component is the one in force.
    pub fn cut_over(&mut self, next: &Generation) {
        let before = self.in_force().1;
        self.standing.change_places(next.generation, self.live, before.clone());
        self.live = next.generation;
        self.cut_overs += 1;
        if before != next.digest {
            self.deployments.push(DeployedRow {
                digest: next.digest.clone(),
                command: None,
                at: Instant::now(),
            });
        }
    }
}

impl GenerationTables {
    pub fn add(&mut self, id: i64) {
        let is_new = !self.made.contains(&id);
        if is_new {
            self.made.push(id);
            self.row.fingerprint = self.row.fingerprint.with(seed().mark(&Id::Integer(id)));
        }
        self.row.events += 1;
        self.row.known_events += 1;
    }
}
