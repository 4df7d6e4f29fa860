//! How far each lane has come, and the two statements around every batch.
//!
//! [`close`] is the only place that advances a checkpoint, and it only does so in the transaction of [`open`].

mod closing;
mod lanes;

use sqlx::Row;
use sqlx::mysql::{MySqlConnection, MySqlRow};

use super::Lane;
use crate::event::{Anchor, Id};
use crate::failure::{Failure, RESTORE_TOGETHER, RUN_NEWER};
use crate::fingerprint::Fingerprint;
use crate::position::{ClusterTime, Position};
use crate::readmodel::control::control_db::ProjectionDb;
use crate::readmodel::control::schema::Control;
use crate::readmodel::mysql::error::classify;
use crate::readmodel::mysql::query::RunQuery;
use crate::readmodel::mysql::session::Session;

pub use closing::{Advance, Closed, Closing, close};

/// A lane's checkpoint row.
#[derive(Debug, Clone, PartialEq)]
pub struct LaneRow {
    pub lane: u32,
    pub epoch: u64,
    /// How many batches it has committed; letters' transactions and new rows count, too.
    pub batch: u64,
    pub position: Position,
    /// The component that gave the last batch's operations; empty before the first.
    pub digest: String,
    /// Deliveries committed, of every verdict.
    pub events: u64,
    /// Of these, how many became dead letters.
    pub parked: u64,
    /// Which events these are, without those that came again.
    pub fingerprint: Fingerprint,
    /// Deliveries that the fingerprint covers.
    pub known_events: u64,
    /// The last event that it took from the change stream.
    pub anchor: Option<Anchor>,
    /// The lane's session, so that a take-over can end it.
    pub connection_id: Option<u64>,
}

/// Which batch of which writer.
#[derive(Debug, Clone)]
pub struct BatchToken {
    pub lane: Lane,
    pub epoch: u64,
    /// How many batches are committed before it.
    pub batch: u64,
    /// Stamp that the writer signs the witness with.
    pub stamp: u64,
}

const COLUMNS: &str = "lane, epoch, batch, position, digest, events, parked, connection_id, fingerprint, \
    fingerprint_events, known_events, anchor, anchor_time";

/// The last event that any of these lanes took from the change stream.
pub fn anchor(rows: &[LaneRow]) -> Option<Anchor> {
    rows.iter().filter_map(|row| row.anchor.as_ref()).max_by_key(|anchor| anchor.time).cloned()
}

/// Which events these lanes have taken; none where that was not written down: by an older host, or before an upgrade.
pub fn fingerprint(rows: &[LaneRow]) -> Option<Fingerprint> {
    let known = rows.iter().all(|row| row.known_events == row.events);
    known.then(|| rows.iter().fold(Fingerprint::default(), |all, row| all.and(row.fingerprint)))
}

impl ProjectionDb<'_> {
    /// The rows of a projection's lanes, in order.
    pub async fn lane_rows(&mut self, generation: u32) -> Result<Vec<LaneRow>, Failure> {
        let sql = self.control.sql(&format!(
            "SELECT {COLUMNS} FROM laterna.checkpoint WHERE projection = ? AND generation = ? ORDER BY lane"
        ));
        let rows = sqlx::query(&sql).bind(self.projection).bind(generation).rows(self.connection()).await;
        let rows = rows.map_err(|error| classify("reading the checkpoints", &error))?;
        rows.iter().map(row).collect()
    }

    /// Of how many events of the live generation an upcaster made nothing.
    pub async fn count_ignored(&mut self) -> Result<u64, Failure> {
        let failed = |error: sqlx::Error| classify("counting what the upcaster ignored", &error);
        let sql = self.control.sql(
            "SELECT CAST(COALESCE(SUM(c.ignored), 0) AS UNSIGNED) FROM laterna.checkpoint c JOIN laterna.projection p \
             ON p.projection = c.projection AND p.live_generation = c.generation WHERE c.projection = ?",
        );
        let row = sqlx::query(&sql).bind(self.projection).row(self.connection()).await.map_err(failed)?;
        row.try_get(0).map_err(failed)
    }
}

/// One lane's row as it stands when nobody else is writing it: waits for a commit that is still running.
pub async fn settled_row(session: &mut Session, control: &Control, lane: &Lane) -> Result<LaneRow, Failure> {
    let sql = control.sql(&format!(
        "SELECT {COLUMNS} FROM laterna.checkpoint WHERE projection = ? AND generation = ? AND lane = ? FOR UPDATE"
    ));
    let found = sqlx::query(&sql)
        .bind(&lane.projection)
        .bind(lane.generation)
        .bind(lane.lane)
        .first(&mut session.connection)
        .await
        .map_err(|error| classify("reading the checkpoint", &error))?;
    let missing = || {
        Failure::misconfigured(
            format!("the checkpoint of lane {} of `{}` is gone", lane.lane, lane.projection),
            RESTORE_TOGETHER,
        )
    };
    row(&found.ok_or_else(missing)?)
}

/// The first statement of every transaction, for the lanes of one projection that write in it. False when it is not the turn
/// of each of them.
///
/// Both statements go by the primary key: MariaDB would read the whole of a small table for several lanes, and so wait for the
/// lanes of other projections.
pub async fn open(
    connection: &mut MySqlConnection,
    control: &Control,
    tokens: &[&BatchToken],
) -> Result<bool, Failure> {
    let Some(first) = tokens.first() else { return Ok(true) };
    let lanes = vec!["(lane = ? AND batch = ?)"; tokens.len()].join(" OR ");
    let sql = control.sql(&format!(
        "UPDATE laterna.checkpoint FORCE INDEX (PRIMARY) SET open_batch = batch + 1 \
         WHERE projection = ? AND generation = ? AND epoch = ? AND ({lanes}) AND open_batch IS NULL"
    ));
    let query = sqlx::query(&sql).bind(&first.lane.projection).bind(first.lane.generation).bind(first.epoch);
    let query = tokens.iter().fold(query, |query, token| query.bind(token.lane.lane).bind(token.batch));
    let opened = query.run(connection).await.map_err(|error| classify("opening the batch", &error))?;
    Ok(opened.rows_affected() == tokens.len() as u64)
}

/// Records the session a lane works in.
pub async fn record_session(
    session: &mut Session,
    control: &Control,
    lane: &Lane,
    epoch: u64,
) -> Result<(), Failure> {
    let sql = control.sql(
        "UPDATE laterna.checkpoint SET connection_id = ? \
         WHERE projection = ? AND generation = ? AND lane = ? AND epoch = ?",
    );
    sqlx::query(&sql)
        .bind(session.id)
        .bind(&lane.projection)
        .bind(lane.generation)
        .bind(lane.lane)
        .bind(epoch)
        .run(&mut session.connection)
        .await
        .map_err(|error| classify("recording the lane's session", &error))?;
    Ok(())
}

/// A cluster time as it is stored.
fn packed_time(time: ClusterTime) -> u64 {
    u64::from(time.seconds) << 32 | u64::from(time.increment)
}

/// The cluster time that was stored so.
pub fn unpacked_time(stored: u64) -> ClusterTime {
    let half = |bits: u64| u32::try_from(bits).expect("it has 32 bits");
    ClusterTime { seconds: half(stored >> 32), increment: half(stored & u64::from(u32::MAX)) }
}

fn stored_anchor(row: &MySqlRow) -> Result<Option<Anchor>, Failure> {
    let failed = |error: sqlx::Error| classify("reading a lane's last event", &error);
    let key: Option<Vec<u8>> = row.try_get("anchor").map_err(failed)?;
    let time: Option<u64> = row.try_get("anchor_time").map_err(failed)?;
    let Some((key, time)) = key.zip(time) else { return Ok(None) };
    let unknown = |error| {
        Failure::misconfigured(format!("a lane's last event is unreadable: {error}"), RESTORE_TOGETHER)
    };
    let id = Id::from_key(&key).map_err(unknown)?;
    Ok(Some(Anchor { id, time: unpacked_time(time) }))
}

fn stored_fingerprint(row: &MySqlRow) -> Result<Fingerprint, Failure> {
    let failed = |error: sqlx::Error| classify("reading a lane's fingerprint", &error);
    let sum: Vec<u8> = row.try_get("fingerprint").map_err(failed)?;
    let sum = <[u8; 16]>::try_from(sum).map_err(|sum| {
        let reason = format!("a lane's fingerprint has {} bytes instead of 16", sum.len());
        Failure::misconfigured(reason, RESTORE_TOGETHER)
    })?;
    let events = row.try_get("fingerprint_events").map_err(failed)?;
    Ok(Fingerprint { events, sum: u128::from_be_bytes(sum) })
}

fn row(row: &MySqlRow) -> Result<LaneRow, Failure> {
    let read = |error: sqlx::Error| classify("reading the checkpoint", &error);
    let position: String = row.try_get("position").map_err(read)?;
    let position = serde_json::from_str(&position).map_err(|error| {
        Failure::misconfigured(
            format!("a checkpoint's position is not one that this version knows: {error}"),
            RUN_NEWER,
        )
    })?;
    Ok(LaneRow {
        lane: row.try_get("lane").map_err(read)?,
        epoch: row.try_get("epoch").map_err(read)?,
        batch: row.try_get("batch").map_err(read)?,
        position,
        digest: row.try_get("digest").map_err(read)?,
        events: row.try_get("events").map_err(read)?,
        parked: row.try_get("parked").map_err(read)?,
        fingerprint: stored_fingerprint(row)?,
        known_events: row.try_get("known_events").map_err(read)?,
        anchor: stored_anchor(row)?,
        connection_id: row.try_get("connection_id").map_err(read)?,
    })
}

/// A position as it stands in the control schema.
pub fn stored(position: &Position) -> String {
    serde_json::to_string(position).expect("a position holds only text and numbers")
}
