//! Clients that are slow on purpose, bodies that are too large, and paths that lead elsewhere: each comes to its end, and keeps
//! nobody out.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Guarded, OPERATOR};
use crate::support::http::{Client, exchange};
use crate::support::{Options, World};

/// How long a client may be slow.
const SLOW: Duration = Duration::from_secs(20);

const PAUSE: &str = "/api/v1/projections/recorder/pause";
const UPLOAD: &str = "/api/v1/projections/recorder/components";

async fn guarded() -> (World, Guarded) {
    let world = World::new("recorder", Options::mysql()).await;
    let guarded = Guarded::start(&world);
    guarded.host.until_phase_by(&guarded.operator, "recorder", "streaming").await;
    (world, guarded)
}

/// The header of a request of somebody who may do everything.
fn head(path: &str, more: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {OPERATOR}\r\nContent-Type: application/json\r\n\
         Connection: close\r\n{more}\r\n\r\n"
    )
}

async fn connect(port: u16) -> TcpStream {
    TcpStream::connect(("127.0.0.1", port)).await.expect("it listens")
}

/// What is answered until the connection is closed, and how long that took.
async fn closed(mut stream: TcpStream) -> (String, Duration) {
    let (began, mut answered) = (Instant::now(), vec![]);
    let reading = stream.read_to_end(&mut answered);
    tokio::time::timeout(3 * SLOW, reading).await.expect("it is closed").ok();
    (String::from_utf8_lossy(&answered).into_owned(), began.elapsed())
}

/// Sends a byte of a header each second, for as long as it is taken.
async fn slow_loris(port: u16) -> Duration {
    let (began, mut stream) = (Instant::now(), connect(port).await);
    let header = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Slow: ".iter().chain(std::iter::repeat(&b'x'));
    for byte in header {
        if stream.write_all(&[*byte]).await.is_err() {
            break;
        }
        let mut answered = [0; 512];
        match tokio::time::timeout(Duration::from_secs(1), stream.read(&mut answered)).await {
            // A byte more is due.
            Err(_) => assert!(began.elapsed() < 3 * SLOW, "it is not let go"),
            Ok(_) => break,
        }
    }
    began.elapsed()
}

/// Asks again and again and reads nothing, until nothing more is taken.
async fn reads_nothing(port: u16) -> Duration {
    let (began, mut stream) = (Instant::now(), connect(port).await);
    let request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(100);
    let asking = async { while stream.write_all(&request).await.is_ok() {} };
    tokio::time::timeout(3 * SLOW, asking).await.expect("it is closed");
    began.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_loris_a_body_that_stalls_and_who_does_not_read_are_let_go_and_keep_nobody_out() {
    let (world, Guarded { host, operator, .. }) = guarded().await;
    // As many as may upload at a time.
    let mut uploads = Vec::new();
    for _ in 0..4 {
        let mut stream = connect(host.port).await;
        stream.write_all(head(UPLOAD, "Content-Length: 1000000").as_bytes()).await.expect("it is open");
        stream.write_all(&[0; 1000]).await.expect("it is open");
        uploads.push(tokio::spawn(closed(stream)));
    }
    let mut stalled = connect(host.port).await;
    stalled.write_all(head(PAUSE, "Content-Length: 10").as_bytes()).await.expect("it is open");
    stalled.write_all(b"{").await.expect("it is open");
    let stalled = tokio::spawn(closed(stalled));
    let silent = tokio::spawn(closed(connect(host.port).await));
    let slow = tokio::spawn(slow_loris(host.port));
    let deaf = tokio::spawn(reads_nothing(host.port));
    assert_eq!(operator.get("/api/v1/projections").await.code, 200);
    let (answered, took) = stalled.await.expect("it ends");
    assert!(answered.starts_with("HTTP/1.1 503 ") && answered.contains("timed-out"), "{answered}");
    assert!(took + Duration::from_secs(2) > SLOW, "{took:?}");
    for upload in uploads {
        let (answered, _) = upload.await.expect("it ends");
        assert!(answered.starts_with("HTTP/1.1 408 ") && answered.contains("timed-out"), "{answered}");
    }
    assert_eq!(silent.await.expect("it ends").0, "");
    for took in [slow.await.expect("it ends"), deaf.await.expect("it ends")] {
        assert!(took + Duration::from_secs(2) > SLOW, "{took:?}");
    }
    assert_eq!(operator.get("/api/v1/projections").await.code, 200);
    let upload = operator.with("Content-Type", "application/wasm").ask("POST", UPLOAD, b"no component").await;
    assert_eq!(upload.expect("an answer").code, 400, "there is a place again");
    nothing_was_asked_for(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_a_hundred_megabytes_is_refused_before_it_is_read() {
    let (world, Guarded { host, .. }) = guarded().await;
    for path in [PAUSE, UPLOAD] {
        let told =
            exchange(host.port, head(path, "Content-Length: 104857600").as_bytes()).await.unwrap_or_default();
        assert!(told.starts_with("HTTP/1.1 413 ") && told.contains("too-large"), "{path}: {told}");
    }
    // The same without saying how long it is.
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    let endless = head(PAUSE, "Transfer-Encoding: chunked") + &chunk.repeat(40);
    let told = exchange(host.port, endless.as_bytes()).await.unwrap_or_default();
    assert!(told.is_empty() || told.starts_with("HTTP/1.1 413 "), "{told}");
    nothing_was_asked_for(&world).await;
}

/// Paths that lead elsewhere.
pub const PATHS: [&str; 14] = [
    "/api/v1/../../etc/passwd",
    "/api/v1/%2e%2e/%2e%2e/etc/passwd",
    "/api/v1//projections",
    "//api/v1/projections",
    "/api/v1/projections/..%2f..%2fhosts",
    "/api/v1/projections/recorder%00",
    "/api/v1/projections/recorder/letters/..",
    "/api/v1/projections/%FF/letters",
    "/api/v1/projections/a'%20OR%20'1'='1/letters",
    "/api/v1/components/%27%20OR%201=1;--",
    "/api/v1/projections/%3Cscript%3Ealert(1)%3C/script%3E",
    "/api/v1/projections/%1B%5B2J",
    "/api/v1/operations/18446744073709551616",
    "/api/v1/operations?kind=%25&by=%27",
];

/// Asks for each of these paths, and demands that nothing comes of it.
pub async fn paths_come_to_nothing(operator: &Client) {
    for path in PATHS {
        let told = operator.get(path).await;
        let is_empty_list = told.code == 200 && told.text.contains("\"operations\":[]");
        assert!([400, 404].contains(&told.code) || is_empty_list, "{path}: {told:?}");
        let kind = told.header("content-type");
        assert!(kind == "application/problem+json" || is_empty_list, "{path}: {told:?}");
        assert!(!told.text.contains('\u{1b}') && !told.text.contains("root:"), "{path}: {told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_that_lead_elsewhere_come_to_nothing() {
    let (world, Guarded { host: _host, operator, .. }) = guarded().await;
    paths_come_to_nothing(&operator).await;
    nothing_was_asked_for(&world).await;
}

pub async fn nothing_was_asked_for(world: &World) {
    let rows = format!("SELECT COUNT(*) FROM {}.command", world.control());
    assert_eq!(world.number(&rows).await, 0);
}
