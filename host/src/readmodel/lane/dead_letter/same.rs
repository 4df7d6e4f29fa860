//! The proof that the row under a document's key is that document's: of two that have one key, none passes for the
//! other.

use sqlx::Row;
use sqlx::mysql::MySqlConnection;

use super::Letter;
use crate::event::Delivery;
use crate::failure::Failure;
use crate::readmodel::control::schema::Control;
use crate::readmodel::lane::Lane;
use crate::readmodel::mysql::error::classify;
use crate::readmodel::mysql::query::RunQuery;
use crate::readmodel::mysql::session::Session;

/// Returns true where the letter under a key is this document's.
pub(super) async fn has_letter(
    session: &mut Session,
    control: &Control,
    lane: &Lane,
    delivery: &Delivery,
    key: &[u8; 16],
) -> Result<bool, Failure> {
    let failed = |error: sqlx::Error| classify("comparing a dead letter", &error);
    // The first version of the control schema kept an id's text only, and an erased letter has no document.
    let sql = control.sql(
        "SELECT CAST(COALESCE(event_key, CAST(event_id AS BINARY)) AS BINARY), event_key IS NOT NULL, \
         erased_at IS NOT NULL OR parts > 0 OR document = ? FROM laterna.dead_letter \
         WHERE projection = ? AND generation = ? AND document_key = ?",
    );
    // A document that is stored in parts is not sent again to be compared.
    let whole =
        if delivery.document.len() < session.packet_bytes_max / 2 { &delivery.document[..] } else { &[] };
    let found = sqlx::query(&sql)
        .bind(whole)
        .bind(&lane.projection)
        .bind(lane.generation)
        .bind(&key[..])
        .first(&mut session.connection)
        .await
        .map_err(failed)?;
    let Some(row) = found else { return Ok(false) };
    let id: Option<Vec<u8>> = row.try_get(0).map_err(failed)?;
    let has_key = row.try_get::<i64, _>(1).map_err(failed)? == 1;
    let has_document = row.try_get::<i64, _>(2).map_err(failed)? == 1;
    Ok(match (delivery.id(), id) {
        (Some(mine), Some(its)) if has_key => mine.key() == its,
        (Some(mine), Some(its)) => mine.to_string().into_bytes() == its,
        (None, None) => has_document,
        _ => false,
    })
}

/// Returns true where the discard under a key is that of this letter's event.
pub(super) async fn is_discarded(
    connection: &mut MySqlConnection,
    control: &Control,
    lane: &Lane,
    letter: &Letter,
    key: &[u8],
) -> Result<bool, Failure> {
    let sql = control.sql(
        "SELECT 1 FROM laterna.discarded WHERE projection = ? AND document_key = ? \
         AND CAST(event_id AS BINARY) <=> CAST(? AS BINARY)",
    );
    let found = sqlx::query(&sql).bind(&lane.projection).bind(key).bind(&letter.event_id).first(connection);
    Ok(found.await.map_err(|error| classify("comparing a discard", &error))?.is_some())
}
