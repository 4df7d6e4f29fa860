//! Correct under `kill -9` of anything at any moment: the host, mongod, mysqld.

use std::collections::HashSet;

use bank::{Generator, Model};
use bson::doc;
use rand::Rng;
use sqlx::Row;

use crate::support::world::event;
use crate::support::{Options, PrivateServers, World, random, some_time, until};

/// Kills the host at random until so many kills are done, and leaves one running.
async fn kill_at_random(world: &World, kills: u32, rng: &mut rand::rngs::StdRng) -> crate::support::Host {
    for _ in 0..kills {
        let host = world.start();
        some_time(rng.random_range(150..1200)).await;
        host.kill();
    }
    world.start()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_killed_at_random_loses_nothing_doubles_nothing_and_keeps_order() {
    const EVENTS: i64 = 100_000;
    const AGGREGATES: i64 = 20_000;
    const KILLS: u32 = 24;
    let mut rng = random("host killed");
    let world = World::new("recorder", Options::mysql()).await;
    let document = |n: i64| {
        let (aggregate, sequence) = (n % AGGREGATES, n / AGGREGATES + 1);
        event(&format!("e{n}"), &format!("a{aggregate}"), sequence, doc! { "ordinal": n })
    };
    // A third is history, the rest arrives while the host is being killed, some of it in large transactions.
    world.insert((0..EVENTS / 3).map(document)).await;
    let writing = {
        let (outbox, client) = (world.outbox.clone(), world.client.clone());
        tokio::spawn(async move {
            let rest: Vec<_> = (EVENTS / 3..EVENTS).map(document).collect();
            for (i, chunk) in rest.chunks(3000).enumerate() {
                if i % 4 == 0 {
                    let mut session = client.start_session().await.expect("a session");
                    session.start_transaction().await.expect("a transaction");
                    outbox.insert_many(chunk).session(&mut session).await.expect("documents are taken");
                    session.commit_transaction().await.expect("it commits");
                } else {
                    outbox.insert_many(chunk).await.expect("documents are taken");
                }
                some_time(500).await;
            }
        })
    };
    let _host = kill_at_random(&world, KILLS, &mut rng).await;
    writing.await.expect("the writer is done");
    world.until_committed("recorder", EVENTS).await;
    world.assert_recorded(EVENTS, AGGREGATES).await;
    assert_eq!(world.letters().await, (0, 0));
    // Row for row: what the events say, told without the projector.
    let rows = world
        .rows(
            "SELECT aggregate_id COLLATE utf8mb4_general_ci, sequence, \
                           event_id COLLATE utf8mb4_general_ci, ordinal FROM recorded",
        )
        .await;
    let row = |row: &sqlx::mysql::MySqlRow| -> (String, i64, String, i64) {
        (row.get(0), row.get(1), row.get(2), row.get(3))
    };
    let recorded: HashSet<_> = rows.iter().map(row).collect();
    let expected: HashSet<_> = (0..EVENTS)
        .map(|n| (format!("a{}", n % AGGREGATES), n / AGGREGATES + 1, format!("e{n}"), n))
        .collect();
    assert!(recorded == expected, "{} rows differ", recorded.symmetric_difference(&expected).count());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_host_leaves_a_read_model_that_equals_the_events_row_for_row() {
    let mut rng = random("host killed, rows compared");
    let world = World::new("accounts", Options { batch_max: 100, ..Options::mysql() }).await;
    let events: Vec<_> = Generator::new(rng.random(), 2000).take(20_000).collect();
    world.writer.insert_history(events[..8000].iter().cloned()).await.expect("history is written");
    let live = events[8000..].to_vec();
    let writer = world.writer.clone();
    let writing = tokio::spawn(async move {
        for chunk in live.chunks(1000) {
            writer.insert_history(chunk.iter().cloned()).await.expect("more is written");
            some_time(400).await;
        }
    });
    let _host = kill_at_random(&world, 8, &mut rng).await;
    writing.await.expect("the writer is done");
    world.until_committed("accounts", 20_000).await;
    world.assert_accounts(&Model::from_iter(&events)).await;
    assert_eq!(world.letters().await, (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn databases_killed_and_restarted_lose_nothing_and_double_nothing() {
    const EVENTS: i64 = 20_000;
    const AGGREGATES: i64 = 1000;
    let mut rng = random("servers killed");
    let mut servers = PrivateServers::start().await;
    let world = World::new("recorder", servers.options()).await;
    let document = |n: i64| {
        let (aggregate, sequence) = (n % AGGREGATES, n / AGGREGATES + 1);
        event(&format!("e{n}"), &format!("a{aggregate}"), sequence, doc! { "ordinal": n })
    };
    world.insert((0..EVENTS / 2).map(document)).await;
    let host = world.start();
    for round in 0..3 {
        some_time(rng.random_range(300..1500)).await;
        servers.kill_mysqld();
        some_time(rng.random_range(100..1000)).await;
        servers.start_mysqld();
        servers.until_ready().await;
        some_time(rng.random_range(300..1500)).await;
        servers.kill_mongod();
        some_time(rng.random_range(100..1000)).await;
        servers.start_mongod();
        servers.until_ready().await;
        let part = EVENTS / 2 / 3;
        let from = EVENTS / 2 + part * round;
        let to = if round == 2 { EVENTS } else { from + part };
        let documents: Vec<_> = (from..to).map(document).collect();
        // A primary that has just come up may refuse the first writes; ids make repeating them safe.
        until("the outbox takes documents again", async || {
            let insert = world.outbox.insert_many(&documents).ordered(false).await;
            let count = world.outbox.count_documents(doc! {}).await.unwrap_or_default();
            insert.is_ok() || count == to.unsigned_abs()
        })
        .await;
    }
    world.until_committed("recorder", EVENTS).await;
    world.assert_recorded(EVENTS, AGGREGATES).await;
    assert_eq!(world.letters().await, (0, 0), "an outage is never an event's fault");
    until("the host says that all is well", async || {
        host.get("/readyz").await.is_some_and(|(code, _)| code == 200)
    })
    .await;
    assert!(host.stop().await.success());
}
