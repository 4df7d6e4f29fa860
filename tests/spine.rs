//! The main job: events become rows, from history and live, on MySQL and MariaDB, over restarts.

use bank::writer::{Conflict, Written};
use bank::{Event, Generator, Model};
use bson::doc;

use crate::support::world::{event, said};
use crate::support::{Options, World, until};

#[tokio::test(flavor = "multi_thread")]
async fn an_event_written_to_mongodb_becomes_rows_in_mysql() {
    history_then_live(Options::mysql()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_written_to_mongodb_becomes_rows_in_mariadb() {
    history_then_live(Options::mariadb()).await;
}

async fn history_then_live(options: Options) {
    let world = World::new("accounts", options).await;
    let events: Vec<_> = Generator::new(1, 300).take(3500).collect();
    for many in events[..2000].chunks(100) {
        world.writer.write(many).await.expect("a transaction commits");
    }
    let host = world.start();
    world.until_committed("accounts", 2000).await;
    for pair in events[2000..3000].chunks(2) {
        world.writer.write(pair).await.expect("a transaction commits");
    }
    world.until_committed("accounts", 3000).await;
    world.assert_accounts(&Model::from_iter(&events[..3000])).await;

    let status = host.status("accounts").await.expect("the endpoint answers");
    assert_eq!(status["phase"], "streaming");
    assert_eq!(status["parked"], 0);
    assert!(host.stop().await.success(), "a stop that was asked for is no failure");

    // While no host runs the outbox takes more, and the next host goes on where the last one stopped.
    world.writer.insert_history(events[3000..].iter().cloned()).await.expect("more is written");
    let host = world.start();
    world.until_committed("accounts", 3500).await;
    world.assert_accounts(&Model::from_iter(&events)).await;
    assert_eq!(world.letters().await, (0, 0));
    assert!(host.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outbox_that_is_empty_at_first_needs_no_index() {
    let world = World::new("recorder", Options::mysql()).await;
    world.outbox.drop_indexes().await.expect("the index is dropped");
    let host = world.start();
    host.until_phase("recorder", "streaming").await;
    world.insert((1..=5).map(|n| event(&format!("e{n}"), "a", n, doc! {}))).await;
    world.until_committed("recorder", 5).await;
    world.assert_recorded(5, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_lane_moves_its_checkpoint_with_the_stream() {
    let world = World::new("recorder", Options::mysql()).await;
    let _host = world.start();
    world.insert([event("e1", "a", 1, doc! {})]).await;
    world.until_committed("recorder", 1).await;
    let positions = format!("SELECT COUNT(DISTINCT position) FROM {}.checkpoint", world.control());
    let newest = format!("SELECT MAX(position) FROM {}.checkpoint", world.control());
    let before: String = sqlx::Row::get(&world.rows(&newest).await[0], 0);
    // Writes elsewhere in the cluster are all that moves the stream.
    until("all lanes have moved on together", async || {
        let other = world.client.database(&world.name).collection::<bson::Document>("other");
        other.insert_one(doc! {}).await.expect("another collection takes documents");
        let now: String = sqlx::Row::get(&world.rows(&newest).await[0], 0);
        now > before && world.number(&positions).await == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_deleted_and_sent_again_is_applied_once() {
    let world = World::new("recorder", Options::mysql()).await;
    let host = world.start();
    let first = event("e1", "a", 1, doc! {});
    world.insert([first.clone()]).await;
    world.until_committed("recorder", 1).await;
    for restarted in [false, true] {
        world.outbox.delete_one(doc! { "_id": "e1" }).await.expect("it is deleted");
        world.insert([first.clone()]).await;
        world.until_committed("recorder", if restarted { 3 } else { 2 }).await;
        world.assert_recorded(1, 1).await;
        assert_eq!(world.letters().await, (0, 0));
    }
    host.kill();
    let _host = world.start();
    world.outbox.delete_one(doc! { "_id": "e1" }).await.expect("it is deleted");
    world.insert([first, event("e2", "a", 2, doc! {})]).await;
    until("the next event is applied", async || world.number("SELECT COUNT(*) FROM recorded").await == 2)
        .await;
    assert_eq!(world.letters().await, (0, 0), "the window outlives the host");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_see_how_a_projection_stands() {
    let world = World::new("recorder", Options::mysql()).await;
    let host = world.start();
    world.insert([event("e1", "a", 1, doc! {})]).await;
    world.until_committed("recorder", 1).await;
    until("the host is ready", async || host.get("/readyz").await.is_some_and(|(code, _)| code == 200)).await;
    host.until_phase("recorder", "streaming").await;
    assert_eq!(host.get("/livez").await.expect("it answers").0, 200);
    let (_, metrics) = host.get("/metrics").await.expect("it answers");
    for metric in ["laterna_events_total", "laterna_lag_seconds", "laterna_dead_letters_parked"] {
        assert!(metrics.contains(metric), "{metric} is missing in\n{metrics}");
    }
    let config = world.folder.path().join(format!("laterna-{}.toml", host.port));
    let status = crate::support::world::laterna(&config, &["status", "--lanes"]);
    let text = said(&status);
    assert!(status.status.success() && text.contains("recorder") && text.contains("streaming"), "{text}");
    let one = said(&crate::support::world::laterna(&config, &["status", "recorder"]));
    assert!(one.contains("streaming"), "{one}");
    let none = crate::support::world::laterna(&config, &["status", "recordr"]);
    let text = said(&none);
    assert!(
        !none.status.success() && text.contains("no projection `recordr`; there are: recorder"),
        "{text}"
    );
    host.stop().await;
    let status = crate::support::world::laterna(&config, &["status"]);
    let text = said(&status);
    assert!(status.status.success() && text.contains("No host answers"), "{text}");
    let json = crate::support::world::laterna(&config, &["status", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(json[0]["events"], 1);
}

#[test]
fn shells_and_man_know_every_command() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("laterna.toml");
    for shell in ["bash", "zsh", "fish"] {
        let script = crate::support::world::laterna(&config, &["completions", shell]);
        let text = said(&script);
        assert!(
            script.status.success() && text.contains("forget") && text.contains("dlq"),
            "{shell}: {text}"
        );
    }
    let pages = folder.path().join("man1");
    let written = crate::support::world::laterna(&config, &["man", pages.to_str().expect("text")]);
    assert!(written.status.success(), "{}", said(&written));
    for page in ["laterna.1", "laterna-run.1", "laterna-dlq-replay.1"] {
        assert!(pages.join(page).is_file(), "{page} is missing");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_writers_of_an_account_one_is_told_that_the_other_was_faster_and_whoever_asks_again_that_it_is_done()
 {
    let world = World::new("accounts", Options::mysql()).await;
    let opened = Generator::new(1, 1).next().expect("an event");
    assert_eq!(world.writer.write(std::slice::from_ref(&opened)).await.expect("it is written"), Written::Now);
    assert_eq!(
        world.writer.write(std::slice::from_ref(&opened)).await.expect("it is there"),
        Written::Before
    );
    let another = Event { id: bson::Uuid::new(), ..opened };
    let refused = world.writer.write(&[another]).await.expect_err("it is not written");
    let conflict = refused.get_custom::<Conflict>().expect("the other one was faster");
    assert_eq!(conflict.sequence, 1);
}
