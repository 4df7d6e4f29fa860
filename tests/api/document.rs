//! The `OpenAPI` document: the checked-in copy is what the code says, and the host serves the same.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::Guarded;
use crate::support::{Options, World};

#[test]
fn the_checked_in_document_is_what_the_code_says() {
    let written = laterna::admin::openapi();
    let copy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    let fresh = Path::new(env!("CARGO_TARGET_TMPDIR")).join("openapi.json");
    if std::fs::read_to_string(&copy).unwrap_or_default() != written {
        std::fs::write(&fresh, &written).expect("it can be written");
        panic!("the API has changed; look at what has, then: cp {} docs/openapi.json", fresh.display());
    }
    let document: Value = serde_json::from_str(&written).expect("it is JSON");
    assert_eq!(document["openapi"], "3.1.0");
    let schemas = document["components"]["schemas"].as_object().expect("schemas");
    let mut names = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("methods") {
            let what = format!("{method} {path}");
            let name = operation["operationId"].as_str().unwrap_or_default();
            assert!(names.insert(name.to_owned()) && operation["summary"].is_string(), "{what}: {name}");
            let problem = &operation["responses"]["default"]["content"]["application/problem+json"]["schema"];
            assert_eq!(problem["$ref"], "#/components/schemas/Problem", "{what}");
        }
    }
    assert!(names.len() > 20, "{names:?}");
    // Every reference leads somewhere.
    for part in written.split("\"#/components/schemas/").skip(1) {
        let name = part.split('"').next().unwrap_or_default();
        assert!(schemas.contains_key(name), "there is no schema {name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_path_of_the_document_is_there_and_asks_for_a_token_and_a_viewer_changes_nothing() {
    let world = World::new("recorder", Options::mysql()).await;
    let Guarded { host, stranger, viewer, operator, .. } = Guarded::start(&world);
    host.until_phase_by(&operator, "recorder", "streaming").await;
    let served = operator.get("/api/v1/openapi.json").await;
    assert_eq!(served.json(), serde_json::from_str::<Value>(&laterna::admin::openapi()).expect("JSON"));
    for (path, item) in served.json()["paths"].as_object().expect("paths") {
        let asked =
            path.replace("{projection}", "recorder").replace("{id}", "1").replace("{generation}", "1");
        let asked = asked.replace("{digest}", "none").replace("{type}", "thing");
        let asked = if asked.ends_with("/aggregates") { asked + "?aggregate=thing/1" } else { asked };
        for method in item.as_object().expect("methods").keys().map(|method| method.to_uppercase()) {
            let refused = stranger.ask(&method, &asked, b"").await.expect("an answer");
            assert_eq!(refused.code, 401, "{method} {asked}: {refused:?}");
            if method == "GET" && path.ends_with("/events") {
                continue;
            }
            let seen = viewer.ask(&method, &asked, b"").await.expect("an answer");
            if method == "GET" {
                assert!([200, 202, 403, 404].contains(&seen.code), "{method} {asked}: {seen:?}");
            } else {
                assert_eq!(
                    (seen.code, &seen.json()["class"]),
                    (403, &"forbidden".into()),
                    "{method} {asked}"
                );
            }
        }
    }
    let asked = world.number(&format!("SELECT COUNT(*) FROM {}.command", world.control())).await;
    assert_eq!(asked, 0, "nothing was asked for");
}
