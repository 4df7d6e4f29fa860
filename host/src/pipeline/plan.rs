//! The plan of a batch: each delivery is applied, passed by (an event that was applied before is a duplicate), parked, or held
//! behind a dead letter.
//!
//! Pure. It knows which aggregates are blocked and which events were applied lately; it learns from committed batches
//! only.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::window::DedupeWindow;
use crate::event::{Aggregate, Delivery};
use crate::failure::Failure;
use crate::fingerprint::{MarkSet, Seed};
use crate::position::Position;
use crate::projector::{JudgedOutcome, Outcome};
use crate::readmodel::lane::apply::{Final, LoadedLane};
use crate::readmodel::lane::batch::{Batch, Entry, Passed, Verdict};
use crate::readmodel::lane::dead_letter::Discarded;
use crate::statement::Deployed;

/// Deliveries with what the component made of each, not yet judged against what the lane knows.
#[derive(Debug, Clone, PartialEq)]
pub struct ProjectedBatch {
    pub entries: Vec<(Delivery, JudgedOutcome)>,
    pub position: Position,
    pub version: Arc<Deployed>,
}

/// A lane's knowledge of its past.
pub struct Planner {
    seed: Seed,
    blocked: HashSet<Vec<u8>>,
    window: Arc<DedupeWindow>,
    discarded: Discarded,
}

impl Planner {
    pub fn new(state: LoadedLane, window: Arc<DedupeWindow>) -> Self {
        Self {
            seed: state.seed,
            blocked: state.blocked.into_iter().collect(),
            window,
            discarded: state.discarded,
        }
    }

    /// Plans a batch from what was projected.
    pub fn plan(&self, projected: ProjectedBatch) -> Batch {
        let (mut seen, mut parked) = (MarkSet::default(), HashSet::new());
        seen.reserve(projected.entries.len());
        let mut entries = Vec::with_capacity(projected.entries.len());
        let window = self.window.marks();
        for (delivery, outcome) in projected.entries {
            let mark = delivery.id().map(|id| self.seed.mark(id));
            let is_again = mark.is_some_and(|mark| seen.contains(&mark) || window.contains(mark));
            let verdict = if is_again {
                Verdict::Pass(Passed::Duplicate)
            } else {
                self.verdict(&delivery, outcome, &parked)
            };
            if let (Verdict::Park { .. }, Some(aggregate)) = (&verdict, delivery.aggregate()) {
                parked.insert(aggregate.key());
            }
            seen.extend(mark);
            entries.push(Entry { delivery, verdict, mark });
        }
        Batch { entries, position: projected.position, version: projected.version }
    }

    /// Learns from a batch that is committed.
    pub fn committed(&mut self, batch: &Batch) {
        let mut window = self.window.marks();
        for entry in &batch.entries {
            if let (Verdict::Park { .. }, Some(aggregate)) = (&entry.verdict, entry.delivery.aggregate()) {
                self.blocked.insert(aggregate.key());
            }
            if let Some(mark) = entry.mark {
                window.insert(mark);
            }
        }
    }

    /// Holds what a batch has of aggregates that were blocked after it was planned: by the half that came before it.
    pub fn hold_blocked(&self, batch: &mut Batch) {
        if self.blocked.is_empty() {
            return;
        }
        for entry in &mut batch.entries {
            let aggregate = entry.delivery.aggregate().map(Aggregate::key);
            let is_open = matches!(entry.verdict, Verdict::Apply(_) | Verdict::Park { .. });
            if is_open && aggregate.is_some_and(|aggregate| self.blocked.contains(&aggregate)) {
                entry.verdict = Verdict::Hold;
            }
        }
    }

    /// Learns that an aggregate has no letters any more.
    pub fn unblock(&mut self, aggregate_key: &[u8]) {
        self.blocked.remove(aggregate_key);
    }

    /// Learns that an event was discarded.
    pub fn discard(&mut self, document_key: [u8; 16], event_id: Option<String>) {
        self.discarded.insert(document_key, event_id);
    }

    /// The verdict on a delivery that is in the window for the first time.
    fn verdict(&self, delivery: &Delivery, outcome: JudgedOutcome, parked: &HashSet<Vec<u8>>) -> Verdict {
        if self.discarded.contains(delivery, &self.seed) {
            return Verdict::Pass(Passed::Discarded);
        }
        let verdict = match outcome {
            Outcome::Unhandled => return Verdict::Pass(Passed::Unhandled),
            Outcome::Ignored => return Verdict::Pass(Passed::Ignored),
            Outcome::Apply(operations) => Verdict::Apply(operations),
            Outcome::Failed(failure) => Verdict::Park { failure, operations: vec![] },
        };
        let is_blocked = |key: Vec<u8>| self.blocked.contains(&key) || parked.contains(&key);
        let any_blocked = !self.blocked.is_empty() || !parked.is_empty();
        if any_blocked && delivery.aggregate().is_some_and(|aggregate| is_blocked(aggregate.key())) {
            return Verdict::Hold;
        }
        verdict
    }
}

/// A batch that MySQL refused, with what was found about it.
#[derive(Debug, PartialEq)]
pub struct Isolated {
    /// The batch that can be committed now, up to the first entry that has to wait; none when that is the first one.
    pub now: Option<Batch>,
    /// The rest, beginning with an entry whose refusal cannot be judged yet.
    pub later: Option<Batch>,
}

/// Parks the entries that MySQL refused, by their index, and holds what comes behind them in their aggregates. From
/// the first one on that cannot be judged yet, the batch waits.
pub fn isolate(batch: Batch, refused: Vec<(usize, Failure)>, is_final: Final<'_>) -> Isolated {
    let mut refused: HashMap<usize, Failure> = refused.into_iter().collect();
    let waits = |(index, failure): (&usize, &Failure)| {
        (!is_final(failure, &batch.entries[*index].delivery.position)).then_some(*index)
    };
    let split = refused.iter().filter_map(waits).min();
    let mut parked = HashSet::new();
    let entries = batch.entries.into_iter().enumerate().map(|(index, entry)| {
        let aggregate = entry.delivery.aggregate().map(Aggregate::key);
        let held = aggregate.as_ref().is_some_and(|aggregate| parked.contains(aggregate));
        let judged = split.is_none_or(|split| index < split);
        let verdict = match (entry.verdict, refused.remove(&index).filter(|_| judged)) {
            (Verdict::Pass(reason), _) => Verdict::Pass(reason),
            _ if held => Verdict::Hold,
            (Verdict::Apply(operations), Some(failure)) => Verdict::Park { failure, operations },
            (verdict, _) => verdict,
        };
        if let (Verdict::Park { .. }, Some(aggregate)) = (&verdict, aggregate) {
            parked.insert(aggregate);
        }
        Entry { verdict, ..entry }
    });
    let mut now: Vec<Entry> = entries.collect();
    let Some(split) = split else {
        return Isolated { now: Some(Batch { entries: now, ..batch }), later: None };
    };
    let later =
        Batch { entries: now.split_off(split), position: batch.position, version: batch.version.clone() };
    let now = now.last().map(|last| last.delivery.position.clone()).map(|position| Batch {
        entries: now,
        position,
        version: batch.version,
    });
    Isolated { now, later: Some(later) }
}

/// A batch as two halves; as it was when it is a single delivery.
pub fn halve(batch: Batch) -> Isolated {
    let middle = batch.entries.len() / 2;
    split(batch, middle)
}

/// A batch in two, the first with so many deliveries; as it was when there would be none in one of them.
pub fn split(mut batch: Batch, at: usize) -> Isolated {
    if at == 0 || at >= batch.entries.len() {
        return Isolated { now: Some(batch), later: None };
    }
    let entries = batch.entries.split_off(at);
    let position = batch.entries[at - 1].delivery.position.clone();
    let later = Batch { entries, position: batch.position, version: batch.version.clone() };
    Isolated {
        now: Some(Batch { entries: batch.entries, position, version: batch.version }),
        later: Some(later),
    }
}

/// Ends a batch behind its first parked entry. Whether there is one.
pub fn end_at_first_parked(batch: &mut Batch) -> bool {
    let parked = |entry: &Entry| matches!(entry.verdict, Verdict::Park { .. });
    let Some(index) = batch.entries.iter().position(parked) else { return false };
    batch.entries.truncate(index + 1);
    batch.position.clone_from(&batch.entries[index].delivery.position);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Id, Undecodable};
    use crate::fingerprint::Fingerprint;
    use crate::position::Token;
    use crate::readmodel::lane::checkpoint::LaneRow;
    use crate::readmodel::lane::dead_letter::document_key;
    use crate::statement::Operation;

    fn position() -> Position {
        Position::Stream { token: Token { data: "82".into(), type_bits: None } }
    }

    fn delivery(id: i64, aggregate: i64) -> Delivery {
        let event = Event {
            id: Id::Integer(id),
            event_type: "T".into(),
            version: 1,
            aggregate: Aggregate { kind: "a".into(), id: Id::Integer(aggregate) },
            sequence: None,
            occurred_at: None,
            payload: "{}".into(),
            metadata: "{}".into(),
        };
        Delivery {
            position: position(),
            time: None,
            wall_ms: None,
            document: Arc::from(&b"x"[..]),
            event: Ok(Arc::new(event)),
        }
    }

    fn undecodable() -> Delivery {
        let event = Err(Undecodable { reason: "no type".into(), field: None, id: None, aggregate: None });
        Delivery { event, ..delivery(0, 0) }
    }

    fn trapped() -> Failure {
        Failure::Trapped { message: "boom".into() }
    }

    fn planner(window: usize) -> Planner {
        let row = LaneRow {
            lane: 0,
            epoch: 1,
            batch: 0,
            position: position(),
            digest: String::new(),
            events: 0,
            parked: 0,
            fingerprint: Fingerprint::default(),
            known_events: 0,
            anchor: None,
            connection_id: None,
        };
        let seed = Seed::new([1; 16]);
        Planner::new(
            LoadedLane { row, seed, blocked: vec![], discarded: Discarded::default() },
            Arc::new(DedupeWindow::new(window, [])),
        )
    }

    fn good() -> JudgedOutcome {
        Outcome::Apply(vec![Operation { statement: 0, parameters: vec![] }])
    }

    fn failed() -> JudgedOutcome {
        Outcome::Failed(trapped())
    }

    fn plan(planner: &Planner, entries: Vec<(Delivery, JudgedOutcome)>) -> Batch {
        planner.plan(ProjectedBatch { entries, position: position(), version: Deployed::empty("d") })
    }

    /// One letter a verdict: Applied, passed as Duplicate or Unhandled or Ignored or X (discarded), Parked, Held.
    fn letters(batch: &Batch) -> String {
        let letter = |entry: &Entry| match entry.verdict {
            Verdict::Apply(_) => 'A',
            Verdict::Pass(Passed::Duplicate) => 'D',
            Verdict::Pass(Passed::Unhandled) => 'U',
            Verdict::Pass(Passed::Discarded) => 'X',
            Verdict::Pass(Passed::Ignored) => 'I',
            Verdict::Park { .. } => 'P',
            Verdict::Hold => 'H',
        };
        batch.entries.iter().map(letter).collect()
    }

    #[test]
    fn later_events_of_an_aggregate_are_held_behind_a_parked_one_and_others_go_on() {
        let mut planner = planner(100);
        let batch = plan(
            &planner,
            vec![
                (delivery(1, 7), good()),
                (delivery(2, 7), failed()),
                (delivery(3, 7), good()),
                (delivery(4, 8), good()),
                (delivery(5, 7), failed()),
            ],
        );
        assert_eq!(letters(&batch), "APHAH");
        planner.committed(&batch);
        let batch = plan(&planner, vec![(delivery(6, 7), good()), (delivery(7, 8), good())]);
        assert_eq!(letters(&batch), "HA");
        planner.unblock(&batch.entries[0].delivery.aggregate().expect("it has one").key());
        assert_eq!(letters(&plan(&planner, vec![(delivery(8, 7), good())])), "A");
    }

    #[test]
    fn a_document_without_an_aggregate_is_parked_alone() {
        let planner = planner(100);
        let batch = plan(&planner, vec![(undecodable(), failed()), (delivery(1, 7), good())]);
        assert_eq!(letters(&batch), "PA");
    }

    #[test]
    fn an_event_is_applied_once_within_the_window() {
        let mut planner = planner(2);
        let batch = plan(&planner, vec![(delivery(1, 7), good()), (delivery(1, 7), good())]);
        assert_eq!(letters(&batch), "AD");
        planner.committed(&batch);
        assert_eq!(letters(&plan(&planner, vec![(delivery(1, 7), good())])), "D");
        let batch = plan(&planner, vec![(delivery(2, 7), good()), (delivery(3, 7), good())]);
        planner.committed(&batch);
        assert_eq!(letters(&plan(&planner, vec![(delivery(1, 7), good())])), "A");
    }

    #[test]
    fn nothing_is_learned_from_a_batch_that_is_not_committed() {
        let planner = planner(100);
        let entries = || vec![(delivery(1, 7), failed()), (delivery(2, 7), good())];
        assert_eq!(letters(&plan(&planner, entries())), "PH");
        assert_eq!(letters(&plan(&planner, vec![(delivery(2, 7), good())])), "A");
    }

    #[test]
    fn types_nobody_takes_and_discarded_events_pass_even_where_the_aggregate_is_blocked() {
        let mut planner = planner(100);
        planner.committed(&plan(&planner, vec![(delivery(1, 7), failed())]));
        let id = |delivery: &Delivery| delivery.id().map(ToString::to_string);
        planner.discard(document_key(&delivery(3, 7)), id(&delivery(3, 7)));
        // Another one's key is no proof.
        planner.discard(document_key(&delivery(2, 8)), id(&delivery(3, 7)));
        assert_eq!(letters(&plan(&planner, vec![(delivery(2, 8), good())])), "A");
        let batch = plan(
            &planner,
            vec![
                (delivery(2, 7), Outcome::Unhandled),
                (delivery(3, 7), good()),
                (delivery(4, 7), Outcome::Ignored),
            ],
        );
        assert_eq!(letters(&batch), "UXI");
    }

    #[test]
    fn what_mysql_refused_is_parked_and_its_aggregate_held() {
        let planner = planner(100);
        let entries =
            [7, 8, 7, 9].into_iter().zip(1..).map(|(aggregate, id)| (delivery(id, aggregate), good()));
        let batch = plan(&planner, entries.collect());
        let isolated = isolate(batch, vec![(0, trapped()), (3, trapped())], &|_, _| true);
        assert_eq!(isolated.later, None);
        let batch = isolated.now.expect("all of it is judged");
        assert_eq!(letters(&batch), "PAHP");
        let Verdict::Park { operations, .. } = &batch.entries[0].verdict else { panic!("it is parked") };
        assert_eq!(operations.len(), 1);
    }

    #[test]
    fn a_batch_is_halved_down_to_a_single_delivery() {
        let entries = [7, 8, 9].into_iter().zip(1..).map(|(aggregate, id)| (delivery(id, aggregate), good()));
        let halves = halve(plan(&planner(100), entries.collect()));
        assert_eq!(halves.now.as_ref().map(letters).as_deref(), Some("A"));
        assert_eq!(halves.later.as_ref().map(letters).as_deref(), Some("AA"));
        let single = halve(halves.now.expect("there is one"));
        assert_eq!((single.now.as_ref().map(letters).as_deref(), single.later), (Some("A"), None));
    }

    #[test]
    fn where_the_streams_order_counts_a_batch_ends_with_its_first_parked_event() {
        let entries = vec![(delivery(1, 7), good()), (delivery(2, 8), failed()), (delivery(3, 9), failed())];
        let mut batch = plan(&planner(100), entries);
        assert!(end_at_first_parked(&mut batch));
        assert_eq!(letters(&batch), "AP");
        let mut batch = plan(&planner(100), vec![(delivery(1, 7), good())]);
        assert!(!end_at_first_parked(&mut batch));
        assert_eq!(letters(&batch), "A");
    }

    #[test]
    fn a_batch_is_cut_before_the_first_entry_that_cannot_be_judged_yet() {
        let batch = || {
            let entries =
                [7, 8, 9, 7, 9].into_iter().zip(1..).map(|(aggregate, id)| (delivery(id, aggregate), good()));
            plan(&planner(100), entries.collect())
        };
        let conflict = Failure::KeyConflict { code: 1452, message: String::new() };
        let refused = || vec![(0, trapped()), (2, conflict.clone())];
        let is_final = |failure: &Failure, _: &Position| failure.class() != "key-conflict";
        let isolated = isolate(batch(), refused(), &is_final);
        assert_eq!(isolated.now.as_ref().map(letters).as_deref(), Some("PA"));
        // What is behind the parked one waits with it; the entry that cannot be judged is tried again as it is.
        assert_eq!(isolated.later.as_ref().map(letters).as_deref(), Some("AHA"));
        let isolated = isolate(batch(), vec![(0, conflict.clone())], &is_final);
        assert_eq!(isolated.now, None);
        assert_eq!(isolated.later.as_ref().map(letters).as_deref(), Some("AAAAA"));
    }
}
