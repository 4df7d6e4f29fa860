//! Tells the outbox what became of its documents, behind the commit: marks them, or deletes those that nobody needs.
//!
//! It works beside the lanes and in a session of its own, from rows that stay until it is done with them. Whatever it
//! does may be done again, so a crash forgets nothing; whatever fails is tried again, and never concerns the lanes.

pub mod deletion;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::event::Id;
use crate::failure::{Failure, Fault};
use crate::readmodel::lane::acknowledge::{Acknowledge, LaneAt, PAGE, PendingAcknowledgement};
use crate::readmodel::lane::{Lane, dead_letter};
use crate::readmodel::mysql::session::kept::KeptSession;
use crate::readmodel::mysql::session::{Session, within};
use crate::retry::Backoff;
use crate::servers::Servers;
use crate::source::SourceIdentity;
use crate::source::acknowledge::DocumentMark;
use crate::status::Status;
use deletion::{DeletionPage, Deletions, Round};

/// How long to wait after a round that found few rows, while the lanes commit.
const INTERVAL: Duration = Duration::from_secs(1);

/// How long to wait at most while they commit nothing.
const REST_INTERVAL: Duration = Duration::from_secs(10);

/// How often those that wait are counted.
const COUNT_INTERVAL: Duration = Duration::from_secs(10);

/// How long one round may take.
const ROUND_TIMEOUT: Duration = Duration::from_mins(2);

/// How long to wait when an operator has to act.
const SETUP_INTERVAL: Duration = Duration::from_secs(15);

pub struct Acknowledger {
    servers: Servers,
    status: Arc<Status>,
    policy: Acknowledge,
    lanes: Vec<Lane>,
    session: KeptSession,
    counted: Option<Instant>,
}

impl Acknowledger {
    pub fn new(servers: Servers, status: Arc<Status>, policy: Acknowledge, lanes: Vec<Lane>) -> Self {
        Self { servers, status, policy, lanes, session: KeptSession::default(), counted: None }
    }

    /// Runs until it is ended from outside.
    pub async fn run(mut self) -> Result<(), Failure> {
        if self.policy == Acknowledge::Keep {
            return Ok(());
        }
        let mut backoff = Backoff::new();
        loop {
            let (began, committed) = (Instant::now(), self.status.batches());
            let round = within(ROUND_TIMEOUT, "acknowledging the outbox", self.round()).await;
            let wait = match round {
                Ok(round) => {
                    backoff = Backoff::new();
                    self.status.acknowledgement_waits_for(round.obstacle);
                    // At most half of the time, so that the lanes have the servers for themselves as long.
                    if !round.more {
                        self.rest(committed).await;
                        continue;
                    }
                    began.elapsed().min(INTERVAL)
                }
                Err(failure) => {
                    self.session = KeptSession::default();
                    self.status.acknowledgement_fails(&failure);
                    let wait = backoff.next_wait();
                    if failure.fault() == Fault::Environment { wait } else { SETUP_INTERVAL }
                }
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// Waits until the lanes have committed more batches than that, or for long.
    async fn rest(&self, committed: u64) {
        let began = Instant::now();
        let rest = match self.policy {
            // Rows become due by their age.
            Acknowledge::Delete { age } => (age / 8).clamp(INTERVAL, REST_INTERVAL),
            Acknowledge::Keep | Acknowledge::Mark => REST_INTERVAL,
        };
        while began.elapsed() < rest {
            tokio::time::sleep(INTERVAL).await;
            if self.status.batches() != committed {
                return;
            }
        }
    }

    /// A page of each lane. A session in which something failed, or was given up, is not kept.
    async fn round(&mut self) -> Result<Round, Failure> {
        let mut session = self.session.take_or_connect(&self.servers.applier).await?;
        self.count(&mut session).await?;
        let round = match self.policy {
            Acknowledge::Keep => Round::default(),
            Acknowledge::Mark => self.mark(&mut session).await?,
            Acknowledge::Delete { age } => self.delete(&mut session, age).await?,
        };
        self.session.keep(session);
        Ok(round)
    }

    async fn count(&mut self, session: &mut Session) -> Result<(), Failure> {
        if self.counted.is_some_and(|counted| counted.elapsed() < COUNT_INTERVAL) {
            return Ok(());
        }
        let Some(Lane { projection, generation, .. }) = self.lanes.first() else { return Ok(()) };
        let (control, level) = (&self.servers.control, self.policy.level());
        let waiting =
            control.of(session, projection).count_pending_acknowledgements(*generation, level).await?;
        self.status.acknowledgements_waiting(waiting);
        self.counted = Some(Instant::now());
        Ok(())
    }

    async fn mark(&self, session: &mut Session) -> Result<Round, Failure> {
        let mut round = Round::default();
        let (control, level) = (&self.servers.control, self.policy.level());
        for lane in &self.lanes {
            let mut db = control.on(session);
            let rows = db.pending_acknowledgements(lane, 0, Duration::ZERO).await?;
            round.more |= rows.len() == PAGE as usize;
            let ids: Vec<Id> = rows.iter().flat_map(|row| row.ids.clone()).collect();
            if ids.is_empty() {
                continue;
            }
            let exceptions = db.letter_states(lane, &ids).await?;
            let status = |id: &Id| exceptions.get(&dead_letter::key_of(id)).copied().unwrap_or("applied");
            let marks: Vec<DocumentMark> = rows.iter().flat_map(|row| marks(row, status)).collect();
            let refused = self.servers.outbox.mark(&lane.projection, &marks).await?;
            if refused > 0 {
                let projection = &lane.projection;
                tracing::warn!(projection, refused, "documents that cannot bear a mark were passed by");
            }
            let told: Vec<u64> = rows.iter().map(|row| row.row).collect();
            db.record_acknowledged(&told, level).await?;
            for mark in marks {
                self.status.acknowledged(mark.status, mark.ids.len() as u64);
            }
        }
        Ok(round)
    }

    async fn delete(&self, session: &mut Session, age: Duration) -> Result<Round, Failure> {
        // Without a collection there is nothing to delete.
        let Some(identity) = self.servers.outbox.identify().await? else { return Ok(Round::default()) };
        deletion::round(&mut DeletionRound { acknowledger: self, session, age }, &identity).await
    }

    /// Deletes the documents of rows, but for those in letters: their rows come when the letter goes.
    async fn delete_rows(
        &self,
        session: &mut Session,
        rows: &[PendingAcknowledgement],
    ) -> Result<(), Failure> {
        let control = &self.servers.control;
        // A row that does not say where its events lie is done with, and its documents stay.
        let known = rows.iter().filter(|row| row.bound.is_some());
        let mut ids: Vec<Id> = known.flat_map(|row| row.ids.clone()).collect();
        let mut db = control.on(session);
        let letters = db.in_letters(&ids).await?;
        ids.retain(|id| !letters.contains(&dead_letter::key_of(id)));
        let deleted = self.servers.outbox.delete(&ids).await?;
        let told: Vec<u64> = rows.iter().map(|row| row.row).collect();
        db.record_acknowledged(&told, self.policy.level()).await?;
        self.status.acknowledged("deleted", deleted);
        Ok(())
    }
}

/// A row's marks: one for each status that its events have.
fn marks(row: &PendingAcknowledgement, status: impl Fn(&Id) -> &'static str) -> Vec<DocumentMark> {
    let mut marks: Vec<DocumentMark> = Vec::new();
    for id in &row.ids {
        let status = status(id);
        match marks.iter_mut().find(|mark| mark.status == status) {
            Some(mark) => mark.ids.push(id.clone()),
            None => marks.push(DocumentMark {
                status,
                ids: vec![id.clone()],
                row: row.row,
                committed_ms: row.committed_ms,
            }),
        }
    }
    marks
}

/// A round of deletions, on the real servers.
struct DeletionRound<'a> {
    acknowledger: &'a Acknowledger,
    session: &'a mut Session,
    age: Duration,
}

impl Deletions for DeletionRound<'_> {
    async fn all_lanes(&mut self) -> Result<Vec<LaneAt>, Failure> {
        self.acknowledger.servers.control.on(self.session).lanes_of_all().await
    }

    async fn waiting(&mut self) -> Result<Vec<DeletionPage>, Failure> {
        let Acknowledger { servers, policy, lanes, .. } = self.acknowledger;
        let mut pages = Vec::new();
        for lane in lanes {
            // Rows that were marked before the setting changed wait as well.
            for level in 0..policy.level() {
                let rows =
                    servers.control.on(self.session).pending_acknowledgements(lane, level, self.age).await?;
                pages.push(DeletionPage { is_full: rows.len() == PAGE as usize, rows });
            }
        }
        Ok(pages)
    }

    async fn record_deletion(&mut self, identity: &SourceIdentity) -> Result<(), Failure> {
        self.acknowledger.servers.outbox.record_deletion(identity).await
    }

    async fn delete(&mut self, rows: &[PendingAcknowledgement]) -> Result<(), Failure> {
        self.acknowledger.delete_rows(self.session, rows).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::Position;

    fn row(bound: Option<Position>) -> PendingAcknowledgement {
        let ids = vec![Id::Integer(1), Id::Integer(2), Id::Integer(3)];
        PendingAcknowledgement { row: 7, ids, bound, committed_ms: 5, is_old: true }
    }

    #[test]
    fn a_row_has_one_mark_for_each_status() {
        let status = |id: &Id| if *id == Id::Integer(2) { "parked" } else { "applied" };
        let marks = marks(&row(None), status);
        let ids: Vec<_> = marks.iter().map(|mark| (mark.status, mark.ids.len(), mark.row)).collect();
        assert_eq!(ids, [("applied", 2, 7), ("parked", 1, 7)]);
    }
}
