//! What people said stays with operators: a viewer reads it nowhere, and of health everybody does.

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::{Guarded, VIEWER};
use crate::guests;
use crate::support::{Options, PATIENCE, World, until};

/// What an operator says.
const SAID: &str = "canary-of-a-person";

/// Every path of the document that only looks, filled in with this operation and component.
fn looks(operation: u64, digest: &str) -> Vec<String> {
    let document: Value = serde_json::from_str(&laterna::admin::openapi()).expect("JSON");
    let paths = document["paths"].as_object().expect("paths");
    let looks = paths.iter().filter(|(path, item)| item["get"].is_object() && !path.ends_with("/v1/events"));
    let filled = looks.map(|(path, _)| {
        let path = path.replace("{projection}", "picky").replace("{id}", &operation.to_string());
        path.replace("{digest}", digest).replace("{type}", "thing")
    });
    filled.chain(["/status".to_owned()]).collect()
}

/// The first word of the stream of changes about a projection.
async fn first_change(port: u16, token: &str) -> String {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("it listens");
    let mut stream = BufReader::new(stream);
    let request =
        format!("GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("it is open");
    let mut told = String::new();
    while !(told.contains("event: projection\n") && told.ends_with("}\n")) {
        let line = tokio::time::timeout(PATIENCE, stream.read_line(&mut told)).await;
        assert!(line.expect("it is told").expect("it is open") > 0, "it ended: {told}");
    }
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn no_path_tells_a_viewer_what_people_said() {
    let world = World::new("picky", Options::mysql()).await;
    let Guarded { host, health, viewer, operator, .. } = Guarded::start(&world);
    host.until_phase_by(&operator, "picky", "streaming").await;
    let at = |path: &str| format!("/api/v1/projections/picky/{path}");
    let part = operator.post(&at("generations"), &json!({ "aggregate": format!("thing/{SAID}") })).await;
    assert_eq!(part.code, 202, "{part:?}");
    let kept = async || operator.get(&at("generations")).await.json()["aside"][0]["state"] == "kept";
    until("a part of history is there to be looked at", kept).await;
    let paused = operator.post(&at("pause"), &json!({ "why": SAID })).await;
    let operation = paused.json()["id"].as_u64().expect("an operation");
    host.until_phase_by(&operator, "picky", "paused").await;
    let uploaded = operator.ask("POST", &at("components"), &guests::bytes("picky-worse")).await;
    let digest = uploaded.expect("an answer").json()["digest"].as_str().expect("a digest").to_owned();
    assert_eq!(operator.post(&at("deployments"), &json!({ "digest": digest })).await.code, 202);
    until("the deployment waits for the end of the pause", async || {
        let one = operator.get("/api/v1/projections/picky").await.json();
        one["deployment"]["waits"].as_str().is_some_and(|waits| waits.contains(SAID))
    })
    .await;
    // A comparison waits for the end of the pause, too.
    assert_eq!(operator.post(&at("verifications"), &json!({})).await.code, 202);
    // What a command and a generation wait for is written by hosts in the same words.
    for table in ["command SET waits", "generation SET reason"] {
        let waits = format!("it waits: paused by on-call since 2026-11-27T00:31:02Z: {SAID}");
        let ended = "`laterna resume picky` ends the pause";
        world.run(&format!("UPDATE {}.{table} = '{waits}; {ended}'", world.control())).await;
    }
    let waiting = async || operator.get("/api/v1/operations?over=false").await.text.contains(SAID);
    until("a command waits for the end of the pause", waiting).await;
    let mut told = 0;
    for path in looks(operation, &digest) {
        let (whole, seen) = (operator.get(&path).await, viewer.get(&path).await);
        assert!(!seen.text.contains(SAID), "a viewer reads at {path}: {seen:?}");
        told += usize::from(whole.text.contains(SAID));
        assert!(!whole.text.contains(SAID) || seen.text.contains("(masked)"), "{path}: {seen:?}");
    }
    assert!(told >= 7, "an operator reads it at {told} paths only");
    let change = first_change(host.port, VIEWER).await;
    assert!(change.contains("(masked)") && !change.contains(SAID), "{change}");
    let ready = health.get("/readyz").await;
    assert!(ready.code == 503 && ready.text.contains("paused by on-call"), "{ready:?}");
    assert!(!ready.text.contains(SAID), "everybody reads {ready:?}");
}
