//! Projectors that read tables of their own: what they read in order is the same in tables made anew, and what they read
//! out of order is found.

use std::collections::BTreeMap;

use bson::{Document, doc};
use rand::Rng;
use sqlx::Row;

use crate::support::world::{event, laterna, said};
use crate::support::{Host, Options, World, random, until};

const EVENTS: usize = 600;

/// Says what an aggregate has, or copies what one has.
fn document(n: usize, aggregate: &str, payload: Document) -> Document {
    event(&format!("e{n:05}"), aggregate, i64::try_from(n).expect("a few"), payload)
}

/// What becomes of documents in this order.
fn fold(documents: &[Document]) -> BTreeMap<String, i64> {
    let (mut latest, mut copied) = (BTreeMap::<&str, i64>::new(), BTreeMap::new());
    for document in documents {
        let payload = document.get_document("payload").expect("all have one");
        if let Ok(value) = payload.get_i64("value") {
            latest.insert(document.get_str("aggregateId").expect("all have one"), value);
        }
        if let Ok(other) = payload.get_str("reads") {
            let id = document.get_str("_id").expect("all have one").to_owned();
            copied.insert(id, latest.get(other).copied().unwrap_or(-1));
        }
    }
    copied
}

async fn copied(world: &World) -> BTreeMap<String, i64> {
    let rows = world.rows("SELECT event_id COLLATE utf8mb4_general_ci, value FROM copied").await;
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Random documents of 20 aggregates, which read their own rows or those of any.
fn random_documents(test: &str, others: bool) -> Vec<Document> {
    let mut random = random(test);
    let mut documents = vec![];
    for n in 0..EVENTS {
        let aggregate = format!("a{}", random.random_range(0..20));
        let other = if others { format!("a{}", random.random_range(0..20)) } else { aggregate.clone() };
        let value = i64::try_from(n).expect("a few");
        let payload = match random.random_range(0..3) {
            0 => doc! { "value": value },
            1 => doc! { "reads": other },
            _ => doc! { "value": value, "reads": other },
        };
        documents.push(document(n, &aggregate, payload));
    }
    documents
}

fn verify(world: &World, host: &Host, projection: &str) -> (Option<i32>, String) {
    let output = laterna(&world.config(host.port), &["verify", projection]);
    (output.status.code(), said(&output))
}

/// Lives a moment for each event, in an order that history does not have.
async fn a_row_that_was_read_out_of_order_is_found(options: Options) {
    // History gives aggregates by their names, and one lane takes them as they come.
    let world = World::new("copies", Options { lanes: 1, ..options }).await;
    let host = world.start();
    host.until_phase("copies", "streaming").await;
    for (n, aggregate, payload) in [
        (1, "z", doc! { "reads": "a" }),
        (2, "a", doc! { "value": 7_i64 }),
        (3, "z", doc! { "value": 8_i64 }),
        (4, "z", doc! { "reads": "z" }),
    ] {
        world.insert([document(n, aggregate, payload)]).await;
        world.until_committed("copies", i64::try_from(n).expect("a few")).await;
    }
    let live = BTreeMap::from([("e00001".to_owned(), -1), ("e00004".to_owned(), 8)]);
    assert_eq!(copied(&world).await, live);
    let (code, text) = verify(&world, &host, "copies");
    assert_eq!(code, Some(1), "{text}");
    for says in ["copied", "e00001", "-1", "7"] {
        assert!(text.contains(says), "{says:?} is not in {text}");
    }
    assert!(!text.contains("e00004"), "its own aggregate's rows are read in order: {text}");
    host.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_was_read_out_of_order_is_found_on_mysql() {
    a_row_that_was_read_out_of_order_is_found(Options::mysql()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_was_read_out_of_order_is_found_on_mariadb() {
    a_row_that_was_read_out_of_order_is_found(Options::mariadb()).await;
}

async fn what_is_read_of_the_own_aggregate_is_the_same_in_tables_made_anew(options: Options) {
    let world = World::new("copies", options).await;
    let documents = random_documents("what_is_read_of_the_own_aggregate", false);
    // Some of it is history, and some comes as it is written.
    world.insert(documents[..EVENTS / 3].to_vec()).await;
    let host = world.start();
    host.until_phase("copies", "streaming").await;
    for few in documents[EVENTS / 3..].chunks(20) {
        world.insert(few.to_vec()).await;
    }
    world.until_committed("copies", i64::try_from(EVENTS).expect("a few")).await;
    let expected = fold(&documents);
    assert_eq!(copied(&world).await, expected);
    let (code, text) = verify(&world, &host, "copies");
    assert_eq!(code, Some(0), "{text}");
    let rebuilt = laterna(&world.config(host.port), &["rebuild", "copies"]);
    assert!(rebuilt.status.success(), "{}", said(&rebuilt));
    let live = format!("SELECT live_generation FROM {}.projection", world.control());
    until("the tables made anew are live", async || world.number_if_any(&live).await > Some(1)).await;
    assert_eq!(copied(&world).await, expected);
    host.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_of_the_own_aggregate_is_the_same_in_tables_made_anew_on_mysql() {
    what_is_read_of_the_own_aggregate_is_the_same_in_tables_made_anew(Options::mysql()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_of_the_own_aggregate_is_the_same_in_tables_made_anew_on_mariadb() {
    what_is_read_of_the_own_aggregate_is_the_same_in_tables_made_anew(Options::mariadb()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_row_may_be_read_in_the_streams_order_which_no_history_has() {
    let options = Options { extra: "start = \"now\"", ..Options::mysql() };
    let world = World::new("copies-in-order", options).await;
    let host = world.start();
    host.until_phase("copies_in_order", "streaming").await;
    let documents = random_documents("any_row_may_be_read", true);
    for few in documents.chunks(20) {
        world.insert(few.to_vec()).await;
    }
    world.until_committed("copies_in_order", i64::try_from(EVENTS).expect("a few")).await;
    let expected = fold(&documents);
    assert_eq!(copied(&world).await, expected);
    // Tables made from history could differ, and so nobody makes them, not to compare with either.
    for command in ["rebuild", "verify"] {
        let output = laterna(&world.config(host.port), &[command, "copies_in_order"]);
        let text = said(&output);
        assert!(!output.status.success() && text.contains("has `start = \"now\"`"), "{command}: {text}");
    }
    assert_eq!(copied(&world).await, expected);
    host.kill();
}
