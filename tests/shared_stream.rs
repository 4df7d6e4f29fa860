//! The projections of a host read the live end of the outbox together, and none of them holds another one up.

use bson::{Bson, Document, doc};
use futures_util::TryStreamExt;
use sqlx::Executor;

use crate::support::world::event;
use crate::support::{Options, World, until};

const AGGREGATES: i64 = 20;

async fn three() -> World {
    let projections = [("recorder", "recorder"), ("counter", "counter"), ("picky", "picky")];
    World::with(&projections, Options::mysql()).await
}

/// Events of several aggregates, from a number of each on, with so many bytes of payload.
fn events(sequences: std::ops::Range<i64>, bytes: usize) -> Vec<Document> {
    let payload = doc! { "do": "ok", "ordinal": 1, "more": "x".repeat(bytes) };
    let of = |sequence| {
        let payload = payload.clone();
        (0..AGGREGATES).map(move |aggregate| {
            event(&format!("{aggregate}-{sequence}"), &aggregate.to_string(), sequence, payload.clone())
        })
    };
    sequences.flat_map(of).collect()
}

/// The ids of the change streams that are open on the outbox.
async fn streams(world: &World) -> Vec<Bson> {
    let operations = [
        doc! { "$currentOp": { "allUsers": true, "idleCursors": true } },
        doc! { "$match": {
            "ns": format!("{}.outbox", world.name),
            "cursor.originatingCommand.pipeline.0.$changeStream": { "$exists": true },
        } },
    ];
    let admin = world.client.database("admin");
    let found = admin.aggregate(operations).await.expect("the server tells them");
    let found: Vec<Document> = found.try_collect().await.expect("the server tells them");
    let id = |operation: &Document| operation.get_document("cursor").ok()?.get("cursorId").cloned();
    found.iter().filter_map(id).collect()
}

async fn until_streams(world: &World, expected: usize) {
    until(&format!("{expected} change streams are open"), async || streams(world).await.len() == expected)
        .await;
}

/// Each projection has all events, each once and in order.
async fn assert_all_have(world: &World, sequences: i64) {
    let events = sequences * AGGREGATES;
    for projection in ["recorder", "counter", "picky"] {
        world.until_committed(projection, events).await;
    }
    world.assert_recorded(events, AGGREGATES).await;
    assert_eq!(world.number("SELECT COUNT(*) FROM picked").await, events);
    let counted = world.number("SELECT SUM(events) FROM counted").await;
    assert_eq!(counted, events, "no event is counted twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_projections_of_a_host_read_one_change_stream_and_each_gets_every_event() {
    let world = three().await;
    let host = world.start();
    for projection in ["recorder", "counter", "picky"] {
        host.until_phase(projection, "streaming").await;
    }
    until_streams(&world, 1).await;
    world.insert(events(1..11, 10)).await;
    assert_all_have(&world, 10).await;

    // The server closes what it has open, while events come.
    for round in 1..6 {
        until("a change stream is open", async || !streams(&world).await.is_empty()).await;
        let kill = doc! { "killCursors": "outbox", "cursors": streams(&world).await };
        let database = world.client.database(&world.name);
        let write = async {
            for sequence in round * 10 + 1..round * 10 + 11 {
                world.insert(events(sequence..sequence + 1, 10)).await;
            }
        };
        let ((), killed) = tokio::join!(write, database.run_command(kill));
        killed.expect("they are killed");
    }
    assert_all_have(&world, 60).await;
    until_streams(&world, 1).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projection_that_is_held_up_holds_up_no_other_one_and_has_every_event_in_the_end() {
    let world = three().await;
    let host = world.start();
    for projection in ["recorder", "counter", "picky"] {
        host.until_phase(projection, "streaming").await;
    }
    until_streams(&world, 1).await;
    let mut holder = world.mysql().await;
    holder.execute("LOCK TABLES counted WRITE").await.expect("the table is locked");

    // More than its queues and its part of the shared stream have room for.
    world.insert(events(1..101, 25_000)).await;
    for projection in ["recorder", "picky"] {
        world.until_committed(projection, 100 * AGGREGATES).await;
    }
    holder.execute("UNLOCK TABLES").await.expect("the table is free");
    assert_all_have(&world, 100).await;
    until_streams(&world, 1).await;
    host.stop().await;
}
