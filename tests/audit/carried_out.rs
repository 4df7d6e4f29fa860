//! An operation says which host carries it out.

use bson::doc;
use serde_json::{Value, json};

use crate::cancel::{hold, until_waiting};
use crate::guests;
use crate::support::http::Client;
use crate::support::world::{event, free_port, laterna, said};
use crate::support::{Host, Options, World, until};

/// The newest operation.
async fn newest(client: &Client) -> Value {
    client.get("/api/v1/operations?limit=1").await.json()["operations"][0].clone()
}

/// Waits until an operation is done, and tells who did it.
async fn doer(client: &Client, id: &Value) -> Value {
    let path = format!("/api/v1/operations/{id}");
    until("it is done", async || client.get(&path).await.json()["state"] == "done").await;
    client.get(&path).await.json()["carried_out_by"].clone()
}

async fn hosts_say_what_they_carry_out(options: Options) {
    let world = World::new("picky", options).await;
    // Nobody has taken it up yet.
    let config = world.config(free_port());
    let list = |arguments: &[&str]| said(&laterna(&config, &[&["operations", "list"], arguments].concat()));
    let host = world.start();
    host.until_phase("picky", "streaming").await;
    host.stop().await;
    laterna(&config, &["pause", "picky", "--why", "a test", "--no-wait"]);
    let told: Value = serde_json::from_str(list(&["--json"]).trim()).expect("one line");
    assert_eq!((&told["kind"], &told["carried_out_by"]), (&json!("pause"), &Value::Null), "{told}");

    // What is one transaction, what a lane does, and what is looked at first.
    let host = world.start();
    host.until_phase("picky", "paused").await;
    let (client, name) = (Client::new(host.port), json!(format!("host-{}", host.port)));
    assert_eq!(doer(&client, &told["id"]).await, name);
    let at = |path: &str| format!("/api/v1/projections/picky/{path}");
    let resumed = client.post(&at("resume"), &Value::Null).await.json();
    assert_eq!(doer(&client, &resumed["id"]).await, name);
    world.insert([event("e1", "a", 1, doc! { "do": "reject" })]).await;
    until("it is parked", async || world.letters().await == (1, 0)).await;
    let config = world.config(host.port);
    let discarded = laterna(&config, &["dlq", "discard", "picky", "--all", "--yes", "--why", "a test"]);
    assert!(discarded.status.success(), "{}", said(&discarded));
    assert_eq!(newest(&client).await["carried_out_by"], name);
    let worse = guests::path("picky-worse").display().to_string();
    let deployed = laterna(&config, &["deploy", "--projection", "picky", &worse]);
    assert!(deployed.status.success(), "{}", said(&deployed));
    let deployment = newest(&client).await;
    assert_eq!(
        (&deployment["kind"], &deployment["carried_out_by"]),
        (&json!("deploy"), &name),
        "{deployment}"
    );
    let verified = client.post(&at("verifications"), &json!({})).await.json();
    assert_eq!(doer(&client, &verified["id"]).await, name);
    for command in ["audit", "operations list"] {
        let words: Vec<&str> = command.split(' ').chain(["picky", "--kind", "verify"]).collect();
        let told = said(&laterna(&config, &words));
        assert!(told.contains(name.as_str().unwrap_or("?")), "{told}");
    }
    // What another one ends, or somebody cancels, was carried out by nobody.
    host.stop().await;
    laterna(&config, &["pause", "picky", "--why", "another", "--no-wait"]);
    let told: Value = serde_json::from_str(list(&["--json", "--limit", "1"]).trim()).expect("one line");
    laterna(&config, &["operations", "cancel", &told["id"].to_string()]);
    let told: Value = serde_json::from_str(list(&["--json", "--limit", "1"]).trim()).expect("one line");
    assert_eq!((&told["state"], &told["carried_out_by"]), (&json!("cancelled"), &Value::Null), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_says_which_host_carries_it_out_on_mysql() {
    hosts_say_what_they_carry_out(Options::mysql()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_says_which_host_carries_it_out_on_mariadb() {
    hosts_say_what_they_carry_out(Options::mariadb()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_that_another_host_goes_on_with_has_the_name_of_that_one() {
    let world = World::new("recorder", Options { lanes: 1, ..Options::mysql() }).await;
    let first = world.start();
    first.until_phase("recorder", "streaming").await;
    let second = world.start();
    second.until_phase("recorder", "standby").await;
    let rows = ["a0", "a1"].map(|one| format!("('thing', '{one}', 1, 'x', 'x', NULL)")).join(", ");
    world.run(&format!("INSERT INTO {}.recorded VALUES {rows}", world.name)).await;
    world.insert((0..2).map(|n| event(&format!("e{n}"), &format!("a{n}"), 1, doc! {}))).await;
    until("both letters are parked", async || world.letters().await == (2, 0)).await;
    world.run(&format!("DELETE FROM {}.recorded", world.name)).await;

    // Something keeps the second letter from being applied while the first host lives.
    let open = hold(&world, "a1").await;
    laterna(&world.config(first.port), &["dlq", "replay", "recorder", "--all", "--no-wait"]);
    until("the first letter is applied", async || world.letters().await == (1, 0)).await;
    until_waiting(&world, &first).await;
    let client = Client::new(second.port);
    let named = |host: &Host| json!(format!("host-{}", host.port));
    let begun = newest(&client).await;
    assert_eq!((&begun["state"], &begun["carried_out_by"]), (&json!("pending"), &named(&first)), "{begun}");
    first.kill();
    drop(open);
    second.until_phase("recorder", "streaming").await;
    assert_eq!(doer(&client, &begun["id"]).await, named(&second));
    assert_eq!(world.letters().await, (0, 0));
}
