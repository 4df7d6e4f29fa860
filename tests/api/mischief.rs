//! Those who mean the API harm: forged names and origins, bodies without end, paths that lead elsewhere, text that would be
//! code.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Guarded, OPERATOR};
use crate::support::http::exchange;
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

#[tokio::test(flavor = "multi_thread")]
async fn bodies_without_end_and_paths_that_lead_elsewhere_come_to_nothing() {
    let world = World::new("recorder", Options::mysql()).await;
    let Guarded { host, operator, .. } = Guarded::start(&world);
    host.until_phase_by(&operator, "recorder", "streaming").await;
    let head = |path: &str, more: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {OPERATOR}\r\nContent-Type: application/json\r\n\
             Connection: close\r\n{more}\r\n\r\n"
        )
    };
    let pause = "/api/v1/projections/recorder/pause";
    for path in [pause, "/api/v1/projections/recorder/components"] {
        let told =
            exchange(host.port, head(path, "Content-Length: 104857600").as_bytes()).await.unwrap_or_default();
        assert!(told.starts_with("HTTP/1.1 413 ") && told.contains("too-large"), "{path}: {told}");
    }
    // The same without saying how long it is.
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    let endless = head(pause, "Transfer-Encoding: chunked") + &chunk.repeat(40);
    let told = exchange(host.port, endless.as_bytes()).await.unwrap_or_default();
    assert!(told.is_empty() || told.starts_with("HTTP/1.1 413 "), "{told}");
    // One that never comes to its end is not waited for, and keeps nobody out.
    let began = Instant::now();
    let mut slow = TcpStream::connect(("127.0.0.1", host.port)).await.expect("it listens");
    slow.write_all(head(pause, "Content-Length: 10").as_bytes()).await.expect("it is open");
    slow.write_all(b"{").await.expect("it is open");
    assert_eq!(operator.get("/api/v1/projections").await.code, 200);
    let mut answered = vec![];
    tokio::time::timeout(Duration::from_mins(1), slow.read_to_end(&mut answered))
        .await
        .expect("it ends")
        .ok();
    let answered = String::from_utf8_lossy(&answered).into_owned();
    assert!(answered.starts_with("HTTP/1.1 503 ") && answered.contains("timed-out"), "{answered}");
    assert!(began.elapsed() > Duration::from_secs(15), "{:?}", began.elapsed());
    for path in [
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
    ] {
        let told = operator.get(path).await;
        let is_empty_list = told.code == 200 && told.text.contains("\"operations\":[]");
        assert!([400, 404].contains(&told.code) || is_empty_list, "{path}: {told:?}");
        let kind = told.header("content-type");
        assert!(kind == "application/problem+json" || is_empty_list, "{path}: {told:?}");
        assert!(!told.text.contains('\u{1b}') && !told.text.contains("root:"), "{path}: {told:?}");
    }
    let rows = format!("SELECT COUNT(*) FROM {}.command", world.control());
    assert_eq!(world.number(&rows).await, 0, "nothing was asked for");
}
