//! Tells the outbox what became of its documents, behind the commit: marks them, or deletes those that nobody needs.
//!
//! It works beside the lanes and in a session of its own, from rows that stay until it is done with them. Whatever it
//! does may be done again, so a crash forgets nothing; whatever fails is tried again, and never concerns the lanes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Servers, Status};
use crate::event::Id;
use crate::failure::{Failure, Fault};
use crate::position::Position;
use crate::readmodel::acknowledge::{self, LaneAt, PAGE, Waiting};
use crate::readmodel::{Acknowledge, Lane, Session, dead_letter, within};
use crate::retry::Backoff;
use crate::source::SourceIdentity;
use crate::source::acknowledge::Mark;

/// How often it is looked for new rows when there were few.
const INTERVAL: Duration = Duration::from_secs(1);

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
    session: Option<Session>,
    counted: Option<Instant>,
}

/// What a round came to.
#[derive(Debug, Default)]
struct Round {
    /// Whether there is more to do at once.
    more: bool,
    /// What keeps documents from being deleted.
    obstacle: Option<String>,
}

impl Acknowledger {
    pub fn new(servers: Servers, status: Arc<Status>, policy: Acknowledge, lanes: Vec<Lane>) -> Self {
        Self { servers, status, policy, lanes, session: None, counted: None }
    }

    /// Runs until it is ended from outside.
    pub async fn run(mut self) -> Result<(), Failure> {
        if self.policy == Acknowledge::Keep {
            return Ok(());
        }
        let mut backoff = Backoff::new();
        loop {
            let began = Instant::now();
            let round = within(ROUND_TIMEOUT, "acknowledging the outbox", self.round()).await;
            let wait = match round {
                Ok(round) => {
                    backoff = Backoff::new();
                    self.status.acknowledgement_waits_for(round.obstacle);
                    // At most half of the time, so that the lanes have the servers for themselves as long.
                    if round.more { began.elapsed().min(INTERVAL) } else { INTERVAL }
                }
                Err(failure) => {
                    self.session = None;
                    self.status.acknowledgement_fails(&failure);
                    let wait = backoff.next_wait();
                    if failure.fault() == Fault::Environment { wait } else { SETUP_INTERVAL }
                }
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// A page of each lane. A session in which something failed, or was given up, is not kept.
    async fn round(&mut self) -> Result<Round, Failure> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => self.servers.applier.connect().await?,
        };
        self.count(&mut session).await?;
        let round = match self.policy {
            Acknowledge::Keep => Round::default(),
            Acknowledge::Mark => self.mark(&mut session).await?,
            Acknowledge::Delete { age } => self.delete(&mut session, age).await?,
        };
        self.session = Some(session);
        Ok(round)
    }

    async fn count(&mut self, session: &mut Session) -> Result<(), Failure> {
        if self.counted.is_some_and(|counted| counted.elapsed() < COUNT_INTERVAL) {
            return Ok(());
        }
        let Some(Lane { projection, generation, .. }) = self.lanes.first() else { return Ok(()) };
        let (control, level) = (&self.servers.control, self.policy.level());
        let waiting = acknowledge::count_waiting(session, control, projection, *generation, level).await?;
        self.status.acknowledgements_waiting(waiting);
        self.counted = Some(Instant::now());
        Ok(())
    }

    async fn mark(&self, session: &mut Session) -> Result<Round, Failure> {
        let mut round = Round::default();
        let (control, level) = (&self.servers.control, self.policy.level());
        for lane in &self.lanes {
            let rows = acknowledge::waiting(session, control, lane, 0, Duration::ZERO).await?;
            round.more |= rows.len() == PAGE as usize;
            let ids: Vec<Id> = rows.iter().flat_map(|row| row.ids.clone()).collect();
            if ids.is_empty() {
                continue;
            }
            let exceptions = acknowledge::exceptions(session, control, lane, &ids).await?;
            let status = |id: &Id| exceptions.get(&dead_letter::key_of(id)).copied().unwrap_or("applied");
            let marks: Vec<Mark> = rows.iter().flat_map(|row| marks(row, status)).collect();
            let refused = self.servers.outbox.mark(&lane.projection, &marks).await?;
            if refused > 0 {
                let projection = &lane.projection;
                tracing::warn!(projection, refused, "documents that cannot bear a mark were passed by");
            }
            let told: Vec<u64> = rows.iter().map(|row| row.row).collect();
            acknowledge::told(session, control, &told, level).await?;
            for mark in marks {
                self.status.acknowledged(mark.status, mark.ids.len() as u64);
            }
        }
        Ok(round)
    }

    async fn delete(&self, session: &mut Session, age: Duration) -> Result<Round, Failure> {
        // First how far everybody is, then the letters: what is passed has its letter by now, if it gets one.
        // Without a collection there is nothing to delete.
        let Some(identity) = self.servers.outbox.identify().await? else { return Ok(Round::default()) };
        let lanes = acknowledge::all_lanes(session, &self.servers.control).await?;
        let mut round = Round::default();
        let found = self.unneeded(session, age, &slowest(&lanes, &identity), &mut round).await?;
        if found.is_empty() {
            return Ok(round);
        }
        // The note stands before each round's first deletion: an operator may have taken an earlier one away. A projection
        // that registered without having seen it is seen by the second look.
        self.servers.outbox.record_deletion(&identity).await?;
        let lanes = acknowledge::all_lanes(session, &self.servers.control).await?;
        let slowest = slowest(&lanes, &identity);
        for mut rows in found {
            rows.retain(|row| slowest.has_passed(row));
            self.delete_rows(session, &rows).await?;
        }
        Ok(round)
    }

    /// The rows of each lane whose documents are old enough and needed by no projection.
    async fn unneeded(
        &self,
        session: &mut Session,
        age: Duration,
        slowest: &Slowest<'_>,
        round: &mut Round,
    ) -> Result<Vec<Vec<Waiting>>, Failure> {
        let mut found = Vec::new();
        for lane in &self.lanes {
            // Rows that were marked before the setting changed wait as well.
            for level in 0..self.policy.level() {
                let mut rows = acknowledge::waiting(session, &self.servers.control, lane, level, age).await?;
                let full = rows.len() == PAGE as usize;
                let ready = rows.iter().take_while(|row| row.is_old && slowest.has_passed(row)).count();
                if rows.get(ready).is_some_and(|row| row.is_old) {
                    round.obstacle = Some(format!("nothing is deleted from the outbox: {}", slowest.told()));
                }
                round.more |= full && ready == rows.len();
                rows.truncate(ready);
                if !rows.is_empty() {
                    found.push(rows);
                }
            }
        }
        Ok(found)
    }

    /// Deletes the documents of rows, but for those in letters: their rows come when the letter goes.
    async fn delete_rows(&self, session: &mut Session, rows: &[Waiting]) -> Result<(), Failure> {
        let control = &self.servers.control;
        // A row that does not say where its events lie is done with, and its documents stay.
        let known = rows.iter().filter(|row| row.bound.is_some());
        let mut ids: Vec<Id> = known.flat_map(|row| row.ids.clone()).collect();
        let letters = acknowledge::in_letters(session, control, &ids).await?;
        ids.retain(|id| !letters.contains(&dead_letter::key_of(id)));
        let deleted = self.servers.outbox.delete(&ids).await?;
        let told: Vec<u64> = rows.iter().map(|row| row.row).collect();
        acknowledge::told(session, control, &told, self.policy.level()).await?;
        self.status.acknowledged("deleted", deleted);
        Ok(())
    }
}

/// A row's marks: one for each status that its events have.
fn marks(row: &Waiting, status: impl Fn(&Id) -> &'static str) -> Vec<Mark> {
    let mut marks: Vec<Mark> = Vec::new();
    for id in &row.ids {
        let status = status(id);
        match marks.iter_mut().find(|mark| mark.status == status) {
            Some(mark) => mark.ids.push(id.clone()),
            None => marks.push(Mark {
                status,
                ids: vec![id.clone()],
                row: row.row,
                committed_ms: row.committed_ms,
            }),
        }
    }
    marks
}

/// How far the slowest lane of all projections of an outbox is.
#[derive(Debug, PartialEq)]
struct Slowest<'a> {
    projection: &'a str,
    /// None while it may need all of history.
    position: Option<&'a Position>,
}

impl Slowest<'_> {
    fn has_passed(&self, row: &Waiting) -> bool {
        let passed = |bound: &Position| self.position.is_some_and(|position| position.covers(bound));
        row.bound.as_ref().is_none_or(passed)
    }

    /// Who holds it back, and how far that is.
    fn told(&self) -> String {
        match self.position {
            Some(position) => format!("`{}` has come to {position}", self.projection),
            None => format!("`{}` is not through with history", self.projection),
        }
    }
}

fn slowest<'a>(lanes: &'a [LaneAt], identity: &SourceIdentity) -> Slowest<'a> {
    // What cannot be read might be this outbox.
    let is_other = |lane: &LaneAt| {
        serde_json::from_str::<SourceIdentity>(&lane.source)
            .is_ok_and(|other| other.collection != identity.collection)
    };
    let positions = lanes.iter().filter(|lane| !is_other(lane)).map(|lane| Slowest {
        projection: &lane.projection,
        position: lane.position.as_ref().filter(|position| matches!(position, Position::Stream { .. })),
    });
    let order = |a: &Slowest<'_>, b: &Slowest<'_>| match (a.position, b.position) {
        (Some(a), Some(b)) => a.compare(b),
        (a, b) => a.is_some().cmp(&b.is_some()),
    };
    positions.min_by(order).unwrap_or(Slowest { projection: "nobody", position: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::Token;

    fn identity(collection: &str) -> SourceIdentity {
        SourceIdentity {
            replica_set: "rs0".into(),
            namespace: "bank.outbox".into(),
            collection: collection.into(),
        }
    }

    fn stream(data: &str) -> Position {
        Position::Stream { token: Token { data: data.into(), type_bits: None } }
    }

    fn lane(projection: &str, collection: &str, position: Option<Position>) -> LaneAt {
        let source = serde_json::to_string(&identity(collection)).expect("it has a stored form");
        LaneAt { projection: projection.into(), source, position }
    }

    fn row(bound: Option<Position>) -> Waiting {
        let ids = vec![Id::Integer(1), Id::Integer(2), Id::Integer(3)];
        Waiting { row: 7, ids, bound, committed_ms: 5, is_old: true }
    }

    #[test]
    fn nothing_is_passed_before_every_lane_has_passed_it() {
        let lanes = [lane("a", "c1", Some(stream("8205"))), lane("b", "c1", Some(stream("8203")))];
        let slowest = slowest(&lanes, &identity("c1"));
        assert_eq!(slowest.projection, "b");
        assert!(slowest.has_passed(&row(Some(stream("8203")))));
        assert!(!slowest.has_passed(&row(Some(stream("8204")))));
    }

    #[test]
    fn a_projection_in_history_or_before_it_needs_everything() {
        let start = Token { data: "8209".into(), type_bits: None };
        for position in [None, Some(Position::Scan { start, key: None, beside: 0 })] {
            let lanes = [lane("a", "c1", Some(stream("8205"))), lane("b", "c1", position)];
            let slowest = slowest(&lanes, &identity("c1"));
            assert!(!slowest.has_passed(&row(Some(stream("8201")))));
            assert!(slowest.told().contains("`b`"), "{}", slowest.told());
        }
    }

    #[test]
    fn projections_of_other_outboxes_have_no_say_but_unknown_ones_have() {
        let mut lanes = [lane("a", "c1", Some(stream("8205"))), lane("b", "c2", None)];
        assert!(slowest(&lanes, &identity("c1")).has_passed(&row(Some(stream("8205")))));
        lanes[1].source = "{}".into();
        assert!(!slowest(&lanes, &identity("c1")).has_passed(&row(Some(stream("8205")))));
        assert!(!slowest(&[], &identity("c1")).has_passed(&row(Some(stream("8205")))));
    }

    #[test]
    fn a_row_has_one_mark_for_each_status() {
        let status = |id: &Id| if *id == Id::Integer(2) { "parked" } else { "applied" };
        let marks = marks(&row(None), status);
        let ids: Vec<_> = marks.iter().map(|mark| (mark.status, mark.ids.len(), mark.row)).collect();
        assert_eq!(ids, [("applied", 2, 7), ("parked", 1, 7)]);
    }
}
