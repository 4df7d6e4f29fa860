//! What becomes of the outbox itself: renamed, dropped, changed; and what is written to it.

use std::time::Duration;

use mongodb::bson::{Document, doc};

use crate::followed::{Watched, numbered};
use crate::support::{Options, until};

pub async fn it_is_renamed() {
    let mut watched = Watched::start().await;
    let (from, to) = (format!("{}.outbox", watched.world.name), format!("{}.elsewhere", watched.world.name));
    let admin = watched.world.client.database("admin");
    let rename = |from: &str, to: &str| doc! { "renameCollection": from, "to": to };
    admin.run_command(rename(&from, &to)).await.expect("it is renamed");
    let reason = watched.until_paused().await;
    assert!(reason.contains("renamed to") && reason.contains("elsewhere"), "{reason}");
    admin.run_command(rename(&to, &from)).await.expect("it is renamed back");
    // What it took meanwhile is in no stream, so the tables are filled again.
    watched.write(20).await;
    watched.restart("resume_lost = \"rebuild\"").await;
    watched.settled().await;
}

pub async fn it_is_dropped_and_made_again() {
    let mut watched = Watched::start().await;
    watched.world.outbox.drop().await.expect("it is dropped");
    watched
        .world
        .client
        .database(&watched.world.name)
        .create_collection("outbox")
        .await
        .expect("it is made again");
    watched.world.outbox.insert_one(numbered(20)).await.expect("it takes documents");
    let reason = watched.until_paused().await;
    assert!(reason.contains("dropped") || reason.contains("but this is"), "{reason}");
    watched.stop().await;
    watched.start_host("resume_lost = \"rebuild\"");
    let reason = watched.until_paused().await;
    assert!(reason.contains("but this is"), "another collection is never mixed in: {reason}");
    assert_eq!(
        watched.world.number("SELECT COUNT(*) FROM recorded").await,
        20,
        "the tables stay as they are"
    );
}

pub async fn its_database_is_dropped() {
    let mut watched = Watched::start().await;
    watched.world.client.database(&watched.world.name).drop().await.expect("it is dropped");
    watched.until_paused().await;
    watched.stop().await;
    watched.start_host("resume_lost = \"rebuild\"");
    let reason = watched.until_paused().await;
    assert!(reason.contains("which is not there any more"), "{reason}");
    assert_eq!(
        watched.world.number("SELECT COUNT(*) FROM recorded").await,
        20,
        "the tables stay as they are"
    );
}

/// A document of the largest size whose event is larger than that.
fn too_large(mark: &str) -> Document {
    let mut document = numbered(0);
    document.insert("_id", format!("{mark}{}", "x".repeat(9000)));
    document.insert("aggregateId", mark);
    document.insert("payload", doc! { "text": "x".repeat((16 << 20) - 10_000) });
    document
}

pub async fn an_event_is_too_large() {
    let mut watched = Watched::start().await;
    let parked = format!("SELECT COUNT(*) FROM {}.dead_letter", watched.world.control());
    watched.write(20).await;
    watched.world.outbox.insert_one(too_large("big")).await.expect("the outbox takes it");
    watched.write(20).await;
    until("it is parked", async || watched.world.number(&parked).await == 1).await;
    watched.applied().await;
    let (class, reason) = watched.world.reasons().await.into_values().next().expect("there is one");
    assert_eq!(class, "undecodable", "{reason}");
    // Gone before it is read: what the event says around its document is parked.
    watched.stop().await;
    watched.write(20).await;
    let gone = too_large("gone");
    let id = doc! { "_id": gone.get_str("_id").expect("a text") };
    watched.world.outbox.insert_one(gone).await.expect("the outbox takes it");
    watched.world.outbox.delete_one(id).await.expect("it is deleted");
    watched.write(20).await;
    watched.start_host("");
    until("it is parked, too", async || watched.world.number(&parked).await == 2).await;
    watched.applied().await;
    let reasons: Vec<_> = watched.world.reasons().await.into_values().map(|(_, reason)| reason).collect();
    assert!(reasons.iter().any(|reason| reason.contains("not in the outbox any more")), "{reasons:?}");
    let log = watched.host().log();
    let met = log.matches("beyond MongoDB's document limit").count();
    assert!((2..=10).contains(&met), "{met} times:\n{log}");
}

pub async fn documents_are_changed() {
    let mut watched = Watched::start().await;
    let (all, one) = (doc! {}, doc! { "_id": "e3" });
    let seen = doc! { "$set": { "payload.ordinal": 999, "seen": true } };
    watched.world.outbox.update_many(all, seen).await.expect("they are changed");
    watched.world.outbox.delete_one(one).await.expect("it is deleted");
    watched.write(20).await;
    watched.settled().await;
    let wrong = "SELECT COUNT(*) FROM recorded WHERE ordinal = 999";
    assert_eq!(watched.world.number(wrong).await, 0, "an event is what it was when it was written");
}

/// The host is killed twice while each of its lanes stands in the middle of the transaction, and resumes there.
pub async fn a_large_transaction() {
    const EVENTS: i64 = 10_000;
    let mut watched = Watched::on(Options { lanes: 2, batch_max: 25, ..Options::mysql() }).await;
    let from = watched.written;
    let documents: Vec<Document> = (from..from + EVENTS)
        .map(|n| {
            let mut document = numbered(n);
            document.insert("padding", "x".repeat(3000));
            document
        })
        .collect();
    let mut session = watched.world.client.start_session().await.expect("a session");
    session.start_transaction().await.expect("a transaction");
    for part in documents.chunks(2000) {
        watched.world.outbox.insert_many(part).session(&mut session).await.expect("they are taken");
    }
    let committed = format!("SELECT MIN(events) FROM {}.checkpoint", watched.world.control());
    let before = watched.world.number(&committed).await;
    session.commit_transaction().await.expect("it commits");
    watched.written += EVENTS;
    let mut middle = before;
    for _ in 0..2 {
        until("each lane has committed some more of it", async || {
            watched.world.number(&committed).await > middle + 100
        })
        .await;
        watched.kill();
        middle = watched.world.number(&committed).await;
        let all = watched.world.number("SELECT COUNT(*) FROM recorded").await;
        println!("killed at {all} of {} events, the lane that has least at {middle}", watched.written);
        assert!(all < watched.written - 100, "it was applied before the kill: {all} of {}", watched.written);
        watched.start_host("");
    }
    watched.settled_within(Duration::from_mins(1)).await;
}
