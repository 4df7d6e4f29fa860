//! Which events the live tables have: asked in one snapshot of MySQL, of the rows that were committed with them.
//!
//! Which generation is live is told by the witness, which changes its place together with the tables. A position only tells
//! that an event was passed, never what came of it.

use std::collections::{BTreeMap, HashMap, VecDeque};

use sqlx::Row;
use sqlx::mysql::MySqlRow;

use super::checkpoint::unpacked_time;
use super::dead_letter::{self, Letter};
use super::dedupe::unpacked;
use super::witness;
use crate::event::Id;
use crate::failure::{Failure, RUN_NEWER};
use crate::fingerprint::Seed;
use crate::position::{ClusterTime, Position};
use crate::readmodel::control::schema::Control;
use crate::readmodel::mysql::error::{classify, number};
use crate::readmodel::mysql::query::{RunQuery, send};
use crate::readmodel::mysql::session::Session;

/// How many rows of the dedupe window are read at a time.
const PAGE: u32 = 200;

/// Code of MySQL for a table that is not there.
const NO_SUCH_TABLE: u16 = 1146;

/// What became of an event, as far as the live tables are concerned.
#[derive(Debug, Clone, PartialEq)]
pub enum TakenAs {
    Applied,
    /// It came to no operation.
    Ignored,
    Discarded,
    /// It is a dead letter.
    Letter(Box<Letter>),
    /// It was taken, and an older version of the host has not said what came of it.
    Unsaid,
    /// Every lane has passed it long ago, and no letter is left of it.
    Passed,
    /// It was not taken yet, as far as is known.
    Pending,
    /// Why it is not known.
    Unknown(&'static str),
}

/// An event that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedEvent {
    pub id: Id,
    /// The cluster time of its commit to the outbox, or a later one.
    pub time: Option<ClusterTime>,
}

/// What a row says of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Done,
    Ignored,
    Discarded,
    Unsaid,
}

/// The newest events of the live generation by their marks, as they were when it was last looked.
pub struct RecentlyTaken {
    /// How many are remembered.
    size: usize,
    /// Of which generation they are; none before the first look.
    generation: Option<u32>,
    seed: Option<Seed>,
    /// The last row of each lane that was read: a lane commits one batch after the other.
    last: BTreeMap<u32, u64>,
    known: HashMap<u128, (u64, Outcome)>,
    order: VecDeque<(u128, u64)>,
}

/// How the lanes of the live generation stand.
struct LanesStanding {
    generation: u32,
    /// The lanes' numbers.
    lanes: Vec<u32>,
    /// The witness and the checkpoints are of one moment.
    agree: bool,
    /// Everything before was committed by every lane; none while history is read.
    passed: Option<ClusterTime>,
    /// What is newer came from the stream.
    streams_since: Option<ClusterTime>,
}

impl RecentlyTaken {
    /// Remembers so many events.
    pub fn new(size: usize) -> Self {
        let (last, known, order) = (BTreeMap::new(), HashMap::new(), VecDeque::new());
        Self { size, generation: None, seed: None, last, known, order }
    }

    /// What became of these events, in their order. `session` is in the database of the live tables; after a failure it must
    /// not be used again, and nor must this.
    pub async fn look(
        &mut self,
        session: &mut Session,
        control: &Control,
        projection: &str,
        asked: &[AskedEvent],
    ) -> Result<Vec<TakenAs>, Failure> {
        let failed = |error: sqlx::Error| classify("looking for events", &error);
        for begin in [
            "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
            "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
        ] {
            send(&mut session.connection, begin).await.map_err(failed)?;
        }
        let taken = self.look_now(session, control, projection, asked).await?;
        send(&mut session.connection, "COMMIT").await.map_err(failed)?;
        Ok(taken)
    }

    async fn look_now(
        &mut self,
        session: &mut Session,
        control: &Control,
        projection: &str,
        asked: &[AskedEvent],
    ) -> Result<Vec<TakenAs>, Failure> {
        let Some(live) = live_lanes(session, control, projection).await? else {
            return Ok(vec![TakenAs::Pending; asked.len()]);
        };
        if !live.agree {
            let why = "the tables and the control schema were restored to different moments";
            return Ok(vec![TakenAs::Unknown(why); asked.len()]);
        }
        let at = (projection, live.generation);
        let seed = match self.seed {
            Some(seed) => seed,
            None => *self.seed.insert(control.seed(session).await?),
        };
        if self.generation == Some(live.generation) {
            let rows = newer(session, control, at, &live.lanes, &self.last).await?;
            self.learn(seed, &rows)?;
        } else {
            *self = Self { seed: self.seed, ..Self::new(self.size) };
            self.last = last_rows(session, control, at).await?;
            let rows = newest(session, control, at, self.size).await?;
            self.learn(seed, &rows)?;
            self.generation = Some(live.generation);
        }
        let keys: Vec<Vec<u8>> = asked.iter().map(|one| one.id.key()).collect();
        let wanted: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
        let mut letters = HashMap::new();
        if !wanted.is_empty() {
            let found = dead_letter::of_events(session, control, at, &wanted).await?;
            letters.extend(found.into_iter().map(|letter| (letter.event_key.clone(), letter)));
        }
        let answer = |(one, key): (&AskedEvent, Vec<u8>)| {
            let known = self.known.get(&seed.mark(&one.id)).map(|(_, outcome)| *outcome);
            answer(letters.get(&Some(key)), known, one.time, &live)
        };
        Ok(asked.iter().zip(keys).map(answer).collect())
    }

    /// Learns from rows, the oldest first.
    fn learn(&mut self, seed: Seed, rows: &[MySqlRow]) -> Result<(), Failure> {
        let failed = |error: sqlx::Error| classify("reading the dedupe window", &error);
        for row in rows {
            let (id, lane): (u64, u32) = (row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?);
            let bytes: &[u8] = row.try_get(2).map_err(failed)?;
            let from: (Option<u32>, Option<u32>) =
                (row.try_get(3).map_err(failed)?, row.try_get(4).map_err(failed)?);
            let last = self.last.entry(lane).or_default();
            *last = id.max(*last);
            for (key, outcome) in outcomes(bytes, from) {
                self.remember(seed.mark(&key), id, outcome);
            }
        }
        Ok(())
    }

    /// What a later row says counts.
    fn remember(&mut self, mark: u128, row: u64, outcome: Outcome) {
        let before = self.known.get(&mark).map(|(row, _)| *row);
        if before.is_some_and(|before| before > row) {
            return;
        }
        self.known.insert(mark, (row, outcome));
        self.order.push_back((mark, row));
        while self.order.len() > self.size {
            let Some((oldest, row)) = self.order.pop_front() else { break };
            if self.known.get(&oldest).is_some_and(|(found, _)| *found == row) {
                self.known.remove(&oldest);
            }
        }
    }
}

/// The ids of a row, with what it says of each.
fn outcomes(bytes: &[u8], from: (Option<u32>, Option<u32>)) -> Vec<(Id, Outcome)> {
    let mut at = 0;
    let (ignored, discarded) = (from.0.map(|from| from as usize), from.1.map(|from| from as usize));
    let outcome = |id: Id| {
        let outcome = match (ignored, discarded) {
            (_, Some(discarded)) if at >= discarded => Outcome::Discarded,
            (Some(ignored), Some(_)) if at >= ignored => Outcome::Ignored,
            (Some(_), Some(_)) => Outcome::Done,
            _ => Outcome::Unsaid,
        };
        at += 2 + id.key().len();
        (id, outcome)
    };
    unpacked(bytes).into_iter().map(outcome).collect()
}

/// What is answered of an event.
fn answer(
    letter: Option<&Letter>,
    known: Option<Outcome>,
    time: Option<ClusterTime>,
    live: &LanesStanding,
) -> TakenAs {
    if let Some(letter) = letter {
        return TakenAs::Letter(Box::new(letter.clone()));
    }
    match known {
        Some(Outcome::Done) => return TakenAs::Applied,
        Some(Outcome::Ignored) => return TakenAs::Ignored,
        Some(Outcome::Discarded) => return TakenAs::Discarded,
        Some(Outcome::Unsaid) => return TakenAs::Unsaid,
        None => {}
    }
    let (Some(time), Some(passed)) = (time, live.passed) else { return TakenAs::Pending };
    match live.streams_since {
        _ if passed <= time => TakenAs::Pending,
        Some(since) if since < time => TakenAs::Passed,
        _ => TakenAs::Unknown(
            "the live tables were made from history that may have lacked it, and it is none of the events that are remembered",
        ),
    }
}

/// How the lanes stand whose tables are live. None while there are none.
async fn live_lanes(
    session: &mut Session,
    control: &Control,
    projection: &str,
) -> Result<Option<LanesStanding>, Failure> {
    let failed = |error: sqlx::Error| classify("reading the live lanes", &error);
    let sql = control.sql(&format!(
        "SELECT c.lane, c.generation, c.position, c.streams_since, \
         CAST(COALESCE(w.batch = c.witness_batch AND w.stamp = c.witness_stamp, 0) AS SIGNED) \
         FROM `{}` w JOIN laterna.checkpoint c ON c.generation = w.generation AND c.lane = w.lane \
         WHERE c.projection = ? ORDER BY c.lane",
        witness::table(control, projection)
    ));
    let rows = match sqlx::query(&sql).bind(projection).rows(&mut session.connection).await {
        Err(error) if number(&error) == Some(NO_SUCH_TABLE) => return Ok(None),
        rows => rows.map_err(failed)?,
    };
    let Some(first) = rows.first() else { return Ok(None) };
    let mut live = LanesStanding {
        generation: first.try_get(1).map_err(failed)?,
        lanes: vec![],
        agree: true,
        passed: Some(ClusterTime { seconds: u32::MAX, increment: u32::MAX }),
        streams_since: Some(ClusterTime::default()),
    };
    for row in &rows {
        let position: String = row.try_get(2).map_err(failed)?;
        let since: Option<u64> = row.try_get(3).map_err(failed)?;
        live.lanes.push(row.try_get(0).map_err(failed)?);
        live.agree &= row.try_get::<i64, _>(4).map_err(failed)? == 1;
        live.passed = live.passed.zip(passed(&position)?).map(|(one, other)| one.min(other));
        live.streams_since =
            live.streams_since.zip(since.map(unpacked_time)).map(|(one, other)| one.max(other));
    }
    Ok(Some(live))
}

/// Before what a lane at a position has taken everything.
fn passed(position: &str) -> Result<Option<ClusterTime>, Failure> {
    let position = serde_json::from_str(position).map_err(|error| {
        let reason = format!("a checkpoint's position is not one that this version knows: {error}");
        Failure::misconfigured(reason, RUN_NEWER)
    })?;
    Ok(match position {
        Position::Scan { .. } => None,
        stream @ Position::Stream { .. } => stream.time(),
    })
}

/// What is read of a row, of those that say something of an event: rows about events that came again do not.
const COLUMNS: &str = "id, lane, event_ids, ignored_from, discarded_from";
const SAYS: &str = "(events > 0 OR ignored_from IS NOT NULL)";

/// The last row of each lane.
async fn last_rows(
    session: &mut Session,
    control: &Control,
    (projection, generation): (&str, u32),
) -> Result<BTreeMap<u32, u64>, Failure> {
    let failed = |error: sqlx::Error| classify("reading the dedupe window", &error);
    let sql = control.sql(
        "SELECT lane, CAST(MAX(id) AS UNSIGNED) FROM laterna.dedupe WHERE projection = ? AND generation = ? \
         GROUP BY lane",
    );
    let rows = sqlx::query(&sql).bind(projection).bind(generation).rows(&mut session.connection).await;
    let rows = rows.map_err(failed)?;
    let one = |row: &MySqlRow| Ok((row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?));
    rows.iter().map(one).collect()
}

/// The newest rows with at least so many events, where there are so many, the oldest first.
async fn newest(
    session: &mut Session,
    control: &Control,
    (projection, generation): (&str, u32),
    events: usize,
) -> Result<Vec<MySqlRow>, Failure> {
    let failed = |error: sqlx::Error| classify("reading the dedupe window", &error);
    let sql = control.sql(&format!(
        "SELECT {COLUMNS}, events FROM laterna.dedupe WHERE projection = ? AND generation = ? AND id < ? AND {SAYS} \
         ORDER BY id DESC LIMIT {PAGE}"
    ));
    let (mut all, mut before, mut found) = (Vec::new(), u64::MAX, 0);
    while found < events {
        let page = sqlx::query(&sql).bind(projection).bind(generation).bind(before);
        let page = page.rows(&mut session.connection).await.map_err(failed)?;
        let Some(last) = page.last() else { break };
        before = last.try_get(0).map_err(failed)?;
        for row in &page {
            found += row.try_get::<u32, _>(5).map_err(failed)? as usize;
        }
        all.extend(page);
    }
    all.reverse();
    Ok(all)
}

/// The rows that the lanes have committed since, the oldest first.
async fn newer(
    session: &mut Session,
    control: &Control,
    (projection, generation): (&str, u32),
    lanes: &[u32],
    last: &BTreeMap<u32, u64>,
) -> Result<Vec<MySqlRow>, Failure> {
    let failed = |error: sqlx::Error| classify("reading the dedupe window", &error);
    let one = format!(
        "(SELECT {COLUMNS} FROM laterna.dedupe FORCE INDEX (by_acknowledgement) WHERE projection = ? AND generation = ? \
         AND acknowledged IN (0, 1, 2) AND lane = ? AND id > ? AND {SAYS})"
    );
    let sql = control.sql(&(vec![one; lanes.len()].join(" UNION ALL ") + " ORDER BY id"));
    let mut query = sqlx::query(&sql);
    for lane in lanes {
        let after = last.get(lane).copied().unwrap_or_default();
        query = query.bind(projection).bind(generation).bind(lane).bind(after);
    }
    query.rows(&mut session.connection).await.map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(passed: Option<u32>, since: Option<u32>) -> LanesStanding {
        let at = |seconds| ClusterTime { seconds, increment: 1 };
        let (passed, streams_since) = (passed.map(at), since.map(at));
        LanesStanding { generation: 1, lanes: vec![0], agree: true, passed, streams_since }
    }

    #[test]
    fn a_position_proves_no_more_than_that_an_event_of_the_stream_was_passed() {
        let at = |seconds| Some(ClusterTime { seconds, increment: 1 });
        let of = |time, live: LanesStanding| answer(None, None, time, &live);
        assert_eq!(of(None, live(Some(9), Some(1))), TakenAs::Pending, "nobody knows when it was written");
        assert_eq!(of(at(5), live(Some(9), Some(1))), TakenAs::Passed);
        for passed in [Some(5), Some(4), None] {
            assert_eq!(of(at(5), live(passed, Some(1))), TakenAs::Pending, "{passed:?}");
        }
        for since in [Some(5), Some(6), None] {
            assert!(matches!(of(at(5), live(Some(9), since)), TakenAs::Unknown(_)), "{since:?}");
        }
        assert_eq!(answer(None, Some(Outcome::Done), at(9), &live(None, None)), TakenAs::Applied);
    }

    #[test]
    fn an_id_stands_where_its_outcome_is_said() {
        let ids = [Id::Integer(1), Id::Text("a".into()), Id::Integer(2)];
        let bytes = ids.iter().flat_map(|id| {
            let key = id.key();
            [&[0, u8::try_from(key.len()).expect("short")], &key[..]].concat()
        });
        let bytes: Vec<u8> = bytes.collect();
        let said = |from| outcomes(&bytes, from).into_iter().map(|(_, outcome)| outcome).collect::<Vec<_>>();
        assert_eq!(said((Some(11), Some(15))), [Outcome::Done, Outcome::Ignored, Outcome::Discarded]);
        assert_eq!(said((Some(u32::MAX), Some(u32::MAX))), [Outcome::Done; 3]);
        assert_eq!(said((Some(0), Some(0))), [Outcome::Discarded; 3]);
        assert_eq!(said((None, None)), [Outcome::Unsaid; 3]);
    }

    #[test]
    fn what_a_later_row_says_counts_and_the_oldest_gives_way() {
        let mut recent = RecentlyTaken::new(2);
        recent.remember(1, 5, Outcome::Done);
        recent.remember(1, 9, Outcome::Discarded);
        recent.remember(1, 7, Outcome::Ignored);
        assert_eq!(recent.known[&1], (9, Outcome::Discarded));
        recent.remember(2, 10, Outcome::Done);
        assert_eq!(
            (recent.known.len(), recent.order.len()),
            (2, 2),
            "the place before gave way, not the event"
        );
        recent.remember(3, 11, Outcome::Done);
        assert!(!recent.known.contains_key(&1) && recent.known.contains_key(&3));
    }
}
