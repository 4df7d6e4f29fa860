//! From a raw outbox document to an event, in one pass over its fields.
//!
//! No I/O. A document that does not fit is never dropped: what could be read of it comes back with the reason.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bson::RawDocument;
use bson::raw::RawBsonRef;
use bson::spec::BinarySubtype;
use compact_str::CompactString;

use super::json::to_json;
use super::moment;
use crate::event::{Aggregate, Event, ID_BYTES_MAX, Id, SEQUENCE_MAX, TYPE_BYTES_MAX, Undecodable};

/// Characters of a reason that are kept: a field's name, which may be in it, can be megabytes.
const REASON_CHARACTERS_MAX: usize = 300;

/// The names of an event's fields in the outbox documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fields {
    pub event_type: String,
    pub version: String,
    pub aggregate_type: String,
    pub aggregate_id: String,
    pub sequence: String,
    pub occurred_at: String,
    pub payload: String,
    pub metadata: String,
}

impl Default for Fields {
    fn default() -> Self {
        let name = str::to_owned;
        Self {
            event_type: name("type"),
            version: name("version"),
            aggregate_type: name("aggregateType"),
            aggregate_id: name("aggregateId"),
            sequence: name("sequence"),
            occurred_at: name("occurredAt"),
            payload: name("payload"),
            metadata: name("metadata"),
        }
    }
}

impl Fields {
    /// The names that Debezium's outbox event router uses.
    pub fn debezium() -> Self {
        Self { aggregate_type: "aggregatetype".into(), aggregate_id: "aggregateid".into(), ..Self::default() }
    }
}

impl Fields {
    /// All names.
    pub fn all(&self) -> [&str; 8] {
        let Self { event_type, version, aggregate_type, aggregate_id, .. } = self;
        let Self { sequence, occurred_at, payload, metadata, .. } = self;
        [event_type, version, aggregate_type, aggregate_id, sequence, occurred_at, payload, metadata]
    }
}

/// Decodes outbox documents.
#[derive(Debug, Clone)]
pub struct Decoder {
    fields: Fields,
    /// The longest JSON text of a payload or of metadata.
    payload_bytes_max: Arc<AtomicUsize>,
}

impl Decoder {
    pub fn new(fields: Fields, payload_bytes_max: usize) -> Self {
        Self { fields, payload_bytes_max: Arc::new(AtomicUsize::new(payload_bytes_max)) }
    }

    /// Takes payloads of another length from now on, also in its copies.
    pub fn takes_payloads_up_to(&self, payload_bytes_max: usize) {
        self.payload_bytes_max.store(payload_bytes_max, Ordering::Relaxed);
    }

    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    pub fn decode(&self, document: &RawDocument) -> Result<Arc<Event>, Undecodable> {
        let mut envelope = Envelope::default();
        let read = self.read(document, &mut envelope);
        match read.and_then(|()| envelope.is_complete(&self.fields)) {
            Ok(()) => Ok(Arc::new(envelope.into_event().expect("it is complete"))),
            Err(Wrong { reason, field }) => {
                let (aggregate, reason) = (envelope.aggregate(), one_line(&reason));
                Err(Undecodable { reason, field, id: envelope.id, aggregate })
            }
        }
    }

    /// Reads every field, also behind one that is wrong, so that the aggregate is found if it can be. The first
    /// reason is the one that is reported.
    fn read(&self, document: &RawDocument, envelope: &mut Envelope) -> Result<(), Wrong> {
        let mut result = Ok(());
        for element in document.iter_elements() {
            let element = match element {
                Ok(element) => element,
                Err(error) => {
                    let reason = format!("it is not valid BSON: {error}");
                    return result.and(Err(Wrong { reason, field: None }));
                }
            };
            let name = element.key().as_str();
            let value = element.value().map_err(|error| format!("is not valid BSON: {error}"));
            let field = value.and_then(|value| self.field(name, value, envelope));
            result = result.and(field.map_err(|reason| Wrong {
                reason: format!("the field `{name}` {reason}"),
                field: self.is_known(name).then(|| name.to_owned()),
            }));
        }
        result
    }

    fn is_known(&self, name: &str) -> bool {
        name == "_id" || self.fields.all().contains(&name)
    }

    fn field(&self, name: &str, value: RawBsonRef<'_>, envelope: &mut Envelope) -> Result<(), String> {
        let fields = &self.fields;
        let json = |value| {
            to_json(value, self.payload_bytes_max.load(Ordering::Relaxed))
                .map_err(|error| format!("has no JSON form: {error}"))
        };
        match name {
            "_id" => once(&mut envelope.id, id(value)?),
            _ if name == fields.event_type => once(&mut envelope.event_type, type_name(value)?),
            _ if name == fields.version => once(&mut envelope.version, version(value)?),
            _ if name == fields.aggregate_type => once(&mut envelope.aggregate_type, type_name(value)?),
            _ if name == fields.aggregate_id => once(&mut envelope.aggregate_id, id(value)?),
            _ if name == fields.sequence => once(&mut envelope.sequence, sequence(value)?),
            _ if name == fields.occurred_at => once(&mut envelope.occurred_at, moment(value)?),
            _ if name == fields.payload => once(&mut envelope.payload, json(value)?),
            _ if name == fields.metadata => once(&mut envelope.metadata, json(value)?.into()),
            _ => Ok(()),
        }
    }
}

/// Why a document is no event, and the field that is wrong, if it is one of an event's.
struct Wrong {
    reason: String,
    field: Option<String>,
}

/// The fields found so far.
#[derive(Default)]
struct Envelope {
    id: Option<Id>,
    event_type: Option<CompactString>,
    version: Option<u32>,
    aggregate_type: Option<CompactString>,
    aggregate_id: Option<Id>,
    sequence: Option<i64>,
    occurred_at: Option<CompactString>,
    payload: Option<String>,
    metadata: Option<CompactString>,
}

impl Envelope {
    fn aggregate(&self) -> Option<Aggregate> {
        Some(Aggregate { kind: self.aggregate_type.clone()?, id: self.aggregate_id.clone()? })
    }

    /// Fails with the name of the first field that every event needs, and that is missing.
    fn is_complete(&self, fields: &Fields) -> Result<(), Wrong> {
        let needed = [
            (self.aggregate_type.is_some(), fields.aggregate_type.as_str()),
            (self.aggregate_id.is_some(), &fields.aggregate_id),
            (self.id.is_some(), "_id"),
            (self.event_type.is_some(), &fields.event_type),
            (self.payload.is_some(), &fields.payload),
        ];
        let missing = needed.iter().find(|(is_there, _)| !is_there);
        missing.map_or(Ok(()), |(_, name)| {
            let (reason, field) = (format!("the field `{name}` is missing"), Some((*name).to_owned()));
            Err(Wrong { reason, field })
        })
    }

    /// The event; none where a field is missing that every event needs.
    fn into_event(self) -> Option<Event> {
        Some(Event {
            id: self.id?,
            event_type: self.event_type?,
            version: self.version.unwrap_or(1),
            aggregate: Aggregate { kind: self.aggregate_type?, id: self.aggregate_id? },
            sequence: self.sequence,
            occurred_at: self.occurred_at,
            payload: self.payload?,
            metadata: self.metadata.unwrap_or_else(|| "{}".into()),
        })
    }
}

fn once<T>(slot: &mut Option<T>, value: T) -> Result<(), String> {
    if slot.is_some() {
        Err("stands twice in the document".to_owned())
    } else {
        *slot = Some(value);
        Ok(())
    }
}

/// The id that a value is; none where no event can have it.
pub fn event_id(value: RawBsonRef<'_>) -> Option<Id> {
    id(value).ok()
}

fn id(value: RawBsonRef<'_>) -> Result<Id, String> {
    match value {
        RawBsonRef::String("") => Err("is an empty string".to_owned()),
        RawBsonRef::String(text) if text.len() > ID_BYTES_MAX => {
            Err(format!("has {} bytes; ids have at most {ID_BYTES_MAX}", text.len()))
        }
        RawBsonRef::String(text) => Ok(Id::Text(text.into())),
        RawBsonRef::ObjectId(id) => Ok(Id::ObjectId(id.bytes())),
        RawBsonRef::Binary(binary) if binary.subtype == BinarySubtype::Uuid => {
            let bytes = binary.bytes.try_into().map_err(|_| "is a UUID that has not 16 bytes".to_owned())?;
            Ok(Id::Uuid(bytes))
        }
        number => integer(number).map(Id::Integer).ok_or_else(|| {
            wrong_type(&number, "an id: a string, an ObjectId, a UUID (binary subtype 4) or an integer")
        }),
    }
}

fn type_name(value: RawBsonRef<'_>) -> Result<CompactString, String> {
    match value {
        RawBsonRef::String("") => Err("is an empty string".to_owned()),
        RawBsonRef::String(text) if text.len() > TYPE_BYTES_MAX => {
            Err(format!("has {} bytes; types have at most {TYPE_BYTES_MAX}", text.len()))
        }
        RawBsonRef::String(text) => Ok(text.into()),
        other => Err(wrong_type(&other, "a string")),
    }
}

fn version(value: RawBsonRef<'_>) -> Result<u32, String> {
    let number = integer(value).ok_or_else(|| no_integer(&value))?;
    u32::try_from(number).map_err(|_| format!("is {number}; versions are 0 to {}", u32::MAX))
}

fn sequence(value: RawBsonRef<'_>) -> Result<i64, String> {
    let number = integer(value).ok_or_else(|| no_integer(&value))?;
    if (0..=SEQUENCE_MAX).contains(&number) {
        Ok(number)
    } else {
        Err(format!("is {number}; sequences are 0 to {SEQUENCE_MAX}"))
    }
}

/// Integers of both widths, and doubles that are exact integers: some drivers write every number as a double.
fn integer(value: RawBsonRef<'_>) -> Option<i64> {
    #[expect(clippy::cast_precision_loss, reason = "2^53 - 1 is exact as f64")]
    const EXACT: f64 = SEQUENCE_MAX as f64;
    match value {
        RawBsonRef::Int32(number) => Some(number.into()),
        RawBsonRef::Int64(number) => Some(number),
        #[expect(clippy::cast_possible_truncation, reason = "the guard lets only exact integers pass")]
        RawBsonRef::Double(number) if number.fract() == 0.0 && number.abs() <= EXACT => Some(number as i64),
        _ => None,
    }
}

/// A date, or text that is taken as it is when it is RFC 3339.
fn moment(value: RawBsonRef<'_>) -> Result<CompactString, String> {
    match value {
        RawBsonRef::DateTime(date) => moment::of_millis(date.timestamp_millis()),
        RawBsonRef::String(text) => moment::of_text(text),
        other => Err(wrong_type(&other, "a date")),
    }
}

/// A reason that people can read in a log or a list, whatever names the document has.
fn one_line(reason: &str) -> String {
    let plain =
        |character: char| if character.is_control() { char::REPLACEMENT_CHARACTER } else { character };
    reason.chars().take(REASON_CHARACTERS_MAX).map(plain).collect()
}

fn wrong_type(value: &RawBsonRef<'_>, expected: &str) -> String {
    format!("is of type {:?}, not {expected}", value.element_type())
}

/// As [`wrong_type`], where a number would do: a double that is none of the integers is told as it is.
fn no_integer(value: &RawBsonRef<'_>) -> String {
    match value {
        RawBsonRef::Double(number) if number.fract() != 0.0 || !number.is_finite() => {
            format!("is {number}, not an integer")
        }
        RawBsonRef::Double(number) => {
            format!("is {number}, and not known to be exact: doubles are up to {SEQUENCE_MAX}")
        }
        other => wrong_type(other, "an integer"),
    }
}

#[cfg(test)]
mod tests {
    use bson::{Bson, Document, RawDocumentBuf, doc};

    use super::*;

    fn decode(document: Document) -> Result<Arc<Event>, Undecodable> {
        let raw = RawDocumentBuf::try_from(document).expect("a document has raw bytes");
        Decoder::new(Fields::default(), 1 << 20).decode(&raw)
    }

    fn valid() -> Document {
        doc! {
            "_id": "e1", "type": "AccountOpened", "version": 2, "aggregateType": "account", "aggregateId": 7_i64,
            "sequence": 1, "occurredAt": bson::DateTime::from_millis(0), "payload": { "owner": "Ada" },
            "metadata": { "traceparent": "00-1" },
        }
    }

    fn with(name: &str, value: impl Into<Bson>) -> Document {
        let mut document = valid();
        document.insert(name, value);
        document
    }

    /// The reason why a document with this field is no event.
    fn reason(name: &str, value: impl Into<Bson>) -> String {
        decode(with(name, value)).expect_err("it must not decode").reason
    }

    #[test]
    fn a_document_becomes_an_event() {
        let event = decode(valid()).expect("it is valid");
        let expected = Event {
            id: Id::Text("e1".into()),
            event_type: "AccountOpened".into(),
            version: 2,
            aggregate: Aggregate { kind: "account".into(), id: Id::Integer(7) },
            sequence: Some(1),
            occurred_at: Some("1970-01-01T00:00:00.000Z".into()),
            payload: r#"{"owner":"Ada"}"#.into(),
            metadata: r#"{"traceparent":"00-1"}"#.into(),
        };
        assert_eq!(*event, expected);
    }

    #[test]
    fn version_sequence_date_and_metadata_may_be_left_out() {
        let mut document = valid();
        for name in ["version", "sequence", "occurredAt", "metadata"] {
            document.remove(name);
        }
        let event = decode(document).expect("it is valid");
        assert_eq!((event.version, event.sequence, event.occurred_at.as_deref()), (1, None, None));
        assert_eq!(event.metadata, "{}");
    }

    #[test]
    fn each_other_field_is_needed_and_named_when_it_is_missing() {
        for name in ["_id", "type", "aggregateType", "aggregateId", "payload"] {
            let mut document = valid();
            document.remove(name);
            let undecodable = decode(document).expect_err("a field is missing");
            assert_eq!(undecodable.reason, format!("the field `{name}` is missing"));
        }
    }

    #[test]
    fn the_aggregate_is_found_even_when_another_field_is_wrong() {
        let undecodable = decode(with("sequence", "three")).expect_err("not a number");
        assert_eq!(undecodable.aggregate.expect("readable").to_string(), "account/7");
        assert_eq!(undecodable.id, Some(Id::Text("e1".into())));
        assert_eq!(undecodable.field.as_deref(), Some("sequence"));
        assert!(decode(with("aggregateId", Bson::Null)).expect_err("no id").aggregate.is_none());
    }

    #[test]
    fn ids_of_every_kind_are_taken_and_widths_do_not_matter() {
        let uuid = bson::Uuid::from_bytes([3; 16]);
        let ids: [(Bson, Id); 5] = [
            (5_i32.into(), Id::Integer(5)),
            (5.0.into(), Id::Integer(5)),
            ("5".into(), Id::Text("5".into())),
            (uuid.into(), Id::Uuid([3; 16])),
            (bson::oid::ObjectId::from_bytes([4; 12]).into(), Id::ObjectId([4; 12])),
        ];
        for (value, id) in ids {
            assert_eq!(decode(with("aggregateId", value)).expect("it is valid").aggregate.id, id);
        }
    }

    #[test]
    fn wrong_values_are_named_with_what_is_expected() {
        let cases: [(&str, Bson, &str); 10] = [
            ("_id", Bson::Null, "the field `_id` is of type Null, not an id"),
            ("_id", 1.5.into(), "is of type Double"),
            ("aggregateId", "".into(), "is an empty string"),
            ("type", 5.into(), "the field `type` is of type Int32, not a string"),
            ("sequence", (-1).into(), "is -1; sequences are 0 to 9007199254740991"),
            ("sequence", 3.5.into(), "is 3.5, not an integer"),
            ("sequence", 1e16.into(), "is 10000000000000000, and not known to be exact"),
            ("version", (-1).into(), "is -1; versions are"),
            ("occurredAt", "yesterday".into(), "is text, but not RFC 3339"),
            ("occurredAt", bson::DateTime::MAX.into(), "is a date outside the years"),
        ];
        for (name, value, expected) in cases {
            let reason = reason(name, value);
            assert!(reason.contains(expected), "{reason}");
        }
    }

    #[test]
    fn limits_hold_from_both_sides() {
        let text = |length: usize| "x".repeat(length);
        assert!(decode(with("aggregateId", text(ID_BYTES_MAX))).is_ok());
        assert!(reason("aggregateId", text(ID_BYTES_MAX + 1)).contains("at most 512"));
        assert!(decode(with("type", text(TYPE_BYTES_MAX))).is_ok());
        assert!(reason("type", text(TYPE_BYTES_MAX + 1)).contains("at most 128"));
        assert!(decode(with("sequence", SEQUENCE_MAX)).is_ok());
        assert!(reason("sequence", SEQUENCE_MAX + 1).contains("sequences are"));
        assert!(reason("payload", text(1 << 20)).contains("longer than"));
    }

    #[test]
    fn a_date_as_text_becomes_utc_with_milliseconds() {
        let event = decode(with("occurredAt", "2026-01-31T12:00:00.5+02:00")).expect("it is RFC 3339");
        assert_eq!(event.occurred_at.as_deref(), Some("2026-01-31T10:00:00.500Z"));
    }

    #[test]
    fn a_field_that_stands_twice_is_refused() {
        let mut raw = RawDocumentBuf::try_from(valid()).expect("a document has raw bytes");
        raw.append(bson::cstr!("type"), "Other");
        let undecodable = Decoder::new(Fields::default(), 1 << 20).decode(&raw).expect_err("two types");
        assert_eq!(undecodable.reason, "the field `type` stands twice in the document");
    }

    #[test]
    fn text_that_is_not_utf8_is_refused_with_its_place() {
        let mut bytes = RawDocumentBuf::try_from(valid()).expect("a document has raw bytes").into_bytes();
        let at = bytes.windows(3).position(|window| window == b"Ada").expect("the owner is in there");
        bytes[at] = 0xff;
        let raw = RawDocumentBuf::from_bytes(bytes).expect("the frame is intact");
        let undecodable = Decoder::new(Fields::default(), 1 << 20).decode(&raw).expect_err("not UTF-8");
        assert!(
            undecodable.reason.starts_with("the field `payload` has no JSON form"),
            "{}",
            undecodable.reason
        );
        assert!(undecodable.aggregate.is_some());
    }

    #[test]
    fn the_aggregate_is_found_behind_a_field_that_is_not_utf8() {
        let mut bytes = RawDocumentBuf::try_from(valid()).expect("a document has raw bytes").into_bytes();
        let at = bytes.windows(3).position(|window| window == b"Acc").expect("the type is in there");
        bytes[at] = 0xff;
        let raw = RawDocumentBuf::from_bytes(bytes).expect("the frame is intact");
        let undecodable = Decoder::new(Fields::default(), 1 << 20).decode(&raw).expect_err("not UTF-8");
        assert!(undecodable.reason.contains("the field `type` is not valid BSON"), "{}", undecodable.reason);
        assert_eq!(undecodable.aggregate.expect("it stands behind").to_string(), "account/7");
    }

    #[test]
    fn the_debezium_preset_uses_its_names() {
        let document = doc! {
            "_id": "e1", "type": "T", "aggregatetype": "order", "aggregateid": "o1", "payload": { "a": 1 },
        };
        let raw = RawDocumentBuf::try_from(document).expect("a document has raw bytes");
        let event = Decoder::new(Fields::debezium(), 1 << 20).decode(&raw).expect("it is valid");
        assert_eq!(event.aggregate.to_string(), "order/o1");
    }
}
