//! The end of it: a real host reads what three languages wrote, into MySQL.

use std::collections::BTreeMap;

use bson::doc;
use serde_json::json;

use super::{Scene, deposit, number, open};
use crate::support::{Options, World};

/// As large and as odd as an event may be.
fn at_the_limits(language: &str) -> Vec<serde_json::Value> {
    let event = |change: serde_json::Value| {
        let mut event = json!({
            "type": "Odd", "aggregateType": "odd", "aggregateId": format!("{language}-odd"), "sequence": 1, "payload": {},
        });
        event.as_object_mut().expect("an object").extend(change.as_object().expect("an object").clone());
        event
    };
    vec![
        event(json!({ "payloadBytes": 1_048_576 })),
        event(json!({ "payloadLevels": 100, "sequence": 2 })),
        event(json!({ "payload": { "text": "\u{1}".repeat(174_760) }, "sequence": 3 })),
        event(json!({ "payload": vec![1.5; 262_143], "sequence": 4 })),
        event(json!({ "payload": vec![1_099_511_627_776_i64; 61_680], "sequence": 5 })),
        event(json!({ "sequence": 9_007_199_254_740_991_i64 })),
        event(json!({ "version": 4_294_967_295_u32, "sequence": 6 })),
        event(json!({ "aggregateId": format!("{language}{}", "x".repeat(512 - language.len())) })),
        event(json!({ "aggregateType": "x".repeat(128), "type": "ä".repeat(64) })),
        event(json!({ "aggregateType": language, "aggregateId": -5 })),
        event(json!({ "aggregateType": language, "aggregateId": 9_007_199_254_740_991_i64 })),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_three_languages_wrote_is_read_by_a_host_to_the_last_event() {
    let world = World::new("accounts", Options::mysql()).await;
    let mut scene = Scene::in_database(&world.options.mongodb, world.client.database(&world.name)).await;
    let host = world.start();
    for at in 0..scene.subjects.len() {
        let subject = &mut scene.subjects[at];
        let language = subject.language;
        subject.does(open(language)).await;
        subject.does(open(&format!("{language}-closed"))).await;
        subject.does(deposit(language, 500)).await;
        subject.does(json!({ "do": "withdraw", "account": language, "amount": 200 })).await;
        subject.does(json!({ "do": "close", "account": format!("{language}-closed"), "sequence": 1 })).await;
        let helper = format!("{language}-helper");
        subject.does(open(&helper)).await;
        for event in at_the_limits(language) {
            subject.does(json!({ "do": "emit", "account": helper, "event": event })).await;
        }
    }
    let events = scene.collection("outbox").count_documents(doc! {}).await.expect("an answer");
    world.until_committed("accounts", i64::try_from(events).expect("few")).await;
    assert_eq!(world.letters().await, (0, 0), "{:?}", world.reasons().await);
    let rows = world.accounts().await.into_iter();
    let rows: BTreeMap<String, i64> = rows.map(|(account, row)| (account, row.balance_cents)).collect();
    let accounts = scene.documents("accounts", doc! {}).await;
    let states: BTreeMap<String, i64> = accounts
        .iter()
        .map(|account| (account.get_str("_id").expect("an id").to_owned(), number(account, "balanceCents")))
        .collect();
    assert_eq!(rows, states);
    assert_eq!(rows.len(), 6);
    assert!(host.stop().await.success());
}
