//! `laterna test` and `laterna inspect` tell what a host does: the same SQL, the same failures.

use std::fs;
use std::path::Path;
use std::process::Output;

use bank::{Generator, Model};
use bson::Bson;
use laterna::readmodel::mysql::literal::literal;
use laterna::sql;
use laterna::sql::fit::fitted;
use laterna::statement::{Operation, Value};
use laterna::text::harmless_lines;
use serde_json::Value as Json;
use sqlx::mysql::MySqlConnection;
use sqlx::{Executor, Row};
use tempfile::TempDir;

use super::{run, succeeds};
use crate::guests;
use crate::support::lane::Bench;
use crate::support::world::said;
use crate::support::{Options, World};

/// Runs `laterna test` on these lines.
fn test(folder: &Path, component: &str, lines: &[String], further: &[&str]) -> Output {
    fs::write(folder.join("events.jsonl"), lines.join("\n")).expect("it is written");
    let component = guests::path(component);
    let arguments = ["test", component.to_str().expect("a path"), "--events", "events.jsonl"];
    run(folder, &[&arguments[..], further].concat())
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn happened(number: usize, payload: &str) -> String {
    format!(
        r#"{{"_id":"e{number}","type":"Happened","aggregateType":"thing","aggregateId":"{number}","sequence":1,"payload":{payload}}}"#
    )
}

/// Runs SQL as text, as a person would who copies it.
async fn run_shown(session: &mut MySqlConnection, sql: &str) {
    session.execute(sqlx::raw_sql(sql)).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// What is shown is for MySQL; MariaDB calls the collation otherwise.
async fn shown_sql_makes_the_rows(component: &str, options: Options, collation: &str) {
    let events: Vec<_> = Generator::new(11, 40).take(400).collect();
    let world = World::with(&[("accounts", component)], options).await;
    let json = |event: &bank::Event| Bson::Document(event.document()).into_canonical_extjson().to_string();
    let lines: Vec<String> = events.iter().map(json).collect();
    let path = guests::path(component);
    let inspected = run(world.folder.path(), &["inspect", path.to_str().expect("a path"), "--json"]);
    let inspected: Json = serde_json::from_str(&succeeds(&inspected)).expect("it is JSON");
    let mut session = world.mysql().await;
    let ddl = inspected["manifest"]["tables"][0]["ddl"].as_str().expect("a table");
    run_shown(&mut session, &ddl.replace("utf8mb4_0900_bin", collation)).await;

    let text = succeeds(&test(world.folder.path(), component, &lines, &[]));
    let statements = text.lines().filter(|line| !line.starts_with("-- "));
    let mut count = 0;
    for sql in statements {
        run_shown(&mut session, sql.strip_suffix(';').expect("a statement ends")).await;
        count += 1;
    }
    assert_eq!(count, 400, "each event is one statement");
    world.assert_accounts(&Model::from_iter(&events)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sql_that_is_shown_makes_the_rows_that_the_events_mean_on_mysql() {
    shown_sql_makes_the_rows("accounts", Options::mysql(), "utf8mb4_0900_bin").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sql_that_is_shown_makes_the_rows_that_the_events_mean_on_mariadb() {
    shown_sql_makes_the_rows("accounts-js", Options::mariadb(), "utf8mb4_nopad_bin").await;
}

fn values() -> Vec<Value> {
    let text = |text: &str| Value::Text(text.to_owned());
    let decimal = |text: &str| Value::Decimal(text.to_owned());
    let timestamp = |text: &str| Value::Timestamp(text.to_owned());
    vec![
        Value::Null,
        Value::Boolean(true),
        Value::Integer(i64::MIN),
        Value::Integer(i64::MAX),
        Value::Number(0.1),
        Value::Number(-0.0),
        Value::Number(1e300),
        Value::Number(f64::MIN_POSITIVE),
        Value::Number(123_456_789.123_456_79),
        decimal("-12.30"),
        decimal("99999999999999999999999999999.0000000001"),
        decimal("+.5"),
        text(""),
        text("it's a \\ \"?\" `?` -- ? /* ? */ # \r\n\t\0\u{1a}\u{1b}[2J\u{9b} %_"),
        text("🦀 Zoë \u{202e}"),
        Value::Json(r#"{"a":"it's \\ \"?\"","b":[1,null]}"#.to_owned()),
        Value::Bytes(vec![]),
        Value::Bytes((0..=255).collect()),
        timestamp("2026-01-31T12:00:00.123456789+05:30"),
        timestamp("0001-01-01T00:00:00Z"),
        timestamp("9999-12-31T23:59:59.999999Z"),
    ]
}

/// What a value comes to in columns that keep its bytes and its number.
async fn literals_are_what_is_bound(options: Options) {
    let table =
        "CREATE TABLE shown (id BIGINT PRIMARY KEY, value LONGBLOB, doubled LONGBLOB, at DATETIME(6))";
    let insert = "INSERT INTO shown (id, value, doubled, at) VALUES (?, ?, CONCAT('?', ?), ?)";
    let bench = Bench::with(options, &[(table, &[insert])]).await;
    let statement = bench.schema.statements.last().expect("it is the last one");
    let index = u32::try_from(bench.schema.statements.len() - 1).expect("few");
    let (mut bound, mut shown) = (Vec::new(), Vec::new());
    for (value, id) in values().iter().zip(1..) {
        let (text, moment) = match value {
            Value::Timestamp(_) => (Value::Null, value.clone()),
            _ => (value.clone(), Value::Null),
        };
        let parameters = |id| vec![Value::Integer(id), text.clone(), text.clone(), moment.clone()];
        let fit = |id| fitted(0, statement, parameters(id)).expect("every value fits");
        bound.push(Operation { statement: index, parameters: fit(id) });
        let sent = fit(id + 1000);
        let literals: Vec<String> = sent.iter().map(literal).collect();
        shown.push(sql::fill(&statement.sql, &literals));
    }
    let mut lane = bench.lane(1).await;
    lane.commit(&bench.batch(1, bound)).await.expect("every value can be bound");
    let mut session = bench.world.mysql().await;
    for sql in shown {
        assert_eq!(harmless_lines(&sql), sql, "it can be printed as it is");
        run_shown(&mut session, &sql).await;
    }
    let rows = "SELECT a.id, a.value <=> b.value AND a.doubled <=> b.doubled AND a.at <=> b.at AS same, \
                COALESCE(CAST(a.at AS CHAR), HEX(a.value)), COALESCE(CAST(b.at AS CHAR), HEX(b.value)) \
                FROM shown a JOIN shown b ON b.id = a.id + 1000 ORDER BY a.id";
    let rows = bench.world.rows(rows).await;
    assert_eq!(rows.len(), values().len());
    for (row, value) in rows.iter().zip(values()) {
        let hex = |at: usize| row.get::<Option<String>, _>(at);
        assert_eq!(row.get::<i64, _>(1), 1, "{value:?}: {:?} bound, {:?} shown", hex(2), hex(3));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_literals_that_are_shown_are_the_values_that_are_bound_on_mysql() {
    literals_are_what_is_bound(Options::mysql()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_literals_that_are_shown_are_the_values_that_are_bound_on_mariadb() {
    literals_are_what_is_bound(Options::mariadb()).await;
}

#[test]
fn a_failing_event_shows_its_class_and_what_the_guest_said() {
    let folder = folder();
    let told = [
        ("ok", None),
        ("panic", Some("-- FAILED, trapped")),
        ("loop", Some("-- FAILED, out-of-fuel: the projector used up its budget of 1000000000 fuel")),
        ("memory", Some("-- FAILED, out-of-memory: ")),
        ("clock", Some("-- FAILED, trapped")),
        ("invalid", Some("-- FAILED, rejected: the projector rejected the event as invalid: ")),
        ("failed", Some("-- FAILED, rejected: the projector rejected the event as failed: ")),
        ("huge", Some("-- FAILED, output-too-large: ")),
        ("bad-index", Some("-- FAILED, unknown-statement: operation 0 uses statement 99")),
        (
            "bad-count",
            Some("-- FAILED, parameter-count: operation 0 gives 1 parameters to the statement `pick`"),
        ),
        (
            "nan",
            Some(
                "-- FAILED, bad-value: operation 0, parameter 4 of `pick`: `picked.number` is DOUBLE, and the number given is NaN",
            ),
        ),
        ("nothing", Some("-- no operation\n")),
    ];
    let line = |(number, (what, _)): (usize, &(&str, _))| happened(number, &format!(r#"{{"do":"{what}"}}"#));
    let mut lines: Vec<String> = told.iter().enumerate().map(line).collect();
    lines.push(r#"{"_id":"e13","type":"Happened","payload":{}}"#.to_owned());
    let output = test(folder.path(), "picky", &lines, &[]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let text = String::from_utf8(output.stdout).expect("it is text");
    for (number, (what, failed)) in told.iter().enumerate() {
        let heading = format!("-- {}: Happened of thing/{number}, event e{number}\n", number + 1);
        let answer = text.split(&heading).nth(1).unwrap_or_else(|| panic!("{what}: {text}"));
        let answer = answer.split("-- | fuel ").next().expect("what it took");
        match failed {
            Some(failed) => assert!(answer.starts_with(failed), "{what}: {answer}"),
            None => assert!(answer.starts_with("INSERT INTO `picked`"), "{what}: {answer}"),
        }
    }
    // The panic's own words and the place of it, beside what is compared.
    for expect in [
        "-- | the projector trapped: thread",
        "panicked at tests/guests/picky.rs",
        "-- |   in <picky::",
        "-- 13: not an event",
    ] {
        assert!(text.contains(expect), "{expect}: {text}");
    }
    assert!(text.contains(
        "-- FAILED, undecodable: the document is not an event: the field `aggregateType` is missing"
    ));
}

#[test]
fn expected_answers_are_written_compared_and_may_hold_failures() {
    let folder = folder();
    let lines = [happened(1, r#"{"do":"ok"}"#), happened(2, r#"{"do":"panic"}"#)];
    let golden = folder.path().join("expected.sql");
    let missing = test(folder.path(), "picky", &lines, &["--expect", "expected.sql"]);
    assert!(said(&missing).contains("--update writes them"), "{}", said(&missing));
    assert_eq!(missing.status.code(), Some(2));

    succeeds(&test(folder.path(), "picky", &lines, &["--expect", "expected.sql", "--update"]));
    let written = fs::read_to_string(&golden).expect("it was written");
    assert!(written.contains("-- FAILED, trapped\n") && !written.contains("-- |"), "{written}");
    // A failure that was expected is none.
    let whole = succeeds(&test(folder.path(), "picky", &lines, &["--expect", "expected.sql"]));
    // What the command printed is good as it is, too.
    fs::write(&golden, whole).expect("it is written");
    succeeds(&test(folder.path(), "picky", &lines, &["--expect", "expected.sql"]));

    fs::write(&golden, written.replace("-- FAILED, trapped", "-- no operation")).expect("it is written");
    let differs = test(folder.path(), "picky", &lines, &["--expect", "expected.sql"]);
    assert_eq!(differs.status.code(), Some(1));
    assert!(said(&differs).contains("- -- no operation\n+ -- FAILED, trapped"), "{}", said(&differs));
    assert!(
        fs::read_to_string(&golden).expect("it is there").contains("-- no operation"),
        "it is not touched"
    );
}

#[test]
fn a_projector_that_keeps_state_is_told() {
    let folder = folder();
    let lines = [happened(1, "{}"), happened(2, "{}"), happened(3, "{}")];
    for component in ["stateful", "hash-order"] {
        let output = test(folder.path(), component, &lines, &[]);
        assert_eq!(output.status.code(), Some(1), "{component}: {}", said(&output));
        assert!(said(&output).contains("it KEEPS STATE"), "{component}: {}", said(&output));
    }
    succeeds(&test(folder.path(), "recorder", &lines, &[]));
}

#[test]
fn machines_read_one_object_for_each_event() {
    let folder = folder();
    let lines = [happened(1, r#"{"do":"ok"}"#), String::new(), happened(2, r#"{"do":"invalid"}"#)];
    let output = test(folder.path(), "picky", &lines, &["--json"]);
    let text = String::from_utf8(output.stdout).expect("it is text");
    let objects: Vec<Json> =
        text.lines().map(|line| serde_json::from_str(line).expect("it is JSON")).collect();
    assert_eq!(objects.len(), 2);
    assert_eq!((&objects[0]["line"], &objects[0]["verdict"]), (&1.into(), &"applied".into()));
    assert_eq!((&objects[1]["line"], &objects[1]["verdict"]), (&3.into(), &"rejected".into()));
    assert!(objects[0]["fuel"].as_u64() > Some(1000) && objects[0]["memory_bytes"].as_u64() > Some(1 << 16));
    assert_eq!(objects[0]["statements"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_projections_own_budget_and_field_names_count() {
    let folder = folder();
    let config = "[mongodb]\nuri = \"mongodb://localhost\"\ndatabase = \"a\"\npreset = \"debezium\"\n[mysql]\nurl = \
                  \"mysql://a@localhost/a\"\n[projection.p]\ncomponent = \"a.wasm\"\n[projection.p.budget]\nfuel = 1000000\n";
    fs::write(folder.path().join("laterna.toml"), config).expect("it is written");
    let line =
        r#"{"_id":"e1","type":"Happened","aggregatetype":"thing","aggregateid":"1","payload":{"do":"loop"}}"#;
    let output = test(folder.path(), "picky", &[line.to_owned()], &["--projection", "p"]);
    assert!(said(&output).contains("-- 1: Happened of thing/1"), "{}", said(&output));
    assert!(said(&output).contains("used up its budget of 1000000 fuel"), "{}", said(&output));
}

#[test]
fn an_id_that_would_steer_a_terminal_is_shown_in_a_difference() {
    let folder = folder();
    let line = happened(1, r#"{"do":"ok"}"#).replacen("\"e1\"", r#""e\u001b[2J""#, 1);
    assert!(line.contains("u001b"), "{line}");
    fs::write(folder.path().join("expected.sql"), "-- another answer\n").expect("it is written");
    let told = said(&test(folder.path(), "picky", &[line], &["--expect", "expected.sql"]));
    assert!(told.contains("--update takes the new ones"), "{told}");
    assert!(!told.contains('\u{1b}') && told.contains("\\u001b[2J"), "{told:?}");
}
