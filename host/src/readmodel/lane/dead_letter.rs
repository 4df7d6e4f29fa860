//! Dead letters: parked events, and those held behind them in order.
//!
//! A letter is written in the transaction that moves the checkpoint past its event, and taken away in the one
//! that applies it. Only an aggregate's head (its oldest letter) is ever replayed or discarded.

mod letter;
mod document;
mod same;
mod selection;
mod counts;
mod shown;

use sqlx::mysql::MySqlConnection;
use xxhash_rust::xxh3::xxh3_128;

use super::Lane;
use super::batch::{Entry, Verdict};
use super::checkpoint::stored;
use super::letter_limits::Volume;
use crate::event::{Aggregate, Delivery, Id};
use crate::failure::Failure;
use crate::fingerprint::Seed;
use crate::readmodel::control::schema::Control;
use crate::readmodel::mysql::error::classify;
use crate::readmodel::mysql::query::RunQuery;
use crate::readmodel::mysql::session::Session;
use crate::statement::FittedOperation;

pub use counts::{ClassCount, KIND, LetterCounts, LetterStand, with_remedies};
pub use document::{Content, readable_document, shown_document};
pub use letter::{Letter, LetterState, MASKED};
pub use selection::{Discarded, GivenUp, Selection};
pub use shown::{Ids, ShownLetters};

/// The longest reason that is stored, in bytes.
const REASON_BYTES_MAX: usize = 8 << 10;

/// The most that is stored of an event's operations, in bytes.
const OPERATIONS_BYTES_MAX: usize = 64 << 10;

/// Where a document is looked for, also one whose id cannot be read: XXH3-128 of the id's key or of the raw bytes. Clients
/// choose those, so a key that is found proves nothing by itself: what it stands for is compared.
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

/// Where a document is looked for next, if another one has its first key: nobody else can compute this one.
pub fn second_key(delivery: &Delivery, seed: &Seed) -> [u8; 16] {
    let mark = match delivery.id() {
        Some(id) => seed.mark(id),
        None => seed.mark_of_key(&delivery.document),
    };
    mark.to_be_bytes()
}

/// Writes an entry's letter, if its verdict asks for one and it has none, in the batch's transaction. What it adds.
pub async fn write(
    session: &mut Session,
    control: &Control,
    lane: &Lane,
    seed: &Seed,
    entry: &Entry,
    digest: &str,
) -> Result<Volume, Failure> {
    if !matches!(entry.verdict, Verdict::Park { .. } | Verdict::Hold) {
        return Ok(Volume::default());
    }
    for key in [document_key(&entry.delivery), second_key(&entry.delivery, seed)] {
        let added = insert(session, control, lane, entry, &key, digest).await?;
        if added.letters > 0 || same::has_letter(session, control, lane, &entry.delivery, &key).await? {
            return Ok(added);
        }
    }
    Err(Failure::Bug { what: "both keys of a document belong to dead letters of other documents".to_owned() })
}

/// Writes an entry's letter under a key, unless one has it.
async fn insert(
    session: &mut Session,
    control: &Control,
    lane: &Lane,
    entry: &Entry,
    key: &[u8; 16],
    digest: &str,
) -> Result<Volume, Failure> {
    let packet = session.packet_bytes_max;
    let (state, failure, operations) = match &entry.verdict {
        Verdict::Park { failure, operations } => ("parked", Some(failure), described(operations, packet)),
        Verdict::Hold => ("held", None, None),
        Verdict::Apply(_) | Verdict::Pass(_) => return Ok(Volume::default()),
    };
    let delivery = &entry.delivery;
    let bytes = u64::try_from(delivery.document.len()).expect("a document's length fits");
    let (whole, parts) = document::divide(&delivery.document, packet);
    // The same document may come twice when history is scanned again; its letter stays as it was. MySQL tells a new
    // row from one that stayed by the count of rows, and only if something changes.
    let sql = control.sql(
        "INSERT INTO laterna.dead_letter \
         (projection, generation, state, document_key, aggregate_key, aggregate, event_id, event_type, document, \
          position, class, reason, digest, operations, attempts, event_key, document_bytes, parts) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON DUPLICATE KEY UPDATE \
         updated_at = GREATEST(CURRENT_TIMESTAMP(6), updated_at + INTERVAL 1 MICROSECOND)",
    );
    let inserted = sqlx::query(&sql)
        .bind(&lane.projection)
        .bind(lane.generation)
        .bind(state)
        .bind(&key[..])
        .bind(delivery.aggregate().map(Aggregate::key))
        .bind(delivery.aggregate().map(ToString::to_string))
        .bind(delivery.id().map(ToString::to_string))
        .bind(delivery.event.as_ref().ok().map(|event| event.event_type.as_str()))
        .bind(whole)
        .bind(stored(&delivery.position))
        .bind(failure.map(Failure::class))
        .bind(failure.map(reason))
        .bind(digest)
        .bind(operations)
        .bind(u32::from(failure.is_some()))
        .bind(delivery.id().map(Id::key))
        .bind(bytes)
        .bind(u32::try_from(parts.len()).expect("a document's length bounds its parts"))
        .run(&mut session.connection)
        .await
        .map_err(|error| classify("writing a dead letter", &error))?;
    if inserted.rows_affected() != 1 {
        return Ok(Volume::default());
    }
    document::write_parts(session, control, inserted.last_insert_id(), &parts).await?;
    Ok(Volume::more(1, bytes))
}

/// Takes a letter away, in the transaction that applied or discarded it. What that takes from the letters; nothing
/// when it was gone already.
pub async fn remove(
    connection: &mut MySqlConnection,
    control: &Control,
    letter: &Letter,
) -> Result<Option<Volume>, Failure> {
    let failed = |error: sqlx::Error| classify("removing a dead letter", &error);
    let sql = control.sql("DELETE FROM laterna.dead_letter WHERE id = ?");
    let removed = sqlx::query(&sql).bind(letter.id).run(&mut *connection).await.map_err(failed)?;
    if removed.rows_affected() != 1 {
        return Ok(None);
    }
    if letter.parts > 0 {
        document::remove_parts(connection, control, letter.id).await?;
    }
    Ok(Some(Volume::less(1, letter.document_bytes)))
}

/// The result of a try.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    pub failure: &'a Failure,
    pub digest: &'a str,
    /// The command that asked for it: it does not try this letter again.
    pub command: Option<u64>,
}

/// Records that a letter was tried and failed: it is the parked head of its aggregate now.
pub async fn record_attempt(
    connection: &mut MySqlConnection,
    control: &Control,
    id: u64,
    attempt: Attempt<'_>,
) -> Result<(), Failure> {
    let sql = control.sql(
        "UPDATE laterna.dead_letter SET state = 'parked', attempts = attempts + 1, class = ?, reason = ?, digest = ?, \
         command = ? WHERE id = ?",
    );
    sqlx::query(&sql)
        .bind(attempt.failure.class())
        .bind(reason(attempt.failure))
        .bind(attempt.digest)
        .bind(attempt.command)
        .bind(id)
        .run(connection)
        .await
        .map_err(|error| classify("recording an attempt", &error))?;
    Ok(())
}

/// Erases what a letter holds of the event: the document, the operations, the reason's text. Its place in the order, its
/// ids and its class stay. What that takes from the letters.
pub async fn erase(
    connection: &mut MySqlConnection,
    control: &Control,
    letter: &Letter,
    who: &str,
    why: &str,
) -> Result<Option<Volume>, Failure> {
    let sql = control.sql(
        "UPDATE laterna.dead_letter SET document = '', document_bytes = 0, parts = 0, operations = NULL, reason = ?, \
         erased_at = CURRENT_TIMESTAMP(6) WHERE id = ? AND erased_at IS NULL",
    );
    let note = cut(format!("erased by {who}: {why}"), REASON_BYTES_MAX);
    let erased = sqlx::query(&sql).bind(note).bind(letter.id).run(&mut *connection).await;
    let erased = erased.map_err(|error| classify("erasing a dead letter", &error))?;
    if erased.rows_affected() != 1 {
        return Ok(None);
    }
    document::remove_parts(connection, control, letter.id).await?;
    Ok(Some(Volume::less(0, letter.document_bytes)))
}

/// Records a discard, in the transaction that removes the letter. Under a key that another document's discard has, it is
/// recorded under the second one.
pub async fn record_discard(
    connection: &mut MySqlConnection,
    control: &Control,
    lane: &Lane,
    seed: &Seed,
    letter: &Letter,
    who: &str,
    why: &str,
) -> Result<(), Failure> {
    let sql = control.sql(
        "INSERT IGNORE INTO laterna.discarded (projection, document_key, event_id, discarded_by, reason) \
         VALUES (?, ?, ?, ?, ?)",
    );
    let second = seed.mark_of_key(letter.event_key.as_deref().unwrap_or(&letter.document_key)).to_be_bytes();
    for key in [&letter.document_key[..], &second[..]] {
        let recorded = sqlx::query(&sql)
            .bind(&lane.projection)
            .bind(key)
            .bind(&letter.event_id)
            .bind(who)
            .bind(why)
            .run(&mut *connection)
            .await
            .map_err(|error| classify("recording a discard", &error))?;
        if recorded.rows_affected() > 0 || same::is_discarded(connection, control, lane, letter, key).await? {
            return Ok(());
        }
    }
    Ok(())
}

fn reason(failure: &Failure) -> String {
    cut(failure.to_string(), REASON_BYTES_MAX)
}

/// The beginning of a text, at most so many bytes.
fn cut(mut text: String, bytes_max: usize) -> String {
    let end = (0..=bytes_max.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.truncate(end.unwrap_or_default());
    text
}

/// The operations as people read them, as far as a packet has room; none when there are none.
fn described(operations: &[FittedOperation], packet: usize) -> Option<String> {
    let bytes_max = OPERATIONS_BYTES_MAX.min(packet / 8);
    (!operations.is_empty()).then(|| cut(format!("{operations:?}"), bytes_max))
}
