//! The stream of changes: what one who listens is told, and that it ends when the host stops.

use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::{Guarded, VIEWER};
use crate::support::{Options, PATIENCE, World};

#[tokio::test(flavor = "multi_thread")]
async fn whoever_listens_is_told_of_projections_and_operations_until_the_host_stops() {
    let world = World::new("picky", Options::mysql()).await;
    let Guarded { host, operator, .. } = Guarded::start(&world);
    host.until_phase_by(&operator, "picky", "streaming").await;
    let stream = TcpStream::connect(("127.0.0.1", host.port)).await.expect("it listens");
    let mut stream = BufReader::new(stream);
    let request =
        format!("GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {VIEWER}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("it is open");
    let mut told = String::new();
    let mut until_told = async |what: &[&str]| {
        let reading = async {
            while !what.iter().all(|part| told.contains(part)) {
                assert!(stream.read_line(&mut told).await.expect("it is open") > 0, "it ended: {told}");
            }
        };
        tokio::time::timeout(PATIENCE, reading).await.unwrap_or_else(|_| panic!("not told {what:?}"));
        std::mem::take(&mut told)
    };
    let first = until_told(&["event: projection", "\"phase\":\"streaming\""]).await;
    assert!(
        first.starts_with("HTTP/1.1 200 ") && first.contains("content-type: text/event-stream"),
        "{first}"
    );
    // What is asked for before the first look is no news: the second look tells it.
    until_told(&["event: projection"]).await;
    let paused = operator.post("/api/v1/projections/picky/pause", &json!({ "why": "a canary" })).await;
    assert_eq!(paused.code, 202, "{paused:?}");
    let seen = until_told(&["event: operation", "\"state\":\"done\"", "\"phase\":\"paused\""]).await;
    assert!(!seen.contains("\"why\":\"a canary\"") && seen.contains("(masked)"), "a viewer listens: {seen}");
    assert!(host.stop().await.success());
    let mut rest = String::new();
    while tokio::time::timeout(PATIENCE, stream.read_line(&mut rest)).await.expect("it ends").unwrap_or(0) > 0
    {
    }
}
