//! The outbox in Rust, as the compliance suite asks it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bson::{Document, doc};
use mongodb::options::ClientOptions;
use outbox::{BoxFuture, Cause, Error, Event, Outbox, Projections, Result, Store, Transaction};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Default)]
pub struct Rust {
    outbox: Option<Outbox>,
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Overdrawn(String);

/// What an event is made of.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Made {
    r#type: String,
    aggregate_type: String,
    aggregate_id: bson::Bson,
    sequence: i64,
    #[serde(default)]
    payload: bson::Bson,
    payload_bytes: Option<usize>,
    payload_levels: Option<u32>,
    version: Option<u32>,
}

type Done<'t> = BoxFuture<'t, Result<(Value, Vec<Event>)>>;

impl Rust {
    pub async fn ask(&mut self, request: Value) -> Value {
        let attempts = AtomicU32::new(0);
        let done = match request["do"].as_str() {
            Some("connect") => self.connect(&request).await,
            // There is no way to make one.
            Some("unwatched") => return json!({ "error": "Inexpressible", "says": "" }),
            // Nor an event with fields of other types.
            Some("emit") if serde_json::from_value::<Made>(request["event"].clone()).is_err() => {
                return json!({ "error": "Inexpressible", "says": "" });
            }
            Some("ensure") => self.outbox().ensure().await.map(|()| Value::Null),
            Some("wait") => wait(&request).await,
            Some("append" | "load" | "snapshot") => self.store(&request).await,
            _ => self.transaction(&request, &attempts).await,
        };
        let attempts = attempts.into_inner();
        match done {
            Ok(mut ok) => {
                if let Some(written) = ok.as_object_mut() {
                    written.insert("attempts".to_owned(), attempts.into());
                }
                json!({ "ok": ok })
            }
            Err(error) => {
                let name = format!("{error:?}");
                let name = name.split(['(', ' ']).next().expect("a name");
                let mut told = json!({ "error": name, "says": error.to_string(), "attempts": attempts });
                if let Error::DeadLetter { state, letter, .. } = error {
                    (told["state"], told["letter"]) = (state.into(), letter);
                }
                told
            }
        }
    }

    fn outbox(&self) -> &Outbox {
        self.outbox.as_ref().expect("it is connected")
    }

    async fn connect(&mut self, request: &Value) -> Result<Value> {
        let options = ClientOptions::parse(text(request, "uri")).await?;
        self.outbox = Some(Outbox::new(options, &text(request, "database"))?);
        Ok(Value::Null)
    }

    async fn store(&self, request: &Value) -> Result<Value> {
        let store = Store { outbox: self.outbox() };
        let (id, sequence) = (text(request, "id"), request["sequence"].as_i64().unwrap_or_default());
        match request["do"].as_str() {
            Some("append") => {
                let events = request["events"].as_array().expect("events").iter();
                let events: Vec<(&str, Document)> =
                    events.map(|event| (event[0].as_str().expect("a type"), document(&event[1]))).collect();
                let written =
                    store.append(("transfer", id.into()), sequence, &events, &cause(request)).await?;
                Ok(said(&written))
            }
            Some("load") => {
                let add = |sum: i64, event: &Document| {
                    let payload = event.get_document("payload").expect("a payload");
                    sum + payload.get("amount").map_or(0, whole)
                };
                let (state, sequence) = store.load("transfer", id, 0, add).await?;
                Ok(json!([state, sequence]))
            }
            _ => {
                let state = request["state"].as_i64().expect("a state");
                store.snapshot("transfer", id, sequence, &state).await.map(|()| Value::Null)
            }
        }
    }

    async fn transaction(&self, request: &Value, attempts: &AtomicU32) -> Result<Value> {
        let outbox = self.outbox();
        let written = outbox
            .with_outbox(&cause(request), (request, attempts, outbox), |transaction, context| {
                let (request, attempts, outbox) = *context;
                attempts.fetch_add(1, Ordering::Relaxed);
                match request["do"].as_str() {
                    Some("open") => open(transaction, request),
                    Some("deposit") => deposit(transaction, request),
                    Some("withdraw") => withdraw(transaction, request),
                    Some("close") => close(transaction, request),
                    Some("emit") => emit(transaction, request),
                    Some("leaveOut") => leave_out(transaction, request, outbox),
                    other => panic!("nobody knows how to {other:?}"),
                }
            })
            .await?;
        Ok(said(&written))
    }
}

async fn wait(request: &Value) -> Result<Value> {
    let projections = Projections::new(&text(request, "url"), request["token"].as_str());
    let patience = Duration::from_millis(request["patience"].as_u64().expect("a time"));
    let (projection, id) = (text(request, "projection"), text(request, "id"));
    projections.wait(&projection, &id, patience).await.map(Value::from)
}

/// With the ids as text.
fn said<T: serde::Serialize>(written: &outbox::Written<T>) -> Value {
    let events: Vec<String> = written.events.iter().map(ToString::to_string).collect();
    json!({ "result": written.result, "events": events, "repeated": written.repeated })
}

fn open<'t>(mut transaction: Transaction<'t>, request: &'t Value) -> Done<'t> {
    Box::pin(async move {
        let (account, owner) = (text(request, "account"), text(request, "owner"));
        let new = doc! { "_id": &account, "owner": &owner, "balanceCents": 0_i64 };
        let opened = transaction.create("accounts", new).await?;
        let payload = doc! { "owner": owner, "balanceCents": 0_i64 };
        let event = Event::new("AccountOpened", "account", account, number(&opened, "sequence"), payload);
        Ok((json!(0), vec![event]))
    })
}

fn deposit<'t>(mut transaction: Transaction<'t>, request: &'t Value) -> Done<'t> {
    Box::pin(async move {
        let amount = request["amount"].as_i64().expect("an amount");
        let change = doc! { "$inc": { "balanceCents": amount } };
        let account = text(request, "account");
        let changed = transaction.change("accounts", account, request["sequence"].as_i64(), change).await?;
        Ok((json!(number(&changed, "balanceCents")), vec![moved("MoneyDeposited", &changed, amount)]))
    })
}

fn withdraw<'t>(mut transaction: Transaction<'t>, request: &'t Value) -> Done<'t> {
    Box::pin(async move {
        let amount = request["amount"].as_i64().expect("an amount");
        let account = text(request, "account");
        let before =
            transaction.collection::<Document>("accounts").find_one(doc! { "_id": &account }).await?;
        let sequence = number(&before.expect("the account is there"), "sequence");
        let change = doc! { "$inc": { "balanceCents": -amount } };
        let changed = transaction.change("accounts", account, Some(sequence), change).await?;
        let balance = number(&changed, "balanceCents");
        if balance < 0 {
            return Err(Error::refused(Overdrawn(format!("{} is less than {amount}", balance + amount))));
        }
        Ok((json!(balance), vec![moved("MoneyWithdrawn", &changed, amount)]))
    })
}

fn close<'t>(mut transaction: Transaction<'t>, request: &'t Value) -> Done<'t> {
    Box::pin(async move {
        let (account, sequence) =
            (text(request, "account"), request["sequence"].as_i64().expect("a sequence"));
        let next = transaction.remove("accounts", &account, sequence).await?;
        Ok((json!(next), vec![Event::new("AccountClosed", "account", account, next, doc! {})]))
    })
}

fn emit<'t>(mut transaction: Transaction<'t>, request: &'t Value) -> Done<'t> {
    Box::pin(async move {
        let made: Made = serde_json::from_value(request["event"].clone()).expect("it was one before");
        transaction.change("accounts", text(request, "account"), None, doc! {}).await?;
        let payload = match (made.payload_bytes, made.payload_levels) {
            (Some(bytes), _) => doc! { "text": "x".repeat(bytes - r#"{"text":""}"#.len()) }.into(),
            (_, Some(levels)) => (1..levels).fold(doc! {}, |inner, _| doc! { "in": inner }).into(),
            _ => made.payload,
        };
        let mut event =
            Event::new(&made.r#type, &made.aggregate_type, made.aggregate_id, made.sequence, payload);
        event.version = made.version.unwrap_or(event.version);
        Ok((Value::Null, vec![event]))
    })
}

fn leave_out<'t>(mut transaction: Transaction<'t>, request: &'t Value, outbox: &'t Outbox) -> Done<'t> {
    Box::pin(async move {
        let account = text(request, "account");
        let aside = outbox.database().collection::<Document>(&text(request, "aside"));
        let written = aside.insert_one(doc! { "_id": &account }).await;
        if request["hide"] == false {
            written?;
        }
        let change = doc! { "$inc": { "balanceCents": 1_i64 } };
        let changed = transaction.change("accounts", account, None, change).await?;
        Ok((Value::Null, vec![moved("MoneyDeposited", &changed, 1)]))
    })
}

fn moved(event_type: &str, account: &Document, amount: i64) -> Event {
    let payload = doc! { "amountCents": amount, "balanceCents": number(account, "balanceCents") };
    let id = account.get_str("_id").expect("an id");
    Event::new(event_type, "account", id, number(account, "sequence"), payload)
}

fn cause(request: &Value) -> Cause {
    let given = |name: &str| request[name].as_str().map(ToOwned::to_owned);
    Cause { command: given("command"), traceparent: given("traceparent") }
}

fn text(request: &Value, name: &str) -> String {
    request[name].as_str().unwrap_or_else(|| panic!("{request} has no {name}")).to_owned()
}

fn document(value: &Value) -> Document {
    bson::serialize_to_document(value).expect("a document")
}

fn number(document: &Document, name: &str) -> i64 {
    document.get(name).map(whole).expect("it is there")
}

/// Each language writes numbers of another width.
fn whole(value: &bson::Bson) -> i64 {
    value.as_i64().or(value.as_i32().map(i64::from)).expect("an integer")
}
