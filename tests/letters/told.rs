//! Whoever hears of a letter hears the same class and the same remedy, wherever they look.

use serde_json::{Value, json};

use super::{blocked, blocked_with, dlq};
use crate::support::http::Client;
use crate::support::world::{laterna, said};
use crate::support::{Options, until};

#[tokio::test(flavor = "multi_thread")]
async fn log_metric_status_audit_and_api_agree_on_a_letters_class_and_what_to_do() {
    let (world, host) = blocked().await;
    let head = format!("SELECT MIN(id) FROM {}.dead_letter", world.control());
    let head = world.number(&head).await;
    let json = said(&dlq(&world, &host, &["show", "recorder", &head.to_string(), "--json"]));
    let shown: Value = serde_json::from_str(&json).expect("it is JSON");
    let remedy = shown["remedy"].as_str().expect("it has a remedy");
    assert_eq!(shown["class"], "key-conflict");
    assert!(remedy.starts_with("remove the conflicting row"), "{remedy}");

    let client = Client::new(host.port);
    let by_api = client.get(&format!("/api/v1/projections/recorder/letters/{head}")).await.json();
    assert_eq!((&by_api["class"], &by_api["remedy"]), (&shown["class"], &shown["remedy"]));
    let behind = client.get(&format!("/api/v1/projections/recorder/letters/{}", head + 1)).await.json();
    assert_eq!((&behind["state"], &behind["remedy"]), (&Value::from("held"), &Value::Null));

    let log = host.log();
    let parked = log.lines().find(|line| line.contains("parked:")).expect("it is logged");
    assert!(parked.contains("class=\"key-conflict\"") && parked.contains(remedy), "{parked}");
    let (_, metrics) = host.get("/metrics").await.expect("it answers");
    let counted = "laterna_parked_events_total{projection=\"recorder\",class=\"key-conflict\"} 1";
    assert!(metrics.lines().any(|line| line == counted), "{metrics}");
    let people = said(&dlq(&world, &host, &["show", "recorder", &head.to_string()]));
    assert!(
        people.contains("key-conflict") && people.contains(&format!("\nwhat to do:\n  {remedy}")),
        "{people}"
    );
    let list = said(&dlq(&world, &host, &["list", "recorder", "--reason", "key-conflict"]));
    assert!(list.contains("thing/a") && list.contains("  key-conflict  "), "{list}");

    // How the projection stands: from the host by either way.
    let expected = json!([{ "class": "key-conflict", "letters": 1, "remedy": remedy }]);
    let config = world.folder.path().join(format!("laterna-{}.toml", host.port));
    let mut status = Value::Null;
    until("the host has counted it", async || {
        status = client.get("/api/v1/projections/recorder").await.json();
        status["parked"] == 1 && status["held"] == 2
    })
    .await;
    assert_eq!(status["letters"], expected, "{status}");
    let json = said(&laterna(&config, &["status", "recorder", "--json"]));
    let told: Value = serde_json::from_str(&json).expect("it is JSON");
    assert_eq!(
        (&told[0]["letters"], &told[0]["parked"], &told[0]["held"]),
        (&expected, &json!(1), &json!(2))
    );
    let people = said(&laterna(&config, &["status", "recorder"]));
    assert!(people.contains(&format!("what to do about 1 (key-conflict): {remedy}")), "{people}");

    // Who did what: the class is the one of the letter when something was asked for, also when it is gone.
    let asked = json!({ "ids": [head], "why": "a test" });
    let asked = client.post("/api/v1/projections/recorder/letters/discard", &asked).await;
    assert_eq!(asked.code, 202, "{asked:?}");
    let mut operation = Value::Null;
    until("it is discarded", async || {
        operation = client.get(asked.header("location")).await.json();
        operation["state"] == "done"
    })
    .await;
    assert_eq!((&operation["letters"], &operation["parameters"]["shown"]["letters"]), (&expected, &json!(1)));
    let json = said(&laterna(&config, &["audit", "recorder", "--kind", "discard", "--json"]));
    let told: Value = serde_json::from_str(&json).expect("it is JSON");
    assert_eq!(told["letters"], expected, "{told}");
    let people = said(&laterna(&config, &["audit", "recorder"]));
    assert!(people.contains("discard 1 letter(s) (1 key-conflict): a test"), "{people}");
    assert!(people.contains(&format!("what to do about letters (key-conflict): {remedy}")), "{people}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_host_the_status_has_the_letters_classes_too_on_mysql() {
    without_a_host(Options::mysql()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_host_the_status_has_the_letters_classes_too_on_mariadb() {
    without_a_host(Options::mariadb()).await;
}

async fn without_a_host(options: Options) {
    let (world, host) = blocked_with(options).await;
    let status = async || {
        let status = Client::new(host.port).get("/api/v1/projections/recorder").await.json();
        status["letters"].clone()
    };
    until("the host counts it", async || status().await[0]["letters"] == 1).await;
    let counted = status().await;
    let config = world.folder.path().join(format!("laterna-{}.toml", host.port));
    assert!(host.stop().await.success());
    let json = said(&laterna(&config, &["status", "recorder", "--json"]));
    let told: Value = serde_json::from_str(&json).expect("it is JSON");
    assert_eq!((&told[0]["phase"], &told[0]["letters"]), (&json!("stopped"), &counted), "{told}");
}
