//! Those who mean the API harm where the production overlay has it: on every address of the pod, with tokens.

use std::net::{IpAddr, UdpSocket};
use std::time::Duration;

use bank::{Generator, Model};
use bson::doc;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::{Cluster, PRODUCTION, rendered, write};
use crate::api::abuse::{nothing_was_asked_for, paths_come_to_nothing};
use crate::api::{OPERATOR, VIEWER};
use crate::support::http::{Client, exchange_at};
use crate::support::{Options, World, some_time};

const PAUSE: &str = "/api/v1/projections/accounts/pause";

/// An address of this machine by which others would ask it.
fn own_address() -> IpAddr {
    let socket = UdpSocket::bind(("0.0.0.0", 0)).expect("a socket");
    // Nothing is sent: this asks for the way only.
    socket.connect(("192.0.2.1", 9)).expect("this machine has a way to others");
    socket.local_addr().expect("an address").ip()
}

/// Begins headers and never ends them.
async fn be_slow(client: &Client) -> Vec<TcpStream> {
    let mut slow = vec![];
    for _ in 0..50 {
        let mut stream = TcpStream::connect(client.socket()).await.expect("it listens");
        stream.write_all(b"GET /livez HTTP/1.1\r\nHost: laterna").await.expect("it is open");
        slow.push(stream);
    }
    slow
}

/// Asks for everything at once.
async fn ask_at_once(client: &Client) {
    let mut asking = JoinSet::new();
    for path in
        ["/api/v1/projections", "/api/v1/operations", "/api/v1/hosts", "/metrics"].iter().cycle().take(400)
    {
        let client = client.clone();
        asking.spawn(async move { client.get(path).await.code });
    }
    for code in asking.join_all().await {
        assert!([200, 429, 503].contains(&code), "{code}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_of_the_production_overlay_refuses_those_who_mean_harm_and_the_lanes_go_on() {
    let world = World::new("accounts", Options::mysql()).await;
    let cluster = Cluster { world: &world, documents: rendered(PRODUCTION) };
    let pod = cluster.start_ready().await;
    let events: Vec<_> = Generator::new(11, 100).take(3_000).collect();
    let (writing, _) = write(&world, &events);
    // An event whose names would be scripts, or steer a terminal; it becomes a letter.
    let forged = "<script>alert(1)</script>\u{1b}[2J";
    let letter = doc! {
        "_id": forged, "type": "AccountOpened", "aggregateType": "account", "aggregateId": forged, "sequence": 1_i64,
        "payload": { "owner": { "<img src=x onerror=alert(1)>": "\u{1b}]0;x\u{7}" } },
    };
    world.insert([letter]).await;

    let anybody = Client::new(pod.host.port).at(own_address());
    assert!(!anybody.address.is_loopback(), "{anybody:?}");
    let stranger = anybody.with("Host", "laterna-api");
    let (viewer, operator) = (stranger.with_token(VIEWER), stranger.with_token(OPERATOR));
    let slow = be_slow(&stranger).await;
    for _ in 0..5 {
        for wrong in [stranger.clone(), stranger.with_token(&OPERATOR[1..])] {
            assert_eq!(wrong.get("/api/v1/projections").await.code, 401);
            assert_eq!(wrong.post(PAUSE, &json!({ "why": "harm" })).await.code, 401);
        }
        assert_eq!(viewer.post(PAUSE, &json!({ "why": "harm" })).await.code, 403);
        let forged = anybody.with("Host", "evil.example").with_token(OPERATOR);
        assert_eq!(forged.get("/api/v1/projections").await.code, 421);
        let page =
            operator.with("Origin", "http://evil.example").post(PAUSE, &json!({ "why": "harm" })).await;
        assert_eq!(page.code, 403, "{page:?}");
        let large = format!(
            "POST {PAUSE} HTTP/1.1\r\nHost: laterna-api\r\nAuthorization: Bearer {OPERATOR}\r\n\
             Content-Type: application/json\r\nContent-Length: 104857600\r\nConnection: close\r\n\r\n"
        );
        let told = exchange_at(stranger.socket(), large.as_bytes()).await.unwrap_or_default();
        assert!(told.starts_with("HTTP/1.1 413 "), "{told}");
        ask_at_once(&viewer).await;
        // The host has room again, and the caller has not asked too often.
        some_time(1_000).await;
        paths_come_to_nothing(&operator).await;
        assert!(pod.succeeds("livenessProbe").await && pod.succeeds("readinessProbe").await);
    }
    let letters = operator.get("/api/v1/projections/accounts/letters").await;
    assert_eq!((letters.code, letters.header("x-content-type-options")), (200, "nosniff"), "{letters:?}");
    assert_eq!(letters.header("content-type"), "application/json");
    assert!(letters.text.contains("script") && !letters.text.contains('\u{1b}'), "{letters:?}");
    nothing_was_asked_for(&world).await;
    for mut stream in slow {
        let mut rest = vec![];
        let reading = stream.read_to_end(&mut rest);
        tokio::time::timeout(Duration::from_mins(1), reading).await.expect("a slow one is let go").ok();
    }
    writing.await.expect("all is written");
    world.until_committed("accounts", i64::try_from(events.len()).expect("few") + 1).await;
    world.assert_accounts(&Model::from_iter(&events)).await;
    cluster.end(pod).await;
}
