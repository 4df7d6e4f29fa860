//! Components that have to be compiled for an answer, and letters that have to be decoded: meanwhile, others ask MySQL.

use std::time::{Duration, Instant};

use bson::doc;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::guests;
use crate::support::http::Client;
use crate::support::world::event;
use crate::support::{Options, World, some_time, until};

/// How long others wait before they ask again: whoever asks more often than 250 times a second is told to come back.
const BETWEEN_MS: u64 = 10;

/// Puts a component into the control schema, as another host would that has uploaded it: this one has never compiled it.
async fn store(world: &World, bytes: &[u8]) -> String {
    let digest = hex::encode(Sha256::digest(bytes));
    let mut connection = world.mysql().await;
    let length = u64::try_from(bytes.len()).expect("it is small");
    let component = format!(
        "INSERT INTO {}.component (digest, name, version, bytes) VALUES (?, 'accounts', '1', ?)",
        world.control()
    );
    let component = sqlx::query(&component).bind(&digest).bind(length);
    component.execute(&mut connection).await.expect("it is stored");
    let part = format!("INSERT INTO {}.component_part (digest, at, bytes) VALUES (?, 0, ?)", world.control());
    let part = sqlx::query(&part).bind(&digest).bind(bytes);
    part.execute(&mut connection).await.expect("it is stored");
    digest
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_component_is_compiled_others_are_answered() {
    let world = World::new("picky", Options::mysql()).await;
    let state = world.folder.path().join("state");
    let host = world.start_with(&[("HOST__STATE", state.to_str().expect("text"))]);
    host.until_phase("picky", "streaming").await;
    let digest = store(&world, &guests::bytes("accounts-js")).await;
    let client = Client::new(host.port);
    let asking = {
        let (client, digest) = (client.clone(), digest.clone());
        tokio::spawn(async move {
            let path = "/api/v1/projections/picky/deployments?dry_run=true";
            client.post(path, &json!({ "digest": digest })).await
        })
    };
    let (began, mut longest, mut answered) = (Instant::now(), Duration::ZERO, 0);
    while !asking.is_finished() {
        let asked = Instant::now();
        let told = client.get("/api/v1/components").await;
        assert_eq!(told.code, 200, "{told:?}");
        longest = longest.max(asked.elapsed());
        answered += i32::from(!asking.is_finished());
        some_time(BETWEEN_MS).await;
    }
    let took = began.elapsed();
    let dry = asking.await.expect("it is answered");
    assert_eq!((dry.code, &dry.json()["on_live_tables"]), (200, &false.into()), "{dry:?}");
    println!("compiled in {took:?}; nobody else waited longer than {longest:?}");
    assert!(answered >= 3, "{answered} others were answered while it was compiled, in {took:?}");
    // Now it is loaded, and its SQL is told beside that of the one in force.
    let changes = dry.json()["sql"].clone();
    let told: Vec<(&str, &str)> = changes
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| (one["kind"].as_str().expect("text"), one["name"].as_str().expect("text")))
        .collect();
    assert!(told.contains(&("table", "accounts")) && told.contains(&("table", "picked")), "{changes:#}");
}

/// How long an answer takes, and the longest that others wait meanwhile.
async fn meanwhile(client: &Client, path: &str) -> (usize, Duration, Duration) {
    let (asking, path) = (client.clone(), path.to_owned());
    let began = Instant::now();
    let asked = tokio::spawn(async move { asking.download(&path).await.len() });
    let mut longest = Duration::ZERO;
    while !asked.is_finished() {
        let other = Instant::now();
        assert_eq!(client.get("/api/v1/components").await.code, 200);
        longest = longest.max(other.elapsed());
        some_time(BETWEEN_MS).await;
    }
    (asked.await.expect("it is answered"), began.elapsed(), longest)
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_large_letter_is_decoded_others_are_answered() {
    let world = World::new("picky", Options::mysql()).await;
    let host = world.start();
    host.until_phase("picky", "streaming").await;
    let many: Vec<i32> = (0..400_000).collect();
    world.insert([event("large", "w1", 1, doc! { "do": "reject", "many": many })]).await;
    until("it is a letter", async || world.letters().await == (1, 0)).await;
    let client = Client::new(host.port);
    let letters = "/api/v1/projections/picky/letters";
    let id = client.get(letters).await.json()["letters"][0]["id"].to_string();
    for path in [format!("{letters}/{id}"), format!("{letters}/export")] {
        let (bytes, took, longest) = meanwhile(&client, &path).await;
        println!("{path}: {bytes} bytes in {took:?}; nobody else waited longer than {longest:?}");
        assert!(bytes > 5_000_000, "it is whole: {bytes} bytes");
        assert!(longest < took * 2 / 3, "others waited for {longest:?} of {took:?}");
    }
}
