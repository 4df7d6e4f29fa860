//! One lane's writing: a batch is one transaction, which proves the epoch first and advances the checkpoint last.
//!
//! MySQL can end a transaction silently and run what follows by itself, so any error at all rolls back, and the
//! closing statement only counts when the opening one is in the same transaction. It decides nothing: what to do
//! about a failure is the lane's business.

mod bounded;
mod letters;
mod refused;
mod run;
mod savepoint;
mod transaction;

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::acknowledge::Acknowledge;
use super::batch::{Batch, Entry};
use super::checkpoint::{self, BatchToken, LaneRow};
use super::dead_letter::Discarded;
use super::dedupe::{self, DedupeMark, Remembered};
use super::lane_batch::LaneBatch;
use super::letter_limits::Limits;
use super::time_share::TimeShare;
use super::writers::{Leading, Turn, Writers};
use super::{Lane, witness};
use crate::failure::{Failure, Fault};
use crate::fingerprint::{Fingerprint, Seed};
use crate::position::Position;
use crate::readmodel::control::schema::Control;
use crate::readmodel::mysql::error::classify;
use crate::readmodel::mysql::query::send;
use crate::readmodel::mysql::session::kept::KeptSession;
use crate::readmodel::mysql::session::{Connector, Session, within};
use crate::sql::coalesce;
use savepoint::savepoint;

use transaction::CommittedTransaction;

/// How long what belongs to no transaction may take: loading a lane, making its session.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(30);

/// How many marks are dropped at a time.
const MARKS_PRUNED: usize = 64;

/// The state of a lane that it needs before it goes on.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadedLane {
    pub row: LaneRow,
    /// The key of the marks of events.
    pub seed: Seed,
    /// The keys of all aggregates with dead letters, of this lane and of others.
    pub blocked: Vec<Vec<u8>>,
    pub discarded: Discarded,
}

/// Decides whether the refusal of an event at a position can be judged already.
pub type Final<'a> = &'a (dyn Fn(&Failure, &Position) -> bool + Send + Sync);

/// Writes for one lane.
pub struct LaneModel {
    connector: Connector,
    control: Control,
    lane: Lane,
    epoch: u64,
    /// How many events this lane's dedupe rows cover at least.
    window: usize,
    acknowledge: Acknowledge,
    /// How much the projection's dead letters may be.
    limits: Limits,
    /// Stamp that it signs the witness with.
    stamp: u64,
    /// How many batches are committed; letters' transactions count, too.
    batch: u64,
    /// The component of the last batch.
    digest: String,
    /// Which events the lane has taken.
    fingerprint: Fingerprint,
    /// The key of their marks, once the lane was loaded.
    seed: Option<Seed>,
    marks: VecDeque<DedupeMark>,
    /// How many events the marks stand for.
    marked: usize,
    session: KeptSession,
    /// A session in which a commit may still be running.
    uncertain: Option<u64>,
    /// How much of the time its commits may take.
    share: TimeShare,
    /// Those who write for all lanes of the run; none where this lane has nobody to share with.
    writers: Option<Arc<Writers>>,
    /// The next batch is written alone, because what was written together failed.
    alone: bool,
    /// The projector's statement that the transaction has come to.
    reached: Mutex<Option<String>>,
    /// Nothing is joined: what was refused together passes entry by entry.
    is_apart: bool,
}

impl LaneModel {
    pub fn new(connector: Connector, control: Control, lane: Lane, epoch: u64, window: usize) -> Self {
        let marks = VecDeque::new();
        Self {
            connector,
            control,
            lane,
            epoch,
            window,
            acknowledge: Acknowledge::Keep,
            limits: Limits::NONE,
            stamp: witness::stamp(),
            batch: 0,
            digest: String::new(),
            fingerprint: Fingerprint::default(),
            seed: None,
            marks,
            marked: 0,
            session: KeptSession::default(),
            uncertain: None,
            share: TimeShare::default(),
            writers: None,
            alone: false,
            reached: Mutex::default(),
            is_apart: false,
        }
    }

    /// Leaves the server to others for the rest of the time.
    #[must_use]
    pub fn with_share(self, share: TimeShare) -> Self {
        Self { share, ..self }
    }

    /// Takes turns with the other lanes of the run, and writes together with them.
    #[must_use]
    pub fn taking_turns(self, writers: &Arc<Writers>) -> Self {
        Self { writers: Some(writers.clone()), ..self }
    }

    /// Keeps rows until their documents are acknowledged, where they are.
    #[must_use]
    pub fn acknowledging(mut self, acknowledge: Acknowledge) -> Self {
        self.acknowledge = acknowledge;
        self
    }

    /// Returns this lane with limits for dead letters; without, there are none.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    pub fn lane(&self) -> &Lane {
        &self.lane
    }

    /// Reads where the lane stands.
    pub async fn load(&mut self) -> Result<LoadedLane, Failure> {
        within(TRANSACTION_TIMEOUT, "loading the lane", self.load_now()).await
    }

    async fn load_now(&mut self) -> Result<LoadedLane, Failure> {
        let mut session = self.session().await?;
        let row = checkpoint::settled_row(&mut session, &self.control, &self.lane).await?;
        if row.epoch != self.epoch {
            return Err(Failure::Fenced { mine: self.epoch, found: row.epoch });
        }
        let (projection, generation) = (&self.lane.projection, self.lane.generation);
        let mut db = self.control.of(&mut session, projection);
        let blocked = db.blocked_aggregates(generation).await?;
        let discarded = db.discarded_events().await?;
        let seed = self.control.seed(&mut session).await?;
        (self.batch, self.fingerprint, self.seed) = (row.batch, row.fingerprint, Some(seed));
        self.digest.clone_from(&row.digest);
        self.uncertain = None;
        self.session.keep(session);
        Ok(LoadedLane { row, seed, blocked, discarded })
    }

    /// Reads which events were applied lately, by all lanes: once for all of them, since it is as much for each.
    pub async fn remembered(&mut self) -> Result<Remembered, Failure> {
        within(TRANSACTION_TIMEOUT, "loading the dedupe window", self.remembered_now()).await
    }

    async fn remembered_now(&mut self) -> Result<Remembered, Failure> {
        let mut session = self.session().await?;
        let seed = self.control.seed(&mut session).await?;
        let Lane { projection, generation, .. } = &self.lane;
        let (control, window) = (&self.control, self.window);
        let loaded =
            dedupe::load(&mut session, control, projection, *generation, window, |id| seed.mark(&id)).await?;
        self.session.keep(session);
        let rows = loaded.iter().rev().map(|(row, _)| *row).collect();
        let marks = loaded.into_iter().rev().flat_map(|(_, marks)| marks).collect();
        Ok(Remembered { marks, rows })
    }

    /// Learns which of those rows are the lane's own, to drop them when newer ones cover the window.
    pub fn keeps(&mut self, remembered: &Remembered) {
        self.marks = remembered.rows.iter().filter(|row| row.lane == self.lane.lane).copied().collect();
        self.marked = self.marks.iter().map(|mark| mark.events as usize).sum();
    }

    /// Commits a batch, perhaps together with those of other lanes. Given again after a failure, it is not done twice where
    /// its uncertain commit did happen.
    pub async fn commit(&mut self, batch: &Arc<Batch>) -> Result<(), Failure> {
        if self.uncertain.is_some() {
            let mut session = self.session().await?;
            let found = self.resolve_commit(&mut session).await?;
            self.session.keep(session);
            if let Some(found) = found {
                (self.batch, self.fingerprint) = found;
                self.digest.clone_from(&batch.version.digest);
                return Ok(());
            }
        }
        let part = self.part(batch);
        let (fingerprint, outdated) = (part.fingerprint, part.outdated.is_some());
        let began = Instant::now();
        let mark = self.write_in_turn(part).await?;
        self.batch += 1;
        self.is_apart = false;
        self.fingerprint = fingerprint;
        self.digest.clone_from(&batch.version.digest);
        if outdated {
            let dropped = self.marks.drain(..MARKS_PRUNED).map(|mark| mark.events as usize);
            self.marked -= dropped.sum::<usize>();
        }
        self.marked += mark.map_or(0, |mark| mark.events as usize);
        self.marks.extend(mark);
        self.share.rest(began.elapsed()).await;
        Ok(())
    }

    /// Writes a part when it is its turn: in a transaction of its own, or in that of another lane. After a failure the lane
    /// writes alone, so that the failure is about the right batch and holds nobody else up.
    async fn write_in_turn(&mut self, part: LaneBatch) -> Result<Option<DedupeMark>, Failure> {
        let Some(writers) = self.writers.clone() else { return self.write_alone(&part).await };
        let is_alone = self.alone || self.is_apart || part.has_letters();
        let turn = if is_alone { Turn::Alone(part) } else { writers.turn(part).await };
        let written = match turn {
            Turn::Written(mark) => Ok(mark),
            Turn::Lead(leading) => self.lead(leading).await,
            Turn::Alone(part) => self.lead(writers.alone(part)).await,
            Turn::Lost { session } => {
                self.uncertain = Some(session);
                let message = "what became of a transaction of several lanes is not known".to_owned();
                Err(Failure::ConnectionLost { message })
            }
        };
        self.alone = written.is_err();
        written
    }

    /// Writes the parts of several lanes in one transaction, and tells each what became of it.
    async fn lead(&mut self, mut leading: Leading) -> Result<Option<DedupeMark>, Failure> {
        let session = match self.session().await {
            Ok(session) => session,
            Err(failure) => {
                leading.part_ways();
                return Err(failure);
            }
        };
        let began = Instant::now();
        let gathered = &mut leading;
        let written = self
            .bounded(session, async |model: &Self, session: &mut Session| {
                model.write(session, gathered.gather()).await
            })
            .await;
        match written {
            Ok(CommittedTransaction { marks, pace }) => {
                leading.took(pace, began.elapsed());
                Ok(leading.written(marks))
            }
            Err(failure) if leading.parts().len() == 1 => Err(failure),
            Err(failure) => {
                if let Some(session) = self.uncertain {
                    leading.lost(session);
                    return Err(failure);
                }
                let part = leading.part_ways();
                self.write_alone(&part).await
            }
        }
    }

    async fn write_alone(&mut self, part: &LaneBatch) -> Result<Option<DedupeMark>, Failure> {
        let session = self.session().await?;
        let parts = std::slice::from_ref(part);
        let written = self
            .bounded(session, async |model: &Self, session: &mut Session| {
                model.write(session, std::future::ready(parts)).await
            })
            .await?;
        Ok(written.marks.into_iter().next().flatten())
    }

    /// What the lane brings to a transaction for a batch.
    fn part(&self, batch: &Arc<Batch>) -> LaneBatch {
        LaneBatch {
            turn: self.token(),
            outdated: self.outdated_mark(),
            fingerprint: self.fingerprint.and(batch.fingerprint()),
            changes_component: batch.version.digest != self.digest,
            batch: batch.clone(),
        }
    }

    /// Finds the entries that MySQL refuses, by running halves behind savepoints; nothing stays of it. An entry
    /// behind a refused one of its aggregate is left out, as it would be held. It ends at the first one whose refusal
    /// is not final: nothing behind it can be committed before.
    pub async fn probe(
        &mut self,
        batch: &Batch,
        is_final: Final<'_>,
    ) -> Result<Vec<(usize, Failure)>, Failure> {
        let session = self.session().await?;
        let refused = self
            .bounded(session, async |model: &Self, session: &mut Session| {
                model.try_halves(session, batch, is_final).await
            })
            .await;
        self.is_apart = refused.as_ref().is_ok_and(Vec::is_empty);
        refused
    }

    /// The lane's session, or a new one. With a new one, the old one is ended first if a commit may run in it.
    async fn session(&mut self) -> Result<Session, Failure> {
        if let Some(session) = self.session.take().await {
            return Ok(session);
        }
        let mut session = self.connector.connect().await?;
        let prepared =
            within(TRANSACTION_TIMEOUT, "preparing the lane's session", self.prepare(&mut session));
        prepared.await?;
        Ok(session)
    }

    async fn prepare(&self, session: &mut Session) -> Result<(), Failure> {
        if session.read_only {
            return Err(Failure::CannotWrite { code: 1290, message: "the server is read-only".to_owned() });
        }
        // Ids grow: an old one that is larger is of the server's life before a restart, and ended with it.
        if let Some(old) = self.uncertain.filter(|old| *old < session.id) {
            session.kill(old).await?;
        }
        let limits = bounded::limits(self.connector.time(), session.is_mariadb());
        let limited = send(&mut session.connection, &limits).await;
        limited.map_err(|error| classify("limiting the time of statements", &error))?;
        checkpoint::record_session(session, &self.control, &self.lane, self.epoch).await
    }

    /// After an uncertain commit: the batch number and the fingerprint found, if it did happen.
    async fn resolve_commit(&mut self, session: &mut Session) -> Result<Option<(u64, Fingerprint)>, Failure> {
        if self.uncertain.is_none() {
            return Ok(None);
        }
        let asked = checkpoint::settled_row(session, &self.control, &self.lane);
        let row = within(TRANSACTION_TIMEOUT, "reading whether the commit happened", asked).await?;
        let committed = self.judge(&row)?;
        self.uncertain = None;
        Ok(committed.then_some((row.batch, row.fingerprint)))
    }

    fn token(&self) -> BatchToken {
        BatchToken { lane: self.lane.clone(), epoch: self.epoch, batch: self.batch, stamp: self.stamp }
    }

    /// Returns true where the row shows the batch that was being committed, and fails when it shows another writer.
    fn judge(&self, row: &LaneRow) -> Result<bool, Failure> {
        if row.epoch != self.epoch {
            Err(Failure::Fenced { mine: self.epoch, found: row.epoch })
        } else if row.batch < self.batch {
            Err(Failure::CommitsLost { committed: self.batch, found: row.batch })
        } else {
            Ok(row.batch > self.batch)
        }
    }

    async fn try_halves(
        &self,
        session: &mut Session,
        batch: &Batch,
        is_final: Final<'_>,
    ) -> Result<Vec<(usize, Failure)>, Failure> {
        self.begin(session, &[&self.token()]).await?;
        let schema = &batch.version.schema;
        let (mut refused, mut blocked) = (Vec::new(), HashSet::new());
        let mut ranges = Vec::with_capacity(2);
        ranges.push(0..batch.entries.len());
        while let Some(range) = ranges.pop() {
            let entries = &batch.entries[range.clone()];
            let open = entries.iter().filter(|entry| {
                entry.delivery.aggregate().is_none_or(|aggregate| !blocked.contains(aggregate))
            });
            savepoint(session, "SAVEPOINT probe").await?;
            let operations = open.flat_map(Entry::operations);
            // What is said of an entry is what the server says of its operations, one by one.
            let tried = if range.len() == 1 {
                self.run_all(session, schema, coalesce::apart(schema, operations)).await
            } else {
                self.run(session, schema, operations).await
            };
            match tried {
                Ok(()) => {}
                Err(failure) if failure.fault() == Fault::Event => {
                    savepoint(session, "ROLLBACK TO SAVEPOINT probe").await?;
                    if range.len() == 1 {
                        blocked.extend(entries[0].delivery.aggregate().cloned());
                        if !is_final(&failure, &entries[0].delivery.position) {
                            ranges.clear();
                        }
                        refused.push((range.start, failure));
                    } else {
                        let middle = range.start + range.len() / 2;
                        ranges.push(middle..range.end);
                        ranges.push(range.start..middle);
                    }
                }
                Err(failure) => return Err(failure),
            }
        }
        send(&mut session.connection, "ROLLBACK")
            .await
            .map_err(|error| classify("ending the probe", &error))?;
        Ok(refused)
    }

    /// The last of the oldest marks, when the window does not need them any more.
    fn outdated_mark(&self) -> Option<DedupeMark> {
        let last = self.marks.get(MARKS_PRUNED - 1)?;
        let oldest: usize = self.marks.iter().take(MARKS_PRUNED).map(|mark| mark.events as usize).sum();
        (self.marked - oldest >= self.window).then_some(*last)
    }
}
