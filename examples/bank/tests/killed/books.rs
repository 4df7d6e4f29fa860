//! Whether everything is whole: accounts hold what their events say, and a transfer has moved what its own events say.

use std::collections::{BTreeMap, BTreeSet};

use bson::{Document, doc};
use mongodb::Database;

use crate::{documents, until};

/// Waits until it is whole: what was asked for before a kill may be done right behind it.
pub async fn assert_whole(database: &Database) {
    let mut found = vec![];
    until("nothing is half done", async || {
        found = half_done(database).await;
        if !found.is_empty() {
            println!("half done: {found:?}");
        }
        found.is_empty()
    })
    .await;
}

/// What is half done.
async fn half_done(database: &Database) -> Vec<String> {
    let accounts = documents(database, "accounts", doc! {}).await;
    let events = documents(database, "outbox", doc! {}).await;
    let on_their_way: BTreeSet<String> =
        documents(database, "transfers", doc! {}).await.iter().map(|one| text(one, "_id")).collect();
    let mut aggregates: BTreeMap<(String, String), Vec<&Document>> = BTreeMap::new();
    for event in &events {
        let key = (text(event, "aggregateType"), text(event, "aggregateId"));
        aggregates.entry(key).or_default().push(event);
    }
    let mut found = vec![];
    for ((kind, id), events) in &aggregates {
        let numbers: Vec<i64> =
            events.iter().map(|event| event.get_i64("sequence").expect("a number")).collect();
        if numbers != (1..).take(events.len()).collect::<Vec<i64>>() {
            found.push(format!("{kind} {id} has the events {numbers:?}"));
        }
        if kind == "account" {
            let state = accounts.iter().find(|account| text(account, "_id") == *id);
            let told = state
                .map(|state| ["balanceCents", "sequence"].map(|name| state.get_i64(name).expect("a number")));
            let sum = events.iter().map(|event| moved(event)).sum::<i64>();
            if told != Some([sum, i64::try_from(events.len()).expect("few")]) {
                found.push(format!("account {id} is {told:?}, and by its events {sum}"));
            }
        }
    }
    for ((kind, id), events) in aggregates.iter().filter(|((kind, _), _)| kind == "transfer") {
        let happened: Vec<String> = events.iter().map(|event| text(event, "type")).collect();
        let (left, reached, is_open) = match happened.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["TransferRequested"] => (0, 0, true),
            ["TransferRequested", "TransferDebited"] => (1, 0, true),
            ["TransferRequested", "TransferRefused"] => (0, 0, false),
            ["TransferRequested", "TransferDebited", "TransferCompleted" | "TransferReturned"] => {
                (1, 1, false)
            }
            _ => {
                found.push(format!("{kind} {id}: {happened:?}"));
                continue;
            }
        };
        let of_it = |name: &str| {
            let is_its = |event: &&&Document| {
                let metadata = event.get_document("metadata").expect("it is there");
                text(event, "type") == name && metadata.get_str("transfer").ok() == Some(id)
            };
            aggregates.values().flatten().filter(is_its).count()
        };
        let moved = (of_it("MoneyWithdrawn"), of_it("MoneyDeposited"), on_their_way.contains(id));
        if moved != (left, reached, is_open) {
            found.push(format!("transfer {id} is {happened:?}, and moved {moved:?}"));
        }
    }
    found
}

fn text(document: &Document, name: &str) -> String {
    document.get_str(name).expect("a text").to_owned()
}

/// By how much an event changes its account.
fn moved(event: &Document) -> i64 {
    let amount =
        event.get_document("payload").expect("it is there").get_i64("amountCents").unwrap_or_default();
    if text(event, "type") == "MoneyWithdrawn" { -amount } else { amount }
}
