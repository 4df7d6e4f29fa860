//! The query side: three projectors, one in each language, keep its tables, and it asks MySQL alone.

use serde_json::{Value, json};

use super::{open, order, serving, start};
use crate::support::http::{Answer, Client};
use crate::support::proxy::{Mode, Proxy};
use crate::support::world::mongodb_at;
use crate::support::{Options, World, until};
use bank::domain::Currency;
use bank::infrastructure::readmodel::ReadModel;

/// The projections of the bank: Rust, JavaScript, Python.
pub const PROJECTIONS: [(&str, &str); 3] =
    [("accounts", "accounts"), ("statement", "statement-js"), ("audit", "audit-py")];

/// The events of a command, as `?after=` takes them.
fn events(answer: &Answer) -> String {
    assert_eq!(answer.code, 200, "{answer:?}");
    let all = answer.json()["events"].clone();
    all.as_array().expect("a list").iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",")
}

async fn after(customer: &Client, path: &str, events: &str) -> Value {
    let mut told = Value::Null;
    // A host that has just started may take longer than a question waits.
    until(&format!("{path} has {events}"), async || {
        let answer = customer
            .get(&format!("{path}{}after={events}", if path.contains('?') { "&" } else { "?" }))
            .await;
        told = answer.json();
        answer.code == 200
    })
    .await;
    told
}

async fn rows_follow_commands(options: Options, port: &str) {
    let port: u16 = std::env::var(port).expect("dev/services env says it").parse().expect("a port");
    let (mongodb, mysql) = (Proxy::to(mongodb_port()).await, Proxy::to(port).await);
    let options = Options { mongodb: mongodb_at(mongodb.port), ..options };
    let world = World::with(&PROJECTIONS, options).await;
    let bank = start(&world).await;
    let model = ReadModel::new(&world.url_at(mysql.port), &world.control()).expect("a URL");
    let customer = serving(&bank, Some(model)).await;
    let host = world.start();
    open(&bank, "a1", Currency::Eur, 0).await;
    open(&bank, "a2", Currency::Eur, 0).await;

    let deposited = events(&customer.post("/accounts/a1/deposits", &order(500)).await);
    let told = after(&customer, "/api/accounts/a1", &deposited).await;
    assert_eq!(
        (&told["owner"], &told["balanceCents"], &told["lastSequence"]),
        (&json!("Ada"), &json!(500), &json!(2))
    );
    let transfer = json!({ "from": "a1", "to": "a2", "cents": 120, "currency": "EUR" });
    let moved = events(&customer.post("/transfers/t1", &transfer).await);
    let told = after(&customer, "/api/accounts", &moved).await;
    let balances: Vec<_> = told.as_array().expect("a list").iter().map(|row| &row["balanceCents"]).collect();
    assert_eq!(balances, [380, 120]);
    let told = after(&customer, "/api/accounts/a1/statement", &moved).await;
    let entries = [(&told[0]["amountCents"], &told[0]["balanceCents"], &told[0]["transferId"])];
    assert_eq!(entries, [(&json!(-120), &json!(380), &json!("t1"))]);
    assert_eq!((&told[1]["amountCents"], &told[1]["transferId"]), (&json!(500), &Value::Null));
    let told = after(&customer, "/api/accounts/a1/months", &moved).await;
    let month = [(&told[0]["depositedCents"], &told[0]["withdrawnCents"], &told[0]["entries"])];
    assert_eq!(month, [(&json!(500), &json!(120), &json!(2))]);
    let told = after(&customer, "/api/audit?aggregate=transfer/t1", &moved).await;
    let types: Vec<_> = told.as_array().expect("a list").iter().map(|one| &one["eventType"]).collect();
    assert_eq!(types, ["TransferCompleted", "TransferDebited", "TransferRequested"]);
    assert_eq!(told[2]["payload"]["to"], "a2");
    for (path, code) in [
        ("/api/accounts/a9", 404),
        ("/api/accounts/a1?after=nonsense", 400),
        ("/api/audit?aggregate=nonsense", 400),
        ("/api/accounts/a1?after=3f2c1d90-0000-4000-8000-000000000000", 503),
    ] {
        let told = customer.get(path).await;
        assert!(told.code == code && !told.json()["unanswered"].is_null(), "{path}: {told:?}");
    }

    // MySQL is away: commands go on, and queries say so.
    mysql.set(Mode::Refuse);
    mysql.cut();
    let told = customer.get("/api/accounts").await;
    assert!(told.code == 503 && told.text.contains("there are no queries; commands go on"), "{told:?}");
    let meanwhile = events(&customer.post("/accounts/a1/deposits", &order(1)).await);
    mysql.set(Mode::Pass);
    assert_eq!(after(&customer, "/api/accounts/a1", &meanwhile).await["balanceCents"], 381);

    // MongoDB is away: queries go on, and commands say so.
    mongodb.set(Mode::Refuse);
    mongodb.cut();
    let told = customer.post("/accounts/a1/deposits", &order(1)).await;
    assert!(told.code == 503 && told.text.contains("queries go on"), "{told:?}");
    let told = customer.get("/api/accounts/a1").await;
    assert_eq!((told.code, &told.json()["balanceCents"]), (200, &json!(381)));
    mongodb.set(Mode::Pass);
    until("commands are taken again", async || {
        customer.with("Idempotency-Key", "again").post("/accounts/a1/deposits", &order(10)).await.code == 200
    })
    .await;
    let again =
        events(&customer.with("Idempotency-Key", "again").post("/accounts/a1/deposits", &order(10)).await);
    assert_eq!(after(&customer, "/api/accounts/a1", &again).await["balanceCents"], 391);
    assert_eq!(world.letters().await, (0, 0), "{:?}", world.reasons().await);
    assert!(host.stop().await.success());
}

fn mongodb_port() -> u16 {
    std::env::var("LATERNA_MONGODB_PORT").expect("dev/services env says it").parse().expect("a port")
}

#[tokio::test(flavor = "multi_thread")]
async fn three_projectors_answer_queries_while_mongodb_is_away_and_commands_go_on_without_mysql() {
    // One after the other, so that the components are compiled once.
    rows_follow_commands(Options::mysql(), "LATERNA_MYSQL_PORT").await;
    rows_follow_commands(Options::mariadb(), "LATERNA_MARIADB_PORT").await;
}
