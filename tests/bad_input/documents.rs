//! Everything odd that MongoDB itself takes as a document, written to a real outbox and followed to MySQL: applied with
//! exactly these values, or parked for this reason; and whatever it is, the stream goes on.

mod table;

use std::collections::BTreeMap;

use bson::doc;
use bson::raw::RawDocumentBuf;
use sqlx::Row as _;
use table::Outcome::{Alone, Applied, Parked};
use table::{Case, Outcome, rows};

use super::proof::{Proof, assert_complete};
use crate::support::world::event;
use crate::support::{Options, World};

/// What the projector saw of an event.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    event_type: String,
    version: i64,
    aggregate_type: String,
    aggregate_id: String,
    sequence: Option<i64>,
    occurred_at: Option<String>,
    payload: String,
    metadata: String,
}

/// The document of a case, and what the projector sees of it if nothing is odd.
fn document(case: &Case, id: &str) -> (RawDocumentBuf, Seen) {
    let mut document = doc! {
        "_id": id, "type": "Happened", "aggregateType": "thing", "aggregateId": id, "sequence": 1, "payload": {},
    };
    for (name, value) in &case.fields {
        match value {
            Some(value) => _ = document.insert(*name, value.clone()),
            None => _ = document.remove(name),
        }
    }
    let mut bytes = RawDocumentBuf::try_from(document).expect("it has raw bytes").into_bytes();
    let (from, to) = case.bytes;
    if !from.is_empty() {
        let at = bytes.windows(from.len()).position(|window| window == from).expect("it is in there");
        bytes[at..at + to.len()].copy_from_slice(to);
    }
    let seen = Seen {
        event_type: "Happened".into(),
        version: 1,
        aggregate_type: "thing".into(),
        aggregate_id: id.into(),
        sequence: Some(1),
        occurred_at: None,
        payload: "{}".into(),
        metadata: "{}".into(),
    };
    (RawDocumentBuf::from_bytes(bytes).expect("the frame is intact"), seen)
}

/// What the projector wrote down, by the event's id.
async fn seen(world: &World) -> BTreeMap<String, Seen> {
    let rows = world.rows("SELECT * FROM verbatim").await;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it was text");
    let seen = |row: &sqlx::mysql::MySqlRow| {
        let seen = Seen {
            event_type: text(row.get("event_type")),
            version: row.get("version"),
            aggregate_type: text(row.get("aggregate_type")),
            aggregate_id: text(row.get("aggregate_id")),
            sequence: row.get("sequence"),
            occurred_at: row.get::<Option<Vec<u8>>, _>("occurred_at").map(text),
            payload: text(row.get("payload")),
            metadata: text(row.get("metadata")),
        };
        (text(row.get("event_id")), seen)
    };
    rows.iter().map(seen).collect()
}

struct Letter {
    document: Vec<u8>,
    reason: String,
    class: String,
    has_aggregate: bool,
}

async fn parked(world: &World) -> Vec<Letter> {
    let sql = format!(
        "SELECT document, reason, class, aggregate_key IS NOT NULL AS has_aggregate FROM {}.dead_letter WHERE state = 'parked'",
        world.control()
    );
    let letter = |row: &sqlx::mysql::MySqlRow| Letter {
        document: row.get("document"),
        reason: row.get("reason"),
        class: row.get("class"),
        has_aggregate: row.get::<i64, _>("has_aggregate") != 0,
    };
    world.rows(&sql).await.iter().map(letter).collect()
}

/// A document that was written, and what has to become of it.
struct Written<'a> {
    input: &'a str,
    id: String,
    document: RawDocumentBuf,
    seen: Seen,
    outcome: &'a Outcome,
}

async fn write<'a>(
    world: &World,
    prefix: &str,
    input: &'a str,
    case: &'a Case,
    number: usize,
) -> Written<'a> {
    let id = format!("{prefix}{number}");
    let (document, seen) = document(case, &id);
    let outbox = world.outbox.clone_with_type::<RawDocumentBuf>();
    outbox
        .insert_one(&document)
        .await
        .unwrap_or_else(|error| panic!("{input}: MongoDB does not take it: {error}"));
    Written { input, id, document, seen, outcome: &case.outcome }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_mongodb_takes_is_applied_as_it_is_or_parked_with_its_reason() {
    let rows = rows();
    let world = World::new("verbatim", Options::mysql()).await;
    let mut written = Vec::new();
    // From history.
    for (number, (input, proof)) in rows.iter().enumerate() {
        match proof {
            Proof::Here(case) if !case.once => {
                written.push(write(&world, "history-", input, case, number).await);
            }
            _ => {}
        }
    }
    let host = world.start();
    let count = |written: &[Written]| i64::try_from(written.len()).expect("few");
    world.until_committed("verbatim", count(&written)).await;
    // And live.
    for (number, (input, proof)) in rows.iter().enumerate() {
        if let Proof::Here(case) = proof {
            written.push(write(&world, "live-", input, case, number).await);
        }
    }
    world.until_committed("verbatim", count(&written)).await;
    let (seen, letters) = (seen(&world).await, parked(&world).await);
    for Written { input, id, document, seen: mut expected, outcome } in written {
        let letter = letters.iter().find(|letter| document.as_bytes().starts_with(&letter.document));
        let told = letter.map(|letter| (&*letter.class, &*letter.reason, letter.has_aggregate));
        match outcome {
            Applied(differs) => {
                differs(&mut expected);
                let found = seen.get(&id).unwrap_or_else(|| panic!("{input}: {id} is not applied: {told:?}"));
                assert!(
                    *found == expected,
                    "{input}: {id}\n{:.300}\nis not\n{:.300}",
                    format!("{found:?}"),
                    format!("{expected:?}")
                );
            }
            Parked(says) | Alone(says) => {
                let (class, reason, has_aggregate) =
                    told.unwrap_or_else(|| panic!("{input}: {id} is not parked"));
                assert_eq!(class, "undecodable", "{input}");
                assert!(reason.contains(says), "{input}: {reason}");
                assert_eq!(has_aggregate, matches!(outcome, Parked(_)), "{input}: {reason}");
                assert!(!seen.contains_key(&id), "{input}: applied and parked");
            }
        }
    }
    host.until_phase("verbatim", "streaming").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_without_a_sequence_pauses_history_and_is_named() {
    let world = World::new("verbatim", Options::mysql()).await;
    let mut document = event("e1", "a", 1, doc! {});
    document.remove("sequence");
    world.insert([document.clone()]).await;
    pauses_without_a_sequence(&world).await;
    assert_eq!(world.letters().await, (0, 0));

    // It is found before anything is read, unless more than a thousand documents that are no events hide it.
    let world = World::new("verbatim", Options::mysql()).await;
    let hides = |n: i32| doc! { "_id": format!("x{n:04}"), "aggregateType": "thing", "aggregateId": "0" };
    world.insert((0..1000).map(hides).chain([document])).await;
    pauses_without_a_sequence(&world).await;
    assert!(seen(&world).await.is_empty(), "its table is there: it has begun");
}

async fn pauses_without_a_sequence(world: &World) {
    let host = world.start();
    host.until_phase("verbatim", "paused").await;
    let status = host.status("verbatim").await.expect("it answers");
    let reason = status["reason"].as_str().expect("a pause has a reason");
    assert!(reason.contains("the event e1 of thing/a has no `sequence`"), "{reason}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_inserts_become_events() {
    let world = World::new("verbatim", Options::mysql()).await;
    let host = world.start();
    host.until_phase("verbatim", "streaming").await;
    world.insert([event("e1", "a", 1, doc! { "n": 1 }), event("e2", "a", 2, doc! {})]).await;
    let changed = world.outbox.update_one(doc! { "_id": "e1" }, doc! { "$set": { "payload.n": 2 } }).await;
    assert_eq!(changed.expect("it is changed").modified_count, 1);
    let replaced = world.outbox.replace_one(doc! { "_id": "e2" }, event("e2", "b", 1, doc! { "n": 2 })).await;
    assert_eq!(replaced.expect("it is replaced").modified_count, 1);
    world.outbox.delete_one(doc! { "_id": "e1" }).await.expect("it is deleted");
    let elsewhere = world.client.database(&world.name).collection("outbox2");
    elsewhere.insert_one(event("e4", "a", 4, doc! {})).await.expect("it takes documents");
    world.insert([event("e3", "a", 3, doc! {})]).await;
    world.until_committed("verbatim", 3).await;
    let seen = seen(&world).await;
    let payloads: Vec<(&str, &str)> = seen.iter().map(|(id, seen)| (&**id, &*seen.payload)).collect();
    assert_eq!(payloads, [("e1", r#"{"n":1}"#), ("e2", "{}"), ("e3", "{}")]);
    assert_eq!(world.letters().await, (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_applied_as_they_were_committed_whatever_they_count() {
    let world = World::new("recorder", Options::mysql()).await;
    let host = world.start();
    host.until_phase("recorder", "streaming").await;
    // Commits of their own, in this order.
    for (id, sequence) in [("e1", 1), ("e2", 3), ("e3", 2)] {
        world.insert([event(id, "a", sequence, doc! {})]).await;
    }
    world.until_committed("recorder", 3).await;
    let last = world.rows("SELECT sequence, events, disorder FROM last_seen").await;
    let last: Vec<i64> = (0..3).map(|column| last[0].get(column)).collect();
    assert_eq!(last, [2, 3, 2], "the last one was the last, and neither came after the one before it");
    assert_eq!(world.letters().await, (0, 0), "which gaps are right, only the projector knows");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_stands_for_one_event_whatever_else_is_written_with_it() {
    let world = World::new("verbatim", Options::mysql()).await;
    let host = world.start();
    world.insert([event("e1", "a", 1, doc! { "n": 1 })]).await;
    world.until_committed("verbatim", 1).await;
    world.outbox.delete_one(doc! { "_id": "e1" }).await.expect("it is deleted");
    world.insert([event("e1", "a", 7, doc! { "n": 2 })]).await;
    world.until_committed("verbatim", 2).await;
    let seen = seen(&world).await;
    let payloads: Vec<(&str, &str)> = seen.iter().map(|(id, seen)| (&**id, &*seen.payload)).collect();
    assert_eq!(payloads, [("e1", r#"{"n":1}"#)]);
    assert_eq!(world.letters().await, (0, 0));
    let (_, metrics) = host.get("/metrics").await.expect("it answers");
    let duplicate = |line: &str| {
        line.starts_with("laterna_events_total")
            && line.contains("verdict=\"duplicate\"")
            && line.ends_with(" 1")
    };
    assert!(metrics.lines().any(duplicate), "it is counted:\n{metrics}");
}

#[test]
fn every_odd_document_has_its_test() {
    assert_complete(&rows());
}
