//! Reading the raw replies of cursors: their documents, their resume token, their time.
//!
//! No I/O.

use bson::raw::RawBsonRef;
use bson::{RawArray, RawDocument, Timestamp};
use xxhash_rust::xxh3::xxh3_128;

use crate::failure::Failure;
use crate::position::{ClusterTime, KeyPart, ScanKey, Token};
use crate::source::decode::Fields;

/// The documents of a `find`, `aggregate` or `getMore` reply.
pub fn documents(reply: &RawDocument) -> Result<&RawArray, Failure> {
    let cursor = reply.get_document("cursor").map_err(|_| malformed("it has no cursor"))?;
    let batch = cursor.get_array("nextBatch").or_else(|_| cursor.get_array("firstBatch"));
    batch.map_err(|_| malformed("its cursor has no batch"))
}

/// Where the stream stands behind this reply's documents.
pub fn post_batch_token(reply: &RawDocument) -> Option<Token> {
    reply.get_document("cursor").ok()?.get_document("postBatchResumeToken").ok().and_then(token)
}

/// The server's time when it answered.
pub fn operation_time(reply: &RawDocument) -> Option<ClusterTime> {
    reply.get_timestamp("operationTime").ok().map(cluster_time)
}

pub fn cluster_time(timestamp: Timestamp) -> ClusterTime {
    ClusterTime { seconds: timestamp.time, increment: timestamp.increment }
}

pub fn token(document: &RawDocument) -> Option<Token> {
    let data = document.get_str("_data").ok()?.to_owned();
    let type_bits = document.get_binary("_typeBits").ok().map(|bits| hex::encode(bits.bytes));
    Some(Token { data, type_bits })
}

/// The token as the server wants it back.
pub fn token_document(token: &Token) -> bson::Document {
    let mut document = bson::doc! { "_data": &token.data };
    if let Some(bits) = token.type_bits.as_deref().and_then(|digits| hex::decode(digits).ok()) {
        let binary = bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: bits };
        document.insert("_typeBits", binary);
    }
    document
}

/// A number that stands for a document's `_id`, of whatever type it is.
pub fn id_mark(document: &RawDocument) -> Option<u128> {
    let mut wrapped = bson::RawDocumentBuf::new();
    wrapped.append(bson::cstr!("_id"), document.get("_id").ok().flatten()?);
    Some(xxh3_128(wrapped.as_bytes()))
}

/// A document's place in history; none when MongoDB may sort it otherwise than [`ScanKey`] does.
pub fn scan_key(document: &RawDocument, fields: &Fields) -> Option<ScanKey> {
    let part = |name: &str| key_part(document.get(name).ok()?);
    let (kind, id) = (part(&fields.aggregate_type)?, part(&fields.aggregate_id)?);
    Some(ScanKey([kind, id, part(&fields.sequence)?, part("_id")?]))
}

fn key_part(value: Option<RawBsonRef<'_>>) -> Option<KeyPart> {
    Some(match value {
        None | Some(RawBsonRef::Null) => KeyPart::Missing,
        Some(RawBsonRef::Int32(number)) => KeyPart::Integer(number.into()),
        Some(RawBsonRef::Int64(number)) => KeyPart::Integer(number),
        Some(RawBsonRef::Double(number)) if number.is_finite() => KeyPart::Number(number),
        Some(RawBsonRef::String(text)) => KeyPart::Text(text.to_owned()),
        Some(RawBsonRef::Binary(binary)) => KeyPart::Binary(binary.subtype.into(), binary.bytes.to_vec()),
        Some(RawBsonRef::ObjectId(id)) => KeyPart::ObjectId(id.bytes()),
        Some(_) => return None,
    })
}

/// A key part as a bound of a scan.
pub fn bound(part: &KeyPart) -> bson::Bson {
    match part {
        KeyPart::Missing => bson::Bson::Null,
        KeyPart::Integer(number) => (*number).into(),
        KeyPart::Number(number) => (*number).into(),
        KeyPart::Text(text) => text.as_str().into(),
        KeyPart::Binary(subtype, bytes) => {
            bson::Binary { subtype: (*subtype).into(), bytes: bytes.clone() }.into()
        }
        KeyPart::ObjectId(bytes) => bson::oid::ObjectId::from_bytes(*bytes).into(),
    }
}

pub fn malformed(what: &str) -> Failure {
    Failure::SourceUnavailable { message: format!("a reply of MongoDB is malformed: {what}") }
}
