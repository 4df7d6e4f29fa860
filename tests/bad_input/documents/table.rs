//! The table of odd documents: each with how it differs from an ordinary one, and what becomes of it.

use bson::raw::CString;
use bson::spec::BinarySubtype;
use bson::{Binary, Bson, DateTime, Decimal128, Regex, Timestamp, doc};

use super::Seen;
use crate::bad_input::proof::Proof;

/// A field of a document by its name; without a value it is left out.
pub type Field = (&'static str, Option<Bson>);

pub enum Outcome {
    /// Like any other event, but for this.
    Applied(fn(&mut Seen)),
    /// Parked with these words; its aggregate waits behind it.
    Parked(&'static str),
    /// The same, and nothing waits behind it, because its aggregate cannot be read.
    Alone(&'static str),
}
use Outcome::{Alone, Applied, Parked};

pub struct Case {
    /// How the document differs from an ordinary one.
    pub fields: Vec<Field>,
    /// Bytes that are replaced in it, by as many others: what no driver would write.
    pub bytes: (&'static [u8], &'static [u8]),
    pub outcome: Outcome,
    /// Once, and only live: there is only one such document, or history would be refused.
    pub once: bool,
}

fn case(fields: Vec<Field>, outcome: Outcome) -> Proof<Case> {
    Proof::Here(Case { fields, bytes: (b"", b""), outcome, once: false })
}

fn once(fields: Vec<Field>, outcome: Outcome) -> Proof<Case> {
    Proof::Here(Case { fields, bytes: (b"", b""), outcome, once: true })
}

fn damaged(
    name: &'static str,
    value: Bson,
    from: &'static [u8],
    to: &'static [u8],
    outcome: Outcome,
) -> Proof<Case> {
    assert_eq!(from.len(), to.len());
    Proof::Here(Case { fields: with(name, value), bytes: (from, to), outcome, once: false })
}

fn with(name: &'static str, value: impl Into<Bson>) -> Vec<Field> {
    vec![(name, Some(value.into()))]
}

fn without(name: &'static str) -> Vec<Field> {
    vec![(name, None)]
}

/// A payload, and the JSON that the projector gets.
fn json(value: impl Into<Bson>, expected: fn(&mut Seen)) -> Proof<Case> {
    case(with("payload", value), Applied(expected))
}

fn nested(levels: usize) -> Bson {
    (0..levels).fold(Bson::Int32(1), |inner, _| Bson::Document(doc! { "a": inner }))
}

fn binary(subtype: BinarySubtype, bytes: &[u8]) -> Bson {
    Bson::Binary(Binary { subtype, bytes: bytes.to_vec() })
}

fn decimal(text: &str) -> Bson {
    Bson::Decimal128(text.parse::<Decimal128>().expect("a decimal"))
}

fn date(millis: i64) -> Bson {
    Bson::DateTime(DateTime::from_millis(millis))
}

/// Missing fields and wrong types.
#[expect(clippy::too_many_lines, reason = "it is a table")]
fn envelopes() -> Vec<(&'static str, Proof<Case>)> {
    vec![
        ("no `_id`", Proof::Not("MongoDB gives a document without `_id` one")),
        ("no type", case(without("type"), Parked("the field `type` is missing"))),
        ("no aggregate type", case(without("aggregateType"), Alone("the field `aggregateType` is missing"))),
        ("no aggregate id", case(without("aggregateId"), Alone("the field `aggregateId` is missing"))),
        ("no payload", case(without("payload"), Parked("the field `payload` is missing"))),
        ("no sequence, live", once(without("sequence"), Applied(|seen| seen.sequence = None))),
        (
            "no sequence, in history",
            Proof::Elsewhere("an_event_without_a_sequence_pauses_history_and_is_named"),
        ),
        ("aggregate id: int32", case(with("aggregateId", 7), Applied(|seen| seen.aggregate_id = "7".into()))),
        (
            "aggregate id: double 7.0",
            case(with("aggregateId", 7.0), Applied(|seen| seen.aggregate_id = "7".into())),
        ),
        (
            "aggregate id: int64",
            case(with("aggregateId", i64::MIN), Applied(|seen| seen.aggregate_id = i64::MIN.to_string())),
        ),
        (
            "aggregate id: ObjectId",
            case(
                with("aggregateId", bson::oid::ObjectId::from_bytes([1; 12])),
                Applied(|seen| seen.aggregate_id = "01".repeat(12)),
            ),
        ),
        (
            "aggregate id: UUID",
            case(
                with("aggregateId", binary(BinarySubtype::Uuid, &[0xab; 16])),
                Applied(|seen| seen.aggregate_id = "abababab-abab-abab-abab-abababababab".into()),
            ),
        ),
        (
            "aggregate id: UUID of the old kind",
            case(
                with("aggregateId", binary(BinarySubtype::UuidOld, &[1; 16])),
                Alone("type Binary, not an id"),
            ),
        ),
        ("aggregate id: null", case(with("aggregateId", Bson::Null), Alone("type Null, not an id"))),
        ("aggregate id: array", case(with("aggregateId", vec![1, 2]), Alone("type Array, not an id"))),
        (
            "aggregate id: document",
            case(with("aggregateId", doc! { "a": 1 }), Alone("type EmbeddedDocument, not an id")),
        ),
        ("aggregate id: double 7.5", case(with("aggregateId", 7.5), Alone("type Double, not an id"))),
        (
            "aggregate id: the smallest double",
            case(with("aggregateId", 5e-324), Alone("type Double, not an id")),
        ),
        ("aggregate id: NaN", case(with("aggregateId", f64::NAN), Alone("type Double, not an id"))),
        (
            "aggregate id: Decimal128",
            case(with("aggregateId", decimal("7")), Alone("type Decimal128, not an id")),
        ),
        ("aggregate id: boolean", case(with("aggregateId", true), Alone("type Boolean, not an id"))),
        ("aggregate id: empty", case(with("aggregateId", ""), Alone("an empty string"))),
        (
            "aggregate id: 512 bytes",
            case(with("aggregateId", "é".repeat(256)), Applied(|seen| seen.aggregate_id = "é".repeat(256))),
        ),
        ("aggregate id: 10 kB", case(with("aggregateId", "x".repeat(10_000)), Alone("ids have at most 512"))),
        ("type: a number", case(with("type", 5), Parked("type Int32, not a string"))),
        ("type: empty", case(with("type", ""), Parked("an empty string"))),
        ("type: 129 bytes", case(with("type", "x".repeat(129)), Parked("types have at most 128"))),
        (
            "type: one that nobody knows",
            case(with("type", "Unheard"), Applied(|seen| seen.event_type = "Unheard".into())),
        ),
        (
            "type: one that the projector does not take",
            Proof::Elsewhere("an_event_is_applied_once_within_the_window"),
        ),
        ("sequence: double 3.0", case(with("sequence", 3.0), Applied(|seen| seen.sequence = Some(3)))),
        ("sequence: 0", case(with("sequence", 0), Applied(|seen| seen.sequence = Some(0)))),
        (
            "sequence: 2^53 - 1",
            case(
                with("sequence", 9_007_199_254_740_991_i64),
                Applied(|seen| seen.sequence = Some(9_007_199_254_740_991)),
            ),
        ),
        (
            "sequence: 2^53",
            case(with("sequence", 9_007_199_254_740_992_i64), Parked("sequences are 0 to 9007199254740991")),
        ),
        ("sequence: 3.5", case(with("sequence", 3.5), Parked("is 3.5, not an integer"))),
        ("sequence: text", case(with("sequence", "3"), Parked("type String, not an integer"))),
        ("sequence: negative", case(with("sequence", -1), Parked("is -1; sequences are"))),
        (
            "sequence: 2^63 - 1",
            case(with("sequence", i64::MAX), Parked("is 9223372036854775807; sequences are")),
        ),
        (
            "sequence: Decimal128",
            case(with("sequence", decimal("3")), Parked("type Decimal128, not an integer")),
        ),
        (
            "sequence: one that goes back",
            Proof::Elsewhere("events_are_applied_as_they_were_committed_whatever_they_count"),
        ),
        (
            "sequence: one that another event of the aggregate has, where the index is unique",
            Proof::Not("MongoDB itself refuses the second one (11000), as `docs/events.md` has the index"),
        ),
        (
            "sequence: with a gap before it",
            case(with("sequence", 1000), Applied(|seen| seen.sequence = Some(1000))),
        ),
        (
            "sequence: one that another event of the aggregate has",
            case(with("aggregateId", "twins"), Applied(|seen| seen.aggregate_id = "twins".into())),
        ),
        (
            "version: newer than the projector",
            Proof::Elsewhere("whatever_a_projector_does_wrong_parks_exactly_that_event_on_mysql"),
        ),
        ("version: double 2.0", case(with("version", 2.0), Applied(|seen| seen.version = 2))),
        ("version: 2^32", case(with("version", 1_i64 << 32), Parked("versions are 0 to 4294967295"))),
        ("version: text", case(with("version", "2"), Parked("type String, not an integer"))),
        ("`_id`: null", once(with("_id", Bson::Null), Parked("`_id` is of type Null"))),
        ("`_id`: NaN", once(with("_id", f64::NAN), Parked("`_id` is of type Double"))),
        (
            "`_id`: a document",
            once(with("_id", doc! { "a": 1 }), Parked("`_id` is of type EmbeddedDocument")),
        ),
        ("`_id`: boolean", once(with("_id", true), Parked("`_id` is of type Boolean"))),
        ("`_id`: empty", once(with("_id", ""), Parked("`_id` is an empty string"))),
        (
            "`_id`: binary",
            once(with("_id", binary(BinarySubtype::Generic, b"a")), Parked("`_id` is of type Binary")),
        ),
        ("`_id`: MinKey", once(with("_id", Bson::MinKey), Parked("`_id` is of type MinKey"))),
        ("`_id`: 4 kB", once(with("_id", "x".repeat(4096)), Parked("ids have at most 512"))),
        (
            "`_id`: again, after the document was deleted",
            Proof::Elsewhere("an_event_that_is_deleted_and_sent_again_is_applied_once"),
        ),
        (
            "`_id`: again, with other content",
            Proof::Elsewhere("an_id_stands_for_one_event_whatever_else_is_written_with_it"),
        ),
        (
            "`_id`: again, in another aggregate",
            Proof::Not(
                "whether it is found out depends on its lane, which learns of others' ids at its start only (ADR 4): ids \
                 are unique, and MongoDB sees to it while the document is there",
            ),
        ),
    ]
}

/// Texts, and bytes that are none.
fn texts() -> Vec<(&'static str, Proof<Case>)> {
    vec![
        (
            "aggregate id: composed and decomposed",
            case(with("aggregateId", "\u{e9}"), Applied(|seen| seen.aggregate_id = "\u{e9}".into())),
        ),
        (
            "aggregate id: decomposed",
            case(with("aggregateId", "e\u{301}"), Applied(|seen| seen.aggregate_id = "e\u{301}".into())),
        ),
        (
            "aggregate id: upper case",
            case(with("aggregateId", "AA"), Applied(|seen| seen.aggregate_id = "AA".into())),
        ),
        (
            "aggregate id: lower case",
            case(with("aggregateId", "aa"), Applied(|seen| seen.aggregate_id = "aa".into())),
        ),
        (
            "aggregate id: with a space behind it",
            case(with("aggregateId", "aa "), Applied(|seen| seen.aggregate_id = "aa ".into())),
        ),
        (
            "aggregate id: with a NUL in it",
            case(with("aggregateId", "a\0b"), Applied(|seen| seen.aggregate_id = "a\0b".into())),
        ),
        (
            "type: with an emoji",
            case(with("type", "\u{1f600}"), Applied(|seen| seen.event_type = "\u{1f600}".into())),
        ),
        ("text: NUL", json(doc! { "a": "x\0y" }, |seen| seen.payload = r#"{"a":"x\u0000y"}"#.into())),
        (
            "text: four bytes, right to left, zero width",
            json("\u{1f600}\u{202e}\u{5d0}\u{200b}", |seen| {
                seen.payload = "\"\u{1f600}\u{202e}\u{5d0}\u{200b}\"".into();
            }),
        ),
        ("text: not UTF-8", damaged("payload", "@@".into(), b"@@", b"\xff\xfe", Parked("`payload`"))),
        (
            "text: a lone surrogate",
            damaged("payload", "@@@".into(), b"@@@", b"\xed\xa0\x80", Parked("`payload`")),
        ),
        (
            "text: not UTF-8 in a name",
            damaged("payload", doc! { "@@": 1 }.into(), b"@@", b"\xff\xfe", Parked("`payload`")),
        ),
        (
            "text: not UTF-8 in the type",
            damaged("type", "@@".into(), b"@@", b"\xff\xfe", Parked("is not valid BSON")),
        ),
        (
            "text: not UTF-8 in the aggregate's id",
            damaged("aggregateId", "@@".into(), b"@@", b"\xff\xfe", Alone("is not valid BSON")),
        ),
        (
            "two fields of one name in the payload",
            damaged("payload", doc! { "a": 1, "@": 2 }.into(), b"@", b"a", Parked("`a` stands twice")),
        ),
        (
            "two fields of one name, deep in the metadata",
            damaged(
                "metadata",
                doc! { "b": [{ "a": 1, "@": 2 }] }.into(),
                b"@",
                b"a",
                Parked("`a` stands twice"),
            ),
        ),
        (
            "two types",
            damaged("typ@", "Other".into(), b"typ@", b"type", Parked("the field `type` stands twice")),
        ),
        (
            "names with $ and dots",
            json(doc! { "$a.b": 1, "": 2 }, |seen| seen.payload = r#"{"$a.b":1,"":2}"#.into()),
        ),
    ]
}

/// Numbers, dates and the rare types.
#[expect(clippy::too_many_lines, reason = "it is a table")]
fn values() -> Vec<(&'static str, Proof<Case>)> {
    vec![
        ("NaN", json(f64::NAN, |seen| seen.payload = r#"{"$numberDouble":"NaN"}"#.into())),
        (
            "infinity",
            json(f64::NEG_INFINITY, |seen| seen.payload = r#"{"$numberDouble":"-Infinity"}"#.into()),
        ),
        (
            "NaN as a parameter",
            Proof::Elsewhere("whatever_a_projector_does_wrong_parks_exactly_that_event_on_mariadb"),
        ),
        ("-0.0", json(-0.0, |seen| seen.payload = "-0.0".into())),
        ("the smallest double", json(5e-324, |seen| seen.payload = "5e-324".into())),
        (
            "2^53 + 1",
            json(9_007_199_254_740_993_i64, |seen| {
                seen.payload = r#"{"$numberLong":"9007199254740993"}"#.into();
            }),
        ),
        (
            "the least int64",
            json(i64::MIN, |seen| seen.payload = r#"{"$numberLong":"-9223372036854775808"}"#.into()),
        ),
        (
            "the largest int64",
            json(i64::MAX, |seen| seen.payload = r#"{"$numberLong":"9223372036854775807"}"#.into()),
        ),
        (
            "Decimal128: 34 digits",
            json(decimal("1234567890123456789012345678901234"), |seen| {
                seen.payload = r#"{"$numberDecimal":"1234567890123456789012345678901234"}"#.into();
            }),
        ),
        ("Decimal128: NaN", json(decimal("NaN"), |seen| seen.payload = r#"{"$numberDecimal":"NaN"}"#.into())),
        (
            "Decimal128: infinity",
            json(decimal("-Infinity"), |seen| seen.payload = r#"{"$numberDecimal":"-Infinity"}"#.into()),
        ),
        (
            "Decimal128: the largest",
            json(decimal("9E+6144"), |seen| {
                seen.payload = format!(r#"{{"$numberDecimal":"9.{}E+6144"}}"#, "0".repeat(33));
            }),
        ),
        (
            "date: the first",
            json(date(i64::MIN), |seen| {
                seen.payload = r#"{"$date":{"$numberLong":"-9223372036854775808"}}"#.into();
            }),
        ),
        (
            "date: the last",
            json(date(i64::MAX), |seen| {
                seen.payload = r#"{"$date":{"$numberLong":"9223372036854775807"}}"#.into();
            }),
        ),
        (
            "date: before 1970",
            json(date(-1), |seen| seen.payload = r#"{"$date":{"$numberLong":"-1"}}"#.into()),
        ),
        (
            "date: the end of 9999",
            json(date(253_402_300_799_999), |seen| {
                seen.payload = r#"{"$date":"9999-12-31T23:59:59.999Z"}"#.into();
            }),
        ),
        (
            "when: before 1970",
            case(
                with("occurredAt", date(-1)),
                Applied(|seen| seen.occurred_at = Some("1969-12-31T23:59:59.999Z".into())),
            ),
        ),
        (
            "when: the year 1",
            case(
                with("occurredAt", date(-62_135_596_800_000)),
                Applied(|seen| seen.occurred_at = Some("0001-01-01T00:00:00.000Z".into())),
            ),
        ),
        (
            "when: a leap second",
            case(
                with("occurredAt", "2016-12-31T23:59:60Z"),
                Applied(|seen| seen.occurred_at = Some("2016-12-31T23:59:59.999Z".into())),
            ),
        ),
        (
            "when: nanoseconds",
            case(
                with("occurredAt", "9999-12-31T23:59:59.999999999Z"),
                Applied(|seen| seen.occurred_at = Some("9999-12-31T23:59:59.999Z".into())),
            ),
        ),
        (
            "when: the year 292 million",
            case(with("occurredAt", date(i64::MAX)), Parked("outside the years 0 to 9999")),
        ),
        (
            "when: an offset that leads into the year 10000",
            case(with("occurredAt", "9999-12-31T23:59:59-01:00"), Parked("outside the years 0 to 9999")),
        ),
        ("when: text that is no time", case(with("occurredAt", "yesterday"), Parked("not RFC 3339"))),
        (
            "when: a timestamp",
            case(
                with("occurredAt", Bson::Timestamp(Timestamp { time: 1, increment: 2 })),
                Parked("type Timestamp, not a date"),
            ),
        ),
        (
            "timestamp",
            json(Timestamp { time: 1, increment: 2 }, |seen| {
                seen.payload = r#"{"$timestamp":{"t":1,"i":2}}"#.into();
            }),
        ),
        (
            "regular expression",
            json(Regex { pattern: cstring("^a\""), options: cstring("i") }, |seen| {
                seen.payload = r#"{"$regularExpression":{"pattern":"^a\"","options":"i"}}"#.into();
            }),
        ),
        ("code", json(Bson::JavaScriptCode("f()".into()), |seen| seen.payload = r#"{"$code":"f()"}"#.into())),
        (
            "code with a scope",
            json(
                Bson::JavaScriptCodeWithScope(bson::JavaScriptCodeWithScope {
                    code: "f()".into(),
                    scope: doc! { "a": i64::MAX },
                }),
                |seen| {
                    seen.payload =
                        r#"{"$code":"f()","$scope":{"a":{"$numberLong":"9223372036854775807"}}}"#.into();
                },
            ),
        ),
        ("symbol", json(Bson::Symbol("a".into()), |seen| seen.payload = r#"{"$symbol":"a"}"#.into())),
        ("undefined", json(Bson::Undefined, |seen| seen.payload = r#"{"$undefined":true}"#.into())),
        (
            "MinKey and MaxKey",
            json(vec![Bson::MinKey, Bson::MaxKey], |seen| {
                seen.payload = r#"[{"$minKey":1},{"$maxKey":1}]"#.into();
            }),
        ),
        ("DBPointer", Proof::Elsewhere("any_value_is_json_or_has_a_reason")),
        (
            "UUID",
            json(binary(BinarySubtype::Uuid, &[0; 16]), |seen| {
                seen.payload = r#"{"$binary":{"base64":"AAAAAAAAAAAAAAAAAAAAAA==","subType":"04"}}"#.into();
            }),
        ),
        (
            "binary of the user's kind",
            json(binary(BinarySubtype::UserDefined(0x80), &[1, 2]), |seen| {
                seen.payload = r#"{"$binary":{"base64":"AQI=","subType":"80"}}"#.into();
            }),
        ),
        (
            "a payload that is encrypted",
            json(binary(BinarySubtype::Encrypted, &[0xff; 3]), |seen| {
                seen.payload = r#"{"$binary":{"base64":"////","subType":"06"}}"#.into();
            }),
        ),
        ("binary of every subtype", Proof::Elsewhere("what_was_written_can_be_read_back")),
        ("a payload of null", json(Bson::Null, |seen| seen.payload = "null".into())),
        ("metadata of a number", case(with("metadata", 5), Applied(|seen| seen.metadata = "5".into()))),
    ]
}

/// Integers as others count them, beyond what BSON's have room for.
fn unsigned() -> Vec<(&'static str, Proof<Case>)> {
    vec![
        (
            "2^64 - 1 as a decimal",
            json(decimal("18446744073709551615"), |seen| {
                seen.payload = r#"{"$numberDecimal":"18446744073709551615"}"#.into();
            }),
        ),
        (
            "2^64 - 1 as text",
            json("18446744073709551615", |seen| seen.payload = r#""18446744073709551615""#.into()),
        ),
        (
            "2^64 as a double",
            json(18_446_744_073_709_551_616.0, |seen| seen.payload = "1.8446744073709552e19".into()),
        ),
        (
            "2^63 as the integer that its bits are",
            json(i64::MIN, |seen| seen.payload = r#"{"$numberLong":"-9223372036854775808"}"#.into()),
        ),
        (
            "2^64 - 1 in a column",
            Proof::Elsewhere("every_value_arrives_exactly_or_is_the_events_fault_on_mysql"),
        ),
    ]
}

/// Sizes, and what is no document of its own.
fn sizes() -> Vec<(&'static str, Proof<Case>)> {
    let many: bson::Document = (0..10_000).map(|n: i32| (format!("f{n}"), Bson::Int32(n))).collect();
    vec![
        (
            "nesting: 100 levels",
            json(nested(100), |seen| seen.payload = "{\"a\":".repeat(100) + "1" + &"}".repeat(100)),
        ),
        ("nesting: 101 levels", case(with("payload", nested(101)), Parked("nests deeper than 100 levels"))),
        ("nesting: 178 levels", case(with("payload", nested(178)), Parked("nests deeper than 100 levels"))),
        ("nesting: beyond what MongoDB takes", Proof::Elsewhere("depth_is_refused_before_the_stack_ends")),
        (
            "10 000 fields",
            json(many, |seen| {
                let fields: Vec<String> = (0..10_000).map(|n| format!("\"f{n}\":{n}")).collect();
                seen.payload = format!("{{{}}}", fields.join(","));
            }),
        ),
        (
            "an array of a million integers",
            once(with("payload", (0..1_000_000).collect::<Vec<i32>>()), Parked("longer than 1048576 bytes")),
        ),
        (
            "1 MiB of payload",
            json("x".repeat((1 << 20) - 2), |seen| {
                seen.payload = format!("\"{}\"", "x".repeat((1 << 20) - 2));
            }),
        ),
        (
            "one byte more",
            case(with("payload", "x".repeat((1 << 20) - 1)), Parked("longer than 1048576 bytes")),
        ),
        ("16 MB", once(with("payload", "x".repeat(16_770_000)), Parked("longer than 1048576 bytes"))),
        (
            "16 MB with an `_id` of 4 kB",
            once(
                vec![
                    ("_id", Some("y".repeat(4000).into())),
                    ("payload", Some("x".repeat(16_770_000).into())),
                ],
                Parked("ids have at most 512"),
            ),
        ),
        (
            "16 MB with an `_id` of 8 kB",
            Proof::Not(
                "the change stream cannot carry it (10334), so it is read in two parts: fault 29 of the catalogue shows it",
            ),
        ),
        ("an update, a replacement, a deletion", Proof::Elsewhere("only_inserts_become_events")),
        (
            "a count of updates and deletions, and a warning",
            Proof::Not(
                "the stream does not carry them (ADR 7 says why); an index that deletes is noted by `check`, and a rebuild \
                 from fewer documents than were applied is refused",
            ),
        ),
        ("an event of another collection", Proof::Elsewhere("only_inserts_become_events")),
        (
            "the outbox is dropped or renamed",
            Proof::Elsewhere("an_outbox_that_is_dropped_while_it_is_followed_pauses_the_projection"),
        ),
        (
            "100 000 events of one aggregate",
            Proof::Elsewhere("one_aggregate_with_all_the_events_keeps_its_order"),
        ),
        (
            "no cluster time, or an odd one",
            Proof::Not("it comes from the server, and only the shown lag is made from it"),
        ),
    ]
}

fn cstring(text: &str) -> CString {
    CString::try_from(text).expect("there is no NUL in it")
}

pub fn rows() -> Vec<(&'static str, Proof<Case>)> {
    [envelopes(), texts(), values(), unsigned(), sizes()].into_iter().flatten().collect()
}
