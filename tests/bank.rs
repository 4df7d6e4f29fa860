//! The bank of the examples as an application: its commands over HTTP, its rules under many who want the same money,
//! its transfers, which a crash leaves halfway, and its queries, which need MySQL alone.

mod live;
mod queries;

use std::collections::BTreeMap;

use bank::application::{Advance, Bank, Order};
use bank::domain::{Account, Currency, Money, Process, Transfer};
use bank::infrastructure::http::serve;
use bank::infrastructure::readmodel::ReadModel;
use bson::{Document, doc};
use futures_util::TryStreamExt;
use futures_util::future::join_all;
use mongodb::options::ClientOptions;
use outbox::{Cause, Error, Outbox};
use rand::Rng;
use serde_json::{Value, json};

use crate::support::http::{Answer, Client};
use crate::support::{Options, World, random};

async fn start(world: &World) -> Bank {
    let options = ClientOptions::parse(&world.options.mongodb).await.expect("a URI");
    let bank = Bank::new(Outbox::new(options, &world.name).expect("a client"));
    bank.prepare().await.expect("it can be prepared");
    bank
}

/// One who asks the bank over HTTP.
async fn customer(bank: &Bank) -> Client {
    serving(bank, None).await
}

/// One who asks it with its queries.
async fn serving(bank: &Bank, model: Option<ReadModel>) -> Client {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let bank = bank.clone();
    tokio::spawn(async move { serve(listener, bank, model).await });
    Client::new(port)
}

fn euros(cents: i64) -> Money {
    Money { cents, currency: Currency::Eur }
}

fn order(cents: i64) -> Value {
    json!({ "cents": cents, "currency": "EUR" })
}

fn refused(answer: &Answer, code: u16, why: &str) {
    assert_eq!((answer.code, &answer.json()["refused"]), (code, &json!(why)), "{answer:?}");
}

async fn open(bank: &Bank, id: &str, currency: Currency, cents: i64) {
    let opening = Order::Open { owner: "Ada".to_owned(), currency, overdraft_cents: 0 };
    bank.order(&Cause::default(), id, opening).await.expect("it is open");
    if cents > 0 {
        let money = Money { cents, currency };
        bank.order(&Cause::default(), id, Order::Deposit(money)).await.expect("it is taken");
    }
}

async fn balance(bank: &Bank, id: &str) -> i64 {
    bank.account(id).await.expect("it is there").balance_cents
}

async fn documents(world: &World, name: &str, filter: Document) -> Vec<Document> {
    let collection = world.client.database(&world.name).collection(name);
    let found = collection.find(filter).sort(doc! { "sequence": 1 });
    found.await.expect("an answer").try_collect().await.expect("an answer")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_over_http_is_decided_by_the_rules_and_acts_once() {
    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let world = World::new("accounts", Options::mysql()).await;
    let bank = start(&world).await;
    let customer = customer(&bank).await;
    refused(&customer.post("/accounts/a1/deposits", &order(5)).await, 422, "there is no account `a1`");
    let opening = json!({ "owner": "Ada", "currency": "EUR", "overdraftCents": 50 });
    let opened = customer.post("/accounts/a1", &opening).await;
    assert_eq!(opened.code, 200, "{opened:?}");
    refused(&customer.post("/accounts/a1", &opening).await, 409, "there is a `\"a1\"` in `accounts` already");

    let twice = customer.with("Idempotency-Key", "k1").with("traceparent", TRACE);
    let [first, again] = [
        twice.post("/accounts/a1/deposits", &order(500)).await,
        twice.post("/accounts/a1/deposits", &order(500)).await,
    ]
    .map(|answer| answer.json());
    assert_eq!((&first["repeated"], &again["repeated"]), (&json!(false), &json!(true)));
    assert_eq!((&first["events"], &first["account"]), (&again["events"], &again["account"]));
    assert_eq!(first["account"]["balanceCents"], 500);
    let taken = "another order was given under this key: take another key";
    refused(&twice.post("/accounts/a1/deposits", &order(501)).await, 409, taken);

    let withdrawals = "/accounts/a1/withdrawals";
    let too_much = "551 is more than the 550 that the account can give";
    refused(&customer.post(withdrawals, &order(551)).await, 422, too_much);
    refused(&customer.post(withdrawals, &order(0)).await, 422, "an amount is more than 0, and this is 0");
    let dollars = json!({ "cents": 5, "currency": "USD" });
    refused(&customer.post(withdrawals, &dollars).await, 422, "the account is in Eur, and the amount in Usd");
    refused(&customer.post("/accounts/a1/closing", &json!({})).await, 422, "the account still holds 500");
    assert_eq!(customer.post(withdrawals, &order(500)).await.code, 200);
    assert_eq!(customer.post("/accounts/a1/closing", &json!({})).await.code, 200);
    refused(&customer.post("/accounts/a1/deposits", &order(5)).await, 422, "the account is closed");
    assert_eq!(customer.get("/accounts/a1").await.json()["isClosed"], true);

    let events = documents(&world, "outbox", doc! {}).await;
    let told: Vec<_> = events.iter().map(|event| event.get_str("type").expect("a type")).collect();
    assert_eq!(told, ["AccountOpened", "MoneyDeposited", "MoneyWithdrawn", "AccountClosed"]);
    assert_eq!(events[1].get_document("metadata").expect("it is there"), &doc! { "traceparent": TRACE });
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_withdraw_at_once_never_overdraw() {
    let world = World::new("accounts", Options::mysql()).await;
    let bank = start(&world).await;
    open(&bank, "a1", Currency::Eur, 100).await;
    let customer = customer(&bank).await;
    let answers =
        join_all((0..8).map(async |_| customer.post("/accounts/a1/withdrawals", &order(30)).await)).await;
    let count = |code: u16| answers.iter().filter(|answer| answer.code == code).count();
    assert_eq!((count(200), count(422)), (3, 5), "{answers:?}");
    assert_eq!(balance(&bank, "a1").await, 10);
    assert_eq!(documents(&world, "outbox", doc! { "type": "MoneyWithdrawn" }).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_arrives_or_is_refused_or_comes_back_and_is_done_once() {
    let world = World::new("accounts", Options::mysql()).await;
    let bank = start(&world).await;
    open(&bank, "a1", Currency::Eur, 100).await;
    open(&bank, "a2", Currency::Eur, 0).await;
    open(&bank, "dollars", Currency::Usd, 0).await;
    let customer = customer(&bank).await;
    let order = |to: &str, cents: i64| json!({ "from": "a1", "to": to, "cents": cents, "currency": "EUR" });
    for _ in 0..2 {
        let done = customer.post("/transfers/t1", &order("a2", 60)).await;
        assert_eq!(done.json()["state"], "completed", "{done:?}");
        assert_eq!(
            done.json()["events"].as_array().map(Vec::len),
            Some(5),
            "its own and the accounts': {done:?}"
        );
    }
    for other in [order("a2", 61), order("dollars", 60)] {
        let why = "`t1` is another transfer already: take another id";
        refused(&customer.post("/transfers/t1", &other).await, 409, why);
    }
    let too_much = "60 is more than the 40 that the account can give";
    let done = customer.post("/transfers/t2", &order("a2", 60)).await.json();
    assert_eq!((&done["state"], &done["why"]), (&json!("refused"), &json!(too_much)));
    let done = customer.post("/transfers/t3", &order("dollars", 15)).await.json();
    let other_money = json!("the account is in Usd, and the amount in Eur");
    assert_eq!((&done["state"], &done["why"]), (&json!("returned"), &other_money));
    let shown = customer.get("/transfers/t3").await.json();
    assert_eq!(shown, json!({ "state": "returned", "why": other_money }));
    refused(
        &customer.post("/transfers/t4", &order("a1", 5)).await,
        422,
        "a transfer goes to another account",
    );
    refused(&customer.post("/transfers/t4", &order("a9", 5)).await, 422, "there is no account `a9`");
    assert_eq!([balance(&bank, "a1").await, balance(&bank, "a2").await], [40, 60]);

    let told = |id: &str| doc! { "aggregateType": "transfer", "aggregateId": id };
    for (id, expect) in [
        ("t1", vec!["TransferRequested", "TransferDebited", "TransferCompleted"]),
        ("t2", vec!["TransferRequested", "TransferRefused"]),
        ("t3", vec!["TransferRequested", "TransferDebited", "TransferReturned"]),
        ("t4", vec![]),
    ] {
        let events = documents(&world, "outbox", told(id)).await;
        let types: Vec<_> = events.iter().map(|event| event.get_str("type").expect("a type")).collect();
        assert_eq!(types, expect, "{id}");
    }
    let moved = documents(&world, "outbox", doc! { "metadata.transfer": "t1" }).await;
    assert_eq!(moved.len(), 2, "what a transfer did to accounts says so: {moved:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_that_a_crash_left_halfway_is_ended_by_the_next_start_and_holds_its_accounts_open() {
    let world = World::new("accounts", Options::mysql()).await;
    let bank = start(&world).await;
    let cause = Cause::default();
    for steps in 0..3 {
        let [from, to, id] = ["from", "to", "t"].map(|name| format!("{name}{steps}"));
        open(&bank, &from, Currency::Eur, 70).await;
        open(&bank, &to, Currency::Eur, 0).await;
        let transfer = Transfer { from: from.clone(), to: to.clone(), money: euros(70) };
        bank.request(&cause, &id, transfer).await.expect("it is asked for");
        for _ in 0..steps {
            assert_eq!(bank.advance_once(&cause, &id).await.expect("a step"), Advance::Step);
        }
        // The one that is empty now might be closed, and the money would have no way back.
        let closed = bank.order(&cause, if steps == 0 { &to } else { &from }, Order::Close).await;
        match (steps, closed) {
            (0 | 1, Err(Error::Refused(why))) => {
                assert_eq!(why.to_string(), "a transfer of the account is on its way");
            }
            (2, Ok(_)) => {}
            (_, other) => panic!("{steps}: {other:?}"),
        }
    }
    // Two that start at once.
    let (one, other) = tokio::join!(start(&world), start(&world));
    for steps in 0..3 {
        assert_eq!(one.process(&format!("t{steps}")).await.expect("it is read").0, Process::Completed);
        let balances =
            [balance(&other, &format!("from{steps}")).await, balance(&other, &format!("to{steps}")).await];
        assert_eq!(balances, [0, 70], "{steps}");
    }
    assert_eq!(documents(&world, "transfers", doc! {}).await, [] as [Document; 0]);
}

/// What was accepted, by account.
type Books = BTreeMap<String, i64>;

/// Gives random orders, some of them twice, and keeps the books by what the bank answered.
async fn live(bank: &Bank, teller: usize, orders: &[(u8, usize, usize, i64)]) -> Books {
    let mut books = Books::new();
    for (number, (what, from, to, cents)) in orders.iter().enumerate() {
        let key = format!("{teller}-{number}");
        let cause = Cause { command: Some(key.clone()), traceparent: None };
        let (from, to) = (format!("a{from}"), format!("a{to}"));
        for _ in 0..=(what % 2) {
            let mut book = |account: &str, cents: i64| *books.entry(account.to_owned()).or_default() += cents;
            if *what < 4 {
                let order =
                    if *what < 2 { Order::Deposit(euros(*cents)) } else { Order::Withdraw(euros(*cents)) };
                match bank.order(&cause, &from, order).await {
                    Ok(done) if done.repeated => {}
                    Ok(_) => book(&from, if *what < 2 { *cents } else { -cents }),
                    Err(Error::Refused(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            } else if from != to {
                let transfer = Transfer { from: from.clone(), to: to.clone(), money: euros(*cents) };
                let before = bank.process(&key).await.expect("it is read").0;
                let done = bank.transfer(&cause, &key, transfer).await.expect("it is done").process;
                if before == Process::Unknown && done == Process::Completed {
                    book(&from, -cents);
                    book(&to, *cents);
                }
            }
        }
    }
    books
}

#[tokio::test(flavor = "multi_thread")]
async fn what_many_tellers_do_at_once_adds_up_and_reaches_mysql() {
    const ACCOUNTS: usize = 4;
    let mut random = random("what_many_tellers_do_at_once_adds_up_and_reaches_mysql");
    let world = World::new("accounts", Options::mysql()).await;
    let host = world.start();
    let mut banks = vec![];
    for _ in 0..3 {
        banks.push(start(&world).await);
    }
    for account in 0..ACCOUNTS {
        open(&banks[0], &format!("a{account}"), Currency::Eur, 0).await;
    }
    let orders: Vec<Vec<_>> = (0..banks.len())
        .map(|_| {
            let mut order = || {
                let mut account = || random.random_range(0..ACCOUNTS);
                let (from, to) = (account(), account());
                (random.random_range(0..8), from, to, random.random_range(1..100))
            };
            (0..40).map(|_| order()).collect()
        })
        .collect();
    let tellers = banks.iter().zip(&orders).enumerate();
    let books = join_all(tellers.map(|(teller, (bank, orders))| live(bank, teller, orders))).await;
    let mut expect: Books = (0..ACCOUNTS).map(|account| (format!("a{account}"), 0)).collect();
    for (account, cents) in books.into_iter().flatten() {
        *expect.entry(account).or_default() += cents;
    }
    let mut states = Books::new();
    for account in expect.keys() {
        let Account { balance_cents, .. } = banks[0].account(account).await.expect("it is there");
        assert!(balance_cents >= 0, "{account} is overdrawn: {balance_cents}");
        states.insert(account.clone(), balance_cents);
    }
    assert_eq!(states, expect);
    assert_eq!(documents(&world, "transfers", doc! {}).await, [] as [Document; 0]);

    let events = i64::try_from(documents(&world, "outbox", doc! {}).await.len()).expect("few");
    world.until_committed("accounts", events).await;
    assert_eq!(world.letters().await, (0, 0), "{:?}", world.reasons().await);
    let rows: Books = world.accounts().await.into_iter().map(|(id, row)| (id, row.balance_cents)).collect();
    assert_eq!(rows, expect);
    assert!(host.stop().await.success());
}
