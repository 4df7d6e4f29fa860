//! Whatever somebody asks of the admin endpoint, it answers, says no, or hangs up; it never fails, and goes on.

use bson::doc;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::world::event;
use crate::support::{Host, Options, World, random};

const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "\u{1f600}"];
const PATHS: [&str; 34] = [
    "/",
    "//",
    "/status",
    "/status/",
    "/STATUS",
    "/dlq",
    "/dlq/",
    "/dlq/picky",
    "/dlq/nobody",
    "/dlq/%00",
    "/dlq/%FF",
    "/dlq/%F0%9F%98%80",
    "/dlq/a%27%20OR%20%271%27=%271",
    "/dlq/picky%2F..",
    "/dlq/../status",
    "/dlq/..%2f..%2fetc/passwd",
    "/livez",
    "/readyz",
    "/metrics",
    "/nothing",
    "*",
    "http://elsewhere/status",
    "/%",
    "/dlq/a/b/c",
    "/api/v1/projections",
    "/api/v1/projections/picky/letters",
    "/api/v1/projections/picky/letters/1",
    "/api/v1/projections/picky/pause",
    "/api/v1/projections/picky/letters/discard",
    "/api/v1/projections/picky/deployments",
    "/api/v1/projections/picky/generations/1/drop",
    "/api/v1/operations",
    "/api/v1/components/x",
    "/api/v1/openapi.json",
];
const KEYS: [&str; 8] = ["id", "aggregate", "class", "heads_only", "after", "limit", "", "%00"];
const VALUES: [&str; 18] = [
    "",
    "0",
    "1",
    "-1",
    "18446744073709551615",
    "18446744073709551616",
    "1.5",
    "NaN",
    "true",
    "false",
    "yes",
    "%",
    "%00",
    "%FF",
    "%F0%9F%98%80",
    "a'%20OR%201=1;--",
    "thing/w0",
    "undecodable",
];

/// Sends bytes as they are, and gives the status of the answer; none when there is no answer.
async fn ask(port: u16, request: &[u8]) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("it listens");
    // It may have hung up already.
    let _ = stream.write_all(request).await;
    let is_whole = |text: &str| text.ends_with(" HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    if !std::str::from_utf8(request).is_ok_and(is_whole) {
        // More could come: that there is no more has to be said.
        let _ = stream.shutdown().await;
    }
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    Some((answer.split(' ').nth(1)?.parse().ok()?, answer))
}

fn any_request(rng: &mut StdRng) -> Vec<u8> {
    let pick = |rng: &mut StdRng, from: &[&'static str]| *from.choose(rng).expect("there are some");
    let mut path = pick(rng, &PATHS).to_owned();
    if rng.random_bool(0.2) {
        let bytes: Vec<String> =
            (0..rng.random_range(0..40)).map(|_| format!("%{:02X}", rng.random::<u8>())).collect();
        path = format!("/dlq/{}", bytes.concat());
    }
    for n in 0..rng.random_range(0..4) {
        path += if n == 0 { "?" } else { "&" };
        path += &[pick(rng, &KEYS), "=", pick(rng, &VALUES)].concat();
    }
    let method = if rng.random_bool(0.7) { "GET" } else { pick(rng, &METHODS) };
    let mut request =
        format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").into_bytes();
    if rng.random_bool(0.1) {
        let at = rng.random_range(0..request.len());
        request[at] = rng.random();
    }
    if rng.random_bool(0.05) {
        request.truncate(rng.random_range(0..request.len()));
    }
    request
}

/// Ready or not is told by 503; every other failure of the host is one of this test.
fn assert_answered(request: &[u8], answer: Option<&(u16, String)>) {
    let Some((status, text)) = answer else { return };
    let readiness = String::from_utf8_lossy(request).contains("/readyz");
    assert!(*status < 500 || (*status == 503 && readiness), "{}\n{text}", String::from_utf8_lossy(request));
}

async fn assert_alive(host: &Host) {
    assert_eq!(host.get("/livez").await.expect("it answers").0, 200);
    assert_eq!(host.get("/status").await.expect("it answers").0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_asked_of_the_endpoint_it_answers_and_goes_on() {
    let mut rng = random("requests");
    let world = World::new("picky", Options::mysql()).await;
    world.insert([event("e1", "w0", 1, doc! { "do": "reject" })]).await;
    let host = world.start();
    world.until_committed("picky", 1).await;
    for (path, expected) in [
        ("/dlq/picky", 200),
        ("/dlq/nobody", 404),
        ("/dlq/picky?after=x", 400),
        ("/dlq/picky?id=-1", 400),
        ("/dlq/picky?heads_only=maybe", 400),
        ("/dlq/%FF", 400),
        ("/dlq/picky?class=%F0%9F%98%80&aggregate=thing/%F0%9F%98%80", 200),
        ("/dlq/picky?aggregate=%F0%9F%98%80", 400),
        ("/dlq/%F0%9F%98%80", 404),
        ("/dlq/a%00b", 404),
        ("/nothing", 404),
    ] {
        let answer = host.get(path).await.expect("it answers");
        assert_eq!(answer.0, expected, "{path}: {}", answer.1);
    }
    let found = host.get("/dlq/picky").await.expect("it answers").1;
    assert!(found.contains("told to reject"), "{found}");
    for method in ["POST", "PUT", "DELETE"] {
        let request = format!("{method} /status HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        assert_eq!(ask(host.port, request.as_bytes()).await.map(|(status, _)| status), Some(405));
    }
    for _ in 0..400 {
        let request = any_request(&mut rng);
        assert_answered(&request, ask(host.port, &request).await.as_ref());
    }
    let long =
        format!("GET /{} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n", "x".repeat(100_000));
    assert_answered(long.as_bytes(), ask(host.port, long.as_bytes()).await.as_ref());
    assert_alive(&host).await;
    assert!(!host.log().contains("panicked"), "{}", host.log());
    assert_eq!(world.letters().await, (1, 0), "asking changes nothing");
}
