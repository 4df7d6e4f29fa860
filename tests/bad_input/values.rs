//! Every kind of value with extreme contents, into every kind of column, on real servers: it arrives exactly, or it is
//! the event's fault. Either way the session answers as before.

use std::sync::Arc;
use std::time::Duration;

use laterna::event::{Aggregate, Delivery, Event, Id};
use laterna::failure::Fault;
use laterna::position::{Position, Token};
use laterna::readmodel::control::lease::Acquired;
use laterna::readmodel::control::schema::Control;
use laterna::readmodel::lane::Lane;
use laterna::readmodel::lane::apply::LaneModel;
use laterna::readmodel::lane::batch::{Batch, Entry, Verdict};
use laterna::readmodel::mysql::session::Connector;
use laterna::sql::fit::judge;
use laterna::statement::{
    Deployed, FittedOperation, Manifest, Operation, Ordering, Schema, StatementDeclaration, TableDeclaration,
    Value,
};
use sqlx::Row as _;

use crate::support::lane::deployed;
use crate::support::{Options, World};

/// The columns, each with its type and how it is read back as text.
const COLUMNS: [(&str, &str, &str); 11] = [
    ("small", "TINYINT", "CAST(small AS CHAR)"),
    ("large", "BIGINT", "CAST(large AS CHAR)"),
    ("positive", "BIGINT UNSIGNED", "CAST(positive AS CHAR)"),
    ("exact", "DECIMAL(65,30)", "CAST(exact AS CHAR)"),
    ("money", "DECIMAL(10,2)", "CAST(money AS CHAR)"),
    ("real_", "DOUBLE", "IF(real_ = 0, '0', CAST(real_ AS CHAR))"),
    ("short_", "VARCHAR(4)", "CONVERT(short_ USING utf8mb4)"),
    (
        "long_",
        "LONGTEXT",
        "IF(LENGTH(long_) > 100, CAST(LENGTH(long_) AS CHAR), CONVERT(long_ USING utf8mb4))",
    ),
    ("raw_", "VARBINARY(4)", "HEX(raw_)"),
    ("document", "JSON", "JSON_EXTRACT(document, '$.a')"),
    ("moment", "DATETIME(6)", "DATE_FORMAT(moment, '%Y-%m-%dT%H:%i:%s.%f')"),
];

enum Outcome {
    /// Read back like this.
    Stored(&'static str),
    /// NULL.
    Null,
    /// Refused by the host, before anything is sent.
    Judged,
    /// Refused by the server.
    Refused,
}
use Outcome::{Judged, Null, Refused, Stored};

fn rows() -> Vec<(&'static str, Value, Outcome)> {
    let decimal = |text: &str| Value::Decimal(text.into());
    let text = |text: &str| Value::Text(text.into());
    let json = |text: &str| Value::Json(text.into());
    let moment = |text: &str| Value::Timestamp(text.into());
    vec![
        ("small", Value::Null, Null),
        ("small", Value::Boolean(true), Stored("1")),
        ("small", Value::Integer(-128), Stored("-128")),
        ("small", Value::Integer(128), Judged),
        ("small", text("many"), Judged),
        ("large", Value::Integer(i64::MIN), Stored("-9223372036854775808")),
        ("large", Value::Integer(i64::MAX), Stored("9223372036854775807")),
        ("large", decimal("9223372036854775808"), Judged),
        ("large", Value::Number(1e300), Judged),
        ("positive", Value::Integer(-1), Judged),
        ("positive", decimal("18446744073709551615"), Stored("18446744073709551615")),
        ("exact", decimal("0.000000000000000000000000000001"), Stored("0.000000000000000000000000000001")),
        ("exact", decimal("-.5"), Stored("-0.500000000000000000000000000000")),
        (
            "exact",
            decimal("99999999999999999999999999999999999.999999999999999999999999999999"),
            Stored("99999999999999999999999999999999999.999999999999999999999999999999"),
        ),
        ("exact", decimal("100000000000000000000000000000000000"), Judged),
        ("exact", decimal(&"9".repeat(65)), Judged),
        ("exact", decimal(&"9".repeat(66)), Judged),
        ("exact", decimal(""), Judged),
        ("exact", decimal("1e5"), Stored("100000.000000000000000000000000000000")),
        ("exact", decimal("1E-8"), Stored("0.000000010000000000000000000000")),
        ("exact", decimal("0E-8"), Stored("0.000000000000000000000000000000")),
        ("exact", decimal("1E+3"), Stored("1000.000000000000000000000000000000")),
        ("exact", decimal("1E-31"), Judged),
        ("exact", decimal("NaN"), Judged),
        ("exact", Value::Integer(i64::MIN), Stored("-9223372036854775808.000000000000000000000000000000")),
        ("money", decimal("99999999.99"), Stored("99999999.99")),
        ("money", decimal("-0.00"), Stored("0.00")),
        ("money", decimal("100000000"), Judged),
        ("money", decimal("0.005"), Judged),
        ("real_", Value::Number(f64::MAX), Stored("1.7976931348623157e308")),
        ("real_", Value::Number(-0.0), Stored("0")),
        ("real_", Value::Number(5e-324), Stored("5e-324")),
        ("real_", Value::Number(f64::NAN), Judged),
        ("real_", Value::Number(f64::NEG_INFINITY), Judged),
        ("short_", text(""), Stored("")),
        ("short_", text("a\0b'"), Stored("a\0b'")),
        ("short_", text("\u{1f600}\u{202e}\u{301}\\"), Stored("\u{1f600}\u{202e}\u{301}\\")),
        ("short_", text("12345"), Judged),
        ("short_", Value::Bytes(vec![0xff, 0xfe]), Judged),
        ("short_", Value::Bytes(b"ab".to_vec()), Stored("ab")),
        ("long_", Value::Text("x".repeat(3 << 20)), Stored("3145728")),
        (
            "long_",
            Value::Text("; DROP TABLE extremes; -- ' \" ` \\".into()),
            Stored("; DROP TABLE extremes; -- ' \" ` \\"),
        ),
        // More than `max_allowed_packet` has room for, wherever that is set.
        ("long_", Value::Text("x".repeat(70 << 20)), Refused),
        ("raw_", Value::Bytes(vec![]), Stored("")),
        ("raw_", Value::Bytes(vec![0, 0xff, 0x27, 0x5c]), Stored("00FF275C")),
        ("raw_", Value::Bytes(vec![0; 5]), Judged),
        ("raw_", text("\u{1f600}"), Stored("F09F9880")),
        ("document", json(r#"{"a":9007199254740993}"#), Stored("9007199254740993")),
        ("document", json(r#"{"a":"\u0000"}"#), Stored("\"\\u0000\"")),
        // Of two fields of one name MySQL keeps the last and MariaDB gives the first: outbox documents have none.
        ("document", json(&("[".repeat(127) + &"]".repeat(127))), Refused),
        ("document", json(&("[".repeat(100_000) + &"]".repeat(100_000))), Refused),
        ("document", json(""), Judged),
        ("document", json("{\"a\":NaN}"), Judged),
        ("document", text("{"), Judged),
        ("moment", moment("9999-12-31T23:59:59.999999999Z"), Stored("9999-12-31T23:59:59.999999")),
        ("moment", moment("9999-12-31T23:59:59-00:01"), Judged),
        ("moment", moment("1969-12-31T23:59:59.9999999Z"), Stored("1969-12-31T23:59:59.999999")),
        ("moment", moment("0001-01-01T00:00:00Z"), Stored("0001-01-01T00:00:00.000000")),
        ("moment", moment("0000-01-01T00:00:00Z"), Stored("0000-01-01T00:00:00.000000")),
        ("moment", moment("2016-12-31T23:59:60+00:00"), Stored("2016-12-31T23:59:59.999999")),
        ("moment", moment("2026-02-29T00:00:00Z"), Judged),
        ("moment", text("0000-00-00"), Judged),
        ("moment", text("2026-02-30"), Judged),
    ]
}

fn version() -> Arc<Deployed> {
    let columns: Vec<String> = COLUMNS.iter().map(|(name, kind, _)| format!("{name} {kind} NULL")).collect();
    let ddl = format!("CREATE TABLE extremes (id BIGINT PRIMARY KEY, {})", columns.join(", "));
    let statement = |(name, ..): &(&str, &str, &str)| StatementDeclaration {
        name: (*name).into(),
        sql: format!("INSERT INTO extremes (id, {name}) VALUES (?, ?)"),
    };
    let manifest = Manifest {
        name: "extremes".into(),
        version: "1".into(),
        event_types: vec![],
        ordering: Ordering::Aggregate,
        commutative: false,
        tables: vec![TableDeclaration { name: "extremes".into(), ddl }],
        statements: COLUMNS.iter().map(statement).collect(),
    };
    deployed(manifest)
}

fn entry(number: usize, operations: Vec<FittedOperation>) -> Entry {
    let number = i64::try_from(number).expect("few");
    let position =
        Position::Stream { token: Token { data: format!("82{number:04}").into(), type_bits: None } };
    let event = Event {
        id: Id::Integer(number),
        event_type: "T".into(),
        version: 1,
        aggregate: Aggregate { kind: "a".into(), id: Id::Integer(number) },
        sequence: Some(number),
        occurred_at: None,
        payload: "{}".into(),
        metadata: "{}".into(),
    };
    let delivery = Delivery {
        position,
        time: None,
        wall_ms: None,
        document: Arc::from(&b""[..]),
        event: Ok(Arc::new(event)),
    };
    Entry { delivery, verdict: Verdict::Apply(operations), mark: Some(number.unsigned_abs().into()) }
}

fn batch(version: &Arc<Deployed>, entries: Vec<Entry>) -> Arc<Batch> {
    let position = entries.last().expect("there are some").delivery.position.clone();
    Arc::new(Batch { entries, position, version: version.clone() })
}

/// Servers disagree about the types of what they cast.
fn text(row: &sqlx::mysql::MySqlRow) -> Option<String> {
    let bytes: Option<Vec<u8>> = row.get_unchecked(0);
    bytes.map(|bytes| String::from_utf8(bytes).expect("it is read as text"))
}

/// A lane of its own under a lease of its own.
async fn lane(world: &World, schema: &Schema) -> LaneModel {
    let control = Control::new(&world.control());
    let connector = Connector::new("mysql.url", &world.url().into()).expect("a URL");
    let mut session = connector.connect().await.expect("MySQL answers");
    control.migrate(&mut session).await.expect("the control schema is created");
    let order = session.text_order();
    let mut db = control.of(&mut session, "p");
    db.create_missing_tables(schema, order).await.expect("the table is created");
    let ttl = Duration::from_mins(1);
    let acquired = db.acquire_lease(&connector, "a test", ttl).await.expect("MySQL answers");
    let Acquired::Mine { epoch } = acquired else { panic!("nobody else is there") };
    let start = Position::Stream { token: Token { data: "82".into(), type_bits: None } };
    db.under(epoch).replace_lanes(1, 1, &start).await.expect("the lane is placed");
    let lane = Lane { projection: "p".into(), generation: 1, lane: 0 };
    let mut model = LaneModel::new(connector, control, lane, epoch, 1000);
    model.load().await.expect("the lane loads");
    model
}

async fn every_value_arrives_or_is_the_events_fault(options: Options) {
    let world = World::new("verbatim", options).await;
    let version = version();
    let mut lane = lane(&world, &version.schema).await;
    let rows = rows();
    let mut sent = Vec::new();
    for (number, (column, value, outcome)) in rows.iter().enumerate() {
        let statement = COLUMNS.iter().position(|(name, ..)| name == column).expect("there is such a column");
        let id = Value::Integer(i64::try_from(number).expect("few"));
        let operation = Operation {
            statement: u32::try_from(statement).expect("few"),
            parameters: vec![id, value.clone()],
        };
        let judged = judge(&version.schema, vec![operation]);
        assert_eq!(
            judged.is_err(),
            matches!(outcome, Judged),
            "{column} {:.80}: {judged:?}",
            format!("{value:?}")
        );
        match judged {
            Ok(operations) => sent.push(entry(number, operations)),
            Err(failure) => assert_eq!(failure.fault(), Fault::Event, "{failure}"),
        }
    }
    // All together: what the server refuses is found, and the rest is committed.
    let refused = lane
        .probe(&batch(&version, sent.clone()), &|_, _| true)
        .await
        .expect("a value is never the server's fault");
    let refused: Vec<i64> = refused
        .iter()
        .map(|(at, _)| sent[*at].delivery.event.as_ref().expect("an event").sequence.expect("it has one"))
        .collect();
    sent.retain(|entry| {
        let sequence = entry.delivery.event.as_ref().expect("an event").sequence.expect("it has one");
        !refused.contains(&sequence)
    });
    lane.commit(&batch(&version, sent)).await.expect("all of them are taken");
    for (number, (column, value, outcome)) in rows.iter().enumerate() {
        let number = i64::try_from(number).expect("few");
        let (.., read) = COLUMNS.iter().find(|(name, ..)| name == column).expect("there is such a column");
        let found = world.rows(&format!("SELECT {read} FROM extremes WHERE id = {number}")).await;
        let found = found.first().map(text);
        let told = format!("{column} {:.80} is {found:?}", format!("{value:?}"));
        assert_eq!(refused.contains(&number), matches!(outcome, Refused), "{told}");
        match outcome {
            Stored(expected) => assert_eq!(found, Some(Some((*expected).to_owned())), "{told}"),
            Null => assert_eq!(found, Some(None), "{told}"),
            Judged | Refused => assert_eq!(found, None, "{told}"),
        }
    }
    // One session did all of it: no value broke the protocol.
    let sessions = format!("SELECT COUNT(*) FROM information_schema.processlist WHERE db = '{}'", world.name);
    assert_eq!(world.number(&sessions).await, 2, "the lane's and the one that asks");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_value_arrives_exactly_or_is_the_events_fault_on_mysql() {
    every_value_arrives_or_is_the_events_fault(Options::mysql()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_value_arrives_exactly_or_is_the_events_fault_on_mariadb() {
    every_value_arrives_or_is_the_events_fault(Options::mariadb()).await;
}
