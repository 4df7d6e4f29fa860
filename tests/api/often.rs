//! One who asks too often is told to come back, and others are answered meanwhile.

use super::{Guarded, VIEWER};
use crate::support::http::exchange;
use crate::support::{Options, World, some_time};

const ME: &str = "/api/v1/me";

/// How often a caller may ask at once, and how much more is too often however slow this machine is.
const AT_ONCE: usize = 500;
const TOO_OFTEN: usize = 4_000;

/// Asks so often over one connection, without waiting for an answer. Returns how often each code is answered, and everything.
async fn ask(port: u16, times: usize) -> (usize, usize, String) {
    let request = |more: &str| {
        format!("GET {ME} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {VIEWER}\r\n{more}\r\n")
    };
    let all = request("").repeat(times - 1) + &request("Connection: close\r\n");
    let told = exchange(port, all.as_bytes()).await.expect("an answer");
    let count = |code: u16| told.matches(&format!("HTTP/1.1 {code} ")).count();
    (count(200), count(429), told)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_too_often_is_told_to_come_back_and_others_are_answered() {
    let world = World::new("recorder", Options::mysql()).await;
    let Guarded { host, health, stranger, viewer, operator } = Guarded::start(&world);
    host.until_phase_by(&operator, "recorder", "streaming").await;
    assert_eq!(viewer.get(ME).await.code, 200);
    some_time(100).await;
    let (answered, refused, _) = ask(host.port, AT_ONCE).await;
    assert_eq!((answered, refused), (AT_ONCE, 0), "so often everybody may ask");
    let (answered, refused, told) = ask(host.port, TOO_OFTEN).await;
    assert_eq!(answered + refused, TOO_OFTEN, "everything is answered");
    assert!(refused > 0 && told.contains("too-often"), "{answered} of {TOO_OFTEN} are answered");
    // It is that caller's affair alone, and neither the page's files nor health are counted.
    assert_eq!([operator.get(ME).await.code, stranger.get(ME).await.code], [200, 401]);
    for (client, path) in [(&viewer, "/"), (&viewer, "/livez"), (&health, "/livez"), (&health, "/metrics")] {
        assert_eq!(client.get(path).await.code, 200, "{path}");
    }
    // Who comes back when it was told to is answered.
    some_time(1_000).await;
    assert_eq!(viewer.get(ME).await.code, 200);
}
