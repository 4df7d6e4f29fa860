//! The rows of the dedupe window: which events were applied lately, one row per batch.
//!
//! Ids are stored as they are: the outbox is acknowledged from these rows ([`super::acknowledge`]).

use sqlx::Row;
use sqlx::mysql::{MySqlConnection, MySqlRow};

use super::Lane;
use super::checkpoint::stored;
use crate::event::Id;
use crate::failure::Failure;
use crate::position::Position;
use crate::readmodel::control::schema::Control;
use crate::readmodel::mysql::error::classify;
use crate::readmodel::mysql::query::RunQuery;
use crate::readmodel::mysql::session::Session;

/// A stored row: its id, and how many events it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DedupeMark {
    pub row: u64,
    pub lane: u32,
    pub events: u32,
}

/// The newest events of all lanes, by which one that is sent again is known.
#[derive(Debug, Default)]
pub struct Remembered {
    /// The marks of their ids, oldest first.
    pub marks: Vec<u128>,
    /// The rows they stand in, oldest first.
    pub rows: Vec<DedupeMark>,
}

/// Marks a batch's events, which stand at or before `bound`, in the batch's transaction.
pub async fn mark(
    connection: &mut MySqlConnection,
    control: &Control,
    lane: &Lane,
    ids: &[&Id],
    bound: &Position,
) -> Result<DedupeMark, Failure> {
    let events = u32::try_from(ids.len()).expect("a batch is bounded");
    write(connection, control, lane, (events, ids), bound).await
}

/// Leaves a row for events that are in the window already: it counts nothing there, and has their documents
/// acknowledged again.
pub async fn reack(
    connection: &mut MySqlConnection,
    control: &Control,
    lane: &Lane,
    ids: &[&Id],
    bound: &Position,
) -> Result<(), Failure> {
    write(connection, control, lane, (0, ids), bound).await.map(|_| ())
}

async fn write(
    connection: &mut MySqlConnection,
    control: &Control,
    lane: &Lane,
    (events, ids): (u32, &[&Id]),
    bound: &Position,
) -> Result<DedupeMark, Failure> {
    let sql = control.sql(
        "INSERT INTO laterna.dedupe (projection, generation, lane, events, event_ids, bound) VALUES (?, ?, ?, ?, ?, ?)",
    );
    let inserted = sqlx::query(&sql)
        .bind(&lane.projection)
        .bind(lane.generation)
        .bind(lane.lane)
        .bind(events)
        .bind(packed(ids))
        .bind(stored(bound))
        .run(connection)
        .await
        .map_err(|error| classify("marking the batch's events", &error))?;
    Ok(DedupeMark { row: inserted.last_insert_id(), lane: lane.lane, events })
}

/// Drops a lane's marks up to and including a row, in the batch's transaction. Where documents are acknowledged,
/// those stay whose documents are not acknowledged up to `level`; they go with a later batch, some at a
/// time.
pub async fn prune(
    connection: &mut MySqlConnection,
    control: &Control,
    lane: &Lane,
    row: u64,
    level: u8,
) -> Result<(), Failure> {
    let acknowledged = match level {
        0 => "",
        1 => " AND acknowledged IN (1, 2) LIMIT 256",
        _ => " AND acknowledged = 2 LIMIT 256",
    };
    let sql = control.sql(&format!(
        "DELETE FROM laterna.dedupe WHERE projection = ? AND generation = ? AND id <= ? AND lane = ?{acknowledged}"
    ));
    sqlx::query(&sql)
        .bind(&lane.projection)
        .bind(lane.generation)
        .bind(row)
        .bind(lane.lane)
        .run(connection)
        .await
        .map_err(|error| classify("pruning the dedupe window", &error))?;
    Ok(())
}

/// The newest marks of all lanes, newest first, of at least `events` events where there are so many; with what is made of
/// each id.
pub async fn load<T>(
    session: &mut Session,
    control: &Control,
    projection: &str,
    generation: u32,
    events: usize,
    made: impl Fn(Id) -> T,
) -> Result<Vec<(DedupeMark, Vec<T>)>, Failure> {
    const PAGE: u32 = 200;
    let failed = |error: sqlx::Error| classify("loading the dedupe window", &error);
    let sql = control.sql(
        "SELECT id, lane, events, event_ids FROM laterna.dedupe \
         WHERE projection = ? AND generation = ? AND id < ? AND events > 0 ORDER BY id DESC LIMIT ?",
    );
    let (mut marks, mut before, mut found) = (Vec::new(), u64::MAX, 0);
    while found < events {
        let rows = sqlx::query(&sql).bind(projection).bind(generation).bind(before).bind(PAGE);
        let rows = rows.rows(&mut session.connection).await.map_err(failed)?;
        let Some(last) = rows.last() else { break };
        before = last.try_get(0).map_err(failed)?;
        for row in &rows {
            let mark = mark_of(row).map_err(failed)?;
            let ids = unpacked(row.try_get(3).map_err(failed)?);
            found += ids.len();
            marks.push((mark, ids.into_iter().map(&made).collect()));
        }
    }
    Ok(marks)
}

fn mark_of(row: &MySqlRow) -> Result<DedupeMark, sqlx::Error> {
    Ok(DedupeMark { row: row.try_get(0)?, lane: row.try_get(1)?, events: row.try_get(2)? })
}

fn packed(ids: &[&Id]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(ids.len() * 28);
    for id in ids {
        let key = id.key();
        let length = u16::try_from(key.len()).expect("an id's length was checked when it was decoded");
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(&key);
    }
    bytes
}

/// Unpacks marks, and leaves out what cannot be read: a mark less can only let a duplicate through to the projector.
pub fn unpacked(mut bytes: &[u8]) -> Vec<Id> {
    let mut ids = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<2>() {
        let Some((key, rest)) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length))) else {
            break;
        };
        ids.extend(Id::from_key(key));
        bytes = rest;
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_back_from_a_row() {
        let ids = [Id::Integer(5), Id::Text("a".repeat(512)), Id::Uuid([1; 16]), Id::ObjectId([2; 12])];
        let bytes = packed(&ids.iter().collect::<Vec<_>>());
        assert_eq!(unpacked(&bytes), ids);
        assert_eq!(unpacked(&bytes[..bytes.len() - 1]), ids[..3]);
        assert!(unpacked(&[]).is_empty());
    }
}
