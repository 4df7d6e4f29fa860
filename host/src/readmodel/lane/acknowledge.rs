//! Pending acknowledgements: rows of the dedupe window stay until their outbox documents are marked or deleted.
//!
//! A row stands for the events of one batch; a row that counts no events in the window (an echo) stands for events of
//! which something became once more: they were sent again, or their letter was tried, applied or discarded.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use sqlx::Row;
use sqlx::mysql::MySqlRow;

use super::dedupe::unpacked;
use super::{Lane, dead_letter};
use crate::event::Id;
use crate::failure::{Failure, RUN_NEWER};
use crate::position::Position;
use crate::readmodel::control::control_db::{ControlDb, ProjectionDb};
use crate::readmodel::mysql::error::classify;
use crate::readmodel::mysql::query::RunQuery;

/// Treatment of an outbox's documents when they are projected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Acknowledge {
    #[default]
    Keep,
    Mark,
    /// They are deleted when they are this old.
    Delete {
        age: Duration,
    },
}

impl Acknowledge {
    /// The value of a row's column `acknowledged` once its documents are dealt with: 1 marked, 2 deleted. Nothing is
    /// waited for where documents are kept.
    pub fn level(self) -> u8 {
        match self {
            Self::Keep => 0,
            Self::Mark => 1,
            Self::Delete { .. } => 2,
        }
    }
}

/// How many rows are read at a time.
pub const PAGE: u32 = 32;

/// How many keys one query asks for.
const KEYS_MAX: usize = 1000;

/// A row whose documents are not acknowledged yet.
#[derive(Debug, Clone, PartialEq)]
pub struct PendingAcknowledgement {
    pub row: u64,
    pub ids: Vec<Id>,
    /// The events stand at or before this position of the stream. Rows of earlier versions have none.
    pub bound: Option<Position>,
    pub committed_ms: i64,
    /// True where it was committed long enough ago.
    pub is_old: bool,
}

impl ControlDb<'_> {
    /// A lane's oldest rows of a level, oldest first. A lane commits one batch after the other, so their order is that of
    /// their ids, and nothing is committed before them later; ids of different lanes prove nothing of the kind.
    pub async fn pending_acknowledgements(
        &mut self,
        lane: &Lane,
        level: u8,
        age: Duration,
    ) -> Result<Vec<PendingAcknowledgement>, Failure> {
        let failed = |error: sqlx::Error| classify("reading what is to be acknowledged", &error);
        let sql = self.control.sql(
            "SELECT id, event_ids, bound, CAST(UNIX_TIMESTAMP(committed_at) * 1000 AS SIGNED), \
             CAST(committed_at <= CURRENT_TIMESTAMP(6) - INTERVAL ? SECOND AS SIGNED) FROM laterna.dedupe \
             WHERE projection = ? AND generation = ? AND acknowledged = ? AND lane = ? ORDER BY id LIMIT ?",
        );
        let rows = sqlx::query(&sql)
            .bind(age.as_secs())
            .bind(&lane.projection)
            .bind(lane.generation)
            .bind(level)
            .bind(lane.lane)
            .bind(PAGE)
            .rows(self.connection())
            .await
            .map_err(failed)?;
        rows.iter().map(|row| one(row).map_err(failed)).collect()
    }
}

fn one(row: &MySqlRow) -> Result<PendingAcknowledgement, sqlx::Error> {
    let bound: Option<String> = row.try_get(2)?;
    Ok(PendingAcknowledgement {
        row: row.try_get(0)?,
        ids: unpacked(row.try_get(1)?),
        bound: bound.and_then(|text| serde_json::from_str(&text).ok()).map(in_stream),
        committed_ms: row.try_get(3)?,
        is_old: row.try_get::<i64, _>(4)? != 0,
    })
}

/// The place in the stream that everything up to a position stands before: what is found in history was committed
/// before the scan's start token.
fn in_stream(position: Position) -> Position {
    match position {
        Position::Scan { start, .. } => Position::Stream { token: start },
        stream @ Position::Stream { .. } => stream,
    }
}

impl ControlDb<'_> {
    /// Records that the documents of rows are acknowledged.
    pub async fn record_acknowledged(&mut self, rows: &[u64], level: u8) -> Result<(), Failure> {
        if rows.is_empty() {
            return Ok(());
        }
        let sql = self.control.sql(&format!(
            "UPDATE laterna.dedupe SET acknowledged = ? WHERE id IN ({})",
            placeholders(rows.len())
        ));
        let mut query = sqlx::query(&sql).bind(level);
        for row in rows {
            query = query.bind(row);
        }
        let updated = query.persistent(false).run(self.connection()).await;
        updated.map_err(|error| classify("recording what was acknowledged", &error))?;
        Ok(())
    }
}

impl ProjectionDb<'_> {
    /// About how many events are not acknowledged yet. Rows beyond a bound are not counted.
    pub async fn count_pending_acknowledgements(
        &mut self,
        generation: u32,
        level: u8,
    ) -> Result<u64, Failure> {
        const ROWS_MAX: u32 = 50_000;
        let failed = |error: sqlx::Error| classify("counting what is to be acknowledged", &error);
        let sql = self.control.sql(
            "SELECT CAST(COALESCE(SUM(GREATEST(events, 1)), 0) AS UNSIGNED) FROM (SELECT events FROM laterna.dedupe \
             WHERE projection = ? AND generation = ? AND acknowledged < ? LIMIT ?) waiting",
        );
        let counted = sqlx::query(&sql)
            .bind(self.projection)
            .bind(generation)
            .bind(level)
            .bind(ROWS_MAX)
            .row(self.connection());
        counted.await.map_err(failed)?.try_get(0).map_err(failed)
    }
}

impl ControlDb<'_> {
    /// Documents that are more than committed: `parked`, `held` or `discarded`, by document key.
    pub async fn letter_states(
        &mut self,
        lane: &Lane,
        ids: &[Id],
    ) -> Result<HashMap<[u8; 16], &'static str>, Failure> {
        let keys: Vec<[u8; 16]> = ids.iter().map(dead_letter::key_of).collect();
        let mut found = HashMap::new();
        for keys in keys.chunks(KEYS_MAX) {
            let discarded = "SELECT document_key, 'discarded' FROM laterna.discarded WHERE projection = ?";
            found.extend(self.document_states(discarded, &lane.projection, None, keys).await?);
            let letters = "SELECT document_key, CAST(state AS CHAR) FROM laterna.dead_letter WHERE projection = ? AND generation = ?";
            let generation = Some(lane.generation);
            found.extend(self.document_states(letters, &lane.projection, generation, keys).await?);
        }
        Ok(found)
    }

    /// Which of these documents are in a letter of any projection and generation.
    pub async fn in_letters(&mut self, ids: &[Id]) -> Result<HashSet<[u8; 16]>, Failure> {
        let failed = |error: sqlx::Error| classify("looking for dead letters", &error);
        let owners = self.control.sql("SELECT DISTINCT projection, generation FROM laterna.dead_letter");
        let owners = sqlx::query(&owners).rows(self.connection()).await.map_err(failed)?;
        let keys: Vec<[u8; 16]> = ids.iter().map(dead_letter::key_of).collect();
        let mut found = HashSet::new();
        for owner in owners {
            let (projection, generation): (String, u32) =
                (owner.try_get(0).map_err(failed)?, owner.try_get(1).map_err(failed)?);
            let letters = "SELECT document_key, CAST(state AS CHAR) FROM laterna.dead_letter WHERE projection = ? AND generation = ?";
            for keys in keys.chunks(KEYS_MAX) {
                let some = self.document_states(letters, &projection, Some(generation), keys).await?;
                found.extend(some.into_keys());
            }
        }
        Ok(found)
    }

    async fn document_states(
        &mut self,
        select: &str,
        projection: &str,
        generation: Option<u32>,
        keys: &[[u8; 16]],
    ) -> Result<HashMap<[u8; 16], &'static str>, Failure> {
        let failed = |error: sqlx::Error| classify("looking for dead letters", &error);
        let sql = self.control.sql(&format!("{select} AND document_key IN ({})", placeholders(keys.len())));
        let mut query = sqlx::query(&sql).bind(projection);
        if let Some(generation) = generation {
            query = query.bind(generation);
        }
        for key in keys {
            query = query.bind(&key[..]);
        }
        let rows = query.persistent(false).rows(self.connection()).await.map_err(failed)?;
        let mut found = HashMap::new();
        for row in rows {
            let (key, state): (Vec<u8>, String) =
                (row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?);
            let state = match state.as_str() {
                "parked" => "parked",
                "held" => "held",
                _ => "discarded",
            };
            found.extend(key.try_into().ok().map(|key| (key, state)));
        }
        Ok(found)
    }
}

fn placeholders(count: usize) -> String {
    vec!["?"; count].join(", ")
}

/// How far one lane of a registered projection is.
#[derive(Debug, Clone, PartialEq)]
pub struct LaneAt {
    pub projection: String,
    /// The identity of the outbox it is made from.
    pub source: String,
    /// None while the projection has no lanes yet.
    pub position: Option<Position>,
}

impl ControlDb<'_> {
    /// How far all lanes of all generations of all registered projections are.
    pub async fn lanes_of_all(&mut self) -> Result<Vec<LaneAt>, Failure> {
        let failed = |error: sqlx::Error| classify("reading how far all projections are", &error);
        let sql = self.control.sql(
            "SELECT p.projection, p.source, c.position FROM laterna.projection p \
             LEFT JOIN laterna.checkpoint c ON c.projection = p.projection",
        );
        let rows = sqlx::query(&sql).rows(self.connection()).await.map_err(failed)?;
        let lane = |row: &MySqlRow| {
            let position: Option<String> = row.try_get(2).map_err(failed)?;
            let position = position.map(|text| serde_json::from_str(&text)).transpose();
            let unknown = |error| {
                Failure::misconfigured(
                    format!("a checkpoint's position is not one that this version knows: {error}"),
                    RUN_NEWER,
                )
            };
            Ok(LaneAt {
                projection: row.try_get(0).map_err(failed)?,
                source: row.try_get(1).map_err(failed)?,
                position: position.map_err(unknown)?,
            })
        };
        rows.iter().map(lane).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::Token;

    #[test]
    fn what_history_gave_stands_before_its_start_token() {
        let start = Token { data: "82AA".into(), type_bits: None };
        let scanned = Position::Scan { start: start.clone(), key: None, beside: 3 };
        let stream = Position::Stream { token: start };
        assert_eq!(in_stream(scanned), stream);
        assert_eq!(in_stream(stream.clone()), stream);
    }

    #[test]
    fn what_is_told_more_has_the_higher_level() {
        let delete = Acknowledge::Delete { age: Duration::ZERO };
        assert!(Acknowledge::Keep.level() < Acknowledge::Mark.level());
        assert!(Acknowledge::Mark.level() < delete.level());
    }
}
