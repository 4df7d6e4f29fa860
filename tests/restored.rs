//! A server that was put back to an older copy and goes on from there, as if nothing had happened.

mod backup;
mod moments;

use bson::doc;

use crate::support::cluster::Cluster;
use crate::support::world::{event, laterna, said};
use crate::support::{Host, Options, PrivateServers, World, some_time, until};

const PROJECTION: &str = "recorder";

fn document(n: i64) -> bson::Document {
    event(&format!("e{n}"), "a", n + 1, doc! {})
}

/// Waits until every lane has gone on, behind its last event, with what an idle stream tells.
async fn until_idle(world: &World) {
    // A token of an event is three times as long.
    let sql =
        format!("SELECT COUNT(*) FROM {}.checkpoint WHERE CHAR_LENGTH(position) > 100", world.control());
    until("all checkpoints are high-water marks", async || world.number(&sql).await == 0).await;
}

async fn until_it_pauses(host: &Host) -> String {
    host.until_phase(PROJECTION, "paused").await;
    let status = host.status(PROJECTION).await.expect("it answers");
    status["reason"].as_str().expect("a pause has a reason").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mongodb_that_was_put_back_pauses_with_choices_however_far_the_idle_stream_had_come() {
    let mut servers = PrivateServers::start().await;
    let world = World::new(PROJECTION, servers.options()).await;
    world.insert((0..5).map(document)).await;
    let host = world.start();
    host.until_phase(PROJECTION, "streaming").await;
    world.until_committed(PROJECTION, 5).await;
    servers.kill_mongod();
    servers.copy_mongod();
    servers.start_mongod();
    servers.until_ready().await;
    world.insert((5..10).map(document)).await;
    world.until_committed(PROJECTION, 10).await;
    until_idle(&world).await;
    // While the host runs: its stream is opened again.
    servers.kill_mongod();
    servers.put_mongod_back();
    servers.start_mongod();
    servers.until_ready().await;
    assert_eq!(world.outbox.count_documents(doc! {}).await.expect("they are counted"), 5);
    until("it is noticed", async || {
        let status = host.status(PROJECTION).await.unwrap_or_default();
        status["reason"].as_str().is_some_and(|reason| reason.contains("an older copy"))
    })
    .await;
    host.kill();
    // And by a host that starts.
    let host = world.start();
    until("it is noticed again", async || {
        let status = host.status(PROJECTION).await.unwrap_or_default();
        status["reason"].as_str().is_some_and(|reason| reason.contains("the event e9 of"))
    })
    .await;
    let reason = until_it_pauses(&host).await;
    assert!(reason.contains("Choose: ") || reason.contains("until you choose: "), "{reason}");
    world.insert([document(10)]).await;
    some_time(1000).await;
    assert_eq!(world.number("SELECT COUNT(*) FROM recorded").await, 10, "nothing is mixed, and nothing goes");
    // The operator's choice: what the outbox holds now.
    let tell = |arguments: &[&str]| {
        let output = laterna(&world.config(host.port), arguments);
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    tell(&["rebuild", PROJECTION]);
    until("it waits for a word", async || {
        tell(&["generations", "list", PROJECTION, "--json"]).contains("laterna generations accept")
    })
    .await;
    assert_eq!(world.number("SELECT COUNT(*) FROM recorded").await, 10);
    tell(&["generations", "accept", PROJECTION, "2"]);
    until("the tables are those of the outbox", async || {
        world.number_if_any("SELECT COUNT(*) FROM recorded").await == Some(6)
    })
    .await;
    world.insert([document(11)]).await;
    until("it goes on", async || world.number("SELECT COUNT(*) FROM recorded").await == 7).await;
    host.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_that_a_script_deleted_are_no_reason_to_stop() {
    let world = World::new(PROJECTION, Options::mysql()).await;
    let host = world.start();
    host.until_phase(PROJECTION, "streaming").await;
    world.insert((0..5).map(document)).await;
    world.until_committed(PROJECTION, 5).await;
    world.outbox.delete_many(doc! {}).await.expect("they are deleted");
    until_idle(&world).await;
    host.kill();
    let host = world.start();
    host.until_phase(PROJECTION, "streaming").await;
    world.insert([document(5)]).await;
    until("it goes on", async || world.number("SELECT COUNT(*) FROM recorded").await == 6).await;
    host.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_set_whose_elections_count_from_an_older_copy_is_found_by_a_host_that_runs() {
    let mut cluster = Cluster::start(1, &[]).await;
    let world = World::new(PROJECTION, Options { mongodb: cluster.uri(), ..Options::mysql() }).await;
    world.insert((0..5).map(document)).await;
    let host = world.start();
    host.until_phase(PROJECTION, "streaming").await;
    cluster.copy().await;
    // Each start is an election, and whoever saw the last one takes nobody of an earlier one for the primary.
    for _ in 0..3 {
        cluster.kill_member(0);
        cluster.start_member(0);
        cluster.until_primary().await;
    }
    world.insert((5..10).map(document)).await;
    world.until_committed(PROJECTION, 10).await;
    // A client that knows the primary is left alone, however long that says so.
    some_time(25_000).await;
    assert!(!host.log().contains("connecting anew"), "{}", host.log());
    cluster.put_back().await;
    until("it is noticed", async || {
        let status = host.status(PROJECTION).await.unwrap_or_default();
        status["class"] == "resume-lost"
    })
    .await;
    assert!(host.log().contains("connecting anew"), "{}", host.log());
    host.kill();
}
