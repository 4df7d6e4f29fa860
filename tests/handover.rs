//! From history to the stream: without a gap and without a double, whatever writers do meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bson::doc;
use rand::Rng;

use crate::support::world::event;
use crate::support::{Options, World, random, some_time, until};

#[tokio::test(flavor = "multi_thread")]
async fn history_hands_over_to_the_stream_under_writers_that_commit_out_of_order() {
    const WRITERS: i64 = 6;
    const HISTORY: i64 = 20_000;
    let mut rng = random("handover");
    // A small window, so that what the scan must not apply is not hidden by it.
    let world = World::new("recorder", Options { extra: "dedupe_window = 1000", ..Options::mysql() }).await;
    world
        .insert((0..HISTORY).map(|n| event(&format!("h{n}"), &format!("h{}", n % 500), n / 500 + 1, doc! {})))
        .await;
    let written = Arc::new(AtomicI64::new(0));
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (client, outbox) = (world.client.clone(), world.outbox.clone());
            let (written, stop, seed) = (written.clone(), stop.clone(), rng.random::<u64>());
            tokio::spawn(async move {
                let mut rng: rand::rngs::StdRng = rand::SeedableRng::seed_from_u64(seed);
                let mut sequence = 0;
                while !stop.load(Ordering::Relaxed) {
                    // The documents stand in the transaction for a while before it commits, so that those of other
                    // writers overtake them. Some transactions are given up.
                    let mut session = client.start_session().await.expect("a session");
                    session.start_transaction().await.expect("a transaction");
                    let size = rng.random_range(1..20);
                    for step in 1..=size {
                        let next = sequence + step;
                        let (id, aggregate) = (format!("w{writer}-{next}"), format!("a{writer}"));
                        let document = event(&id, &aggregate, next, doc! { "ordinal": next });
                        outbox.insert_one(document).session(&mut session).await.expect("it is taken");
                    }
                    some_time(rng.random_range(0..60)).await;
                    if rng.random_bool(0.1) {
                        session.abort_transaction().await.expect("it is given up");
                        continue;
                    }
                    session.commit_transaction().await.expect("it commits");
                    sequence += size;
                    written.fetch_add(size, Ordering::Relaxed);
                }
            })
        })
        .collect();
    until("the writers are under way", async || written.load(Ordering::Relaxed) > 100).await;
    // Killed in the middle of the scan, several times.
    for _ in 0..6 {
        let host = world.start();
        some_time(rng.random_range(200..700)).await;
        host.kill();
    }
    let _host = world.start();
    some_time(1500).await;
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.expect("a writer ends");
    }
    let all = HISTORY + written.load(Ordering::Relaxed);
    until("everything is recorded", async || {
        world.number_if_any("SELECT COUNT(*) FROM recorded").await == Some(all)
    })
    .await;
    world.assert_recorded(all, 500 + WRITERS).await;
    assert_eq!(world.letters().await, (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn history_without_an_order_is_refused_with_the_command_that_helps() {
    let world = World::new("recorder", Options::mysql()).await;
    world.outbox.drop_indexes().await.expect("the index is dropped");
    world.insert([event("e1", "a", 1, doc! {})]).await;
    let host = world.start();
    host.until_phase("recorder", "paused").await;
    let status = host.status("recorder").await.expect("it answers");
    assert!(status["reason"].as_str().is_some_and(|reason| reason.contains("createIndex")), "{status}");
    world.writer.prepare().await.expect("the index is created");
    world.until_committed("recorder", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_have_rows_are_never_filled_from_history() {
    let world = World::new("recorder", Options::mysql()).await;
    world.run(&format!("CREATE TABLE {}.recorded (a INT PRIMARY KEY)", world.name)).await;
    world.run(&format!("INSERT INTO {}.recorded VALUES (1)", world.name)).await;
    world.insert([event("e1", "a", 1, doc! {})]).await;
    let host = world.start();
    host.until_phase("recorder", "paused").await;
    let status = host.status("recorder").await.expect("it answers");
    assert!(status["reason"].as_str().is_some_and(|reason| reason.contains("has rows")), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_outbox_under_the_same_name_is_refused() {
    let world = World::new("recorder", Options::mysql()).await;
    let host = world.start();
    world.insert([event("e1", "a", 1, doc! {})]).await;
    world.until_committed("recorder", 1).await;
    host.stop().await;
    world.outbox.drop().await.expect("it is dropped");
    world.writer.prepare().await.expect("it is created again");
    let host = world.start();
    host.until_phase("recorder", "paused").await;
    let status = host.status("recorder").await.expect("it answers");
    assert!(status["reason"].as_str().is_some_and(|reason| reason.contains("was made from")), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outbox_that_is_dropped_while_it_is_followed_pauses_the_projection() {
    let world = World::new("recorder", Options::mysql()).await;
    let host = world.start();
    world.insert([event("e1", "a", 1, doc! {})]).await;
    world.until_committed("recorder", 1).await;
    world.outbox.drop().await.expect("it is dropped");
    host.until_phase("recorder", "paused").await;
    assert_eq!(world.letters().await, (0, 0));
}
