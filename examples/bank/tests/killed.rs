//! `kill -9` of the bank in the middle of its commands, on a MongoDB of its own: nothing is half done, and a command that is
//! sent again under its key acts once. The books are kept by those who send, from the answers alone.

mod killed {
    pub mod books;
    pub mod processes;
    pub mod tellers;
}

use std::time::{Duration, Instant};

use bson::{Document, doc};
use futures_util::TryStreamExt;
use mongodb::{Client, Database};
use serde_json::json;

use killed::books::assert_whole;
use killed::processes::{Mongod, Served};
use killed::tellers::{ACCOUNTS, Hall, Tellers, account};

/// How many of the kills have to leave a transfer on its way.
const HALFWAY: usize = 4;

/// How long a state may take to come, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(150);

/// Holds the answers to commits back, which are done.
const ANSWERS: &str = "waitAfterCommandFinishesExecution";

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain until {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn documents(database: &Database, name: &str, filter: Document) -> Vec<Document> {
    let collection = database.collection(name);
    let found = collection.find(filter).sort(doc! { "sequence": 1 });
    found.await.expect("MongoDB answers").try_collect().await.expect("MongoDB answers")
}

/// A command is done, and the bank dies before it can say so.
async fn dies_before_it_answers(
    client: &Client,
    database: &Database,
    bank: Served,
    mongod: &Mongod,
) -> Served {
    let (admin, commits) = (client.database("admin"), doc! { "commands": ["commitTransaction"] });
    let hold = doc! { "configureFailPoint": ANSWERS, "mode": "alwaysOn", "data": commits };
    admin.run_command(hold).await.expect("it is armed");
    let (path, body) =
        (format!("/accounts/{}/deposits", account(0)), json!({ "cents": 5, "currency": "EUR" }));
    let asked = {
        let (hall, path, body) = (Hall::at(&bank.url), path.clone(), body.clone());
        tokio::task::spawn_blocking(move || hall.ask(&path, "told nobody", &body))
    };
    let deposit = doc! { "type": "MoneyDeposited" };
    until("it is done", async || !documents(database, "outbox", deposit.clone()).await.is_empty()).await;
    drop(bank);
    assert!(asked.await.expect("it ran").is_none(), "nobody was told");
    admin.run_command(doc! { "configureFailPoint": ANSWERS, "mode": "off" }).await.expect("it is disarmed");

    let bank = mongod.serve();
    let hall = Hall::at(&bank.url);
    let again = tokio::task::spawn_blocking(move || hall.send(&path, "told nobody", &body));
    let (code, told) = again.await.expect("it ran");
    let events = documents(database, "outbox", deposit).await;
    let id = bson::deserialize_from_bson::<bson::Uuid>(events[0]["_id"].clone()).expect("a UUID");
    assert_eq!((code, &told["repeated"], &told["account"]["balanceCents"]), (200, &json!(true), &json!(5)));
    assert_eq!((&told["events"], events.len()), (&json!([id.to_string()]), 1));
    bank
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bank_that_is_killed_in_the_middle_of_commands_leaves_nothing_half_done_and_does_each_once() {
    let mongod = Mongod::start();
    let client = Client::with_uri_str(&mongod.uri).await.expect("a URI");
    let database = client.database("bank");
    let mut bank = mongod.serve();
    let hall = Hall::at(&bank.url);
    let opening = tokio::task::spawn_blocking(move || {
        for number in 0..ACCOUNTS {
            let opening = json!({ "owner": "Ada", "currency": "EUR", "overdraftCents": 1_000 });
            assert_eq!(hall.send(&format!("/accounts/{}", account(number)), "open", &opening).0, 200);
        }
    });
    opening.await.expect("they are open");
    bank = dies_before_it_answers(&client, &database, bank, &mongod).await;

    let tellers = Tellers::start(Hall::at(&bank.url));
    let (mut halfway, mut kills) = (0, 0);
    while halfway < HALFWAY {
        let before = tellers.hall.answered();
        until("commands are answered", async || tellers.hall.answered() >= before + 10).await;
        until("a transfer is on its way", async || {
            !documents(&database, "transfers", doc! {}).await.is_empty()
        })
        .await;
        drop(bank);
        halfway += usize::from(!documents(&database, "transfers", doc! {}).await.is_empty());
        kills += 1;
        assert_whole(&database).await;
        bank = mongod.serve();
        tellers.hall.moved_to(&bank.url);
    }
    let (mut books, unanswered) = tokio::task::spawn_blocking(|| tellers.end()).await.expect("they end");
    println!("{kills} kills, {halfway} with a transfer on its way, {unanswered} times no answer");
    assert!(unanswered >= kills, "each kill left somebody without an answer: {unanswered} of {kills}");
    *books.entry(account(0)).or_default() += 5;
    assert_whole(&database).await;
    assert_eq!(documents(&database, "transfers", doc! {}).await, [] as [Document; 0]);
    let accounts = documents(&database, "accounts", doc! {}).await;
    for told in accounts {
        let (id, balance) =
            (told.get_str("_id").expect("an id"), told.get_i64("balanceCents").expect("a number"));
        assert_eq!(balance, books[id], "{id}");
        assert!(balance >= -1_000, "{id} is overdrawn: {balance}");
    }
    drop(bank);
}
