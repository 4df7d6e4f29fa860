//! The outboxes in three languages are one outbox: each case is told once, and every language has to pass it, against
//! a real MongoDB and, in the end, a real host.

mod cases;
mod faults;
mod read;
mod rust;
mod subject;
mod waits;

use std::sync::atomic::{AtomicU32, Ordering};

use bson::{Bson, Document, doc};
use futures_util::TryStreamExt;
use mongodb::{Client, Collection, Database};
use serde_json::{Value, json};

use crate::support::Options;
use subject::{LANGUAGES, Subject};

/// A database with an outbox in it, and one subject of each language.
struct Scene {
    uri: String,
    database: Database,
    subjects: Vec<Subject>,
}

impl Scene {
    /// On the MongoDB that all tests share.
    async fn shared() -> Self {
        Self::at(&Options::mysql().mongodb).await
    }

    async fn at(uri: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("o{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let database = Client::with_uri_str(uri).await.expect("a URI").database(&name);
        database.drop().await.expect("MongoDB answers");
        Self::in_database(uri, database).await
    }

    async fn in_database(uri: &str, database: Database) -> Self {
        let mut subjects = vec![];
        for language in LANGUAGES {
            // Fail points know them by this.
            let uri = format!("{uri}&appName={language}");
            subjects.push(Subject::connected(language, &uri, database.name()).await);
        }
        subjects[0].does(json!({ "do": "ensure" })).await;
        Self { uri: uri.to_owned(), database, subjects }
    }

    fn collection(&self, name: &str) -> Collection<Document> {
        self.database.collection(name)
    }

    async fn documents(&self, name: &str, filter: Document) -> Vec<Document> {
        let found =
            self.collection(name).find(filter).sort(doc! { "sequence": 1 }).await.expect("it answers");
        found.try_collect().await.expect("it answers")
    }

    /// The events of an account, in their order.
    async fn events(&self, account: &str) -> Vec<Document> {
        self.documents("outbox", doc! { "aggregateId": account }).await
    }

    /// An account holds what its events say, which are numbered without a gap.
    async fn assert_sound(&self, account: &str) {
        let events = self.events(account).await;
        let sequences: Vec<i64> = events.iter().map(|event| number(event, "sequence")).collect();
        assert_eq!(sequences, (1..).take(events.len()).collect::<Vec<_>>(), "{account}");
        let mut balance = 0;
        for event in &events {
            let payload = event.get_document("payload").expect("a payload");
            let amount = payload.get("amountCents").map_or(0, whole);
            balance +=
                if event.get_str("type").is_ok_and(|it| it == "MoneyWithdrawn") { -amount } else { amount };
            assert_eq!(balance, number(payload, "balanceCents"), "{event}");
        }
        let state = self.documents("accounts", doc! { "_id": account }).await;
        let stored = (number(&state[0], "balanceCents"), number(&state[0], "sequence"));
        assert_eq!(stored, (balance, *sequences.last().expect("an event")), "{account}");
    }

    async fn close(self) {
        self.database.drop().await.expect("MongoDB answers");
    }
}

fn open(account: &str) -> Value {
    json!({ "do": "open", "account": account, "owner": "Ada" })
}

fn deposit(account: &str, amount: i64) -> Value {
    json!({ "do": "deposit", "account": account, "amount": amount })
}

/// The request as a command.
fn as_command(mut request: Value, command: &str) -> Value {
    request["command"] = command.into();
    request
}

/// The ids that an answer or an outbox has, as text.
fn ids(answer: &Value) -> Vec<String> {
    answer["events"].as_array().expect("ids").iter().map(|id| id.as_str().expect("text").to_owned()).collect()
}

fn id(event: &Document) -> String {
    match event.get("_id") {
        Some(Bson::Binary(binary)) => binary.to_uuid().expect("a UUID of subtype 4").to_string(),
        other => panic!("{other:?} is no UUID"),
    }
}

fn number(document: &Document, name: &str) -> i64 {
    document.get(name).map_or_else(|| panic!("{document} has no {name}"), whole)
}

/// Each language writes numbers of another width.
fn whole(value: &Bson) -> i64 {
    value.as_i64().or(value.as_i32().map(i64::from)).expect("an integer")
}
