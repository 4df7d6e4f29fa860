//! Values of events stay in dead letters, and nothing that comes from outside forges a line of the log or steers a terminal.

use std::collections::BTreeSet;

use bson::{Document, doc};
use laterna::readmodel::control::command::ClearedUpTo;
use laterna::readmodel::control::schema::Control;
use laterna::readmodel::mysql::session::Connector;
use sqlx::Row;

use crate::guests;
use crate::support::host::BINARY;
use crate::support::receiver::{Manner, Receiver, Taken, attribute};
use crate::support::world::{event, free_port, laterna, said};
use crate::support::{Host, Options, World, until};

/// What only a dead letter may hold.
const SECRET: &str = "canary-5ecret";

/// What could be taken for a line of the log, and what steers a terminal or turns text around.
const FORGED: &str = "x\n2026-01-01T00:00:00.000000Z ERROR \"level\":\"ERROR\" forged\u{1b}[31m\u{202e}y";

/// The trace of the events.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

fn documents() -> Vec<Document> {
    let odd = |what: &str| format!("{what} {FORGED}");
    let traceparent = || format!("00-{TRACE}-b7ad6b7169203331-01");
    let event = |id: &str, aggregate: &str, sequence, payload| {
        let mut event = event(id, aggregate, sequence, payload);
        event.insert("metadata", doc! { "traceparent": traceparent() });
        event
    };
    vec![
        event("rejected", "a", 1, doc! { "do": SECRET }),
        event("value", "b", 1, doc! { "do": "duplicate" }),
        event("trapped", "c", 1, doc! { "do": format!("panic {SECRET}") }),
        doc! { "_id": "no event", "type": "T", "aggregateType": "thing", "aggregateId": "d", "sequence": SECRET },
        doc! {
            "_id": odd("id"), "type": odd("type"), "aggregateType": odd("kind"), "aggregateId": odd("aggregate"),
            "sequence": 1_i64, "payload": { "do": "panic", "note": SECRET }, "metadata": { "note": SECRET, "traceparent": traceparent() },
        },
        event("said", "e", 1, doc! { "do": format!("say {FORGED}"), "note": SECRET }),
    ]
}

/// The columns of the control schema that hold a text, but those of the letters.
async fn columns_with(world: &World, text: &str) -> Vec<String> {
    let columns = format!(
        "SELECT CONCAT(table_name, '.', column_name) FROM information_schema.columns WHERE table_schema = '{}' \
         AND table_name NOT IN ('dead_letter', 'dead_letter_part', 'component_part')",
        world.control()
    );
    let mut found = vec![];
    for row in world.rows(&columns).await {
        let column: String = row.get(0);
        let (table, name) = column.split_once('.').expect("both are there");
        let sql = format!(
            "SELECT COUNT(*) FROM {}.{table} WHERE INSTR(CAST(`{name}` AS BINARY), '{text}') > 0",
            world.control()
        );
        if world.number(&sql).await > 0 {
            found.push(column);
        }
    }
    found
}

/// The line about each letter has its event's trace, but that of what is no event.
fn traces_are_told(log: &str) {
    let lines = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    let parked = lines.filter_map(|mut line| {
        let fields = line["fields"].take();
        let is_parked = fields["message"].as_str().is_some_and(|message| message.starts_with("parked: "));
        is_parked.then(|| (fields["event"].to_string(), fields["trace_id"].clone()))
    });
    // Those of the generation that was compared tell the same of the same events.
    let parked: BTreeSet<(String, String)> =
        parked.map(|(event, trace): (String, serde_json::Value)| (event, trace.to_string())).collect();
    assert_eq!(parked.len(), 5, "{parked:?}");
    for (event, trace) in parked {
        let expected = if event.contains("no event") { "null".to_owned() } else { format!("{TRACE:?}") };
        assert_eq!(trace, expected, "{event}");
    }
}

/// There are spans of the letters' events, and none holds what an event holds or steers a terminal.
fn spans_hold_no_value(taken: &Taken) {
    let of_letters = taken.spans.iter().filter(|span| !attribute(&span.attributes, "error.type").is_empty());
    assert_eq!(
        of_letters.filter(|span| hex::encode(&span.trace_id) == TRACE).count(),
        4,
        "{:?}",
        taken.spans
    );
    let bodies = String::from_utf8_lossy(&taken.bodies);
    assert!(!bodies.contains(SECRET), "a span has a value of an event");
    for span in &taken.spans {
        let status = span.status.as_ref().map(|status| status.message.clone()).unwrap_or_default();
        let values = span.attributes.iter().map(|one| attribute(&span.attributes, &one.key));
        for text in values.chain([span.name.clone(), status]) {
            assert!(!text.contains(['\n', '\u{1b}', '\u{202e}']), "{text:?} steers a terminal");
        }
    }
}

async fn values_stay_in_letters(log: &str, options: Options) {
    let world = World::new("picky", Options { extra: "breaker.aggregates = 0", ..options }).await;
    let receiver = Receiver::start(Manner::Takes).await;
    let port = free_port();
    let mut command = std::process::Command::new(BINARY);
    command.env("LATERNA_HOST__LOG", log).env("OTEL_BSP_SCHEDULE_DELAY", "100");
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint());
    let host = Host::start_as(command, &world.config(port), port);
    host.until_phase("picky", "streaming").await;
    world.insert(documents()).await;
    until("all but one are parked", async || world.letters().await == (5, 0)).await;
    let config = world.folder.path().join(format!("laterna-{}.toml", host.port));
    let ask = |arguments: &[&str]| said(&laterna(&config, arguments));
    let replay = ask(&["dlq", "replay", "picky", "--all"]);
    assert!(replay.contains("5 still parked"), "{replay}");
    let dry_run = ask(&["dlq", "replay", "picky", "--all", "--dry-run"]);
    assert!(dry_run.contains("would fail: trapped"), "{dry_run}");
    let verified = ask(&["verify", "picky"]);
    assert!(verified.contains("picked"), "{verified}");
    // A component that fails with the event in its words what the one before takes.
    let worse = guests::path("picky-worse").display().to_string();
    let deployed = ask(&["deploy", "--projection", "picky", "--canary", "600", &worse]);
    assert!(deployed.contains("deployed"), "{deployed}");
    until("the lanes go over to it", async || host.log().contains("the lanes go over to another component"))
        .await;
    world.insert([event("fine", "f", 1, doc! { "do": format!("fine {SECRET}") })]).await;
    let taken_back =
        format!("SELECT COUNT(*) FROM {}.deployment WHERE state = 'taken-back'", world.control());
    until("the component is taken back", async || world.number(&taken_back).await == 1).await;
    until("the generation that was compared is gone", async || world.letters().await == (5, 0)).await;
    until("it is applied", async || {
        let applied = format!("SELECT COUNT(*) FROM {}.picked WHERE note = 'fine'", world.name);
        world.number(&applied).await == 1
    })
    .await;

    // What people see: one line for each letter, whatever its ids are.
    let list = ask(&["dlq", "list", "picky"]);
    assert_eq!(list.lines().count(), 1 + 5, "{list}");
    assert!(list.contains("\"kind x\\n2026") && list.contains("type x\\n2026"), "{list}");
    let mut told = vec![("the status", ask(&["status", "--lanes", "--fuel"]))];
    for path in ["/status", "/readyz", "/metrics"] {
        told.push((path, host.get(path).await.expect("it answers").1));
    }
    let log_text = host.signal_and_log("TERM").await;
    for (what, text) in
        told.iter().chain([("the list", list)].iter()).chain([("the log", log_text.clone())].iter())
    {
        let is_list = *what == "the list";
        assert!(is_list || !text.contains(SECRET), "{what} has a value of an event:\n{text}");
        let is_harmful = |c: char| c == '\u{1b}' || (c == '\u{202e}' && *what != "/status" && log == "text");
        assert!(!text.contains(is_harmful), "{what} steers a terminal:\n{text:?}");
        assert!(
            !text.lines().any(|line| line.starts_with("2026-01-01")),
            "{what} has a forged line:\n{text}"
        );
    }
    assert!(!log_text.contains("Duplicate entry"), "{log_text}");
    for told in ["parked: the projector rejected the event", "key conflict (error 1062)", "say x\\"] {
        assert!(log_text.contains(told), "{told} is not in\n{log_text}");
    }
    if log == "json" {
        let wrong = log_text.lines().find(|line| serde_json::from_str::<serde_json::Value>(line).is_err());
        assert_eq!(wrong, None);
        traces_are_told(&log_text);
    }
    spans_hold_no_value(&receiver.taken());
    assert_eq!(columns_with(&world, SECRET).await, Vec::<String>::new());
    let letters = format!(
        "SELECT COUNT(*) FROM {}.dead_letter WHERE INSTR(CONCAT(document, COALESCE(reason, '')), '{SECRET}') > 0",
        world.control()
    );
    assert_eq!(world.number(&letters).await, 4, "the letters tell what the log does not");
    let words =
        "SELECT COUNT(*) FROM {}.dead_letter WHERE event_id = 'trapped' AND reason LIKE '%panic canary%'";
    assert_eq!(world.number(&words.replace("{}", &world.control())).await, 1, "so does a panic's");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_a_comparison_found_are_not_kept_in_its_result() {
    for options in [Options::mysql(), Options::mariadb()] {
        let world = World::new("picky", options).await;
        world.insert((0..5).map(|n| event(&format!("e{n}"), "a", n + 1, doc! { "do": "ok" }))).await;
        let host = world.start();
        world.until_committed("picky", 5).await;
        world.run(&format!("UPDATE {}.picked SET note = '{SECRET}' WHERE event_id = 'e3'", world.name)).await;
        let config = world.folder.path().join(format!("laterna-{}.toml", host.port));
        let verified = said(&laterna(&config, &["verify", "picky"]));
        assert!(verified.contains(SECRET), "{verified}");
        assert_eq!(columns_with(&world, SECRET).await, ["command.result"]);
        // An hour later, whichever host is there.
        let hour = "UPDATE {}.command SET finished_at = finished_at - INTERVAL 61 MINUTE";
        world.run(&hour.replace("{}", &world.control())).await;
        host.kill();
        let _host = world.start();
        until("it holds no row any more", async || columns_with(&world, SECRET).await.is_empty()).await;
        let kept = "SELECT result FROM {}.command WHERE request LIKE '%verify%'";
        let row = &world.rows(&kept.replace("{}", &world.control())).await[0];
        let report: serde_json::Value = serde_json::from_str(&row.get::<String, _>(0)).expect("it is JSON");
        assert_eq!(report["tables"][0]["different"]["rows"], 1, "{report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_result_is_looked_at_once_for_rows_that_are_not_kept() {
    for options in [Options::mysql(), Options::mariadb()] {
        let world = World::new("picky", options).await;
        let (control, schema) = (Control::new(&world.control()), world.control());
        let connector = Connector::new("mysql.url", &world.url().into()).expect("a URL");
        let mut session = connector.connect().await.expect("MySQL answers");
        control.migrate(&mut session).await.expect("it is created");
        let ended = async |first: u32, count: u32, minutes: u32| {
            let sql = format!(
                "INSERT INTO {schema}.command (id, projection, request, state, result, requested_by, finished_at) \
                 WITH RECURSIVE n (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n + 1 < {count}) \
                 SELECT {first} + n, 'picky', '{{\"do\":\"verify\",\"repair\":false}}', 'done', \
                 '{{\"tables\":[{{\"samples\":[\"{SECRET}\"]}}]}}', 'a test', \
                 CURRENT_TIMESTAMP(6) - INTERVAL {minutes} MINUTE FROM n"
            );
            world.run(&sql).await;
        };
        let left = format!(
            "SELECT CAST(COALESCE(SUM(id), 0) AS SIGNED) FROM {schema}.command WHERE result LIKE '%{SECRET}%'"
        );
        let mut cleared = ClearedUpTo::default();
        // More than a page, all of one moment; and one that is not old enough.
        ended(100, 700, 90).await;
        ended(10, 1, 50).await;
        control.of(&mut session, "picky").clear_samples(&mut cleared).await.expect("MySQL answers");
        assert_eq!(world.number(&left).await, 10);
        // What is over later comes later, whatever its id; what was over before the last look is not read again.
        world
            .run(&format!(
                "UPDATE {schema}.command SET finished_at = finished_at - INTERVAL 11 MINUTE WHERE id = 10"
            ))
            .await;
        ended(5000, 1, 100).await;
        control.of(&mut session, "picky").clear_samples(&mut cleared).await.expect("MySQL answers");
        assert_eq!(world.number(&left).await, 5000);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_events_stay_in_letters_and_no_line_of_the_log_is_forged() {
    values_stay_in_letters("text", Options::mysql()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_events_stay_in_letters_and_lines_of_json_stay_whole() {
    values_stay_in_letters("json", Options::mariadb()).await;
}
