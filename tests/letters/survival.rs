//! Letters survive crashes, other numbers of lanes, and packets that are too small for them.

use bson::doc;
use rand::Rng;

use super::{assert_counted, dlq, unblock};
use crate::support::world::{event, said};
use crate::support::{Options, PrivateServers, World, random, some_time, until};

/// A world in which each of so many aggregates has a parked head and the rest of its events behind it.
async fn all_blocked(aggregates: i64, each: i64) -> World {
    let extra = "breaker.aggregates = 0";
    let world = World::new("recorder", Options { extra, ..Options::mysql() }).await;
    let host = world.start();
    host.until_phase("recorder", "streaming").await;
    for n in 0..aggregates {
        let row = format!("INSERT INTO {}.recorded VALUES ('thing', 'a{n}', 1, 'x', 'x', NULL)", world.name);
        world.run(&row).await;
    }
    let all = aggregates * each;
    let document =
        |n: i64| event(&format!("e{n}"), &format!("a{}", n % aggregates), n / aggregates + 1, doc! {});
    world.insert((0..all).map(document)).await;
    world.until_committed("recorder", all).await;
    assert_eq!(world.letters().await, (aggregates, all - aggregates));
    assert_counted(&world).await;
    host.stop().await;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_killed_during_a_large_replay_doubles_nothing_and_the_next_one_ends_it() {
    const AGGREGATES: i64 = 40;
    const EACH: i64 = 40;
    let world = all_blocked(AGGREGATES, EACH).await;
    unblock(&world).await;
    let control = world.control();
    let command = format!(
        "INSERT INTO {control}.command (projection, request, requested_by) VALUES ('recorder', \
         '{{\"do\":\"replay\",\"letters\":{{\"heads_only\":true}}}}', 'a test')"
    );
    world.run(&command).await;
    let left = format!("SELECT COUNT(*) FROM {control}.dead_letter");
    let mut rng = random("a_host_killed_during_a_large_replay");
    for _ in 0..4 {
        let host = world.start();
        let before = world.number(&left).await;
        until("some letters are replayed", async || world.number(&left).await < before.max(1)).await;
        some_time(rng.random_range(0..300)).await;
        host.kill();
    }
    assert!(world.number(&left).await > 0, "the kills came in the middle");
    let _host = world.start();
    let done = format!("SELECT COUNT(*) FROM {control}.command WHERE state = 'done'");
    until("the command is done", async || world.number(&done).await == 1).await;
    assert_eq!(world.letters().await, (0, 0));
    world.assert_recorded(AGGREGATES * EACH, AGGREGATES).await;
    assert_counted(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_keep_their_order_when_the_number_of_lanes_changes() {
    let mut world = all_blocked(20, 10).await;
    world.options.lanes = 3;
    let host = world.start();
    // They join the tails, in whatever lane they are now.
    world
        .insert((200..300).map(|n| event(&format!("e{n}"), &format!("a{}", n % 20), n / 20 + 1, doc! {})))
        .await;
    world.until_committed("recorder", 300).await;
    assert_eq!(world.letters().await, (20, 280));
    assert_counted(&world).await;
    unblock(&world).await;
    let replay = said(&dlq(&world, &host, &["replay", "recorder", "--all"]));
    assert!(replay.contains("300 applied, 0 still parked"), "{replay}");
    world.insert([event("last", "a0", 16, doc! {})]).await;
    world.until_committed("recorder", 301).await;
    world.assert_recorded(301, 20).await;
    assert_counted(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_interrupted_replay_left_is_gone_on_with_by_the_next_host() {
    let (world, host) = super::blocked().await;
    unblock(&world).await;
    host.kill();
    // As a crash leaves it that comes between the head and the next, of a replay by id or by class.
    world.run(&format!("DELETE FROM {}.dead_letter WHERE state = 'parked'", world.control())).await;
    let host = world.start();
    until("the others have followed", async || world.letters().await == (0, 0)).await;
    assert!(host.log().contains("went on with what a replay that was interrupted left"), "{}", host.log());
    world.insert([event("e5", "a", 5, doc! {})]).await;
    world.until_committed("recorder", 6).await;
    assert_eq!(world.number("SELECT COUNT(*) FROM recorded WHERE aggregate_id = 'a'").await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_interrupted_discard_left_is_replayed_and_not_discarded() {
    let (world, host) = super::blocked().await;
    unblock(&world).await;
    host.kill();
    // As a crash leaves it that comes between the head and the next: the command is pending, the head is gone.
    let control = world.control();
    world.run(&format!("DELETE FROM {control}.dead_letter WHERE state = 'parked'")).await;
    let command = format!(
        "INSERT INTO {control}.command (projection, request, requested_by) VALUES ('recorder', \
         '{{\"do\":\"discard\",\"letters\":{{}},\"why\":\"x\"}}', 'a test')"
    );
    world.run(&command).await;
    let _host = world.start();
    let done = format!("SELECT COUNT(*) FROM {control}.command WHERE state = 'done'");
    until("the command is done", async || world.number(&done).await == 1).await;
    assert_eq!(world.letters().await, (0, 0));
    assert_eq!(world.number(&format!("SELECT COUNT(*) FROM {control}.discarded")).await, 0);
    assert_eq!(world.number("SELECT COUNT(*) FROM recorded WHERE event_id IN ('e3', 'e4')").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_larger_than_a_packet_is_stored_in_parts_and_replayed_whole() {
    const PACKET: usize = 256 << 10;
    let servers = PrivateServers::start().await;
    let world = World::new("recorder", Options { lanes: 2, ..servers.options() }).await;
    world.run(&format!("SET GLOBAL max_allowed_packet = {PACKET}")).await;
    let host = world.start();
    host.until_phase("recorder", "streaming").await;
    world.run(&format!("INSERT INTO {}.recorded VALUES ('thing', 'a', 1, 'x', 'x', NULL)", world.name)).await;
    let text: String =
        (0..900_000).map(|n| char::from(b'a' + u8::try_from(n % 23).expect("small"))).collect();
    world.insert([event("large", "a", 1, doc! { "text": &text }), event("small", "a", 2, doc! {})]).await;
    // No projector takes it, so it is parked for its size; it is larger than several packets, too.
    world.insert([event("huge", "b", 1, doc! { "text": text.repeat(3) })]).await;
    world.until_committed("recorder", 3).await;
    assert_eq!(world.letters().await, (2, 1));
    let parts = format!("SELECT COUNT(*) FROM {}.dead_letter_part", world.control());
    assert!(world.number(&parts).await >= 28);
    assert_counted(&world).await;

    let export = dlq(&world, &host, &["export", "recorder"]);
    let lines: Vec<serde_json::Value> = String::from_utf8_lossy(&export.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let exported = |id: &str| {
        let line = lines.iter().find(|line| line["event_id"] == id).expect("it is exported");
        line["document"]["payload"]["text"].as_str().map(str::to_owned)
    };
    assert!(exported("large").as_deref() == Some(text.as_str()), "it is whole");
    assert!(exported("huge") == Some(text.repeat(3)), "it is whole");

    unblock(&world).await;
    let replay = said(&dlq(&world, &host, &["replay", "recorder", "--all"]));
    assert!(replay.contains("2 applied, 1 still parked"), "{replay}");
    let erase = said(&dlq(&world, &host, &["erase", "recorder", "--event", "huge", "--why", "x"]));
    assert!(erase.contains("1 erased"), "{erase}");
    assert_eq!(world.number(&parts).await, 0, "no part is left behind");
    assert_counted(&world).await;
    host.stop().await;
}
