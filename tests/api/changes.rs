//! What can be asked for: each change is an operation that comes to its end, is refused where something stands in its way, and
//! is about what was shown.

use bson::doc;
use serde_json::{Value, json};

use super::Guarded;
use crate::guests;
use crate::support::http::{Answer, Client};
use crate::support::world::{event, laterna, said};
use crate::support::{Options, World, until};

/// Asks for a change, waits until it is over, and gives the operation.
async fn done(client: &Client, path: &str, body: Value) -> Value {
    let accepted = client.post(path, &body).await;
    assert_eq!(accepted.code, 202, "{path}: {accepted:?}");
    over(client, &accepted).await
}

async fn over(client: &Client, accepted: &Answer) -> Value {
    let place = accepted.header("location").to_owned();
    assert!(place.starts_with("/api/v1/operations/"), "{accepted:?}");
    let mut operation = Value::Null;
    until(&format!("{place} is over"), async || {
        operation = client.get(&place).await.json();
        operation["state"] == "done" || operation["state"] == "failed"
    })
    .await;
    assert_eq!(operation["requested_by"], "on-call", "{operation}");
    operation
}

#[track_caller]
fn refused(answer: &Answer, code: u16, says: &str) {
    assert_eq!(
        (answer.code, answer.header("content-type")),
        (code, "application/problem+json"),
        "{answer:?}"
    );
    assert!(answer.json()["detail"].as_str().is_some_and(|detail| detail.contains(says)), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pauses_and_deployments_are_operations_that_come_to_their_end() {
    let world = World::new("picky", Options::mysql()).await;
    let Guarded { host, operator, .. } = Guarded::start(&world);
    world.insert((1..=3).map(|n| event(&format!("e{n}"), "a", n, doc! { "do": "ok" }))).await;
    host.until_phase_by(&operator, "picky", "streaming").await;
    let at = |path: &str| format!("/api/v1/projections/picky/{path}");
    refused(&operator.post(&at("resume"), &Value::Null).await, 409, "nothing pauses");
    refused(&operator.post(&at("rollback"), &Value::Null).await, 409, "one component only");
    refused(&operator.post(&at("pause"), &json!({ "why": " " })).await, 400, "`why` is empty");
    refused(&operator.post("/api/v1/projections/nobody/pause", &json!({ "why": "x" })).await, 404, "nobody");
    // A list of values in the order of the fields is no object.
    refused(&operator.post(&at("generations"), &json!([])).await, 422, "expected a map");
    let dry = operator.post(&at("pause?dry_run=true"), &json!({ "why": "a test" })).await;
    assert_eq!((dry.code, &dry.json()["would"]), (200, &"pause".into()), "{dry:?}");
    let why = "a test <script>alert(1)</script> \u{1b}[2J";
    let paused = done(&operator, &at("pause"), json!({ "why": why })).await;
    assert_eq!(
        (&paused["state"], &paused["kind"], &paused["parameters"]["why"]),
        (&"done".into(), &"pause".into(), &why.into())
    );
    host.until_phase_by(&operator, "picky", "paused").await;
    assert_eq!(done(&operator, &at("resume"), Value::Null).await["result"], "resumed");
    host.until_phase_by(&operator, "picky", "streaming").await;
    refused(
        &operator.post(&at("deployments"), &json!({ "digest": "f".repeat(64) })).await,
        404,
        "upload it first",
    );
    refused(&operator.post(&at("deployments"), &json!({ "digest": "../etc" })).await, 400, "64 of 0-9");
    let nonsense = operator.ask("POST", &at("components"), b"no component").await.expect("an answer");
    refused(&nonsense, 400, "");
    let tried = operator.ask("POST", &at("components?dry_run=true"), &guests::bytes("picky-worse")).await;
    let tried = tried.expect("an answer");
    assert_eq!((tried.code, &tried.json()["tables"]), (200, &json!(["picked"])), "{tried:?}");
    let stored = operator.get("/api/v1/components").await.json();
    assert!(!stored.to_string().contains(tried.json()["digest"].as_str().expect("a text")), "{stored}");
    let early = operator.post(&at("deployments"), &json!({ "digest": tried.json()["digest"] })).await;
    refused(&early, 404, "upload it first");
    let uploaded =
        operator.ask("POST", &at("components"), &guests::bytes("picky-worse")).await.expect("an answer");
    assert_eq!((uploaded.code, uploaded.json()), (201, tried.json()), "{uploaded:?}");
    let before = operator.get(&at("")[..at("").len() - 1]).await.json()["digest"].clone();
    let next = uploaded.json()["digest"].clone();
    let shadow = operator.post(&at("shadow"), &json!({ "digest": next })).await;
    assert_eq!(
        (shadow.code, &shadow.json()["events"], &shadow.json()["differences"]),
        (200, &3.into(), &0.into()),
        "{shadow:?}"
    );
    let dry = operator.post(&at("deployments?dry_run=true"), &json!({ "digest": next })).await;
    assert_eq!((dry.code, &dry.json()["on_live_tables"]), (200, &true.into()), "{dry:?}");
    let other =
        operator.ask("POST", &at("components"), &guests::bytes("picky-tables")).await.expect("an answer");
    let other = json!({ "digest": other.json()["digest"] });
    let dry = operator.post(&at("deployments?dry_run=true"), &other).await;
    assert_eq!((dry.code, &dry.json()["on_live_tables"]), (200, &false.into()), "{dry:?}");
    let deploy = json!({ "digest": next, "canary_seconds": 0 });
    assert_eq!(done(&operator, &at("deployments"), deploy).await["state"], "done");
    let runs = async |digest: &Value| {
        until("the lanes work with it", async || {
            let now = operator.get("/api/v1/projections/picky").await.json();
            now["deployment"]["digest"] == *digest && now["deployment"]["taken_up"] == true
        })
        .await;
    };
    runs(&next).await;
    assert_eq!(done(&operator, &at("rollback"), Value::Null).await["kind"], "rollback");
    runs(&before).await;
    let all = operator.get("/api/v1/operations?projection=picky&over=true").await.json();
    let kinds: Vec<&Value> =
        all["operations"].as_array().expect("a list").iter().map(|one| &one["kind"]).collect();
    assert_eq!(kinds, ["rollback", "deploy", "upload", "upload", "resume", "pause"], "{all}");
    let config = world.folder.path().join(format!("laterna-{}.toml", host.port));
    let told = said(&laterna(&config, &["audit", "picky", "--by", "on-call", "--kind", "pause"]));
    assert!(
        told.contains("on-call") && told.contains("pause: a test <script>") && told.contains("done"),
        "{told}"
    );
    assert!(!told.contains('\u{1b}') && !told.contains("rollback"), "{told}");
    let lines =
        String::from_utf8(laterna(&config, &["audit", "--json", "--limit", "3"]).stdout).expect("text");
    let audited = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    assert_eq!(audited.collect::<Vec<_>>()[..], all["operations"].as_array().expect("a list")[..3]);
    let page = operator.get("/api/v1/operations?limit=3").await.json();
    let rest = operator.get(&format!("/api/v1/operations?before={}", page["next"])).await.json();
    assert_eq!(rest["operations"].as_array().map(Vec::len), Some(3), "{rest}");
    let deployed = operator.get("/api/v1/operations?kind=deploy&by=on-call").await.json();
    assert_eq!(deployed["operations"].as_array().map(Vec::len), Some(1), "{deployed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn generations_are_rebuilt_compared_and_given_up_over_the_api() {
    let world = World::new("picky", Options::mysql()).await;
    let Guarded { host, operator, .. } = Guarded::start(&world);
    world.insert((1..=20).map(|n| event(&format!("e{n}"), "a", n, doc! { "do": "ok" }))).await;
    world.until_committed("picky", 20).await;
    host.until_phase_by(&operator, "picky", "streaming").await;
    let at = |path: &str| format!("/api/v1/projections/picky/{path}");
    let verified = done(&operator, &at("verifications"), json!({})).await;
    assert!(verified["state"] == "done" && verified["result"]["tables"].is_array(), "{verified}");
    let aside = async || operator.get(&at("generations")).await.json()["aside"].clone();
    until("what was compared is gone", async || aside().await == json!([])).await;
    for change in ["accept", "return", "drop"] {
        let answer = operator.post(&at(&format!("generations/9/{change}")), &json!({})).await;
        refused(&answer, 404, "no generation 9");
    }
    refused(&operator.post(&at("generations"), &json!({ "until": "yesterday" })).await, 400, "2026-01-31");
    let look = json!({ "aggregate": "thing/a" });
    let began = done(&operator, &at("generations"), look).await;
    assert_eq!(began["state"], "done", "{began}");
    let mut part = Value::Null;
    until("a part of history is kept", async || {
        part = aside().await[0].clone();
        part["purpose"] == "look" && part["state"] == "kept"
    })
    .await;
    let number = part["generation"].as_u64().expect("a number");
    refused(
        &operator.post(&at(&format!("generations/{number}/accept")), &json!({})).await,
        409,
        "waits to take",
    );
    refused(
        &operator.post(&at(&format!("generations/{number}/return")), &Value::Null).await,
        409,
        "a part of history only",
    );
    assert_eq!(
        done(&operator, &at(&format!("generations/{number}/drop")), Value::Null).await["state"],
        "done"
    );
    until("it is gone", async || aside().await == json!([])).await;
    // The live one is rebuilt, and the one before is kept, which can return.
    done(&operator, &at("generations"), json!({})).await;
    let live = async || operator.get(&at("generations")).await.json()["live"]["generation"].as_u64();
    let before = live().await;
    until("the rebuilt tables are live", async || {
        live().await > before && aside().await[0]["state"] == "kept"
    })
    .await;
    let old = aside().await[0]["generation"].as_u64().expect("a number");
    done(&operator, &at(&format!("generations/{old}/return")), Value::Null).await;
    until("the old ones are live again", async || live().await == Some(old)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_about_the_letters_that_were_shown_and_no_others() {
    for options in [Options::mysql(), Options::mariadb()] {
        let world = World::new("picky", options).await;
        let Guarded { host, operator, .. } = Guarded::start(&world);
        let failing = |n: i64| event(&format!("bad{n}"), &format!("w{n}"), 1, doc! { "do": "reject" });
        world.insert((1..=3).map(failing)).await;
        world.insert([event("behind", "w1", 2, doc! { "do": "ok" })]).await;
        world.until_committed("picky", 4).await;
        host.until_phase_by(&operator, "picky", "streaming").await;
        let at = |path: &str| format!("/api/v1/projections/picky/letters{path}");
        let shown = operator.get(&at("")).await.json();
        let boundary = shown["boundary"].clone();
        world.insert((4..=5).map(failing)).await;
        world.until_committed("picky", 6).await;
        let discard = |more: Value| {
            let mut body = json!({ "all": true, "boundary": boundary, "why": "a test" });
            body.as_object_mut().expect("it is one").extend(more.as_object().expect("it is one").clone());
            body
        };
        let path = at("/discard");
        refused(
            &operator.post(&path, &json!({ "all": true, "why": "x" })).await,
            400,
            "`boundary` is missing",
        );
        refused(&operator.post(&path, &discard(json!({ "class": "rejected" }))).await, 400, "one of");
        refused(&operator.post(&path, &discard(json!({ "why": "" }))).await, 400, "`why` is empty");
        refused(&operator.post(&path, &discard(json!({ "count": 5 }))).await, 409, "3 fit now");
        let other = json!({ "boundary": { "generation": 7, "until": 1_000 } });
        refused(&operator.post(&path, &discard(other)).await, 409, "generation 7 was live");
        let held = shown["letters"]
            .as_array()
            .expect("a list")
            .iter()
            .find(|one| one["state"] == "held")
            .expect("one");
        let body = json!({ "ids": [held["id"]], "why": "x" });
        refused(&operator.post(&path, &body).await, 409, "is held behind");
        let dry = operator.post(&at("/discard?dry_run=true"), &discard(json!({}))).await;
        assert_eq!((dry.code, &dry.json()["letters"]), (200, &3.into()), "{dry:?}");
        let tried = done(&operator, &at("/replay?dry_run=true"), discard(json!({ "why": null }))).await;
        assert_eq!((&tried["kind"], &tried["state"]), (&"rehearse".into(), &"done".into()), "{tried}");
        assert_eq!(operator.get("/api/v1/projections/picky").await.json()["parked"], 5);
        // The same request twice is one operation, also when what it was about is gone.
        let once = operator.with("Idempotency-Key", "5f1c");
        let first = once.post(&path, &discard(json!({ "count": 3 }))).await;
        let operation = over(&operator, &first).await;
        assert_eq!(
            (&operation["state"], &operation["parameters"]["shown"]["letters"]),
            (&"done".into(), &3.into())
        );
        let again = once.post(&path, &discard(json!({ "count": 3 }))).await;
        assert_eq!((again.code, again.header("location")), (202, first.header("location")), "{again:?}");
        refused(&once.post(&path, &discard(json!({ "count": 2 }))).await, 422, "another one");
        let left = operator.get(&at("")).await.json();
        let left: Vec<&Value> =
            left["letters"].as_array().expect("a list").iter().map(|one| &one["event_id"]).collect();
        assert_eq!(left, ["bad4", "bad5"], "those that came later stay");
        assert_eq!(world.number("SELECT COUNT(*) FROM picked").await, 1, "what was held back is there");
        let ids = operator.get(&at("")).await.json()["letters"][0]["id"].clone();
        let erased = done(&operator, &at("/erase"), json!({ "ids": [ids], "why": "asked to" })).await;
        assert_eq!(erased["state"], "done", "{erased}");
        let gone = operator.get(&at(&format!("/{ids}"))).await.json();
        assert!(gone["erased_at"].is_string() && gone["document"].is_null(), "{gone}");
        let rows = format!("SELECT COUNT(*) FROM {}.command WHERE request LIKE '%discard%'", world.control());
        assert_eq!(world.number(&rows).await, 1);
    }
}
