//! A transaction: the batches of one lane, or of several, each with its marks and its checkpoint.
//!
//! Lanes share no aggregate, so the events of several are applied in the order of the stream, as one lane would.

use std::time::Instant;

use super::LaneModel;
use crate::failure::Failure;
use crate::fingerprint::Seed;
use crate::readmodel::control::deployment;
use crate::readmodel::lane::acknowledge::Acknowledge;
use crate::readmodel::lane::batch::Entry;
use crate::readmodel::lane::checkpoint::{self, Advance, BatchToken, Closed, Closing};
use crate::readmodel::lane::dedupe::{self, DedupeMark, Marking};
use crate::readmodel::lane::lane_batch::{LaneBatch, Pace};
use crate::readmodel::lane::letter_limits::{self, Volume};
use crate::readmodel::lane::{Lane, dead_letter};
use crate::readmodel::mysql::error::classify;
use crate::readmodel::mysql::query::{counted, send};
use crate::readmodel::mysql::session::Session;

/// A transaction that is committed.
#[derive(Debug)]
pub struct CommittedTransaction {
    /// The mark of each part, where it has one.
    pub marks: Vec<Option<DedupeMark>>,
    pub pace: Pace,
}

impl LaneModel {
    /// Writes parts in one transaction. They are asked for when it has begun, so that those who came meanwhile are among them.
    pub(super) async fn write<'p>(
        &self,
        session: &mut Session,
        parts: impl Future<Output = &'p [LaneBatch]>,
    ) -> Result<CommittedTransaction, Failure> {
        let (asked, before) = (Instant::now(), counted());
        begin(session).await?;
        let (round_trip, parts) = (asked.elapsed(), parts.await);
        let turns: Vec<&BatchToken> = parts.iter().map(|part| &part.turn).collect();
        self.open(session, &turns).await?;
        let marks = self.mark(session, parts).await?;
        let entries = in_order(parts);
        if let [part, ..] = parts {
            let schema = &part.batch.version.schema;
            self.run(session, schema, entries.iter().flat_map(|entry| entry.operations())).await?;
        }
        let mut closings = Vec::with_capacity(parts.len());
        for part in parts {
            let (token, letters) = (&part.turn, self.write_letters(session, part).await?);
            closings.push(Closing {
                token,
                letters,
                advance: Some(Advance::of(&part.batch, part.fingerprint)),
            });
        }
        self.close(session, &closings).await?;
        self.commit_now(session).await?;
        Ok(CommittedTransaction { marks, pace: Pace { round_trip, round_trips: counted() - before } })
    }

    /// Marks the events of all parts, and forgets what their lanes need no more.
    async fn mark<'p>(
        &self,
        session: &mut Session,
        parts: &'p [LaneBatch],
    ) -> Result<Vec<Option<DedupeMark>>, Failure> {
        let (connection, control) = (&mut session.connection, &self.control);
        let marking = |part: &'p LaneBatch| Marking { lane: &part.turn.lane, batch: &part.batch };
        let markings: Vec<Marking<'_>> = parts.iter().map(marking).collect();
        let marks = dedupe::mark(connection, control, &markings).await?;
        for LaneBatch { turn: BatchToken { lane, .. }, batch, outdated, changes_component, .. } in parts {
            let repeated = batch.repeated();
            if !repeated.is_empty() && self.acknowledge != Acknowledge::Keep {
                dedupe::reack(connection, control, lane, &repeated, &batch.position).await?;
            }
            if let Some(outdated) = outdated {
                dedupe::prune(connection, control, lane, outdated.row, self.acknowledge.level()).await?;
            }
            if *changes_component {
                deployment::change_lane(connection, control, lane, &batch.version.digest).await?;
            }
        }
        Ok(marks)
    }

    /// Writes a part's letters, and returns how much they are.
    async fn write_letters(&self, session: &mut Session, part: &LaneBatch) -> Result<Volume, Failure> {
        let LaneBatch { turn: BatchToken { lane, .. }, batch, .. } = part;
        let mut letters = Volume::default();
        for entry in &batch.entries {
            let (seed, digest) = (self.seed()?, &batch.version.digest);
            let more = dead_letter::write(session, &self.control, lane, seed, entry, digest).await?;
            letters = letters.plus(more);
        }
        if letters.letters > 0 {
            let Lane { projection, generation, .. } = lane;
            let used =
                letter_limits::used(&mut session.connection, &self.control, projection, *generation).await?;
            self.limits.hold(used, letters)?;
        }
        Ok(letters)
    }

    /// The key of the marks, which the lane reads when it is loaded.
    pub(super) fn seed(&self) -> Result<&Seed, Failure> {
        let unloaded = || Failure::Bug { what: "a batch for a lane that was not loaded".to_owned() };
        self.seed.as_ref().ok_or_else(unloaded)
    }

    /// Begins a transaction, and proves that it is the turn of each of these.
    pub(super) async fn begin(&self, session: &mut Session, turns: &[&BatchToken]) -> Result<(), Failure> {
        begin(session).await?;
        self.open(session, turns).await
    }

    async fn open(&self, session: &mut Session, turns: &[&BatchToken]) -> Result<(), Failure> {
        if checkpoint::open(&mut session.connection, &self.control, turns).await? {
            return Ok(());
        }
        let row = checkpoint::settled_row(session, &self.control, &self.lane).await?;
        self.judge(&row)?;
        Err(Failure::Fenced { mine: self.epoch, found: row.epoch })
    }

    /// Ends the turns of these lanes. Fails where their closing did not find what their opening left.
    pub(super) async fn close(&self, session: &mut Session, closings: &[Closing<'_>]) -> Result<(), Failure> {
        match checkpoint::close(&mut session.connection, &self.control, closings).await? {
            Closed::Done => Ok(()),
            Closed::NotOpen => Err(Failure::TransactionVanished),
            Closed::Unwitnessed => {
                let undone = send(&mut session.connection, "ROLLBACK").await;
                undone.map_err(|error| classify("undoing a batch that has no witness", &error))?;
                let Lane { projection, generation, .. } = &self.lane;
                Err(self.control.of(session, projection).blame_witness(*generation).await?)
            }
        }
    }

    pub(super) async fn commit_now(&self, session: &mut Session) -> Result<(), Failure> {
        match send(&mut session.connection, "COMMIT").await {
            Ok(_) => Ok(()),
            // Whatever a failed COMMIT reports, it may have happened: only the checkpoint knows.
            Err(error) => Err(Failure::ConnectionLost { message: format!("committing the batch: {error}") }),
        }
    }
}

async fn begin(session: &mut Session) -> Result<(), Failure> {
    let begun = send(&mut session.connection, "BEGIN").await;
    begun.map_err(|error| classify("beginning the batch", &error))?;
    Ok(())
}

/// The entries of all parts in the order of the stream. Those of each part are in order already.
fn in_order(parts: &[LaneBatch]) -> Vec<&Entry> {
    if let [part] = parts {
        return part.batch.entries.iter().collect();
    }
    let mut rest: Vec<&[Entry]> = parts.iter().map(|part| &part.batch.entries[..]).collect();
    let mut ordered = Vec::with_capacity(rest.iter().map(|entries| entries.len()).sum());
    loop {
        let fronts = rest.iter_mut().filter(|entries| !entries.is_empty());
        let Some(earliest) = fronts.min_by(|a, b| {
            let [a, b] = [a, b].map(|entries| entries.first().map(|entry| &entry.delivery.position));
            a.zip(b).map_or(std::cmp::Ordering::Equal, |(a, b)| a.compare(b))
        }) else {
            return ordered;
        };
        if let Some((entry, behind)) = earliest.split_first() {
            ordered.push(entry);
            *earliest = behind;
        }
    }
}
