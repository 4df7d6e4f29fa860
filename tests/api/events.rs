//! The stream of changes: what one who listens is told, and that it ends when the host stops.

use bson::doc;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::{Guarded, OPERATOR, VIEWER};
use crate::support::http::Client;
use crate::support::world::event;
use crate::support::{Options, PATIENCE, World, until};

/// One who listens to a host.
struct Listener {
    stream: BufReader<TcpStream>,
}

impl Listener {
    async fn start(port: u16, token: &str) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("it listens");
        let mut stream = BufReader::new(stream);
        let request = format!(
            "GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.expect("it is open");
        Self { stream }
    }

    /// What was told until all of this was.
    async fn until_told(&mut self, what: &[&str]) -> String {
        let mut told = String::new();
        let reading = async {
            while !what.iter().all(|part| told.contains(part)) {
                let read = self.stream.read_line(&mut told).await.expect("it is open");
                assert!(read > 0, "it ended: {told}");
            }
        };
        tokio::time::timeout(PATIENCE, reading).await.unwrap_or_else(|_| panic!("not told {what:?}"));
        told
    }

    /// How letters are told to stand, once they do so.
    async fn until_letters(&mut self, is_wanted: impl Fn(&Value) -> bool) -> Value {
        let reading = async {
            loop {
                self.until_told(&["event: letters\n"]).await;
                let data = self.until_told(&["\n"]).await;
                let letters: Value =
                    serde_json::from_str(data.trim_start_matches("data: ").trim()).expect("JSON");
                if is_wanted(&letters) {
                    break letters;
                }
            }
        };
        tokio::time::timeout(PATIENCE, reading).await.expect("it is told of letters")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_listens_is_told_of_projections_and_operations_until_the_host_stops() {
    let world = World::new("picky", Options::mysql()).await;
    let Guarded { host, operator, .. } = Guarded::start(&world);
    host.until_phase_by(&operator, "picky", "streaming").await;
    let mut listener = Listener::start(host.port, VIEWER).await;
    let first = listener.until_told(&["event: projection", "\"phase\":\"streaming\""]).await;
    assert!(
        first.starts_with("HTTP/1.1 200 ") && first.contains("content-type: text/event-stream"),
        "{first}"
    );
    // What is asked for before the first look is no news: the second look tells it.
    listener.until_told(&["event: projection"]).await;
    let paused = operator.post("/api/v1/projections/picky/pause", &json!({ "why": "a canary" })).await;
    assert_eq!(paused.code, 202, "{paused:?}");
    let seen = listener.until_told(&["event: operation", "\"state\":\"done\"", "\"phase\":\"paused\""]).await;
    assert!(!seen.contains("\"why\":\"a canary\"") && seen.contains("(masked)"), "a viewer listens: {seen}");
    assert!(host.stop().await.success());
    let mut rest = String::new();
    while tokio::time::timeout(PATIENCE, listener.stream.read_line(&mut rest))
        .await
        .expect("it ends")
        .unwrap_or(0)
        > 0
    {}
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_listens_is_told_when_a_letter_comes_goes_or_changes_also_where_their_number_stays() {
    for options in [Options::mysql(), Options::mariadb()] {
        let world =
            World::new("picky", Options { lanes: 2, extra: "breaker.aggregates = 0", ..options }).await;
        let Guarded { host, operator, .. } = Guarded::start(&world);
        host.until_phase_by(&operator, "picky", "streaming").await;
        let mut listener = Listener::start(host.port, VIEWER).await;
        let none = json!({ "projection": "picky", "parked": 0, "held": 0, "newest": null, "attempts": 0, "erased": 0, "total": 0 });
        assert_eq!(listener.until_letters(|letters| letters["projection"] == "picky").await, none);
        let what = |what: &str| doc! { "do": what, "text": "canary of a payload" };
        world.insert([event("first", "a", 1, what("duplicate")), event("behind", "a", 2, what("ok"))]).await;
        let told = listener.until_letters(|letters| letters["held"] == 1).await;
        let newest = told["newest"].as_u64().expect("an id");
        assert_eq!((&told["parked"], &told["total"]), (&json!(1), &json!(2)), "{told}");

        // It fails again: only how often it was tried tells it.
        let ids = ids_of(&operator, "first").await;
        change(&operator, "replay", json!({ "ids": ids })).await;
        let again = listener.until_letters(|letters| letters["attempts"] == 2).await;
        assert_eq!(
            (&again["parked"], &again["held"], &again["newest"]),
            (&json!(1), &json!(1), &json!(newest))
        );

        // One comes and another one goes, and nobody has looked in between.
        let swap =
            format!("UPDATE {}.dead_letter SET id = {} WHERE id = {newest}", world.control(), newest + 5);
        world.run(&swap).await;
        let swapped = listener.until_letters(|letters| letters["newest"] == newest + 5).await;
        assert_eq!((&swapped["parked"], &swapped["held"]), (&json!(1), &json!(1)));

        // One is given up, which lets go of what it held, while another one is parked.
        let given_up = async { change(&operator, "discard", json!({ "ids": ids, "why": "a canary" })).await };
        let parked = async { world.insert([event("second", "b", 1, what("reject"))]).await };
        tokio::join!(given_up, parked);
        let told = listener.until_letters(|letters| letters["held"] == 0 && letters["total"] == 3).await;
        assert_eq!((&told["parked"], &told["attempts"]), (&json!(1), &json!(1)), "{told}");
        assert!(told["newest"].as_u64() > Some(newest), "{told}");
        let second = ids_of(&operator, "second").await;
        assert_eq!(told["newest"], second[0]);

        change(&operator, "erase", json!({ "ids": second, "why": "a canary" })).await;
        let erased = listener.until_letters(|letters| letters["erased"] == 1).await;
        assert_eq!((&erased["parked"], &erased["newest"]), (&json!(1), &second[0]));
        // Whoever comes later is told how they stand, and an operator is told no more than a viewer.
        let mut late = Listener::start(host.port, OPERATOR).await;
        assert_eq!(late.until_letters(|_| true).await, erased);
        assert!(host.stop().await.success());
    }
}

/// The ids of an event's letters.
async fn ids_of(client: &Client, event: &str) -> Value {
    let page = client.get(&format!("/api/v1/projections/picky/letters?event={event}")).await.json();
    page["letters"].as_array().expect("a page").iter().map(|letter| letter["id"].clone()).collect()
}

/// Asks for something about letters, and waits until it is done.
async fn change(client: &Client, what: &str, body: Value) {
    let accepted = client.post(&format!("/api/v1/projections/picky/letters/{what}"), &body).await;
    assert_eq!(accepted.code, 202, "{what}: {accepted:?}");
    until(&format!("{what} is done"), async || {
        client.get(accepted.header("location")).await.json()["state"] == "done"
    })
    .await;
}
