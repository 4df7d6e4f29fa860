//! What can be read of a projection, and what a viewer does not see of it.

use bson::doc;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Guarded;
use crate::guests;
use crate::support::world::event;
use crate::support::{Options, World, until};

#[tokio::test(flavor = "multi_thread")]
async fn everything_there_is_of_a_projection_can_be_read_and_a_viewer_sees_no_values() {
    let world = World::new("picky", Options::mysql()).await;
    let Guarded { host, viewer, operator, .. } = Guarded::start(&world);
    let failing =
        |n: i64| event(&format!("bad{n}"), &format!("w{n}"), 1, doc! { "do": "reject", "secret": "canary" });
    world.insert((1..=5).map(failing)).await;
    world.insert([event("behind", "w1", 2, doc! { "do": "ok" })]).await;
    world.until_committed("picky", 6).await;
    host.until_phase_by(&operator, "picky", "streaming").await;
    let mut one = Value::Null;
    until("its letters are counted", async || {
        one = operator.get("/api/v1/projections/picky").await.json();
        one["parked"] == 5 && one["held"] == 1
    })
    .await;
    let first = operator.get("/api/v1/projections/picky/letters?limit=4").await.json();
    let next = first["next"].as_u64().expect("there is a next page");
    let second = operator.get(&format!("/api/v1/projections/picky/letters?after={next}")).await.json();
    let count = |page: &serde_json::Value| page["letters"].as_array().expect("letters").len();
    assert_eq!((count(&first), count(&second), second["next"].is_null()), (4, 2, true));
    let heads = operator.get("/api/v1/projections/picky/letters?heads_only=true&class=rejected").await.json();
    assert_eq!(count(&heads), 5);
    let held = operator.get("/api/v1/projections/picky/letters?state=held&aggregate=thing/w1").await.json();
    assert_eq!((count(&held), &held["letters"][0]["event_id"]), (1, &"behind".into()));
    let id = heads["letters"][0]["id"].as_u64().expect("an id");
    let path = format!("/api/v1/projections/picky/letters/{id}");
    let (whole, masked) = (operator.get(&path).await, viewer.get(&path).await);
    assert_eq!(whole.json()["document"]["payload"]["secret"], "canary", "{whole:?}");
    assert!(whole.text.contains("told to reject"), "{whole:?}");
    assert!(masked.code == 200 && masked.json()["document"].is_null(), "{masked:?}");
    assert_eq!(
        (whole.header("cache-control"), whole.header("x-content-type-options")),
        ("no-store", "nosniff")
    );
    for seen in [masked, viewer.get("/api/v1/projections/picky/letters").await] {
        assert!(!seen.text.contains("canary") && !seen.text.contains("told to reject"), "{seen:?}");
    }
    let exported = operator.get("/api/v1/projections/picky/letters/export?class=rejected").await;
    assert_eq!(exported.header("content-type"), "application/x-ndjson", "{exported:?}");
    let lines: Vec<Value> =
        exported.chunks().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(lines.len() == 5 && lines[0]["document"]["payload"]["secret"] == "canary", "{exported:?}");
    let hidden = viewer.get("/api/v1/projections/picky/letters/export").await;
    assert_eq!((hidden.code, &hidden.json()["class"]), (403, &"forbidden".into()), "{hidden:?}");
    let deployments = operator.get("/api/v1/projections/picky/deployments").await.json();
    let digest = one["digest"].as_str().expect("a digest");
    assert_eq!(
        (&deployments["deployments"][0]["digest"], &deployments["deployments"][0]["origin"]),
        (&digest.into(), &"configuration".into())
    );
    let generations = operator.get("/api/v1/projections/picky/generations").await.json();
    assert_eq!(
        (&generations["live"]["generation"], &generations["live"]["digest"]),
        (&1.into(), &digest.into())
    );
    let hosts = operator.get("/api/v1/hosts").await.json();
    assert_eq!(hosts["here"], format!("host-{}", host.port));
    assert_eq!((&hosts["leases"][0]["owner"], &hosts["leases"][0]["held"]), (&hosts["here"], &true.into()));
    let components = operator.get("/api/v1/components").await.json();
    assert_eq!(components[0]["digest"], digest);
    let inspected = operator.get(&format!("/api/v1/components/{digest}")).await.json();
    assert!(inspected["exports"].to_string().contains("laterna:projection"), "{inspected}");
    let wasm = operator.download(&format!("/api/v1/components/{digest}/wasm")).await;
    assert_eq!(hex::encode(Sha256::digest(&wasm)), digest);
    assert_eq!(wasm, guests::bytes("picky"));
    for (path, code, class) in [
        ("/api/v1/projections/nobody", 404, "not-found"),
        ("/api/v1/projections/nobody/letters", 404, "not-found"),
        ("/api/v1/projections/picky/letters/0", 404, "not-found"),
        ("/api/v1/projections/picky/letters/x", 400, "wrong-request"),
        ("/api/v1/projections/picky/letters?limit=0", 400, "wrong-request"),
        ("/api/v1/projections/picky/letters?class=nonsense", 400, "wrong-request"),
        ("/api/v1/projections/picky/letters?what=1", 400, "wrong-request"),
        ("/api/v1/operations/0", 404, "not-found"),
        ("/api/v1/components/none", 404, "not-found"),
        ("/api/v1/nothing", 404, "not-found"),
    ] {
        let told = operator.get(path).await;
        assert_eq!(
            (told.code, told.header("content-type")),
            (code, "application/problem+json"),
            "{path}: {told:?}"
        );
        let problem = told.json();
        assert_eq!((&problem["class"], &problem["status"]), (&class.into(), &code.into()), "{path}");
        assert!(problem["remedy"].as_str().is_some_and(|remedy| !remedy.is_empty()), "{path}: {problem}");
    }
}
