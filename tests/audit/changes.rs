//! The audit has what is over at once, too: uploads, and projections that were forgotten. Nobody carries such rows out.

use serde_json::{Value, json};

use crate::guests;
use crate::support::http::Client;
use crate::support::world::{laterna, said};
use crate::support::{Options, World};

/// The operations that the page lists of this kind, the newest first.
async fn listed(client: &Client, kind: &str) -> Vec<Value> {
    let page = client.get(&format!("/api/v1/operations?kind={kind}&limit=50")).await;
    page.json()["operations"].as_array().expect("a list").clone()
}

async fn uploads_are_audited(options: Options) {
    let world = World::new("picky", options).await;
    let host = world.start();
    host.until_phase("picky", "streaming").await;
    let (client, name) = (Client::new(host.port), json!(format!("host-{}", host.port)));
    assert_eq!(listed(&client, "upload").await, Vec::<Value>::new(), "the configuration uploads nothing");
    let path = "/api/v1/projections/picky/components";
    let mut digest = Value::Null;
    // What is there already is not uploaded again.
    for _ in 0..2 {
        let uploaded = client.ask("POST", path, &guests::bytes("picky-worse")).await.expect("an answer");
        assert_eq!(uploaded.code, 201, "{uploaded:?}");
        digest = uploaded.json()["digest"].clone();
    }
    let [one] = &listed(&client, "upload").await[..] else { panic!("one upload") };
    for (field, expected) in [
        ("projection", json!("picky")),
        ("state", json!("done")),
        ("requested_by", json!("api@127.0.0.1")),
        ("carried_out_by", name),
        ("result", json!("stored")),
        ("waits", Value::Null),
        ("finished_at", one["requested_at"].clone()),
    ] {
        assert_eq!(one[field], expected, "{field}: {one}");
    }
    assert_eq!(one["parameters"]["digest"], digest, "{one}");
    assert!(one["parameters"]["name"].is_string() && one["parameters"]["version"].is_string(), "{one}");
    let told = one["request"].as_str().unwrap_or_default();
    assert!(told.starts_with("upload ") && told.ends_with(digest.as_str().unwrap_or("?")), "{told}");
    let late = client.ask("DELETE", &format!("/api/v1/operations/{}", one["id"]), b"").await;
    let late = late.expect("an answer");
    assert!(late.code == 409 && late.text.contains("it is done; nothing of it goes on"), "{late:?}");

    // The command line stores what it deploys by itself; what is there already it only deploys.
    let config = world.config(host.port);
    let files = ["upcaster", "picky-worse"].map(|guest| guests::path(guest).display().to_string());
    for file in &files {
        let deployed = laterna(&config, &["deploy", "--projection", "picky", "--no-wait", file]);
        assert!(said(&deployed).contains("is written down"), "{}", said(&deployed));
    }
    let both = listed(&client, "upload").await;
    let [last, _] = &both[..] else { panic!("two uploads: {both:?}") };
    let by = last["requested_by"].as_str().unwrap_or_default();
    assert!(by.ends_with(&format!("@host-{}", host.port)) && last["carried_out_by"] == by, "{last}");
    assert_ne!(last["parameters"]["digest"], digest, "{last}");
    for narrowed in [["--by", by], ["--kind", "upload"]] {
        let told = said(&laterna(&config, &[&["audit", "picky"][..], &narrowed].concat()));
        assert!(told.contains("upload") && told.contains("stored"), "{told}");
    }
    let exported = said(&laterna(&config, &["audit", "--kind", "upload", "--json"]));
    assert_eq!(exported.lines().count(), 2, "{exported}");
    assert!(exported.contains(by) && exported.contains(digest.as_str().unwrap_or("?")), "{exported}");
    assert_eq!(said(&laterna(&config, &["audit", "--kind", "upload", "--state", "pending", "--json"])), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_has_uploads_on_mysql() {
    uploads_are_audited(Options::mysql()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_has_uploads_on_mariadb() {
    uploads_are_audited(Options::mariadb()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_line_stores_components_where_the_hosts_are_older_and_keep_no_name() {
    let world = World::new("picky", Options::mysql()).await;
    let host = world.start();
    host.until_phase("picky", "streaming").await;
    host.stop().await;
    world.run(&format!("ALTER TABLE {}.command DROP COLUMN carried_out_by", world.control())).await;
    world.run(&format!("UPDATE {}.version SET version = 16", world.control())).await;
    let file = guests::path("picky-worse").display().to_string();
    let config = world.config(1);
    let deployed = laterna(&config, &["deploy", "--projection", "picky", "--no-wait", &file]);
    assert!(said(&deployed).contains("is written down"), "{}", said(&deployed));
    let uploads = format!(
        "SELECT COUNT(*) FROM {}.command WHERE request LIKE '%upload%' AND state = 'done'",
        world.control()
    );
    assert_eq!(world.number(&uploads).await, 1);
}
