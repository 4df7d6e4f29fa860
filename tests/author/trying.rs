//! `laterna test` beyond the SQL: types that nobody expects, the rows on a server, and variations of events.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::json;
use tempfile::TempDir;

use super::{laterna, repository, run, succeeds, with_toolchains};
use crate::guests;
use crate::support::world::said;
use crate::support::{Options, World};

fn event(id: &str, event_type: &str, account: &str, sequence: i64, payload: &serde_json::Value) -> String {
    json!({
        "_id": id, "type": event_type, "aggregateType": "account", "aggregateId": account, "sequence": sequence,
        "occurredAt": { "$date": "2026-01-31T12:00:00Z" }, "payload": payload,
    })
    .to_string()
}

/// A folder with these events.
fn folder(events: &[String]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("events.jsonl"), events.join("\n")).expect("it is written");
    folder
}

fn tried(folder: &Path, component: &str, further: &[&str]) -> Output {
    let component = guests::path(component).display().to_string();
    run(folder, &[&["test", &component, "--events", "events.jsonl"], further].concat())
}

#[test]
fn a_type_that_nobody_expects_is_named_with_its_count_and_what_was_meant() {
    let opened = json!({ "owner": "Ada", "balanceCents": 5 });
    let folder = folder(&[
        event("e1", "AccountOpened", "a1", 1, &opened),
        event("e2", "AcountOpened", "a2", 1, &opened),
        event("e3", "AcountOpened", "a3", 1, &opened),
        event("e4", "NewsletterSent", "a3", 2, &json!({})),
    ]);
    let text = succeeds(&tried(folder.path(), "accounts", &[]));
    for line in [
        "-- | passed by: 2 of the type AcountOpened, which the manifest does not name; it names `AccountOpened`: is one of the two misspelled?\n",
        "-- | passed by: 1 of the type NewsletterSent, which the manifest does not name\n",
        "-- | never came, although the manifest names it: MoneyDeposited, MoneyWithdrawn, AccountRenamed, AccountClosed\n",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
}

async fn rows_are_shown_and_kept_as_expected(options: Options) {
    let world = World::new("recorder", options).await;
    let opened = |cents: i64| json!({ "owner": "Ada\nKing", "balanceCents": cents });
    let folder = folder(&[
        event("e1", "AccountOpened", "a1", 1, &opened(500)),
        event("e2", "MoneyDeposited", "a1", 2, &json!({ "amountCents": 250 })),
        event("e3", "AccountOpened", "a2", 1, &opened(1)),
        // It is refused by the projector, and what comes behind it waits, as on a host.
        event("e4", "MoneyDeposited", "a2", 2, &json!({ "amountCents": -1 })),
        event("e5", "MoneyDeposited", "a2", 3, &json!({ "amountCents": 100 })),
        event("e6", "AccountOpened", "a3", 1, &opened(9)),
        // The server refuses it: the row is there.
        event("e7", "AccountOpened", "a3", 2, &opened(10)),
    ]);
    // All that is done has a schema of its own: whether the URL's database is there does not matter.
    let url = world.url().replace(&format!("/{}", world.name), "/no_such_database");
    let run = |further: &[&str]| tried(folder.path(), "accounts", &[&["--mysql", &url], further].concat());
    let text = said(&run(&[]));
    for expect in [
        "-- held: an earlier event of account/a2 failed\n",
        "-- FAILED, key-conflict: MySQL found a key conflict (error 1062)",
        "-- table accounts: 3 rows\n",
        "--   account_id  owner",
        "--   a1          Ada\\nKing  750 ",
        "--   a2          Ada\\nKing  1 ",
        "--   a3          Ada\\nKing  9 ",
        "2026-01-31 12:00:00.000\n",
    ] {
        assert!(text.contains(expect), "{expect} is missing in\n{text}");
    }
    assert_eq!(run(&[]).status.code(), Some(1), "two events failed");

    // Without a URL it is the configuration's server; where there is no configuration, that is said.
    let config = world.config(1).display().to_string();
    let configured = tried(folder.path(), "accounts", &["--mysql", "--config", &config]);
    assert_eq!(said(&configured), text);
    let unconfigured = said(&tried(folder.path(), "accounts", &["--mysql", "--config", "none.toml"]));
    assert!(unconfigured.contains("none.toml"), "{unconfigured}");

    // The same as expected answers, which notice a row that changed.
    succeeds(&run(&["--expect", "rows.txt", "--update"]));
    succeeds(&run(&["--expect", "rows.txt"]));
    let rows = folder.path().join("rows.txt");
    let written = fs::read_to_string(&rows).expect("it was written");
    fs::write(&rows, written.replace("750", "751")).expect("it is written");
    let differs = run(&["--expect", "rows.txt"]);
    assert_eq!(differs.status.code(), Some(1), "{}", said(&differs));
    assert!(said(&differs).contains("- --   a1          Ada\\nKing  751 "), "{}", said(&differs));

    // Nothing is left behind, and nobody's database of that name is dropped.
    let named = "SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = 'laterna_test_rows'";
    assert_eq!(world.number(named).await, 0);
    world.run("CREATE DATABASE laterna_test_rows").await;
    world.run("CREATE TABLE laterna_test_rows.precious (id INT PRIMARY KEY)").await;
    let refused = said(&run(&[]));
    assert!(refused.contains("a database `laterna_test_rows` that no test has made"), "{refused}");
    assert_eq!(world.number("SELECT COUNT(*) FROM laterna_test_rows.precious").await, 0);
    world.run("DROP DATABASE laterna_test_rows").await;

    // Variations meet the rows that events before them have made.
    let fuzzed = tried(folder.path(), "accounts", &["--mysql", &url, "--fuzz"]);
    let text = said(&fuzzed);
    assert!(fuzzed.status.success(), "{text}");
    for expect in [
        "-- AccountOpened: a value that its column cannot hold: ",
        "payload.owner is a text of 70 000 characters: ",
        "-- AccountOpened: refused by the server: ",
        "0 show a fault of the projector",
    ] {
        assert!(text.contains(expect), "{expect} is missing in\n{text}");
    }
    assert_eq!(world.number(named).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_on_a_server_shows_the_rows_on_mysql() {
    rows_are_shown_and_kept_as_expected(Options::mysql()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_on_a_server_shows_the_rows_on_mariadb() {
    rows_are_shown_and_kept_as_expected(Options::mariadb()).await;
}

#[test]
fn variations_of_events_show_traps_state_and_errors_that_nobody_expects() {
    let folder = folder(&[event("e1", "Happened", "a", 1, &json!({ "do": "cut", "name": "abcdef" }))]);
    succeeds(&run(folder.path(), &["new", "tried", "--lang", "javascript"]));
    let project = folder.path().join("tried");
    let source = repository().join("tests/author/mistakes/by_hand.js");
    fs::copy(source, project.join("projector.js")).expect("it is copied");
    let modules = repository().join("target/toolchains/node_modules");
    std::os::unix::fs::symlink(modules, project.join("node_modules")).expect("a link");
    succeeds(&with_toolchains(&mut laterna(&project, &["build"])).output().expect("the binary runs"));
    fs::copy(folder.path().join("events.jsonl"), project.join("events.jsonl")).expect("it is copied");
    let fuzzed = run(&project, &["test", "dist/tried.wasm", "--events", "events.jsonl", "--fuzz"]);
    let text = said(&fuzzed);
    assert_eq!(fuzzed.status.code(), Some(1), "{text}");
    for expect in
        ["-- Happened: trapped: ", "payload.do is missing: the projector trapped", "variations of 1 events"]
    {
        assert!(text.contains(expect), "{expect} is missing in\n{text}");
    }
    // The same events have the same variations.
    let again = said(&run(&project, &["test", "dist/tried.wasm", "--events", "events.jsonl", "--fuzz"]));
    assert_eq!(again, text);

    let stateful = tried(folder.path(), "stateful", &["--fuzz"]);
    assert_eq!(stateful.status.code(), Some(1), "{}", said(&stateful));
    assert!(said(&stateful).contains("it keeps state"), "{}", said(&stateful));
}
