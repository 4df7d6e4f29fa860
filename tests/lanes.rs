//! Lanes: their number may change between runs, and events of an aggregate keep their order.

use bson::doc;

use crate::support::world::event;
use crate::support::{Options, World, some_time};

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
    const EVENTS: i64 = 5000;
    let world = World::new("recorder", Options::mysql()).await;
    world.insert((1..=EVENTS).map(|n| event(&format!("e{n}"), "hot", n, doc! {}))).await;
    let _host = world.start();
    world.until_committed("recorder", EVENTS).await;
    world.assert_recorded(EVENTS, 1).await;
}
