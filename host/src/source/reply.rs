//! Reading the raw replies of cursors: their documents, their resume token, their time.
//!
//! No I/O.

use bson::raw::{RawBinaryRef, RawBsonRef};
use bson::spec::BinarySubtype;
use bson::{Bson, RawArray, RawDocument, Timestamp};

use super::decode::Fields;
use crate::failure::Failure;
use crate::position::{ClusterTime, KeyPart, ScanKey, Token};

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
    let data = document.get_str("_data").ok()?.into();
    let type_bits = document.get_binary("_typeBits").ok().map(|bits| hex::encode(bits.bytes));
    Some(Token { data, type_bits })
}

/// The token as the server wants it back.
pub fn token_document(token: &Token) -> bson::Document {
    let mut document = bson::doc! { "_data": &*token.data };
    if let Some(bits) = token.type_bits.as_deref().and_then(|digits| hex::decode(digits).ok()) {
        let binary = bson::Binary { subtype: BinarySubtype::Generic, bytes: bits };
        document.insert("_typeBits", binary);
    }
    document
}

/// The bytes of a document's `_id`, of whatever type it is.
pub fn raw_id(document: &RawDocument) -> Option<bson::RawDocumentBuf> {
    let mut wrapped = bson::RawDocumentBuf::new();
    wrapped.append(bson::cstr!("_id"), document.get("_id").ok().flatten()?);
    Some(wrapped)
}

/// A document's place in history; none when the host does not know how MongoDB sorts one of its values.
pub fn scan_key(document: &RawDocument, fields: &Fields) -> Option<ScanKey> {
    let names = [&fields.aggregate_type, &fields.aggregate_id, &fields.sequence, "_id"];
    let mut parts = [const { None }; 4];
    for element in document.iter_elements() {
        let element = element.ok()?;
        for (part, name) in parts.iter_mut().zip(names) {
            if part.is_none() && element.key().as_str() == name {
                *part = Some(indexed(element.value().ok()?)?);
            }
        }
        if parts.iter().all(Option::is_some) {
            break;
        }
    }
    Some(ScanKey(parts.map(|part| part.unwrap_or(KeyPart::Missing))))
}

/// The first value under which an index has a field: of an array, each element by itself.
fn indexed(value: RawBsonRef<'_>) -> Option<KeyPart> {
    let RawBsonRef::Array(array) = value else { return key_part(value) };
    let parts: Vec<KeyPart> = array.into_iter().map(|item| key_part(item.ok()?)).collect::<Option<_>>()?;
    Some(parts.into_iter().min_by(KeyPart::compare).unwrap_or(KeyPart::Undefined))
}

fn key_part(value: RawBsonRef<'_>) -> Option<KeyPart> {
    Some(match value {
        RawBsonRef::MinKey => KeyPart::Least,
        RawBsonRef::Undefined => KeyPart::Undefined,
        RawBsonRef::Null => KeyPart::Missing,
        RawBsonRef::Int32(number) => KeyPart::Integer(number.into()),
        RawBsonRef::Int64(number) => KeyPart::Integer(number),
        RawBsonRef::Double(number) if number.is_finite() => KeyPart::Number(number),
        RawBsonRef::Double(number) => not_finite(number),
        RawBsonRef::Decimal128(number) => decimal(&number.to_string()),
        RawBsonRef::String(text) | RawBsonRef::Symbol(text) => KeyPart::Text(text.to_owned()),
        RawBsonRef::Document(document) => KeyPart::Object(
            document
                .iter()
                .map(|field| {
                    let (name, value) = field.ok()?;
                    Some((name.as_str().to_owned(), key_part(value)?))
                })
                .collect::<Option<_>>()?,
        ),
        RawBsonRef::Array(array) => {
            KeyPart::Array(array.into_iter().map(|item| key_part(item.ok()?)).collect::<Option<_>>()?)
        }
        RawBsonRef::Binary(binary) => KeyPart::Binary(binary.subtype.into(), stored(binary)),
        RawBsonRef::ObjectId(id) => KeyPart::ObjectId(id.bytes()),
        RawBsonRef::Boolean(value) => KeyPart::Boolean(value),
        RawBsonRef::DateTime(date) => KeyPart::Date(date.timestamp_millis()),
        RawBsonRef::Timestamp(time) => KeyPart::Timestamp(time.time, time.increment),
        RawBsonRef::RegularExpression(regex) => {
            KeyPart::Regex(Box::new([regex.pattern, regex.options].map(|text| text.as_str().to_owned())))
        }
        RawBsonRef::JavaScriptCode(code) => KeyPart::Code(code.to_owned()),
        RawBsonRef::MaxKey => KeyPart::Greatest,
        RawBsonRef::JavaScriptCodeWithScope(_) | RawBsonRef::DbPointer(_) => return None,
    })
}

fn not_finite(number: f64) -> KeyPart {
    match number {
        f64::INFINITY => KeyPart::Infinity,
        f64::NEG_INFINITY => KeyPart::NegativeInfinity,
        _ => KeyPart::NotANumber,
    }
}

fn decimal(text: &str) -> KeyPart {
    match text {
        "Infinity" => KeyPart::Infinity,
        "-Infinity" => KeyPart::NegativeInfinity,
        text if text.ends_with("NaN") => KeyPart::NotANumber,
        text => KeyPart::Decimal(text.to_owned()),
    }
}

/// The bytes that MongoDB compares: the oldest subtype has its length in front.
fn stored(binary: RawBinaryRef<'_>) -> Vec<u8> {
    if binary.subtype != BinarySubtype::BinaryOld {
        return binary.bytes.to_vec();
    }
    let length = u32::try_from(binary.bytes.len()).expect("a document has at most 16 MiB");
    [&length.to_le_bytes()[..], binary.bytes].concat()
}

/// A key part as a bound of a scan.
pub fn bound(part: &KeyPart) -> Bson {
    match part {
        KeyPart::Least => Bson::MinKey,
        KeyPart::Undefined => Bson::Undefined,
        KeyPart::Missing => Bson::Null,
        KeyPart::NotANumber => f64::NAN.into(),
        KeyPart::NegativeInfinity => f64::NEG_INFINITY.into(),
        KeyPart::Integer(number) => (*number).into(),
        KeyPart::Number(number) => (*number).into(),
        // Only texts of Decimal128 are stored.
        KeyPart::Decimal(text) => text.parse().map_or(Bson::MinKey, Bson::Decimal128),
        KeyPart::Infinity => f64::INFINITY.into(),
        KeyPart::Text(text) => text.as_str().into(),
        KeyPart::Object(fields) => {
            fields.iter().map(|(name, part)| (name.clone(), bound(part))).collect::<bson::Document>().into()
        }
        KeyPart::Array(parts) => Bson::Array(parts.iter().map(bound).collect()),
        KeyPart::Binary(subtype, bytes) => {
            let subtype = BinarySubtype::from(*subtype);
            let bytes =
                if subtype == BinarySubtype::BinaryOld { bytes.get(4..).unwrap_or_default() } else { bytes };
            bson::Binary { subtype, bytes: bytes.to_vec() }.into()
        }
        KeyPart::ObjectId(bytes) => bson::oid::ObjectId::from_bytes(*bytes).into(),
        KeyPart::Boolean(value) => (*value).into(),
        KeyPart::Date(millis) => bson::DateTime::from_millis(*millis).into(),
        KeyPart::Timestamp(time, increment) => bson::Timestamp { time: *time, increment: *increment }.into(),
        KeyPart::Regex(regex) => match regex.each_ref().map(|text| text.as_str().try_into()) {
            [Ok(pattern), Ok(options)] => bson::Regex { pattern, options }.into(),
            _ => Bson::MinKey,
        },
        KeyPart::Code(code) => Bson::JavaScriptCode(code.clone()),
        KeyPart::Greatest => Bson::MaxKey,
    }
}

pub fn malformed(what: &str) -> Failure {
    Failure::SourceUnusable { message: format!("a reply is malformed: {what}") }
}
