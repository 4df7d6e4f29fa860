//! Random documents, good, odd and damaged: decoding never panics, never guesses, and gives the same each time.
//!
//! Documents are written byte by byte here: the bson crate would refuse to write most of what MongoDB takes.

use bson::raw::RawBsonRef;
use bson::{Bson, RawDocument};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::decode::{Decoder, Fields};
use super::json::{NotJson, to_json};
use crate::event::{Aggregate, Event, ID_BYTES_MAX, Id, SEQUENCE_MAX, TYPE_BYTES_MAX, Undecodable};

const PAYLOAD_BYTES_MAX: usize = 1 << 20;
/// The stack of a worker thread of the host.
const STACK_BYTES: usize = 2 << 20;

/// A value: its type's number and its bytes.
type BsonValue = (u8, Vec<u8>);

fn document(elements: &[(&[u8], BsonValue)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, (tag, value)) in elements {
        body.push(*tag);
        body.extend_from_slice(name);
        body.push(0);
        body.extend_from_slice(value);
    }
    framed(&body)
}

/// A body between its length and its end.
fn framed(body: &[u8]) -> Vec<u8> {
    let length = i32::try_from(body.len() + 5).expect("short");
    [&length.to_le_bytes()[..], body, &[0]].concat()
}

fn text(bytes: &[u8]) -> Vec<u8> {
    let length = i32::try_from(bytes.len() + 1).expect("short");
    [&length.to_le_bytes()[..], bytes, &[0]].concat()
}

fn string(bytes: &[u8]) -> BsonValue {
    (0x02, text(bytes))
}

fn int32(number: i32) -> BsonValue {
    (0x10, number.to_le_bytes().to_vec())
}

fn int64(number: i64) -> BsonValue {
    (0x12, number.to_le_bytes().to_vec())
}

fn double(number: f64) -> BsonValue {
    (0x01, number.to_le_bytes().to_vec())
}

fn binary(subtype: u8, bytes: &[u8]) -> BsonValue {
    let length = i32::try_from(bytes.len()).expect("short");
    (0x05, [&length.to_le_bytes()[..], &[subtype], bytes].concat())
}

fn code_with_scope(code: &[u8], scope: &[u8]) -> BsonValue {
    let inner = [&text(code)[..], scope].concat();
    let length = i32::try_from(inner.len() + 4).expect("short");
    (0x0f, [&length.to_le_bytes()[..], &inner].concat())
}

/// Text that is not always UTF-8, and has NULs in it.
fn odd_text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => any::<String>().prop_map(String::into_bytes),
        1 => vec(any::<u8>(), 0..12),
        1 => select(vec![&b""[..], b"5", b"\xed\xa0\x80", b"a\0b", "e\u{301}\u{202e}\u{1f600}".as_bytes()])
            .prop_map(<[u8]>::to_vec),
        1 => (0..700_usize).prop_map(|length| vec![b'x'; length]),
    ]
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => select(&["a", "b", "$oid", "a.b", "", "$numberLong", "owner"][..]).prop_map(|name| name.as_bytes().to_vec()),
        1 => "[a-z]{1,3}".prop_map(String::into_bytes),
        1 => vec(1..=u8::MAX, 0..5),
    ]
}

/// A value of any BSON type, with content from its edges.
fn any_value() -> impl Strategy<Value = BsonValue> {
    let number = prop_oneof![
        any::<i64>(),
        -3..=3_i64,
        select(&[i64::MIN, i64::MAX, SEQUENCE_MAX, SEQUENCE_MAX + 1, -SEQUENCE_MAX - 1][..]),
    ];
    let fraction = prop_oneof![
        any::<f64>(),
        select(&[f64::NAN, f64::INFINITY, -0.0, 5.0, 5e-324, 9_007_199_254_740_993.0][..])
    ];
    let leaf = prop_oneof![
        fraction.prop_map(double),
        odd_text().prop_map(|bytes| string(&bytes)),
        (0..=255_u8, vec(any::<u8>(), 0..20)).prop_map(|(subtype, bytes)| binary(subtype, &bytes)),
        any::<[u8; 16]>().prop_map(|bytes| binary(4, &bytes)),
        select(&[0x06_u8, 0x0a, 0xff, 0x7f][..]).prop_map(|tag| (tag, vec![])),
        any::<[u8; 12]>().prop_map(|bytes| (0x07, bytes.to_vec())),
        (0..3_u8).prop_map(|truth| (0x08, vec![truth])),
        number.clone().prop_map(|millis| (0x09, millis.to_le_bytes().to_vec())),
        ("[^\0]{0,5}", "[^\0]{0,3}")
            .prop_map(|(pattern, options)| (0x0b, format!("{pattern}\0{options}\0").into())),
        (odd_text(), any::<[u8; 12]>()).prop_map(|(name, id)| (0x0c, [&text(&name)[..], &id].concat())),
        odd_text().prop_map(|code| (0x0d, text(&code))),
        odd_text().prop_map(|symbol| (0x0e, text(&symbol))),
        any::<i32>().prop_map(int32),
        any::<[u8; 8]>().prop_map(|bytes| (0x11, bytes.to_vec())),
        number.prop_map(int64),
        any::<[u8; 16]>().prop_map(|bytes| (0x13, bytes.to_vec())),
        // No type at all.
        (any::<u8>(), vec(any::<u8>(), 0..9)),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        let elements = vec((name(), inner), 0..5);
        (elements, odd_text(), 0..4_u8).prop_map(|(elements, code, kind)| {
            let elements: Vec<_> = elements.iter().map(|(name, value)| (&name[..], value.clone())).collect();
            let body = document(&elements);
            match kind {
                0 => (0x04, body),
                1 => code_with_scope(&code, &body),
                _ => (0x03, body),
            }
        })
    })
}

/// An outbox document that is mostly right, with a few fields that are anything.
fn outbox_document() -> impl Strategy<Value = Vec<u8>> {
    let names = [
        "_id",
        "type",
        "version",
        "aggregateType",
        "aggregateId",
        "sequence",
        "occurredAt",
        "payload",
        "metadata",
        "other",
    ];
    let odd = vec((select(names.to_vec()), any_value(), any::<Index>(), any::<bool>()), 0..4);
    odd.prop_map(|odd| {
        let mut elements: Vec<(&[u8], BsonValue)> = vec![
            (b"_id", string(b"e1")),
            (b"type", string(b"Opened")),
            (b"aggregateType", string(b"account")),
            (b"aggregateId", int64(7)),
            (b"sequence", int32(1)),
            (b"payload", (0x03, document(&[(b"owner", string(b"Ada"))]))),
        ];
        for (name, value, at, replaces) in odd {
            let at = at.index(elements.len());
            match elements.iter().position(|(there, _)| *there == name.as_bytes()).filter(|_| replaces) {
                Some(there) => elements[there].1 = value,
                None => elements.insert(at, (name.as_bytes(), value)),
            }
        }
        document(&elements)
    })
}

/// A document with bytes changed, put in or cut off, in a frame that is intact: MongoDB checks no more.
fn damaged_document() -> impl Strategy<Value = Vec<u8>> {
    let edits = vec((any::<Index>(), any::<u8>(), 0..3_u8), 1..6);
    (outbox_document(), edits).prop_map(|(document, edits)| {
        let mut body = document[4..document.len() - 1].to_vec();
        for (at, byte, kind) in edits {
            let at = at.index(body.len() + 1);
            match kind {
                0 => body.insert(at, byte),
                1 if at < body.len() => body[at] = byte,
                _ => body.truncate(at.max(body.len() / 2)),
            }
        }
        framed(&body)
    })
}

fn decode(document: &[u8]) -> Result<std::sync::Arc<Event>, Undecodable> {
    let document = RawDocument::from_bytes(document).expect("the frame is intact");
    Decoder::new(Fields::default(), PAYLOAD_BYTES_MAX).decode(document)
}

/// The id that a value is, where it is one.
fn id(value: BsonValue) -> Option<Id> {
    let document = document(&[(b"_id", value)]);
    decode(&document).expect_err("everything else is missing").id
}

/// JSON as strict parsers take it, and those that stop at the usual depth.
fn check_is_json(text: &str) -> Result<(), TestCaseError> {
    let parsed = serde_json::from_str::<serde_json::Value>(text);
    prop_assert!(parsed.is_ok(), "{text}: {parsed:?}");
    Ok(())
}

/// Whatever the document, there is an event within its limits or a reason, and the same one again.
fn check_document(document: &[u8]) -> Result<(), TestCaseError> {
    let decoded = decode(document);
    prop_assert_eq!(&decoded, &decode(document));
    match decoded {
        Err(undecodable) => {
            prop_assert!(!undecodable.reason.is_empty());
            prop_assert!(undecodable.reason.len() < 1000, "{}", undecodable.reason);
            prop_assert!(!undecodable.reason.contains(char::is_control), "{:?}", undecodable.reason);
            undecodable.id.iter().try_for_each(check_id)?;
            undecodable.aggregate.iter().try_for_each(check_aggregate)
        }
        Ok(event) => {
            check_id(&event.id)?;
            check_aggregate(&event.aggregate)?;
            check_is_json(&event.payload)?;
            check_is_json(&event.metadata)?;
            prop_assert!((1..=TYPE_BYTES_MAX).contains(&event.event_type.len()));
            prop_assert!(event.sequence.is_none_or(|sequence| (0..=SEQUENCE_MAX).contains(&sequence)));
            if let Some(moment) = &event.occurred_at {
                let known =
                    time::OffsetDateTime::parse(moment, &time::format_description::well_known::Rfc3339);
                prop_assert!(known.is_ok() && moment.len() == 24 && moment.ends_with('Z'), "{moment}");
            }
            Ok(())
        }
    }
}

fn check_id(id: &Id) -> Result<(), TestCaseError> {
    prop_assert_eq!(Id::from_key(&id.key()), Ok(id.clone()));
    if let Id::Text(text) = id {
        prop_assert!((1..=ID_BYTES_MAX).contains(&text.len()));
    }
    Ok(())
}

fn check_aggregate(aggregate: &Aggregate) -> Result<(), TestCaseError> {
    check_id(&aggregate.id)?;
    let again = Aggregate { id: Id::from_key(&aggregate.id.key()).expect("checked"), ..aggregate.clone() };
    prop_assert_eq!(aggregate.key(), again.key());
    for lanes in [1, 4, 64] {
        prop_assert!(aggregate.lane(lanes) < lanes);
        prop_assert_eq!(aggregate.lane(lanes), again.lane(lanes));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1500) })]

    #[test]
    fn any_document_is_an_event_or_has_a_reason(document in outbox_document()) {
        check_document(&document)?;
    }

    #[test]
    fn a_damaged_document_is_an_event_or_has_a_reason(document in damaged_document()) {
        check_document(&document)?;
    }

    #[test]
    fn any_value_is_json_or_has_a_reason(value in any_value()) {
        let document = document(&[(b"value", value)]);
        let document = RawDocument::from_bytes(&document).expect("the frame is intact");
        if let Ok(text) = to_json(RawBsonRef::Document(document), PAYLOAD_BYTES_MAX) {
            check_is_json(&text)?;
        }
    }

    /// A whole number is one id in every width, and no other number is the same.
    #[test]
    fn a_whole_number_is_one_id_in_every_width(number in any::<i32>(), bits in prop_oneof![any::<u64>(), 0..9_u64]) {
        let whole = Some(Id::Integer(number.into()));
        prop_assert_eq!(&id(int32(number)), &whole);
        prop_assert_eq!(&id(int64(number.into())), &whole);
        prop_assert_eq!(&id(double(number.into())), &whole);
        let fraction = f64::from_bits(bits);
        let expected = (fraction.fract().abs() <= 0.0 && fraction.abs() < 9_007_199_254_740_992.0)
            .then(|| Id::Integer(format!("{fraction:.0}").parse().expect("a whole number")));
        prop_assert_eq!(id(double(fraction)), expected);
    }

    /// Values read back are the values that were written: exact integers, decimals, dates and bytes.
    #[test]
    fn what_was_written_can_be_read_back(value in readable()) {
        let document = document(&[(b"value", value)]);
        let document = RawDocument::from_bytes(&document).expect("the frame is intact");
        let text = to_json(RawBsonRef::Document(document), PAYLOAD_BYTES_MAX).expect("within every limit");
        let json: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
        let back = Bson::try_from(json).map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
        let written = Bson::try_from(RawBsonRef::Document(document)).expect("it is valid");
        prop_assert_eq!(comparable(back), comparable(written), "{}", text);
    }

    #[test]
    fn a_double_is_written_so_that_it_reads_back_bit_by_bit(number in any::<f64>()) {
        prop_assume!(number.is_finite());
        let text = to_json(RawBsonRef::Double(number), 1000).expect("short");
        prop_assert_eq!(text.parse::<f64>().map(f64::to_bits), Ok(number.to_bits()));
        prop_assert!(text.contains(['.', 'e']), "{text} reads as an integer");
    }
}

/// Values that lose nothing in JSON but the width of their integers.
fn readable() -> impl Strategy<Value = BsonValue> {
    let characters = || any::<String>().prop_map(String::into_bytes);
    let leaf = prop_oneof![
        any::<i32>().prop_map(|quarters| double(f64::from(quarters) / 4.0)),
        select(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0][..]).prop_map(double),
        characters().prop_map(|bytes| string(&bytes)),
        (0..=255_u8, vec(any::<u8>(), 0..20))
            // Subtype 2 has a second length in it.
            .prop_filter("an old form", |(subtype, _)| *subtype != 2)
            .prop_map(|(subtype, bytes)| binary(subtype, &bytes)),
        select(&[0x06_u8, 0x0a, 0xff, 0x7f][..]).prop_map(|tag| (tag, vec![])),
        any::<[u8; 12]>().prop_map(|bytes| (0x07, bytes.to_vec())),
        (0..2_u8).prop_map(|truth| (0x08, vec![truth])),
        any::<i64>().prop_map(|millis| (0x09, millis.to_le_bytes().to_vec())),
        characters().prop_map(|code| (0x0d, text(&code))),
        characters().prop_map(|symbol| (0x0e, text(&symbol))),
        any::<i32>().prop_map(int32),
        any::<[u8; 8]>().prop_map(|bytes| (0x11, bytes.to_vec())),
        any::<i64>().prop_map(int64),
        any::<[u8; 16]>().prop_map(|bytes| (0x13, bytes.to_vec())),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        let elements = prop::collection::btree_map("[a-z.]{1,4}", inner, 0..5);
        (elements, 0..4_u8).prop_map(|(elements, kind)| {
            let elements: Vec<_> =
                elements.iter().map(|(name, value)| (name.as_bytes(), value.clone())).collect();
            let body = document(&elements);
            match kind {
                0 => (0x04, body),
                1 => code_with_scope(b"f()", &body),
                _ => (0x03, body),
            }
        })
    })
}

/// The value as text: integers of one width, Decimal128 by its digits.
fn comparable(value: Bson) -> String {
    match value {
        Bson::Int32(number) => format!("integer {number}"),
        Bson::Int64(number) => format!("integer {number}"),
        Bson::Decimal128(number) => format!("decimal {number}"),
        Bson::Array(values) => format!("{:?}", values.into_iter().map(comparable).collect::<Vec<_>>()),
        Bson::JavaScriptCodeWithScope(code) => {
            format!("{} with {}", code.code, comparable(Bson::Document(code.scope)))
        }
        Bson::Document(document) => {
            let fields = document.into_iter().map(|(name, value)| (name, comparable(value)));
            format!("{:?}", fields.collect::<Vec<_>>())
        }
        other => format!("{other:?}"),
    }
}

#[test]
fn every_type_in_every_field_is_taken_or_named() {
    let values: Vec<BsonValue> = vec![
        double(1.5),
        string(b"a"),
        (0x03, document(&[])),
        (0x04, document(&[])),
        binary(0, b"a"),
        binary(3, &[0; 16]),
        binary(4, &[0; 15]),
        binary(9, &[0; 16]),
        (0x06, vec![]),
        (0x07, vec![0; 12]),
        (0x08, vec![1]),
        (0x09, vec![0; 8]),
        (0x0a, vec![]),
        (0x0b, b"a\0i\0".to_vec()),
        (0x0c, [&text(b"a")[..], &[0; 12]].concat()),
        (0x0d, text(b"a")),
        (0x0e, text(b"a")),
        code_with_scope(b"a", &document(&[])),
        int32(1),
        (0x11, vec![0; 8]),
        int64(1),
        (0x13, vec![0; 16]),
        (0xff, vec![]),
        (0x7f, vec![]),
    ];
    let valid: [(&[u8], BsonValue); 9] = [
        (b"_id", string(b"e1")),
        (b"type", string(b"Opened")),
        (b"version", int32(1)),
        (b"aggregateType", string(b"account")),
        (b"aggregateId", int64(7)),
        (b"sequence", int32(1)),
        (b"occurredAt", (0x09, vec![0; 8])),
        (b"payload", int32(1)),
        (b"metadata", int32(1)),
    ];
    for at in 0..valid.len() {
        let field = std::str::from_utf8(valid[at].0).expect("a name");
        for value in &values {
            let mut elements = valid.clone();
            elements[at].1 = value.clone();
            let decoded = decode(&document(&elements));
            let is_json = field == "payload" || field == "metadata";
            match decoded {
                Ok(_) => {}
                Err(Undecodable { reason, .. }) => {
                    assert!(reason.contains(&format!("`{field}`")), "{reason}");
                    assert!(!is_json, "{field} of type {:#x}: {reason}", value.0);
                }
            }
        }
    }
}

/// Deeper than MongoDB's 180 levels, and deeper than any stack: it is refused by counting, not by falling over.
#[test]
fn depth_is_refused_before_the_stack_ends() {
    let nest = |levels: usize, kind: u8| {
        let mut value = int32(1);
        for _ in 0..levels {
            let body = document(&[(b"a", value)]);
            value = match kind {
                0 => (0x03, body),
                1 => (0x04, body),
                _ => code_with_scope(b"", &body),
            };
        }
        value
    };
    let check = move || {
        for kind in 0..3 {
            for levels in [50, 51, 100, 101, 179, 180, 200, 20_000] {
                let payload = document(&[(b"payload", nest(levels, kind))]);
                let reason = decode(&payload).expect_err("it is not whole").reason;
                let deep = reason.contains("nests deeper than 100 levels");
                // Code with a scope is two objects.
                let most = if kind == 2 { 50 } else { 100 };
                assert_eq!(deep, levels > most, "{levels} levels of kind {kind}: {reason}");
                let payload = RawDocument::from_bytes(&payload).expect("intact").get("payload");
                let payload = payload.expect("valid").expect("it is there");
                if let Ok(text) = to_json(payload, PAYLOAD_BYTES_MAX) {
                    assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
                }
            }
        }
    };
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(check);
    thread.expect("a thread starts").join().expect("the stack holds");
}

#[test]
fn what_is_huge_is_refused_by_its_size_and_soon() {
    let long = string(&vec![b'"'; 15 << 20]);
    let numbers: Vec<(Vec<u8>, BsonValue)> =
        (0..1_000_000).map(|number: i32| (number.to_string().into_bytes(), int32(number))).collect();
    let many = |count: usize| {
        let elements: Vec<(&[u8], BsonValue)> =
            numbers[..count].iter().map(|(name, value)| (&name[..], value.clone())).collect();
        document(&elements)
    };
    let json = |tag: u8, body: Vec<u8>| {
        let document = document(&[(b"value", (tag, body))]);
        to_json(RawBsonRef::Document(RawDocument::from_bytes(&document).expect("intact")), PAYLOAD_BYTES_MAX)
    };
    assert_eq!(json(long.0, long.1), Err(NotJson::TooLong(PAYLOAD_BYTES_MAX)));
    assert_eq!(json(0x04, many(1_000_000)), Err(NotJson::TooLong(PAYLOAD_BYTES_MAX)));
    assert!(json(0x03, many(10_000)).is_ok());
}
