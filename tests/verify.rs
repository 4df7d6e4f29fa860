//! Whether the tables are what history makes of them: found, told, repaired, while the projection goes on.

mod reads;

use std::process::Output;
use std::sync::atomic::Ordering;

use serde_json::Value;

use crate::generations::{PROJECTION, Scene, document};
use crate::support::world::{laterna, said};
use crate::support::{Options, World, some_time, until};

fn verify(scene: &Scene, more: &[&str]) -> Output {
    let arguments = [&["verify", PROJECTION], more].concat();
    laterna(&scene.world.config(scene.host().port), &arguments)
}

/// What `laterna verify --json` tells of the table `stamped`.
fn report(output: &Output) -> Value {
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", said(output)));
    report
}

fn counts(report: &Value) -> Vec<(String, [u64; 3])> {
    let tables = report["tables"].as_array().expect("there are tables");
    let count = |table: &Value, kind: &str| table[kind]["rows"].as_u64().expect("a number");
    tables
        .iter()
        .map(|table| {
            let name = table["table"].as_str().expect("a name").to_owned();
            (name, ["missing", "extra", "different"].map(|kind| count(table, kind)))
        })
        .collect()
}

/// Nothing is left of what was built to compare.
async fn until_nothing_is_beside(scene: &Scene) {
    until("the scratch tables are gone", async || {
        let sql = "SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name LIKE '{}\\_g%'";
        scene.world.number(&sql.replace("{}", &scene.world.control())).await == 0
    })
    .await;
}

async fn what_was_changed_by_hand_is_found_and_repaired(options: Options) {
    let mut scene = Scene::new(options, 2000).await;
    scene.write();
    let healthy = verify(&scene, &[]);
    assert!(healthy.status.success(), "{}", said(&healthy));
    assert!(
        said(&healthy).contains("first: a rebuild would change nothing in 2 tables"),
        "{}",
        said(&healthy)
    );
    until_nothing_is_beside(&scene).await;
    let name = &scene.world.name;
    for sql in [
        format!("DELETE FROM {name}.stamped WHERE event_id IN ('e7', 'e8')"),
        format!("INSERT INTO {name}.stamped VALUES ('by hand', 'a1', 1, 'nobody')"),
        format!("UPDATE {name}.stamped SET component = 'First' WHERE event_id = 'e9'"),
        format!("UPDATE {name}.last_seen SET disorder = disorder - 1 WHERE aggregate_id = 'a3'"),
    ] {
        scene.world.run(&sql).await;
    }
    let found = verify(&scene, &["--json"]);
    assert_eq!(found.status.code(), Some(1), "{}", said(&found));
    let expected = [("stamped", [2, 1, 1]), ("last_seen", [0, 0, 1])];
    assert_eq!(counts(&report(&found)), expected.map(|(table, counts)| (table.to_owned(), counts)));
    let told = verify(&scene, &["--repair"]);
    let text = said(&told);
    assert_eq!(told.status.code(), Some(1), "{text}");
    for says in ["missing", "by hand", "'First'", "'first'", "take the live ones' place"] {
        assert!(text.contains(says), "{says:?} is not in {text}");
    }
    until("the rebuilt tables are live", async || scene.live().await > 1).await;
    scene.end().await;
    let clean = verify(&scene, &["--json"]);
    assert!(clean.status.success(), "{}", said(&clean));
    scene.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_changed_by_hand_is_found_and_repaired_on_mysql() {
    what_was_changed_by_hand_is_found_and_repaired(Options::mysql()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_changed_by_hand_is_found_and_repaired_on_mariadb() {
    what_was_changed_by_hand_is_found_and_repaired(Options::mariadb()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_an_older_component_differ_and_that_is_told() {
    let mut scene = Scene::new(Options::mysql(), 400).await;
    scene.deploy("second");
    until("the new component works", async || {
        let status = scene.host().status(PROJECTION).await;
        status.is_some_and(|status| status["component"] == "stamped second")
    })
    .await;
    scene.world.insert((400..500).map(document)).await;
    scene.sent.store(500, Ordering::Relaxed);
    scene.assert_whole().await;
    let found = verify(&scene, &["--json"]);
    let report = report(&found);
    assert_eq!(report["digests"].as_array().map(Vec::len), Some(2));
    assert_eq!(counts(&report)[0].1, [0, 0, 400], "what the first component stamped");
    let text = said(&verify(&scene, &[]));
    assert!(text.contains("The live rows were made by 2 components"), "{text}");
    scene.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_discarded_is_in_neither_and_what_is_parked_is_told() {
    let world = World::with(&[(PROJECTION, "rejects")], Options::mysql()).await;
    world.insert((0..120).map(document)).await;
    let mut scene = Scene::of(world, 120).await;
    until("some are parked", async || scene.world.letters().await.0 == 40).await;
    scene.tell(&["dlq", "discard", PROJECTION, "--aggregate", "thing/a5", "--why", "a test", "--yes"]);
    let found = verify(&scene, &["--json"]);
    assert!(found.status.success(), "{}", said(&found));
    let report = report(&found);
    assert_eq!(report["discarded"], 1);
    assert_eq!((&report["letters"], &report["rebuilt_letters"]), (&39.into(), &39.into()));
    scene.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verification_outlives_the_host_that_began_it_and_tells_that_history_is_not_whole() {
    let mut scene = Scene::new(Options::mysql(), 3000).await;
    scene.world.run(&format!("DELETE FROM {}.stamped WHERE event_id = 'e7'", scene.world.name)).await;
    let config = scene.world.config(scene.host().port);
    let asking = tokio::task::spawn_blocking(move || laterna(&config, &["verify", PROJECTION, "--json"]));
    until("it is being built", async || {
        let sql = format!("SELECT COUNT(*) FROM {}.generation", scene.world.control());
        scene.world.number(&sql).await == 1
    })
    .await;
    some_time(300).await;
    scene.kill();
    scene.start();
    let found = asking.await.expect("it does not panic");
    assert_eq!(counts(&report(&found))[0].1, [1, 0, 0]);
    until_nothing_is_beside(&scene).await;
    scene.world.outbox.delete_one(bson::doc! { "_id": "e11" }).await.expect("it is deleted");
    let found = verify(&scene, &[]);
    let text = said(&found);
    for says in ["Not everything can be made again", "3000 events, these from 2999"] {
        assert!(text.contains(says), "{says:?} is not in {text}");
    }
    scene.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn several_hosts_carry_a_command_out_once() {
    let mut scene = Scene::new(Options::mysql(), 500).await;
    let others = [scene.world.start(), scene.world.start()];
    for other in &others {
        other.until_phase(PROJECTION, "standby").await;
    }
    for _ in 0..3 {
        let healthy = verify(&scene, &["--json"]);
        assert!(healthy.status.success(), "{}", said(&healthy));
    }
    scene.deploy("other-tables");
    scene.until_live(5).await;
    scene.tell(&["rollback", PROJECTION]);
    scene.until_live(1).await;
    let failed = format!("SELECT COUNT(*) FROM {}.command WHERE state <> 'done'", scene.world.control());
    assert_eq!(scene.world.number(&failed).await, 0);
    let refused =
        format!("SELECT COUNT(*) FROM {}.deployment WHERE state = 'refused'", scene.world.control());
    assert_eq!(scene.world.number(&refused).await, 0);
    scene.assert_whole().await;
    scene.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projection_that_is_paused_is_compared_when_it_goes_on() {
    let mut scene = Scene::new(Options::mysql(), 200).await;
    scene.tell(&["pause", PROJECTION, "--why", "a test"]);
    scene.host().until_phase(PROJECTION, "paused").await;
    scene.world.insert((200..300).map(document)).await;
    scene.sent.store(300, Ordering::Relaxed);
    // A file of its own: the other one is written again with each command.
    let config = scene.world.config(1);
    let asking = tokio::task::spawn_blocking(move || laterna(&config, &["verify", PROJECTION, "--json"]));
    until("it says what it waits for", async || {
        let waits = scene.generations()["aside"][0]["reason"].as_str().unwrap_or_default().to_owned();
        waits.contains("is not streaming")
    })
    .await;
    scene.tell(&["resume", PROJECTION]);
    let healthy = asking.await.expect("it does not panic");
    assert!(healthy.status.success(), "{}", said(&healthy));
    scene.assert_whole().await;
    scene.kill();
}
