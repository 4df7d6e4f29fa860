//! A request that comes twice under one key is one operation: changes, uploads and cancellations.

use serde_json::{Value, json};

use super::Guarded;
use crate::guests;
use crate::support::http::{Answer, Client};
use crate::support::{Options, World};

const HERE: &str = "/api/v1/projections/picky";

/// Sends the same twice at once and once more, and gives the answer, which is the same each time.
async fn thrice(client: &Client, method: &str, path: &str, body: &[u8]) -> Answer {
    let ask = async || client.ask(method, path, body).await.expect("an answer");
    let (one, other) = tokio::join!(ask(), ask());
    let last = ask().await;
    for again in [&other, &last] {
        assert_eq!(
            (again.code, again.header("location")),
            (one.code, one.header("location")),
            "{path}: {again:?}"
        );
    }
    assert!((200..300).contains(&one.code), "{path}: {one:?}");
    one
}

async fn repeated(options: Options) {
    let world = World::new("picky", options).await;
    let Guarded { host, operator, viewer, .. } = Guarded::start(&world);
    host.until_phase_by(&operator, "picky", "streaming").await;
    let operator = operator.with("Content-Type", "application/json");
    let keyed = |key: &str| operator.with("Idempotency-Key", key);
    let commands = format!("SELECT COUNT(*) FROM {}.command", world.control());

    // Each change is one operation; another one under its key is none.
    let changes =
        [("pause", json!({ "why": "a test" })), ("resume", Value::Null), ("verifications", json!({}))];
    for (number, (what, body)) in changes.iter().enumerate() {
        let (path, text) =
            (format!("{HERE}/{what}"), if body.is_null() { String::new() } else { body.to_string() });
        thrice(&keyed(what), "POST", &path, text.as_bytes()).await;
        assert_eq!(world.number(&commands).await, i64::try_from(number).expect("few") + 1, "{what}");
    }
    let other = keyed("pause").post(&format!("{HERE}/pause"), &json!({ "why": "another" })).await;
    assert_eq!((other.code, &other.json()["class"]), (422, &"key-taken".into()), "{other:?}");

    // An upload has its answer, also where another one would come of it by now.
    let wasm = |key: &str| {
        let client = Client {
            headers: operator.headers.replace("application/json", "application/wasm"),
            ..operator.clone()
        };
        client.with("Idempotency-Key", key)
    };
    let (path, happened, upcaster) =
        (format!("{HERE}/components"), guests::bytes("picky-happened"), guests::bytes("upcaster"));
    let tried = wasm("up").ask("POST", &format!("{path}?dry_run=true"), &upcaster).await;
    assert_eq!(tried.expect("an answer").code, 200, "a dry run takes no key");
    let first = thrice(&wasm("up"), "POST", &path, &happened).await.json();
    assert_eq!(first["upcaster"], Value::Null, "{first}");
    let behind = wasm("behind").ask("POST", &path, &upcaster).await.expect("an answer").json();
    let deployed =
        keyed("deploy").post(&format!("{HERE}/deployments"), &json!({ "digest": behind["digest"] })).await;
    assert_eq!(deployed.code, 202, "{deployed:?}");
    crate::support::until("it is in force", async || {
        operator.get(HERE).await.json()["deployment"]["digest"] == behind["digest"]
    })
    .await;
    let again = wasm("up").ask("POST", &path, &happened).await.expect("an answer");
    assert_eq!((again.code, again.json()), (201, first.clone()), "it is the answer of the first time");
    let anew = wasm("anew").ask("POST", &path, &happened).await.expect("an answer").json();
    assert_ne!(anew["digest"], first["digest"], "without the key it runs behind the upcaster");
    let other = wasm("up").ask("POST", &path, &upcaster).await.expect("an answer");
    assert_eq!(other.code, 422, "{other:?}");
    let query = wasm("up").ask("POST", &format!("{path}?without_upcaster=true"), &happened).await;
    assert_eq!(query.expect("an answer").code, 422);

    // So has a cancellation, here of what waits for hosts that there are not.
    let waits = |id: u64| {
        format!(
            "INSERT INTO {}.command (id, projection, request, requested_by) VALUES ({id}, 'nobody', '{{\"do\":\"resume\"}}', 'x')",
            world.control()
        )
    };
    for id in [900_001, 900_002] {
        world.run(&waits(id)).await;
    }
    let dry = operator.ask("DELETE", "/api/v1/operations/900001?dry_run=true", b"").await;
    assert_eq!(dry.expect("an answer").code, 200);
    let ended = thrice(&keyed("end"), "DELETE", "/api/v1/operations/900001", b"").await;
    assert_eq!((ended.code, &ended.json()["state"]), (200, &"cancelled".into()), "{ended:?}");
    let other = keyed("end").ask("DELETE", "/api/v1/operations/900002", b"").await.expect("an answer");
    assert_eq!(other.code, 422, "{other:?}");
    let state =
        format!("SELECT COUNT(*) FROM {}.command WHERE id = 900002 AND state = 'pending'", world.control());
    assert_eq!(world.number(&state).await, 1, "it is another one");
    let none = viewer.with("Idempotency-Key", "end").ask("DELETE", "/api/v1/operations/900001", b"").await;
    assert_eq!(none.expect("an answer").code, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_comes_twice_under_one_key_is_one_operation_on_mysql() {
    repeated(Options::mysql()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_comes_twice_under_one_key_is_one_operation_on_mariadb() {
    repeated(Options::mariadb()).await;
}
