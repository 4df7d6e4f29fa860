//! The rows that say which events the live tables have: where the live lanes stand, and the dedupe window.

use std::collections::BTreeMap;

use sqlx::Row;
use sqlx::mysql::MySqlRow;

use crate::event::Id;
use crate::failure::{Failure, RUN_NEWER};
use crate::position::{ClusterTime, Position};
use crate::readmodel::control::control_db::ProjectionDb;
use crate::readmodel::lane::checkpoint::unpacked_time;
use crate::readmodel::lane::dedupe::unpacked;
use crate::readmodel::lane::witness;
use crate::readmodel::mysql::error::{classify, number};
use crate::readmodel::mysql::query::RunQuery;

/// How many rows of the dedupe window are read at a time.
pub(super) const PAGE: usize = 4000;

/// Code of MySQL for a table that is not there.
const NO_SUCH_TABLE: u16 = 1146;

/// What a row says of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KnownOutcome {
    Done,
    Ignored,
    Discarded,
    Unsaid,
}

/// What the live tables have of a lane: how many batches, and which run of it committed the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LaneCommits {
    pub(super) batch: u64,
    pub(super) stamp: u64,
}

/// How the lanes of the live generation stand.
pub(super) struct LanesStanding {
    pub(super) generation: u32,
    pub(super) lanes: BTreeMap<u32, LaneCommits>,
    /// The witness and the checkpoints are of one moment.
    pub(super) agree: bool,
    /// Everything before was committed by every lane; none while history is read.
    pub(super) passed: Option<ClusterTime>,
    /// What is newer came from the stream.
    pub(super) streams_since: Option<ClusterTime>,
    /// How many events the lanes have marked in the dedupe window, ever; none where a host that did not count them was at work.
    pub(super) marked: Option<u64>,
}

/// A row of the dedupe window.
pub(super) struct WindowRow {
    pub(super) id: u64,
    pub(super) lane: u32,
    /// It stands for a batch's events, and does not only say more of some.
    pub(super) counts: bool,
    pub(super) outcomes: Vec<(Id, KnownOutcome)>,
}

impl WindowRow {
    pub(super) fn of(row: &MySqlRow) -> Result<Self, Failure> {
        let read = || {
            let from = (row.try_get(3)?, row.try_get(4)?);
            let counts = row.try_get::<u32, _>(5)? > 0;
            let outcomes = outcomes(row.try_get(2)?, from);
            Ok(Self { id: row.try_get(0)?, lane: row.try_get(1)?, counts, outcomes })
        };
        read().map_err(|error: sqlx::Error| classify("reading the dedupe window", &error))
    }
}

/// The ids of a row, with what it says of each.
pub(super) fn outcomes(bytes: &[u8], from: (Option<u32>, Option<u32>)) -> Vec<(Id, KnownOutcome)> {
    let mut at = 0;
    let (ignored, discarded) = (from.0.map(|from| from as usize), from.1.map(|from| from as usize));
    let outcome = |id: Id| {
        let outcome = match (ignored, discarded) {
            (_, Some(discarded)) if at >= discarded => KnownOutcome::Discarded,
            (Some(ignored), Some(_)) if at >= ignored => KnownOutcome::Ignored,
            (Some(_), Some(_)) => KnownOutcome::Done,
            _ => KnownOutcome::Unsaid,
        };
        at += 2 + id.key().len();
        (id, outcome)
    };
    unpacked(bytes).into_iter().map(outcome).collect()
}

impl ProjectionDb<'_> {
    /// How the lanes stand whose tables are live. None while there are none.
    pub(super) async fn live_lanes(&mut self) -> Result<Option<LanesStanding>, Failure> {
        let failed = |error: sqlx::Error| classify("reading the live lanes", &error);
        let sql = self.control.sql(&format!(
            "SELECT c.lane, c.generation, c.position, c.streams_since, w.batch, w.stamp, \
             CAST(COALESCE(w.batch = c.witness_batch AND w.stamp = c.witness_stamp, 0) AS SIGNED), \
             IF(c.known_events = c.events, c.fingerprint_events, NULL) \
             FROM `{}` w JOIN laterna.checkpoint c ON c.generation = w.generation AND c.lane = w.lane \
             WHERE c.projection = ? ORDER BY c.lane",
            witness::table(self.control, self.projection)
        ));
        let rows = match sqlx::query(&sql).bind(self.projection).rows(self.connection()).await {
            Err(error) if number(&error) == Some(NO_SUCH_TABLE) => {
                let there = self.has_witness().await?;
                return if there { Err(failed(error)) } else { Ok(None) };
            }
            rows => rows.map_err(failed)?,
        };
        let Some(first) = rows.first() else { return Ok(None) };
        let mut live = LanesStanding {
            generation: first.try_get(1).map_err(failed)?,
            lanes: BTreeMap::new(),
            agree: true,
            passed: Some(ClusterTime { seconds: u32::MAX, increment: u32::MAX }),
            streams_since: Some(ClusterTime::default()),
            marked: Some(0),
        };
        for row in &rows {
            let position: String = row.try_get(2).map_err(failed)?;
            let since: Option<u64> = row.try_get(3).map_err(failed)?;
            let marked: Option<u64> = row.try_get(7).map_err(failed)?;
            let commits = LaneCommits {
                batch: row.try_get(4).map_err(failed)?,
                stamp: row.try_get(5).map_err(failed)?,
            };
            live.lanes.insert(row.try_get(0).map_err(failed)?, commits);
            live.agree &= row.try_get::<i64, _>(6).map_err(failed)? == 1;
            live.marked = live.marked.zip(marked).map(|(one, other)| one + other);
            live.passed = live.passed.zip(passed(&position)?).map(|(one, other)| one.min(other));
            live.streams_since =
                live.streams_since.zip(since.map(unpacked_time)).map(|(one, other)| one.max(other));
        }
        Ok(Some(live))
    }

    /// Returns true where no lane has taken an event of the live generation, whatever the witness says.
    pub(super) async fn has_taken_nothing(&mut self) -> Result<bool, Failure> {
        let sql = self.control.sql(
            "SELECT CAST(COALESCE(SUM(c.events), 0) AS UNSIGNED) FROM laterna.checkpoint c JOIN laterna.projection p \
             ON p.projection = c.projection AND p.live_generation = c.generation WHERE c.projection = ?",
        );
        let failed = |error: sqlx::Error| classify("looking whether a lane has begun", &error);
        let row = sqlx::query(&sql).bind(self.projection).row(self.connection()).await.map_err(failed)?;
        Ok(row.try_get::<u64, _>(0).map_err(failed)? == 0)
    }
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
const COLUMNS: &str = "id, lane, event_ids, ignored_from, discarded_from, events";
const SAYS: &str = "(events > 0 OR ignored_from IS NOT NULL)";

impl ProjectionDb<'_> {
    /// The last row of each lane.
    pub(super) async fn last_dedupe_rows(&mut self, generation: u32) -> Result<BTreeMap<u32, u64>, Failure> {
        let failed = |error: sqlx::Error| classify("reading the dedupe window", &error);
        let sql = self.control.sql(
            "SELECT lane, CAST(MAX(id) AS UNSIGNED) FROM laterna.dedupe FORCE INDEX (by_acknowledgement) \
             WHERE projection = ? AND generation = ? GROUP BY acknowledged, lane",
        );
        let rows = sqlx::query(&sql).bind(self.projection).bind(generation).rows(self.connection()).await;
        let rows = rows.map_err(failed)?;
        let mut last = BTreeMap::new();
        for row in &rows {
            let (lane, id): (u32, u64) = (row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?);
            let known = last.entry(lane).or_insert(id);
            *known = id.max(*known);
        }
        Ok(last)
    }

    /// Rows before one, the newest first.
    pub(super) async fn older_dedupe_rows(
        &mut self,
        generation: u32,
        before: u64,
    ) -> Result<Vec<MySqlRow>, Failure> {
        let sql = self.control.sql(&format!(
            "SELECT {COLUMNS} FROM laterna.dedupe WHERE projection = ? AND generation = ? AND id < ? AND {SAYS} \
             ORDER BY id DESC LIMIT {PAGE}"
        ));
        let page = sqlx::query(&sql).bind(self.projection).bind(generation).bind(before);
        let page = page.rows(self.connection()).await;
        page.map_err(|error| classify("reading the dedupe window", &error))
    }

    /// Rows that the lanes have committed since, the oldest first: of each lane the next ones.
    pub(super) async fn newer_dedupe_rows(
        &mut self,
        generation: u32,
        lanes: impl ExactSizeIterator<Item = &u32>,
        last: &BTreeMap<u32, u64>,
    ) -> Result<Vec<MySqlRow>, Failure> {
        let failed = |error: sqlx::Error| classify("reading the dedupe window", &error);
        let one = format!(
            "(SELECT {COLUMNS} FROM laterna.dedupe FORCE INDEX (by_acknowledgement) WHERE projection = ? AND generation = ? \
             AND acknowledged IN (0, 1, 2) AND lane = ? AND id > ? AND {SAYS} ORDER BY id LIMIT {PAGE})"
        );
        let sql = self.control.sql(&(vec![one; lanes.len()].join(" UNION ALL ") + " ORDER BY id"));
        let mut query = sqlx::query(&sql);
        for lane in lanes {
            let after = last.get(lane).copied().unwrap_or_default();
            query = query.bind(self.projection).bind(generation).bind(lane).bind(after);
        }
        query.rows(self.connection()).await.map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_stands_where_its_outcome_is_said() {
        let ids = [Id::Integer(1), Id::Text("a".into()), Id::Integer(2)];
        let bytes = ids.iter().flat_map(|id| {
            let key = id.key();
            [&[0, u8::try_from(key.len()).expect("short")], &key[..]].concat()
        });
        let bytes: Vec<u8> = bytes.collect();
        let said = |from| outcomes(&bytes, from).into_iter().map(|(_, outcome)| outcome).collect::<Vec<_>>();
        assert_eq!(
            said((Some(11), Some(15))),
            [KnownOutcome::Done, KnownOutcome::Ignored, KnownOutcome::Discarded]
        );
        assert_eq!(said((Some(u32::MAX), Some(u32::MAX))), [KnownOutcome::Done; 3]);
        assert_eq!(said((Some(0), Some(0))), [KnownOutcome::Discarded; 3]);
        assert_eq!(said((None, None)), [KnownOutcome::Unsaid; 3]);
        assert_eq!(said((Some(0), None)), [KnownOutcome::Unsaid; 3], "letters");
    }
}
