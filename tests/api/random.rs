//! The API asked at random by a client that is made from its description: no error of the server's, no answer that is not described,
//! no request taken that is not as it has to be; and the host goes on.

use std::process::Command;

use bson::doc;
use serde_json::json;

use super::{Guarded, OPERATOR};
use crate::support::world::{event, said};
use crate::support::{Options, World, until};

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_asked_of_the_api_is_answered_as_its_description_says() {
    let world = World::new("picky", Options { extra: "breaker.aggregates = 0", ..Options::mysql() }).await;
    let failing = |n: i64| event(&format!("bad{n}"), &format!("bad{n}"), 1, doc! { "do": "reject" });
    world.insert((0..3).map(failing)).await;
    let Guarded { host, operator, .. } = Guarded::start(&world);
    host.until_phase_by(&operator, "picky", "streaming").await;
    let check = concat!(env!("CARGO_MANIFEST_DIR"), "/../dev/api/check");
    let url = format!("http://127.0.0.1:{}", host.port);
    let mut checking = Command::new(check);
    checking.args([url.as_str(), OPERATOR, "picky"]);
    let ran = tokio::task::spawn_blocking(move || checking.output()).await.expect("it does not panic");
    let told = said(&ran.expect("it runs"));
    let asked = told.lines().rev().find(|line| line.contains(" generated"));
    let asked: u32 = asked.and_then(|line| line.trim().split(' ').next()?.parse().ok()).unwrap_or_default();
    assert!(asked > 500 && told.contains("passed") && !told.contains("Failures:"), "{told}");
    assert!(!told.contains("Errors:"), "{told}\n{}", host.log());
    assert!(!host.log().contains("panicked"), "{}", host.log());
    // Whatever it did to the projection, it goes on.
    let resumed = operator.post("/api/v1/projections/picky/resume", &json!(null)).await;
    assert!([202, 409].contains(&resumed.code), "{resumed:?}");
    world.insert([event("after", "after", 1, doc! { "do": "ok" })]).await;
    let path = "/api/v1/projections/picky/events/after";
    until("it applies events", async || operator.get(path).await.json()["state"] == "applied").await;
}
