//! Those who mean the API harm by forged names and origins.

use serde_json::json;

use crate::support::{Options, World};

#[tokio::test(flavor = "multi_thread")]
async fn changes_from_foreign_names_and_pages_are_refused_and_nothing_is_written() {
    let world = World::new("recorder", Options::mysql()).await;
    let host = world.start();
    host.until_phase("recorder", "streaming").await;
    // Without tokens: a browser on this machine could be made to ask.
    let client = crate::support::http::Client::new(host.port);
    let path = "/api/v1/projections/recorder/pause";
    let own = format!("http://localhost:{}", host.port);
    let body = json!({ "why": "a test" });
    for origin in ["http://evil.example", "null", "https://localhost.evil.example", "http://127.0.0.1:1"] {
        let told = client.with("Origin", origin).post(path, &body).await;
        assert_eq!((told.code, &told.json()["class"]), (403, &"foreign-origin".into()), "{origin}: {told:?}");
    }
    let site = client.with("Sec-Fetch-Site", "cross-site").post(path, &body).await;
    assert_eq!(site.code, 403, "{site:?}");
    let name = client.with("Host", "evil.example").post(path, &body).await;
    assert_eq!(name.code, 421, "{name:?}");
    // What a form can send without asking first is not taken, whatever its origin.
    let form = client.with("Content-Type", "text/plain").ask("POST", path, body.to_string().as_bytes()).await;
    assert_eq!(form.expect("an answer").code, 415);
    let rows = format!("SELECT COUNT(*) FROM {}.command", world.control());
    assert_eq!(world.number(&rows).await, 0);
    let page = client
        .with("Host", &own["http://".len()..])
        .with("Origin", &own)
        .with("Sec-Fetch-Site", "same-origin");
    let accepted = page.post(path, &body).await;
    assert_eq!(accepted.code, 202, "{accepted:?}");
    assert_eq!(accepted.json()["requested_by"], "api@127.0.0.1");
}
