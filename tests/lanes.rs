//! Lanes: their number may change between runs, and events of an aggregate keep their order.

use bson::doc;

use crate::support::world::event;
use crate::support::{Options, World, some_time, until};

#[tokio::test(flavor = "multi_thread")]
async fn the_number_of_lanes_changes_between_runs_without_reordering_an_aggregate() {
    const EVENTS: i64 = 20_000;
    const AGGREGATES: i64 = 200;
    let mut world = World::new("recorder", Options::mysql()).await;
    let document = |n: i64| {
        let (aggregate, sequence) = (n % AGGREGATES, n / AGGREGATES + 1);
        event(&format!("e{n}"), &format!("a{aggregate}"), sequence, doc! { "ordinal": n })
    };
    world.insert((0..EVENTS / 2).map(document)).await;
    let live: Vec<_> = (EVENTS / 2..EVENTS).map(document).collect();
    let outbox = world.outbox.clone();
    let writing = tokio::spawn(async move {
        for chunk in live.chunks(500) {
            outbox.insert_many(chunk).await.expect("documents are taken");
            some_time(150).await;
        }
    });
    for (i, lanes) in [4, 7, 3, 1, 5].into_iter().enumerate() {
        world.options.lanes = lanes;
        let host = world.start();
        some_time(700).await;
        if i % 2 == 0 { host.kill() } else { assert!(host.stop().await.success()) }
    }
    let _host = world.start();
    writing.await.expect("the writer is done");
    world.until_committed("recorder", EVENTS).await;
    world.assert_recorded(EVENTS, AGGREGATES).await;
    let rows = format!("SELECT COUNT(*) FROM {}.checkpoint", world.control());
    assert_eq!(world.number(&rows).await, 5, "the last number of lanes is the one that runs");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_aggregate_with_all_the_events_keeps_its_order() {
    const EVENTS: i64 = 100_000;
    let world = World::new("recorder", Options::mysql()).await;
    world.insert((1..=EVENTS).map(|n| event(&format!("e{n}"), "hot", n, doc! {}))).await;
    let _host = world.start();
    world.until_committed("recorder", EVENTS).await;
    world.assert_recorded(EVENTS, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projector_that_needs_the_order_of_the_stream_gets_one_lane_and_no_history() {
    let world = World::new("stream-order", Options::mysql()).await;
    world.insert([event("before", "a", 1, doc! {})]).await;
    let host = world.start();
    host.until_phase("stream_order", "paused").await;
    let status = host.status("stream_order").await.expect("it answers");
    assert!(status["reason"].as_str().is_some_and(|reason| reason.contains("start = \"now\"")), "{status}");
    host.stop().await;

    let mut world = world;
    world.options.extra = "start = \"now\"";
    let _host = world.start();
    let lanes = format!("SELECT COUNT(*) FROM {}.checkpoint", world.control());
    until("its lane is there", async || world.number_if_any(&lanes).await == Some(1)).await;
    world.insert((0..100).map(|n| event(&format!("e{n:03}"), &format!("a{n}"), 1, doc! { "n": n }))).await;
    world.until_committed("stream_order", 100).await;
    assert_eq!(
        world.number("SELECT COUNT(*) FROM stream_order").await,
        100,
        "and nothing of what was before"
    );
    assert_eq!(world.letters().await, (0, 0));
}
