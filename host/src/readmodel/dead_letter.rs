//! Dead letters: parked events, and those held behind them in order.
//!
//! A letter is written in the transaction that moves the checkpoint past its event, and taken away in the one
//! that applies it. Only an aggregate's head (its oldest letter) is ever replayed or discarded.

use sqlx::Row;
use sqlx::mysql::{MySqlConnection, MySqlRow};
use xxhash_rust::xxh3::xxh3_128;

use super::batch::{Entry, Verdict};
use super::checkpoint::{Lane, stored};
use super::control::Control;
use super::mysql_error::classify;
use super::query::Run;
use super::session::Session;
use crate::event::{Delivery, Id};
use crate::failure::Failure;
use crate::statement::Operation;

/// The longest reason that is stored, in bytes.
const REASON_BYTES_MAX: usize = 8 << 10;

/// A stored letter.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Letter {
    pub id: u64,
    /// `parked` or `held`.
    pub state: String,
    pub aggregate: Option<String>,
    pub event_id: Option<String>,
    pub event_type: Option<String>,
    pub class: Option<String>,
    pub reason: Option<String>,
    pub digest: String,
    pub attempts: u32,
    pub created_at: String,
    #[serde(skip)]
    pub aggregate_key: Option<Vec<u8>>,
    #[serde(skip)]
    pub document_key: Vec<u8>,
    #[serde(skip)]
    pub document: Vec<u8>,
}

/// What identifies a document, also one whose id cannot be read: XXH3-128 of the id's key or of the raw bytes.
pub fn document_key(delivery: &Delivery) -> [u8; 16] {
    match delivery.id() {
        Some(id) => key_of(id),
        None => xxh3_128(&delivery.document).to_be_bytes(),
    }
}

/// The key of the document with this id.
pub fn key_of(id: &Id) -> [u8; 16] {
    xxh3_128(&id.key()).to_be_bytes()
}

/// Writes an entry's letter, if its verdict asks for one, in the batch's transaction.
pub async fn write(
    session: &mut Session,
    control: &Control,
    lane: &Lane,
    entry: &Entry,
    digest: &str,
) -> Result<(), Failure> {
    let (state, failure, operations) = match &entry.verdict {
        Verdict::Park { failure, operations } => ("parked", Some(failure), described(operations)),
        Verdict::Hold => ("held", None, None),
        Verdict::Apply(_) | Verdict::Pass(_) => return Ok(()),
    };
    let delivery = &entry.delivery;
    let stored_bytes = stored_bytes(delivery.document.len(), session.packet_bytes_max);
    // The same document may come twice when history is scanned again; its letter stays as it was.
    let sql = control.sql(
        "INSERT INTO laterna.dead_letter \
         (projection, generation, state, document_key, aggregate_key, aggregate, event_id, event_type, document, \
          position, class, reason, digest, operations, attempts, event_key) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON DUPLICATE KEY UPDATE id = id",
    );
    sqlx::query(&sql)
        .bind(&lane.projection)
        .bind(lane.generation)
        .bind(state)
        .bind(&document_key(delivery)[..])
        .bind(delivery.aggregate().map(crate::event::Aggregate::key))
        .bind(delivery.aggregate().map(ToString::to_string))
        .bind(delivery.id().map(ToString::to_string))
        .bind(delivery.event.as_ref().ok().map(|event| event.event_type.as_str()))
        .bind(&delivery.document[..stored_bytes])
        .bind(stored(&delivery.position))
        .bind(failure.map(Failure::class))
        .bind(failure.map(reason))
        .bind(digest)
        .bind(operations)
        .bind(u32::from(failure.is_some()))
        .bind(delivery.id().map(Id::key))
        .run(&mut session.connection)
        .await
        .map_err(|error| classify("writing a dead letter", &error))?;
    Ok(())
}

/// How much of a document is stored: all of it, unless MySQL's `max_allowed_packet` has no room for it. Then the
/// outbox alone has the rest, and a replay says that the document is not whole.
fn stored_bytes(document: usize, packet: usize) -> usize {
    /// For everything else that stands in a letter.
    const RESERVE_BYTES: usize = 1 << 20;
    document.min(packet.saturating_sub(RESERVE_BYTES))
}

/// The keys of the aggregates that have letters in a generation.
pub async fn blocked(
    session: &mut Session,
    control: &Control,
    projection: &str,
    generation: u32,
) -> Result<Vec<Vec<u8>>, Failure> {
    let failed = |error: sqlx::Error| classify("reading which aggregates have dead letters", &error);
    let sql = control.sql(
        "SELECT DISTINCT aggregate_key FROM laterna.dead_letter \
         WHERE projection = ? AND generation = ? AND aggregate_key IS NOT NULL",
    );
    let rows = sqlx::query(&sql).bind(projection).bind(generation).rows(&mut session.connection).await;
    rows.map_err(failed)?.iter().map(|row| row.try_get(0).map_err(failed)).collect()
}

/// Which letters are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Selection {
    pub id: Option<u64>,
    pub aggregate: Option<String>,
    pub class: Option<String>,
    #[serde(default)]
    pub heads_only: bool,
    /// The letters behind this id.
    #[serde(default)]
    pub after: u64,
}

/// The letters of a projection that a selection fits, in order, at most `limit`.
pub async fn select(
    session: &mut Session,
    control: &Control,
    projection: &str,
    selection: &Selection,
    limit: u32,
) -> Result<Vec<Letter>, Failure> {
    let failed = |error: sqlx::Error| classify("reading dead letters", &error);
    let sql = control.sql(
        "SELECT d.* FROM laterna.dead_letter d JOIN laterna.projection p \
         ON p.projection = d.projection AND p.live_generation = d.generation \
         WHERE d.projection = ? AND d.id > ? AND (? IS NULL OR d.id = ?) AND (? IS NULL OR d.aggregate COLLATE utf8mb4_bin = ?) \
         AND (? IS NULL OR d.class = ?) AND (? = 0 OR NOT EXISTS (SELECT 1 FROM laterna.dead_letter e \
           WHERE e.projection = d.projection AND e.generation = d.generation \
           AND e.aggregate_key = d.aggregate_key AND e.id < d.id)) \
         ORDER BY d.id LIMIT ?",
    );
    let rows = sqlx::query(&sql)
        .bind(projection)
        .bind(selection.after)
        .bind(selection.id)
        .bind(selection.id)
        .bind(&selection.aggregate)
        .bind(&selection.aggregate)
        .bind(&selection.class)
        .bind(&selection.class)
        .bind(i8::from(selection.heads_only))
        .bind(limit)
        .rows(&mut session.connection)
        .await;
    rows.map_err(failed)?.iter().map(|row| letter(row).map_err(failed)).collect()
}

/// How many letters a projection has: parked, held.
pub async fn count(
    session: &mut Session,
    control: &Control,
    projection: &str,
) -> Result<(u64, u64), Failure> {
    let failed = |error: sqlx::Error| classify("counting dead letters", &error);
    let sql = control.sql(
        "SELECT CAST(COALESCE(SUM(d.state = 'parked'), 0) AS UNSIGNED), \
         CAST(COALESCE(SUM(d.state = 'held'), 0) AS UNSIGNED) \
         FROM laterna.dead_letter d JOIN laterna.projection p \
         ON p.projection = d.projection AND p.live_generation = d.generation WHERE d.projection = ?",
    );
    let row = sqlx::query(&sql).bind(projection).row(&mut session.connection).await.map_err(failed)?;
    Ok((row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?))
}

/// The oldest letter of an aggregate.
pub async fn head(
    session: &mut Session,
    control: &Control,
    lane: &Lane,
    aggregate_key: &[u8],
) -> Result<Option<Letter>, Failure> {
    let failed = |error: sqlx::Error| classify("reading a dead letter", &error);
    let sql = control.sql(
        "SELECT * FROM laterna.dead_letter WHERE projection = ? AND generation = ? AND aggregate_key = ? \
         ORDER BY id LIMIT 1",
    );
    let row = sqlx::query(&sql)
        .bind(&lane.projection)
        .bind(lane.generation)
        .bind(aggregate_key)
        .first(&mut session.connection)
        .await
        .map_err(failed)?;
    row.map(|row| letter(&row).map_err(failed)).transpose()
}

/// Takes a letter away, in the transaction that applied or discarded it. False when it was gone already.
pub async fn remove(connection: &mut MySqlConnection, control: &Control, id: u64) -> Result<bool, Failure> {
    let sql = control.sql("DELETE FROM laterna.dead_letter WHERE id = ?");
    let removed = sqlx::query(&sql).bind(id).run(connection).await;
    Ok(removed.map_err(|error| classify("removing a dead letter", &error))?.rows_affected() == 1)
}

/// Records that a letter was tried and failed: it is the parked head of its aggregate now.
pub async fn record_attempt(
    connection: &mut MySqlConnection,
    control: &Control,
    id: u64,
    failure: &Failure,
    digest: &str,
) -> Result<(), Failure> {
    let sql = control.sql(
        "UPDATE laterna.dead_letter SET state = 'parked', attempts = attempts + 1, class = ?, reason = ?, digest = ? \
         WHERE id = ?",
    );
    sqlx::query(&sql)
        .bind(failure.class())
        .bind(reason(failure))
        .bind(digest)
        .bind(id)
        .run(connection)
        .await
        .map_err(|error| classify("recording an attempt", &error))?;
    Ok(())
}

/// Records a discard, in the transaction that removes the letter.
pub async fn record_discard(
    connection: &mut MySqlConnection,
    control: &Control,
    lane: &Lane,
    letter: &Letter,
    who: &str,
    why: &str,
) -> Result<(), Failure> {
    let sql = control.sql(
        "INSERT IGNORE INTO laterna.discarded (projection, document_key, event_id, discarded_by, reason) \
         VALUES (?, ?, ?, ?, ?)",
    );
    sqlx::query(&sql)
        .bind(&lane.projection)
        .bind(&letter.document_key)
        .bind(&letter.event_id)
        .bind(who)
        .bind(why)
        .run(connection)
        .await
        .map_err(|error| classify("recording a discard", &error))?;
    Ok(())
}

/// The document keys that operators discarded.
pub async fn discarded(
    session: &mut Session,
    control: &Control,
    projection: &str,
) -> Result<Vec<[u8; 16]>, Failure> {
    let failed = |error: sqlx::Error| classify("reading discarded events", &error);
    let sql = control.sql("SELECT document_key FROM laterna.discarded WHERE projection = ?");
    let rows = sqlx::query(&sql).bind(projection).rows(&mut session.connection).await.map_err(failed)?;
    let keys = rows.iter().map(|row| row.try_get::<Vec<u8>, _>(0).map_err(failed));
    keys.map(|key| key.map(|key| key.try_into().unwrap_or_default())).collect()
}

fn letter(row: &MySqlRow) -> Result<Letter, sqlx::Error> {
    let created: time::OffsetDateTime = row.try_get("created_at")?;
    let rfc3339 = time::format_description::well_known::Rfc3339;
    Ok(Letter {
        id: row.try_get("id")?,
        state: row.try_get("state")?,
        aggregate: row.try_get("aggregate")?,
        event_id: row.try_get("event_id")?,
        event_type: row.try_get("event_type")?,
        class: row.try_get("class")?,
        reason: row.try_get("reason")?,
        digest: row.try_get("digest")?,
        attempts: row.try_get("attempts")?,
        created_at: created.format(&rfc3339).unwrap_or_default(),
        aggregate_key: row.try_get("aggregate_key")?,
        document_key: row.try_get("document_key")?,
        document: row.try_get("document")?,
    })
}

fn reason(failure: &Failure) -> String {
    let mut text = failure.to_string();
    let end = (0..=REASON_BYTES_MAX.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.truncate(end.unwrap_or_default());
    text
}

/// The operations as people read them; none when there are none.
fn described(operations: &[Operation]) -> Option<String> {
    const CHARACTERS_MAX: usize = 64 << 10;
    (!operations.is_empty()).then(|| format!("{operations:?}").chars().take(CHARACTERS_MAX).collect())
}
