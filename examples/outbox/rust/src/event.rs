//! An event, and what the host takes for one. Whatever it would park is refused before it is written. No I/O.

use bson::spec::BinarySubtype;
use bson::{Bson, DateTime, Document, Uuid, doc};

use crate::{Error, Result};

const TYPE_BYTES_MAX: usize = 128;
const ID_BYTES_MAX: usize = 512;
const SEQUENCE_MAX: i64 = (1 << 53) - 1;
const NESTED_MAX: usize = 100;

/// What happened, to whom, as which of its events. The transaction adds id, time and where it was caused.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub event_type: String,
    pub version: u32,
    pub aggregate_type: String,
    pub aggregate_id: Bson,
    pub sequence: i64,
    pub payload: Bson,
    pub metadata: Document,
}

/// What is made before the transaction, so that whatever is repeated writes the same.
pub(crate) struct Stamp<'a> {
    pub id: Uuid,
    pub at: DateTime,
    pub traceparent: Option<&'a str>,
    pub payload_bytes_max: usize,
}

impl Event {
    pub fn new(
        event_type: &str,
        aggregate_type: &str,
        aggregate_id: impl Into<Bson>,
        sequence: i64,
        payload: impl Into<Bson>,
    ) -> Self {
        Self {
            event_type: event_type.to_owned(),
            version: 1,
            aggregate_type: aggregate_type.to_owned(),
            aggregate_id: aggregate_id.into(),
            sequence,
            payload: payload.into(),
            metadata: Document::new(),
        }
    }

    /// The outbox document.
    pub(crate) fn document(self, stamp: &Stamp<'_>) -> Result<Document> {
        check_text("type", &self.event_type, TYPE_BYTES_MAX)?;
        check_text("aggregateType", &self.aggregate_type, TYPE_BYTES_MAX)?;
        check_id("aggregateId", &self.aggregate_id)?;
        if !(0..=SEQUENCE_MAX).contains(&self.sequence) {
            return refuse(format!("`sequence` is {}; it is 0 to {SEQUENCE_MAX}", self.sequence));
        }
        let mut metadata = self.metadata;
        if let Some(traceparent) = stamp.traceparent {
            metadata.entry("traceparent").or_insert_with(|| traceparent.into());
        }
        let metadata = Bson::Document(metadata);
        check_json("payload", &self.payload, stamp.payload_bytes_max)?;
        check_json("metadata", &metadata, stamp.payload_bytes_max)?;
        Ok(doc! {
            "_id": stamp.id,
            "type": self.event_type,
            "version": i64::from(self.version),
            "aggregateType": self.aggregate_type,
            "aggregateId": self.aggregate_id,
            "sequence": self.sequence,
            "occurredAt": stamp.at,
            "payload": self.payload,
            "metadata": metadata,
        })
    }
}

fn refuse<T>(why: String) -> Result<T> {
    Err(Error::InvalidEvent(why))
}

fn check_text(name: &str, value: &str, most: usize) -> Result<()> {
    match value.len() {
        bytes if bytes == 0 || bytes > most => {
            refuse(format!("`{name}` has {bytes} bytes; it has 1 to {most}"))
        }
        _ => Ok(()),
    }
}

fn check_id(name: &str, value: &Bson) -> Result<()> {
    match value {
        Bson::String(text) => check_text(name, text, ID_BYTES_MAX),
        Bson::ObjectId(_) | Bson::Int32(_) | Bson::Int64(_) => Ok(()),
        Bson::Binary(binary) if binary.subtype == BinarySubtype::Uuid && binary.bytes.len() == 16 => Ok(()),
        other => refuse(format!(
            "`{name}` is of type {:?}, not a string, an ObjectId, a UUID or an integer",
            other.element_type()
        )),
    }
}

/// The host makes JSON of it, relaxed Extended JSON with large integers as text, and has room for so much.
fn check_json(name: &str, value: &Bson, most: usize) -> Result<()> {
    let bytes = size(name, value, 1)?;
    if bytes > most {
        let way_out = "store what is large, and its id here";
        return refuse(format!("`{name}` has {bytes} bytes as JSON, at most {most}: {way_out}"));
    }
    Ok(())
}

fn size(name: &str, value: &Bson, level: usize) -> Result<usize> {
    if matches!(value, Bson::Document(_) | Bson::Array(_)) && level > NESTED_MAX {
        return refuse(format!("`{name}` nests deeper than {NESTED_MAX} levels"));
    }
    let (parts, bytes): (usize, usize) = match value {
        Bson::Document(document) => (document.len(), {
            let part = |(key, part): (&String, &Bson)| -> Result<usize> {
                Ok(leaf(&key.into()) + 1 + size(name, part, level + 1)?)
            };
            document.iter().map(part).sum::<Result<usize>>()?
        }),
        Bson::Array(array) => {
            (array.len(), array.iter().map(|part| size(name, part, level + 1)).sum::<Result<usize>>()?)
        }
        value => return Ok(leaf(value)),
    };
    Ok(2 + bytes + parts.saturating_sub(1))
}

fn leaf(value: &Bson) -> usize {
    let value = value.clone();
    let json = match &value {
        Bson::Int64(number) if !(-SEQUENCE_MAX..=SEQUENCE_MAX).contains(number) => {
            value.into_canonical_extjson()
        }
        _ => value.into_relaxed_extjson(),
    };
    json.to_string().len()
}
