//! What stands for a letter: two documents under one key, and a letter that MySQL does not take.

use bson::{Document, doc};
use laterna::event::Id;
use laterna::readmodel::lane::dead_letter::key_of;

use super::dlq;
use crate::support::world::{event, laterna, said};
use crate::support::{Host, Options, World, until};

fn rejected(id: &str) -> Document {
    event(id, id, 1, doc! { "do": "reject" })
}

fn key(id: &str) -> String {
    format!("X'{}'", hex::encode(key_of(&Id::Text(id.into()))))
}

#[track_caller]
fn discard(world: &World, host: &Host, event: &str) {
    let aggregate = format!("thing/{event}");
    let arguments = ["discard", "picky", "--aggregate", &aggregate, "--why", "a test", "--yes"];
    let told = said(&dlq(world, host, &arguments));
    assert!(told.contains("1 discarded"), "{event}: {told}");
}

async fn until_paused(host: &Host, says: &[&str]) -> String {
    let mut reason = String::new();
    until(&format!("it is paused, saying {says:?}"), async || {
        let status = host.status("picky").await.unwrap_or_default();
        status["reason"].as_str().unwrap_or_default().clone_into(&mut reason);
        status["phase"] == "paused" && says.iter().all(|says| reason.contains(says))
    })
    .await;
    reason
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_with_the_key_of_another_one_never_passes_for_it() {
    for options in [Options::mysql(), Options::mariadb()] {
        let world = World::new("picky", options).await;
        let control = world.control();
        let host = world.start();
        world.insert([rejected("first")]).await;
        world.until_committed("picky", 1).await;
        // As if whoever chose the second id had made it collide.
        let collide = |table: &str, of: &str| {
            format!("UPDATE {control}.{table} SET document_key = {} WHERE event_id = 'first'", key(of))
        };
        world.run(&collide("dead_letter", "second")).await;
        world.insert([rejected("second")]).await;
        world.until_committed("picky", 2).await;
        assert_eq!(world.letters().await, (2, 0), "each has a letter of its own");
        // What was discarded is no proof either.
        discard(&world, &host, "first");
        world.run(&collide("discarded", "third")).await;
        host.kill();
        let host = world.start();
        world.insert([rejected("third")]).await;
        world.until_committed("picky", 3).await;
        assert_eq!(world.letters().await, (2, 0), "it is not passed by for one that was discarded");
        discard(&world, &host, "second");
        discard(&world, &host, "third");
        assert_eq!(world.number(&format!("SELECT COUNT(*) FROM {control}.discarded")).await, 3);
        // Each is found again by a later scan of history, whichever key it stands under.
        world.run(&collide("discarded", "first")).await;
        let port = host.port;
        said(&laterna(&world.config(port), &["rebuild", "picky"]));
        let live = format!("SELECT live_generation FROM {control}.projection");
        until("the tables are made anew", async || world.number(&live).await == 2).await;
        let letters = format!("SELECT COUNT(*) FROM {control}.dead_letter WHERE generation = 2");
        assert_eq!(world.number(&letters).await, 0, "what was given up stays so");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_mysql_does_not_take_pauses_the_projection_and_blames_no_event() {
    for options in [Options::mysql(), Options::mariadb()] {
        let world = World::new("picky", options).await;
        let control = world.control();
        let host = world.start();
        host.until_phase("picky", "streaming").await;
        let reason =
            |kind: &str| format!("ALTER TABLE {control}.dead_letter MODIFY COLUMN reason {kind} NULL");
        world.run(&reason("VARCHAR(3)")).await;
        world
            .insert((0..20).map(|n| event(&format!("e{n}"), &format!("a{n}"), 1, doc! { "do": "ok" })))
            .await;
        world.insert([rejected("bad")]).await;
        let told = until_paused(&host, &["writing a dead letter", "error 1406", "no event's fault"]).await;
        assert!(told.contains("'reason'"), "{told}");
        let status = host.status("picky").await.expect("it answers");
        assert_eq!(status["class"], "misconfigured");
        assert_eq!(world.letters().await, (0, 0));
        world.run(&reason("TEXT")).await;
        world.until_committed("picky", 21).await;
        assert_eq!(world.letters().await, (1, 0), "the one that is at fault");
        assert_eq!(world.number("SELECT COUNT(*) FROM picked").await, 20);
        drop(host);
    }
}
