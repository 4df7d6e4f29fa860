//! Which events the live tables have: asked in one snapshot of MySQL, of the rows that were committed with them.
//!
//! Which generation is live is told by the witness, which changes its place together with the tables. A position only tells
//! that an event was passed, never what came of it.

mod rows;

use std::collections::{BTreeMap, HashMap, VecDeque};

use sqlx::mysql::MySqlRow;

use super::dead_letter::Letter;
use crate::event::Id;
use crate::failure::Failure;
use crate::fingerprint::Seed;
use crate::position::ClusterTime;
use crate::readmodel::control::control_db::ProjectionDb;
use crate::readmodel::mysql::error::classify;
use crate::readmodel::mysql::query::send;
use rows::{KnownOutcome, LaneCommits, LanesStanding, PAGE, WindowRow};

/// What became of an event, as far as the live tables are concerned.
#[derive(Debug, Clone, PartialEq)]
pub enum TakenAs {
    Applied,
    /// It came to no operation.
    Ignored,
    Discarded,
    /// It is a dead letter.
    Letter(Box<Letter>),
    /// It was taken, and what came of it is not said: by an older version of the host, or of a letter that is gone.
    Unsaid,
    /// Every lane has passed it long ago, and no letter is left of it.
    Passed,
    /// It was not taken yet, as far as is known.
    Pending {
        /// It may have been taken so long ago that it is not remembered. Otherwise it was not taken for certain.
        may_be_forgotten: bool,
    },
    /// Why it is not known.
    Unknown(&'static str),
}

/// What became of an event, and which row of the dedupe window says so.
#[derive(Debug, Clone, PartialEq)]
pub struct TakenFound {
    pub what: TakenAs,
    /// None for a letter, and where nothing says so.
    pub row: Option<u64>,
}

impl TakenFound {
    fn of(what: TakenAs) -> Self {
        Self { what, row: None }
    }
}

/// An event that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedEvent {
    pub id: Id,
    /// The cluster time of its commit to the outbox, or a later one.
    pub time: Option<ClusterTime>,
}

/// The newest events of the live generation by their marks, as they were when it was last looked.
pub struct RecentlyTaken {
    /// How many are remembered.
    size: usize,
    /// Of what they are; none before the first look.
    of: Option<(u32, BTreeMap<u32, LaneCommits>)>,
    seed: Option<Seed>,
    /// The last row of each lane that was read: a lane commits one batch after the other.
    last: BTreeMap<u32, u64>,
    /// Which older rows are to be read still, all before this one; none when enough were.
    unread: Option<u64>,
    known: HashMap<u128, (u64, KnownOutcome)>,
    order: VecDeque<(u128, u64)>,
    /// How many events the rows that were read stand for, and whether all of them are remembered.
    read: u64,
    has_forgotten: bool,
}

impl RecentlyTaken {
    /// Remembers so many events.
    pub fn new(size: usize) -> Self {
        let (last, known, order) = (BTreeMap::new(), HashMap::new(), VecDeque::new());
        Self { size, of: None, seed: None, last, unread: None, known, order, read: 0, has_forgotten: false }
    }

    /// What became of these events, in their order. `db` is in the database of the live tables; after a failure its session
    /// must not be used again. What was read before a failure, or before this was given up, is not read again.
    pub async fn look(
        &mut self,
        db: &mut ProjectionDb<'_>,
        asked: &[AskedEvent],
    ) -> Result<Vec<TakenFound>, Failure> {
        let failed = |error: sqlx::Error| classify("looking for events", &error);
        loop {
            for begin in [
                "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
                "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
            ] {
                send(db.connection(), begin).await.map_err(failed)?;
            }
            let taken = self.look_now(db, asked).await?;
            send(db.connection(), "COMMIT").await.map_err(failed)?;
            if let Some(taken) = taken {
                return Ok(taken);
            }
        }
    }

    /// What became of these events; none where more rows are to be read first, in another transaction: one that lasts would hold
    /// up whoever renames the tables.
    async fn look_now(
        &mut self,
        db: &mut ProjectionDb<'_>,
        asked: &[AskedEvent],
    ) -> Result<Option<Vec<TakenFound>>, Failure> {
        let Some(live) = db.live_lanes().await? else {
            self.forget();
            let may_be_forgotten = !db.has_taken_nothing().await?;
            return Ok(Some(vec![TakenFound::of(TakenAs::Pending { may_be_forgotten }); asked.len()]));
        };
        if !live.agree {
            self.forget();
            let why = "the tables and the control schema were restored to different moments";
            return Ok(Some(vec![TakenFound::of(TakenAs::Unknown(why)); asked.len()]));
        }
        let seed = match self.seed {
            Some(seed) => seed,
            None => *self.seed.insert(db.seed().await?),
        };
        if !self.goes_on_in(&live) {
            self.forget();
            self.last = db.last_dedupe_rows(live.generation).await?;
            self.unread = Some(u64::MAX);
        }
        self.of = Some((live.generation, live.lanes.clone()));
        if let Some(before) = self.unread {
            let rows = db.older_dedupe_rows(live.generation, before).await?;
            self.unread = self.learn_older(seed, &rows)?;
            return Ok(None);
        }
        let rows = db.newer_dedupe_rows(live.generation, live.lanes.keys(), &self.last).await?;
        self.learn(seed, &rows)?;
        if rows.len() >= PAGE {
            return Ok(None);
        }
        let keys: Vec<Vec<u8>> = asked.iter().map(|one| one.id.key()).collect();
        let wanted: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
        let mut letters = HashMap::new();
        if !wanted.is_empty() {
            let found = db.letters_of_events(live.generation, &wanted).await?;
            letters.extend(found.into_iter().map(|letter| (letter.event_key.clone(), letter)));
        }
        let pending = TakenAs::Pending { may_be_forgotten: !self.remembers_all(&live) };
        let answer = |(one, key): (&AskedEvent, Vec<u8>)| {
            let (known, letter) = (self.known.get(&seed.mark(&one.id)), letters.get(&Some(key)));
            let row = known.map(|(row, _)| *row).filter(|_| letter.is_none());
            let outcome = known.map(|(_, outcome)| *outcome);
            TakenFound { what: answer(letter, outcome, one.time, pending.clone(), &live), row }
        };
        Ok(Some(asked.iter().zip(keys).map(answer).collect()))
    }

    /// Forgets what was read.
    fn forget(&mut self) {
        *self = Self { seed: self.seed, ..Self::new(self.size) };
    }

    /// Returns true where the live tables are those of which this was read, and have gone on since. A restored backup has fewer batches,
    /// or those of other runs.
    fn goes_on_in(&self, live: &LanesStanding) -> bool {
        let Some((generation, lanes)) = &self.of else { return false };
        let went_on = |(before, now): (&LaneCommits, &LaneCommits)| {
            before.stamp == now.stamp && before.batch <= now.batch
        };
        *generation == live.generation
            && lanes.keys().eq(live.lanes.keys())
            && lanes.values().zip(live.lanes.values()).all(went_on)
    }

    /// Returns true where every event that the live lanes have marked is remembered: one that is not was not taken. `live` is of the
    /// moment at which the last rows were read.
    fn remembers_all(&self, live: &LanesStanding) -> bool {
        !self.has_forgotten && live.marked == Some(self.read)
    }

    /// Counts a row's events. One that cannot be read does not count, and is missed.
    fn count(&mut self, row: &WindowRow) {
        if row.counts {
            self.read += row.outcomes.len() as u64;
        }
    }

    /// Learns from rows, the oldest first.
    fn learn(&mut self, seed: Seed, rows: &[MySqlRow]) -> Result<(), Failure> {
        for row in rows {
            let row = WindowRow::of(row)?;
            let last = self.last.entry(row.lane).or_default();
            *last = row.id.max(*last);
            self.count(&row);
            for (key, outcome) in row.outcomes {
                self.remember(seed.mark(&key), row.id, outcome);
            }
        }
        Ok(())
    }

    /// Learns from rows that are older than what is known, the newest first. Before which row there is more to read.
    fn learn_older(&mut self, seed: Seed, rows: &[MySqlRow]) -> Result<Option<u64>, Failure> {
        let mut before = None;
        for row in rows {
            let row = WindowRow::of(row)?;
            before = Some(row.id);
            self.count(&row);
            for (key, outcome) in row.outcomes.into_iter().rev() {
                self.remember_older(seed.mark(&key), row.id, outcome);
            }
        }
        Ok(before.filter(|_| rows.len() >= PAGE && self.order.len() < self.size))
    }

    /// What a later row says counts.
    fn remember(&mut self, mark: u128, row: u64, outcome: KnownOutcome) {
        let before = self.known.get(&mark).map(|(row, _)| *row);
        if before.is_some_and(|before| before >= row) {
            return;
        }
        self.known.insert(mark, (row, outcome));
        self.order.push_back((mark, row));
        while self.order.len() > self.size {
            let Some((oldest, row)) = self.order.pop_front() else { break };
            if self.known.get(&oldest).is_some_and(|(found, _)| *found == row) {
                self.known.remove(&oldest);
                self.has_forgotten = true;
            }
        }
    }

    /// What is known already is of a later row.
    fn remember_older(&mut self, mark: u128, row: u64, outcome: KnownOutcome) {
        if self.known.contains_key(&mark) {
            return;
        }
        if self.order.len() < self.size {
            self.known.insert(mark, (row, outcome));
            self.order.push_front((mark, row));
        } else {
            self.has_forgotten = true;
        }
    }
}

/// What is answered of an event. `time` and `pending` are about one of which nothing is known.
fn answer(
    letter: Option<&Letter>,
    known: Option<KnownOutcome>,
    time: Option<ClusterTime>,
    pending: TakenAs,
    live: &LanesStanding,
) -> TakenAs {
    if let Some(letter) = letter {
        return TakenAs::Letter(Box::new(letter.clone()));
    }
    match known {
        Some(KnownOutcome::Done) => return TakenAs::Applied,
        Some(KnownOutcome::Ignored) => return TakenAs::Ignored,
        Some(KnownOutcome::Discarded) => return TakenAs::Discarded,
        Some(KnownOutcome::Unsaid) => return TakenAs::Unsaid,
        None => {}
    }
    let (Some(time), Some(passed)) = (time, live.passed) else { return pending };
    match live.streams_since {
        _ if passed <= time => pending,
        Some(since) if since < time => TakenAs::Passed,
        _ => TakenAs::Unknown(
            "the live tables were made from history that may have lacked it, and the host does not remember it",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(passed: Option<u32>, since: Option<u32>) -> LanesStanding {
        let at = |seconds| ClusterTime { seconds, increment: 1 };
        let (passed, streams_since) = (passed.map(at), since.map(at));
        let lanes = BTreeMap::new();
        LanesStanding { generation: 1, lanes, agree: true, passed, streams_since, marked: Some(0) }
    }

    #[test]
    fn a_position_proves_no_more_than_that_an_event_of_the_stream_was_passed() {
        let at = |seconds| Some(ClusterTime { seconds, increment: 1 });
        let pending = TakenAs::Pending { may_be_forgotten: true };
        let of = |time, live: LanesStanding| answer(None, None, time, pending.clone(), &live);
        assert_eq!(of(None, live(Some(9), Some(1))), pending, "nobody knows when it was written");
        assert_eq!(of(at(5), live(Some(9), Some(1))), TakenAs::Passed);
        for passed in [Some(5), Some(4), None] {
            assert_eq!(of(at(5), live(passed, Some(1))), pending, "{passed:?}");
        }
        for since in [Some(5), Some(6), None] {
            assert!(matches!(of(at(5), live(Some(9), since)), TakenAs::Unknown(_)), "{since:?}");
        }
        let done = answer(None, Some(KnownOutcome::Done), at(9), pending, &live(None, None));
        assert_eq!(done, TakenAs::Applied);
    }

    #[test]
    fn what_is_not_known_is_pending_for_certain_only_while_every_marked_event_is_remembered() {
        let mut recent = RecentlyTaken::new(2);
        let with = |marked| LanesStanding { marked, ..live(None, None) };
        let row = |id, counts, ids: &[i64]| {
            let outcomes = ids.iter().map(|id| (Id::Integer(*id), KnownOutcome::Done)).collect();
            WindowRow { id, lane: 0, counts, outcomes }
        };
        assert!(recent.remembers_all(&with(Some(0))));
        recent.count(&row(1, true, &[1, 2]));
        recent.count(&row(2, false, &[1]));
        assert!(recent.remembers_all(&with(Some(2))), "a row about a letter stands for no other event");
        assert!(
            !recent.remembers_all(&with(Some(3))),
            "a row was pruned, or holds an id that cannot be read"
        );
        assert!(!recent.remembers_all(&with(None)), "an older host did not count them");
        for (mark, row) in [(1, 1), (2, 1), (1, 2)] {
            recent.remember(mark, row, KnownOutcome::Done);
        }
        assert!(recent.remembers_all(&with(Some(2))), "what gave way was the older place of one of the two");
        recent.remember(3, 3, KnownOutcome::Done);
        assert!(!recent.remembers_all(&with(Some(2))), "the oldest gave way");
        recent.forget();
        assert!(recent.remembers_all(&with(Some(0))));
        for mark in [1, 2, 3] {
            recent.remember_older(mark, 1, KnownOutcome::Done);
        }
        assert!(!recent.remembers_all(&with(Some(0))), "there was no room for the oldest");
    }

    #[test]
    fn what_was_read_counts_while_the_tables_go_on_and_not_once_they_were_restored() {
        let mut recent = RecentlyTaken::new(2);
        let with = |generation, lanes: &[(u32, u64, u64)]| {
            let lanes = lanes.iter().map(|&(lane, batch, stamp)| (lane, LaneCommits { batch, stamp }));
            LanesStanding { generation, lanes: lanes.collect(), ..live(None, None) }
        };
        assert!(!recent.goes_on_in(&with(1, &[(0, 5, 7)])), "nothing was read");
        recent.of = Some((1, with(1, &[(0, 5, 7), (1, 9, 8)]).lanes));
        for (goes_on, generation, lanes) in [
            (true, 1, &[(0, 5, 7), (1, 9, 8)][..]),
            (true, 1, &[(0, 6, 7), (1, 9, 8)]),
            (false, 2, &[(0, 6, 7), (1, 9, 8)]),
            (false, 1, &[(0, 6, 7), (1, 8, 8)]),
            (false, 1, &[(0, 6, 7), (1, 10, 9)]),
            (false, 1, &[(0, 6, 7)]),
            (false, 1, &[(0, 6, 7), (1, 9, 8), (2, 1, 1)]),
        ] {
            assert_eq!(recent.goes_on_in(&with(generation, lanes)), goes_on, "{generation} {lanes:?}");
        }
    }

    #[test]
    fn older_rows_are_read_until_enough_is_known_and_change_nothing_that_is() {
        let mut recent = RecentlyTaken::new(2);
        recent.remember(1, 9, KnownOutcome::Discarded);
        recent.remember_older(1, 5, KnownOutcome::Done);
        recent.remember_older(2, 5, KnownOutcome::Done);
        recent.remember_older(3, 4, KnownOutcome::Done);
        assert_eq!(recent.known[&1], (9, KnownOutcome::Discarded));
        assert_eq!(recent.order, [(2, 5), (1, 9)], "the oldest first");
        recent.remember(4, 10, KnownOutcome::Ignored);
        assert!(!recent.known.contains_key(&2) && recent.known.contains_key(&1));
    }

    #[test]
    fn what_a_later_row_says_counts_and_the_oldest_gives_way() {
        let mut recent = RecentlyTaken::new(2);
        recent.remember(1, 5, KnownOutcome::Done);
        recent.remember(1, 9, KnownOutcome::Discarded);
        recent.remember(1, 7, KnownOutcome::Ignored);
        assert_eq!(recent.known[&1], (9, KnownOutcome::Discarded));
        recent.remember(2, 10, KnownOutcome::Done);
        assert_eq!(
            (recent.known.len(), recent.order.len()),
            (2, 2),
            "the place before gave way, not the event"
        );
        recent.remember(3, 11, KnownOutcome::Done);
        assert!(!recent.known.contains_key(&1) && recent.known.contains_key(&3));
    }
}
