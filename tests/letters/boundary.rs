//! A command is about the letters that were shown to whoever asked for it, and about the one aggregate that was meant.

use std::process::{Command, Stdio};

use bson::{Bson, Document, doc};
use laterna::event::{Aggregate, Id};
use sqlx::Executor;

use super::dlq;
use crate::support::host::BINARY;
use crate::support::world::{event, free_port, said};
use crate::support::{Host, Options, World, until};

/// A world whose events are parked: the projector panics on them.
async fn broken() -> (World, Host) {
    let world = World::new("picky", Options { extra: "breaker.aggregates = 0", ..Options::mysql() }).await;
    let host = world.start();
    host.until_phase("picky", "streaming").await;
    (world, host)
}

fn bad(id: &str, aggregate: &str) -> Document {
    event(id, aggregate, 1, doc! { "do": "panic" })
}

/// Asks for something while no host runs, and waits for nothing but that it is written down.
async fn write_down(world: &World, arguments: &[&str]) {
    let mut asking = Command::new(BINARY)
        .arg("--config")
        .arg(world.config(free_port()))
        .arg("dlq")
        .args(arguments)
        .stdout(Stdio::null())
        .spawn()
        .expect("the binary runs");
    let written = format!("SELECT COUNT(*) FROM {}.command", world.control());
    until("the command is written down", async || world.number(&written).await == 1).await;
    asking.kill().expect("it waits");
    asking.wait().expect("it is a child");
    hold(world, true).await;
}

/// Keeps the only command from being carried out, or lets it.
async fn hold(world: &World, held: bool) {
    let state = if held { "failed" } else { "pending" };
    world.run(&format!("UPDATE {}.command SET state = '{state}'", world.control())).await;
}

/// What came of the only command.
async fn result(world: &World) -> String {
    hold(world, false).await;
    let done = format!("SELECT COUNT(*) FROM {}.command WHERE state <> 'pending'", world.control());
    until("the command is done", async || world.number(&done).await == 1).await;
    let rows = world.rows(&format!("SELECT result FROM {}.command", world.control())).await;
    sqlx::Row::get(&rows[0], 0)
}

/// Parks more letters than were shown, in aggregates of their own.
async fn park_forty(world: &World, before: i64) {
    world.insert((0..40).map(|n| bad(&format!("later{n}"), &format!("later{n}")))).await;
    until("forty more are parked", async || world.letters().await == (before + 40, 0)).await;
}

/// A transaction that has written a letter and is not committed: its letter has its id already.
async fn open_transaction(world: &World) -> sqlx::MySqlConnection {
    let mut open = world.mysql().await;
    open.execute("BEGIN").await.expect("it begins");
    let aggregate = Aggregate { kind: "thing".into(), id: Id::Text("open".into()) };
    let insert = format!(
        "INSERT INTO {}.dead_letter (projection, generation, state, document_key, aggregate_key, aggregate, event_id, \
         document, position, class, reason, digest, attempts, document_bytes) VALUES ('picky', 1, 'parked', REPEAT('k', 16), \
         UNHEX('{}'), 'thing/open', 'open', '', '{{}}', 'trapped', 'x', REPEAT('0', 64), 1, 0)",
        world.control(),
        hex::encode(aggregate.key())
    );
    open.execute(insert.as_str()).await.expect("it is written");
    open
}

#[tokio::test(flavor = "multi_thread")]
async fn a_discard_that_waits_gives_up_what_was_shown_and_leaves_what_came_later() {
    let (world, host) = broken().await;
    world.insert([bad("e1", "a")]).await;
    until("the first is parked", async || world.letters().await == (1, 0)).await;
    let mut open = open_transaction(&world).await;
    world.insert([bad("e2", "b")]).await;
    until("the second is parked", async || world.letters().await == (2, 0)).await;
    host.stop().await;
    write_down(&world, &["discard", "picky", "--all", "--why", "a test", "--yes"]).await;
    open.execute("COMMIT").await.expect("it commits");
    drop(open);
    let _host = world.start();
    park_forty(&world, 3).await;
    let result = result(&world).await;
    assert_eq!(result, "2 discarded, 0 applied, 0 still parked; 41 that came later left as they are");
    assert_eq!(world.letters().await, (41, 0));
    let discarded = format!("SELECT COUNT(*) FROM {}.discarded", world.control());
    assert_eq!(world.number(&discarded).await, 2);
    let open = format!("SELECT COUNT(*) FROM {}.dead_letter WHERE event_id = 'open'", world.control());
    assert_eq!(world.number(&open).await, 1, "its id is smaller than one that was shown, and nobody saw it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_and_an_erasure_that_wait_leave_what_came_later() {
    for (deed, says) in [
        ("replay", "0 applied, 1 still parked; 40 that came later left as they are"),
        ("erase", "1 erased; 1 that came later left as they are"),
    ] {
        let (world, host) = broken().await;
        world.insert([bad("e1", "a")]).await;
        until("the first is parked", async || world.letters().await == (1, 0)).await;
        host.stop().await;
        let why = ["--why", "a test"];
        let which = if deed == "erase" { &["--aggregate", "thing/a"][..] } else { &["--all"] };
        let more = if deed == "erase" { &why[..] } else { &[] };
        write_down(&world, &[&[deed, "picky"], which, more].concat()).await;
        let host = world.start();
        park_forty(&world, 1).await;
        world.insert([event("e2", "a", 2, doc! { "do": "ok" })]).await;
        until("the aggregate has another letter", async || world.letters().await == (41, 1)).await;
        assert_eq!(result(&world).await, says);
        let tried = format!("SELECT SUM(attempts) FROM {}.dead_letter", world.control());
        assert_eq!(world.number(&tried).await, if deed == "replay" { 42 } else { 41 });
        let erased =
            format!("SELECT COUNT(*) FROM {}.dead_letter WHERE erased_at IS NOT NULL", world.control());
        assert_eq!(world.number(&erased).await, i64::from(deed == "erase"));
        host.kill();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_became_a_head_since_it_was_shown_is_not_given_up() {
    let (world, host) = broken().await;
    world.insert([bad("e1", "a"), event("e2", "a", 2, doc! { "do": "panic" })]).await;
    until("both are there", async || world.letters().await == (1, 1)).await;
    host.stop().await;
    write_down(&world, &["discard", "picky", "--all", "--why", "a test", "--yes"]).await;
    // Meanwhile the head goes another way, and what it held back fails.
    world.run(&format!("DELETE FROM {}.dead_letter WHERE event_id = 'e1'", world.control())).await;
    world.run(&format!("UPDATE {}.dead_letter SET state = 'parked'", world.control())).await;
    let _host = world.start();
    let result = result(&world).await;
    assert!(result.starts_with("no letter was selected that is the head of its aggregate"), "{result}");
    assert_eq!(world.letters().await, (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_of_an_older_command_line_takes_what_was_there_when_it_was_written() {
    let (world, host) = broken().await;
    world.insert([bad("e1", "a")]).await;
    until("the first is parked", async || world.letters().await == (1, 0)).await;
    let command = format!(
        "INSERT INTO {}.command (projection, request, requested_by, state) VALUES ('picky', \
         '{{\"do\":\"discard\",\"letters\":{{\"heads_only\":true}},\"why\":\"a test\"}}', 'a test', 'failed')",
        world.control()
    );
    world.run(&command).await;
    park_forty(&world, 1).await;
    assert_eq!(result(&world).await, "1 discarded, 0 applied, 0 still parked");
    assert_eq!(world.letters().await, (40, 0));
    host.kill();
}

/// An event of any aggregate.
fn of(id: impl Into<Bson>, kind: &str, aggregate: impl Into<Bson>) -> Document {
    doc! { "_id": id, "type": "Happened", "aggregateType": kind, "aggregateId": aggregate, "sequence": 1_i64,
    "payload": { "do": "panic" } }
}

#[tokio::test(flavor = "multi_thread")]
async fn aggregates_that_read_the_same_are_told_apart() {
    let (world, host) = broken().await;
    world
        .insert([
            of("e1", "account", 5_i64),
            of("e2", "account", "5"),
            of("e3", "a/b", "c"),
            of("e4", "a", "b/c"),
            of("e5", "account", "six"),
            of(7_i64, "account", "seven"),
            of("7", "account", "eight"),
        ])
        .await;
    until("all are parked", async || world.letters().await == (7, 0)).await;
    let list = said(&dlq(&world, &host, &["list", "picky"]));
    for spelled in ["account/5 ", "\"account\"/\"5\" ", "\"a/b\"/\"c\" ", "a/b/c ", "account/six "] {
        assert!(list.contains(spelled), "{spelled} is not in {list}");
    }
    let both = said(&dlq(&world, &host, &["list", "picky", "--aggregate", "account/5", "--json"]));
    assert_eq!(both.lines().count(), 2, "{both}");
    for (which, exact) in [
        ("account/5", ["--aggregate '\"account\"/5'", "--aggregate '\"account\"/\"5\"'"]),
        ("a/b/c", ["--aggregate '\"a\"/\"b/c\"'", "--aggregate '\"a/b\"/\"c\"'"]),
    ] {
        for deed in [
            &["replay", "picky"][..],
            &["discard", "picky", "--why", "x", "--yes"],
            &["erase", "picky", "--why", "x"],
            &["export", "picky"],
        ] {
            let refused = dlq(&world, &host, &[deed, &["--aggregate", which]].concat());
            let text = said(&refused);
            assert!(!refused.status.success() && exact.iter().all(|one| text.contains(one)), "{text}");
        }
    }
    let refused = said(&dlq(&world, &host, &["erase", "picky", "--event", "7", "--why", "x"]));
    assert!(
        refused.contains("the event 7 of account/seven") && refused.contains("the event \"7\" of"),
        "{refused}"
    );

    let discard = |which: &str| {
        let arguments = ["discard", "picky", "--aggregate", which, "--why", "x", "--yes"];
        said(&dlq(&world, &host, &arguments))
    };
    for which in ["\"account\"/\"5\"", "\"a\"/\"b/c\"", "account/six"] {
        assert!(discard(which).contains("1 discarded, 0 applied, 0 still parked\n"), "{which}");
    }
    assert!(discard("\"account\"/six").contains("in quotation marks"));
    let left =
        world.rows(&format!("SELECT event_id FROM {}.dead_letter ORDER BY event_id", world.control())).await;
    let left: Vec<String> = left.iter().map(|row| sqlx::Row::get(row, 0)).collect();
    assert_eq!(left, ["7", "7", "e1", "e3"]);
    // Now only one is left that reads so.
    assert!(discard("account/5").contains("1 discarded"));
    let (code, page) = host.get("/dlq/picky?aggregate=%22a%2Fb%22%2F%22c%22").await.expect("it answers");
    assert!(code == 200 && page.contains("\"event_id\":\"e3\""), "{page}");
    let shown: serde_json::Value = serde_json::from_str(&page).expect("JSON");
    assert_eq!(shown[0]["aggregate_exact"], "\"a/b\"/\"c\"");
}
