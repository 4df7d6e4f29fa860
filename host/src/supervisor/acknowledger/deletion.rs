//! A round of deletions: what nobody needs any more goes from the outbox, and a note says so before.

use crate::failure::Failure;
use crate::pipeline::ports::Task;
use crate::position::Position;
use crate::readmodel::lane::acknowledge::{LaneAt, PendingAcknowledgement};
use crate::source::SourceIdentity;

/// What a round came to.
#[derive(Debug, Default)]
pub struct Round {
    /// Whether there is more to do at once.
    pub more: bool,
    /// What keeps documents from being deleted.
    pub obstacle: Option<String>,
}

/// What a round works on, so that a simulation can run the same.
pub trait Deletions: Send {
    /// How far the lanes of all projections are.
    fn all_lanes(&mut self) -> impl Task<Result<Vec<LaneAt>, Failure>>;
    /// The rows that wait, oldest first.
    fn waiting(&mut self) -> impl Task<Result<Vec<DeletionPage>, Failure>>;
    /// Notes that documents of the outbox are deleted.
    fn record_deletion(&mut self, identity: &SourceIdentity) -> impl Task<Result<(), Failure>>;
    /// Deletes the documents of rows, and is done with them.
    fn delete(&mut self, rows: &[PendingAcknowledgement]) -> impl Task<Result<(), Failure>>;
}

/// Rows of a lane that wait.
pub struct DeletionPage {
    pub rows: Vec<PendingAcknowledgement>,
    /// There may be more.
    pub is_full: bool,
}

/// Deletes what is old enough and needed by no projection.
pub async fn round<D: Deletions>(work: &mut D, identity: &SourceIdentity) -> Result<Round, Failure> {
    // First how far everybody is, then the letters: what is passed has its letter by now, if it gets one.
    let lanes = work.all_lanes().await?;
    let mut round = Round::default();
    let found = unneeded(work.waiting().await?, &slowest(&lanes, identity), &mut round);
    if found.is_empty() {
        return Ok(round);
    }
    // The note stands before each round's first deletion: an operator may have taken an earlier one away. A projection
    // that registered without having seen it is seen by the second look.
    work.record_deletion(identity).await?;
    let lanes = work.all_lanes().await?;
    let slowest = slowest(&lanes, identity);
    for mut rows in found {
        rows.retain(|row| slowest.has_passed(row));
        work.delete(&rows).await?;
    }
    Ok(round)
}

/// The rows of each page whose documents are old enough and needed by no projection.
fn unneeded(
    pages: Vec<DeletionPage>,
    slowest: &Slowest<'_>,
    round: &mut Round,
) -> Vec<Vec<PendingAcknowledgement>> {
    let mut found = Vec::new();
    for DeletionPage { mut rows, is_full } in pages {
        let ready = rows.iter().take_while(|row| row.is_old && slowest.has_passed(row)).count();
        if rows.get(ready).is_some_and(|row| row.is_old) {
            round.obstacle = Some(format!("nothing is deleted from the outbox: {}", slowest.told()));
        }
        round.more |= is_full && ready == rows.len();
        rows.truncate(ready);
        if !rows.is_empty() {
            found.push(rows);
        }
    }
    found
}

/// How far the slowest lane of all projections of an outbox is.
#[derive(Debug, PartialEq)]
struct Slowest<'a> {
    projection: &'a str,
    /// None while it may need all of history.
    position: Option<&'a Position>,
}

impl Slowest<'_> {
    fn has_passed(&self, row: &PendingAcknowledgement) -> bool {
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
    use crate::event::Id;
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

    fn row(bound: Option<Position>) -> PendingAcknowledgement {
        let ids = vec![Id::Integer(1), Id::Integer(2), Id::Integer(3)];
        PendingAcknowledgement { row: 7, ids, bound, committed_ms: 5, is_old: true }
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
}
