//! The `OpenAPI` document: the checked-in copy is what the code says, and the host serves the same.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::Guarded;
use crate::support::described;
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
        }
    }
    assert!(names.len() > 20, "{names:?}");
    // Every reference leads somewhere.
    for part in written.split("\"#/components/schemas/").skip(1) {
        let name = part.split('"').next().unwrap_or_default();
        assert!(schemas.contains_key(name), "there is no schema {name}");
    }
}

#[test]
fn every_operation_says_by_which_codes_it_is_refused_and_which_headers_it_sends_and_takes() {
    for (method, path, operation) in described::operations() {
        let what = format!("{method} {path}");
        let codes: BTreeSet<&str> = object(&operation["responses"]).map(|(code, _)| code.as_str()).collect();
        assert!(codes.iter().all(|code| code.parse::<u16>().is_ok()), "{what}: {codes:?}");
        let is_change = method != "get";
        let takes = |place: &str| -> Vec<&Value> {
            let all = operation["parameters"].as_array().into_iter().flatten();
            all.filter(|parameter| parameter["in"] == place).map(|parameter| &parameter["name"]).collect()
        };
        let body = &operation["requestBody"]["content"];
        let (is_json, has_body) = (body["application/json"].is_object(), body.is_object());
        let asks_mysql =
            !["projections", "projections/{projection}", "projections/{projection}/recent", "me", "events"]
                .iter()
                .any(|known| path == format!("/api/v1/{known}"));
        let keeps_keys = is_change && !path.ends_with("/shadow") && !path.ends_with("/reload");
        assert_eq!(takes("header"), if keeps_keys { vec!["Idempotency-Key"] } else { vec![] }, "{what}");
        for (code, is_answered) in [
            ("400", has_body || !takes("path").is_empty() || !takes("query").is_empty()),
            ("401", true),
            ("403", is_change || path.ends_with("/letters/export")),
            ("404", !takes("path").is_empty()),
            ("409", asks_mysql),
            ("413", has_body),
            ("415", is_json),
            ("421", true),
            ("422", is_json || keeps_keys),
            ("429", true),
            ("503", true),
        ] {
            assert_eq!(codes.contains(code), is_answered, "{what}: {code}");
        }
        for code in codes {
            let answer = described::response(operation, code);
            let problem = &answer["content"]["application/problem+json"]["schema"]["$ref"];
            let is_problem = problem.as_str().is_some_and(|name| name.starts_with("#/components/schemas/"));
            assert_eq!(is_problem, code >= "400", "{what}: {code}");
            let header = match code {
                "202" if is_change => "Location",
                "202" | "429" | "503" => "Retry-After",
                "401" => "WWW-Authenticate",
                _ => continue,
            };
            assert!(answer["headers"][header]["schema"].is_object(), "{what}: {code} without {header}");
        }
    }
}

fn object(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
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
