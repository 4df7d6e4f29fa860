//! Documents that the outbox does not hold any more: tables that would lack their rows never take the live ones' place unasked.

use std::sync::atomic::Ordering;

use bson::doc;
use sqlx::Row;

use super::{AGGREGATES, PROJECTION, Scene, document};
use crate::support::world::{laterna, said};
use crate::support::{Options, World, until};

/// A projection that has applied 1000 events, of which a script then deletes half, while 600 more come.
async fn purged() -> Scene {
    let scene = Scene::new(Options::mysql(), 1000).await;
    let old: Vec<String> = (0..500).map(|n| format!("e{n}")).collect();
    scene.world.outbox.delete_many(doc! { "_id": { "$in": old } }).await.expect("they are deleted");
    scene.world.insert((1000..1600).map(document)).await;
    scene.sent.store(1600, Ordering::Relaxed);
    scene.assert_whole().await;
    scene
}

/// Waits until a generation waits for a word, and gives what it says.
async fn until_it_waits(scene: &Scene) -> String {
    let mut said = String::new();
    until("it waits for a word", async || {
        let told = scene.generations()["aside"][0]["reason"].clone();
        told.as_str().unwrap_or_default().clone_into(&mut said);
        said.contains("laterna generations accept")
    })
    .await;
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_would_lack_deleted_events_wait_for_a_word_though_more_came_than_went() {
    let mut scene = purged().await;
    // That letters are accepted beforehand accepts nothing of this.
    scene.tell(&["rebuild", PROJECTION, "--accept"]);
    let says = until_it_waits(&scene).await;
    let expected = "the live tables were made from 1600 events, these from 1100, and not from the same ones";
    assert!(says.contains(expected), "{says}");
    assert_eq!(scene.live().await, 1);
    scene.assert_whole().await;
    scene.tell(&["generations", "drop", PROJECTION, "2"]);
    // Other tables would lack them as well.
    scene.deploy("other-tables");
    until("the dropped one is gone", async || scene.generations()["aside"][0]["generation"] == 3).await;
    let says = until_it_waits(&scene).await;
    assert!(says.contains(expected), "{says}");
    scene.assert_whole().await;
    // The operator's word for it.
    scene.tell(&["generations", "accept", PROJECTION, "3"]);
    scene.until_live(3).await;
    assert_eq!(scene.world.number("SELECT COUNT(*) FROM stamped").await, 1100);
    // From here on, what the tables were made from is what the outbox holds.
    scene.tell(&["rebuild", PROJECTION]);
    scene.until_live(4).await;
    scene.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_keeps_rows_that_the_outbox_cannot_give_back() {
    let mut scene = purged().await;
    let found = laterna(&scene.world.config(scene.host().port), &["verify", PROJECTION, "--repair"]);
    let text = said(&found);
    assert_eq!(found.status.code(), Some(1), "{text}");
    for says in ["Not everything can be made again", "1600 events, these from 1100", "The live tables stay"] {
        assert!(text.contains(says), "{says:?} is not in {text}");
    }
    let says = until_it_waits(&scene).await;
    assert!(says.contains("not from the same ones"), "{says}");
    assert_eq!(scene.live().await, 1);
    scene.assert_whole().await;
    scene.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_was_deleted_and_sent_again_blocks_nothing() {
    let mut scene = Scene::new(Options::mysql(), 100).await;
    for n in [3, 50, 99] {
        scene.world.outbox.delete_one(doc! { "_id": format!("e{n}") }).await.expect("it is deleted");
        scene.world.insert([document(n)]).await;
    }
    scene.world.until_committed(PROJECTION, 103).await;
    let healthy = laterna(&scene.world.config(scene.host().port), &["verify", PROJECTION, "--json"]);
    assert!(healthy.status.success(), "{}", said(&healthy));
    let report: serde_json::Value = serde_json::from_slice(&healthy.stdout).expect("it is JSON");
    assert!(report["lacks"].is_null(), "{report}");
    scene.tell(&["rebuild", PROJECTION]);
    scene.until_live(3).await;
    scene.deploy("other-tables");
    scene.until_live(4).await;
    scene.tell(&["rollback", PROJECTION]);
    scene.until_live(3).await;
    scene.assert_whole().await;
    scene.kill();
}

/// Which events the lanes of the live generation have taken, as it is stored: the sum, and how many.
async fn fingerprint(world: &World) -> (u128, u64) {
    let sql = format!(
        "SELECT c.fingerprint, c.fingerprint_events FROM {0}.checkpoint c JOIN {0}.projection p \
         ON p.live_generation = c.generation",
        world.control()
    );
    let rows = world.rows(&sql).await;
    rows.iter().fold((0, 0), |(sum, events), row| {
        let bytes: Vec<u8> = row.get(0);
        let one = u128::from_be_bytes(bytes.try_into().expect("16 bytes"));
        (sum.wrapping_add(one), events + row.get::<u64, _>(1))
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_has_the_fingerprint_of_the_live_one_with_other_lanes_letters_and_all() {
    for options in [Options::mysql(), Options::mariadb()] {
        let mut world = World::with(&[(PROJECTION, "rejects")], options).await;
        world.insert((0..120).map(document)).await;
        // No event, but it has an id; and one of which nobody takes the type.
        world.insert([doc! { "_id": "no event" }]).await;
        let mut other = document(120);
        other.insert("type", "Other");
        world.insert([other]).await;
        world.options.lanes = 3;
        let mut scene = Scene::of(world, 122).await;
        let before = fingerprint(&scene.world).await;
        assert_eq!(before.1, 122);
        scene.tell(&["dlq", "replay", PROJECTION, "--aggregate", "thing/a5"]);
        scene.tell(&["dlq", "discard", PROJECTION, "--aggregate", "thing/a5", "--why", "a test", "--yes"]);
        assert_eq!(fingerprint(&scene.world).await, before, "letters were counted when they were parked");
        assert!(scene.host.take().expect("it runs").stop().await.success());
        scene.world.options.lanes = 7;
        scene.start();
        let sql = format!("SELECT COUNT(*) FROM {}.checkpoint", scene.world.control());
        until("there are other lanes", async || scene.world.number(&sql).await == 7).await;
        assert_eq!(fingerprint(&scene.world).await, before);
        scene.tell(&["rebuild", PROJECTION]);
        scene.until_live(2).await;
        assert_eq!(fingerprint(&scene.world).await, before);
        scene.kill();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generation_of_an_older_host_is_rebuilt_where_its_numbers_leave_no_doubt_and_asks_where_they_do() {
    let mut scene = Scene::new(Options::mysql(), 5 * AGGREGATES).await;
    let forget = format!(
        "UPDATE {}.checkpoint SET fingerprint = '', fingerprint_events = 0, known_events = 0",
        scene.world.control()
    );
    scene.kill();
    scene.world.run(&forget).await;
    scene.start();
    scene.tell(&["rebuild", PROJECTION]);
    scene.until_live(2).await;
    scene.kill();
    scene.world.run(&forget).await;
    scene.world.outbox.delete_one(doc! { "_id": "e0" }).await.expect("it is deleted");
    scene.world.insert([document(5 * AGGREGATES)]).await;
    scene.sent.store(5 * AGGREGATES + 1, Ordering::Relaxed);
    scene.start();
    scene.assert_whole().await;
    scene.tell(&["generations", "drop", PROJECTION, "1"]);
    scene.tell(&["rebuild", PROJECTION]);
    let mut says = String::new();
    until("it waits for a word", async || {
        let told = scene.generations()["aside"].clone();
        let waits = told.as_array().expect("a list").iter().find(|one| one["generation"] == 3).cloned();
        says = waits.and_then(|one| Some(one["reason"].as_str()?.to_owned())).unwrap_or_default();
        says.contains("not known whether they are the same")
    })
    .await;
    assert_eq!(scene.live().await, 2);
    scene.tell(&["generations", "accept", PROJECTION, "3"]);
    scene.until_live(3).await;
    assert_eq!(fingerprint(&scene.world).await.1, u64::try_from(5 * AGGREGATES).expect("it is positive"));
    scene.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generation_that_returns_waits_for_a_word_where_nobody_knows_which_events_it_took() {
    let mut scene = Scene::new(Options::mysql(), 2 * AGGREGATES).await;
    scene.tell(&["rebuild", PROJECTION]);
    scene.until_live(2).await;
    scene.kill();
    let forget = "UPDATE {}.checkpoint SET fingerprint = '', fingerprint_events = 0, known_events = 0";
    scene.world.run(&forget.replace("{}", &scene.world.control())).await;
    scene.start();
    scene.tell(&["generations", "return", PROJECTION, "1"]);
    until("it waits for a word", async || {
        let told = scene.generations()["aside"].clone();
        let waits = told.as_array().expect("a list").iter().find(|one| one["generation"] == 1).cloned();
        let says = waits.and_then(|one| Some(one["reason"].as_str()?.to_owned())).unwrap_or_default();
        says.contains("not known whether they are the same")
            && says.contains("laterna generations accept first 1")
    })
    .await;
    assert_eq!(scene.live().await, 2);
    scene.tell(&["generations", "accept", PROJECTION, "1"]);
    scene.until_live(1).await;
    scene.assert_whole().await;
}
