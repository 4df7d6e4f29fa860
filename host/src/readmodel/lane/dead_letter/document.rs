//! The documents of dead letters. One that is too large for MySQL's `max_allowed_packet` is stored in parts.

use sqlx::Row;
use sqlx::mysql::MySqlConnection;

use super::Letter;
use crate::failure::Failure;
use crate::readmodel::control::control_db::ControlDb;
use crate::readmodel::control::schema::Control;
use crate::readmodel::mysql::error::classify;
use crate::readmodel::mysql::query::RunQuery;
use crate::readmodel::mysql::session::Session;

/// The largest part.
const PART_BYTES_MAX: usize = 8 << 20;

/// Divides a document into the part in the letter's own row and the parts beside it. Half of a packet is left to
/// everything else.
pub fn divide(document: &[u8], packet: usize) -> (&[u8], Vec<&[u8]>) {
    let room = (packet / 2).max(1);
    if document.len() <= room {
        return (document, vec![]);
    }
    (&[], document.chunks(room.min(PART_BYTES_MAX)).collect())
}

/// Writes a document's parts, in the transaction that writes its letter.
pub async fn write_parts(
    session: &mut Session,
    control: &Control,
    letter: u64,
    parts: &[&[u8]],
) -> Result<(), Failure> {
    let sql = control.sql("INSERT INTO laterna.dead_letter_part (letter, part, bytes) VALUES (?, ?, ?)");
    for (part, number) in parts.iter().zip(0_u32..) {
        let written = sqlx::query(&sql).bind(letter).bind(number).bind(*part).run(&mut session.connection);
        written.await.map_err(|error| classify("writing a part of a dead letter", &error))?;
    }
    Ok(())
}

pub async fn remove_parts(
    connection: &mut MySqlConnection,
    control: &Control,
    letter: u64,
) -> Result<(), Failure> {
    let sql = control.sql("DELETE FROM laterna.dead_letter_part WHERE letter = ?");
    let removed = sqlx::query(&sql).bind(letter).run(connection).await;
    removed.map_err(|error| classify("removing the parts of a dead letter", &error))?;
    Ok(())
}

impl ControlDb<'_> {
    /// A letter's document, whole. None when the letter is gone.
    pub async fn letter_document(&mut self, letter: &Letter) -> Result<Option<Vec<u8>>, Failure> {
        let failed = |error: sqlx::Error| classify("reading a dead letter's document", &error);
        let sql = self.control.sql("SELECT document, parts FROM laterna.dead_letter WHERE id = ?");
        let row = sqlx::query(&sql).bind(letter.id).first(self.connection()).await.map_err(failed)?;
        let Some(row) = row else { return Ok(None) };
        let mut bytes: Vec<u8> = row.try_get(0).map_err(failed)?;
        let part =
            self.control.sql("SELECT bytes FROM laterna.dead_letter_part WHERE letter = ? AND part = ?");
        for number in 0..row.try_get::<u32, _>(1).map_err(failed)? {
            let asked = sqlx::query(&part).bind(letter.id).bind(number).first(self.connection()).await;
            // It was removed in between.
            let Some(row) = asked.map_err(failed)? else { return Ok(None) };
            bytes.extend(row.try_get::<&[u8], _>(0).map_err(failed)?);
        }
        Ok(Some(bytes))
    }
}

/// Everything of a letter that lists leave out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    pub document: Vec<u8>,
    pub operations: Option<String>,
    pub position: String,
}

impl ControlDb<'_> {
    /// The contents of these letters, one by one in their order; none where a letter is gone.
    pub async fn letter_contents(&mut self, letters: &[Letter]) -> Result<Vec<Option<Content>>, Failure> {
        let failed = |error: sqlx::Error| classify("reading dead letters", &error);
        let marks = vec!["?"; letters.len()].join(", ");
        let sql = self.control.sql(&format!(
            "SELECT id, document, operations, position FROM laterna.dead_letter WHERE id IN ({marks}) ORDER BY id"
        ));
        let query = letters.iter().fold(sqlx::query(&sql), |query, letter| query.bind(letter.id));
        let rows = query.rows(self.connection()).await.map_err(failed)?;
        let mut found = std::collections::HashMap::new();
        for row in &rows {
            let content = Content {
                document: row.try_get(1).map_err(failed)?,
                operations: row.try_get(2).map_err(failed)?,
                position: row.try_get(3).map_err(failed)?,
            };
            found.insert(row.try_get::<u64, _>(0).map_err(failed)?, content);
        }
        let mut contents = Vec::with_capacity(letters.len());
        for letter in letters {
            let mut content = found.remove(&letter.id);
            if letter.parts > 0
                && let Some(found) = content.take()
            {
                let whole = self.letter_document(letter).await?;
                content = whole.map(|document| Content { document, ..found });
            }
            contents.push(content);
        }
        Ok(contents)
    }
}

/// The document as canonical Extended JSON; as base64 where it is no valid BSON.
pub fn shown_document(bytes: Vec<u8>) -> (&'static str, serde_json::Value) {
    if let Ok(document) = bson::deserialize_from_slice::<bson::Document>(&bytes) {
        return ("document", bson::Bson::Document(document).into_canonical_extjson());
    }
    let subtype = bson::spec::BinarySubtype::Generic;
    let binary = bson::Bson::Binary(bson::Binary { subtype, bytes }).into_canonical_extjson();
    ("document_base64", binary["$binary"]["base64"].clone())
}

/// A document as people read it, from canonical Extended JSON: dates, ids and numbers as they are written, and not by their
/// types.
pub fn readable_document(document: serde_json::Value) -> serde_json::Value {
    // What nobody can read otherwise stays as it is.
    bson::Bson::try_from(document.clone()).map_or(document, readable)
}

fn readable(value: bson::Bson) -> serde_json::Value {
    use bson::Bson;
    match value {
        Bson::Document(fields) => serde_json::Value::Object(
            fields.into_iter().map(|(name, value)| (name, readable(value))).collect(),
        ),
        Bson::Array(items) => items.into_iter().map(readable).collect(),
        Bson::DateTime(at) => {
            at.try_to_rfc3339_string().map_or_else(|_| Bson::DateTime(at).into_relaxed_extjson(), Into::into)
        }
        Bson::ObjectId(id) => id.to_hex().into(),
        Bson::Decimal128(number) => number.to_string().into(),
        other => other.into_relaxed_extjson(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_that_fits_no_packet_comes_in_parts_and_none_is_cut() {
        let document: Vec<u8> = (0..100).collect();
        assert_eq!(divide(&document, 200), (&document[..], vec![]));
        let (whole, parts) = divide(&document, 60);
        assert!(whole.is_empty() && parts.iter().all(|part| part.len() <= 30));
        assert_eq!(parts.concat(), document);
        assert_eq!(divide(&[], 60).1.len(), 0);
    }

    #[test]
    fn a_document_keeps_its_types_and_bytes_that_are_none_stay_whole() {
        let document = bson::doc! { "a": 5_i64, "b": 5_i32 };
        let (name, value) = shown_document(bson::serialize_to_vec(&document).expect("it is a document"));
        assert_eq!(name, "document");
        assert_eq!(value["a"]["$numberLong"], "5");
        assert_eq!(value["b"]["$numberInt"], "5");
        assert_eq!(shown_document(vec![1, 2, 3]), ("document_base64", "AQID".into()));
    }

    #[test]
    fn people_read_dates_ids_and_decimals_as_they_are_written() {
        let at = bson::DateTime::from_millis(1_767_225_600_000);
        let id = bson::oid::ObjectId::from_bytes([7; 12]);
        let amount: bson::Decimal128 = "12.50".parse().expect("a decimal");
        let document = bson::doc! { "_id": id, "at": [at], "amount": amount, "count": 5_i64, "text": "a" };
        let bytes = bson::serialize_to_vec(&document).expect("it is a document");
        let (_, stored) = shown_document(bytes);
        let expected = serde_json::json!({
            "_id": "070707070707070707070707", "at": ["2026-01-01T00:00:00Z"], "amount": "12.50", "count": 5, "text": "a"
        });
        assert_eq!(readable_document(stored), expected);
    }
}
