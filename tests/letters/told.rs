//! Whoever hears of a letter hears the same class and the same remedy, wherever they look.

use serde_json::Value;

use super::{blocked, dlq};
use crate::support::http::Client;
use crate::support::world::said;

#[tokio::test(flavor = "multi_thread")]
async fn log_metric_command_line_and_api_agree_on_a_letters_class_and_what_to_do() {
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
}
