//! The admin endpoint under those who mean it harm, or ask too much of it: what they get, and what it costs the others.

use std::process::Command;
use std::time::Duration;

use bson::doc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::host::BINARY;
use crate::support::http::exchange;
use crate::support::proxy::{Mode, Proxy};
use crate::support::world::{event, free_port};
use crate::support::{Host, Options, World, until};

/// Everything that can be asked for.
const PATHS: [&str; 6] = ["/", "/status", "/dlq/recorder", "/livez", "/readyz", "/metrics"];

/// Those of them that health checks ask for.
const HEALTH: [&str; 3] = ["/livez", "/readyz", "/metrics"];

/// What is answered to a request in these words.
async fn answer(port: u16, request: &str) -> Option<String> {
    exchange(port, request.as_bytes()).await
}

fn request(path: &str, host: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
}

/// The code of an answer; 0 where there is none.
fn code(answer: Option<&str>) -> u16 {
    answer.and_then(|answer| answer.split(' ').nth(1)).and_then(|code| code.parse().ok()).unwrap_or_default()
}

async fn ask(port: u16, path: &str) -> u16 {
    code(answer(port, &request(path, "localhost")).await.as_deref())
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_comes_under_a_foreign_name_is_told_nothing() {
    let world = World::new("recorder", Options::mysql()).await;
    let host = world.start_with(&[("HOST__ADMIN_NAMES", "laterna.internal, other-name")]);
    host.until_phase("recorder", "streaming").await;
    let own = format!("127.0.0.1:{}", host.port);
    for path in PATHS {
        for name in [&*own, "localhost", "[::1]:1", "laterna.internal:7420", "OTHER-NAME"] {
            let told = answer(host.port, &request(path, name)).await;
            assert_eq!(code(told.as_deref()), 200, "{path} of {name}: {told:?}");
        }
        for name in
            ["evil.example", "evil.example:7420", "localhost.evil.example", "10.1.2.3", "", "a@localhost"]
        {
            let told = answer(host.port, &request(path, name)).await.expect("it answers");
            assert_eq!(code(Some(&told)), 421, "{path} of {name}: {told}");
            assert!(
                told.contains("`host.admin_names`") && !told.contains("recorder"),
                "{path} of {name}: {told}"
            );
        }
        for (what, forged) in [
            ("no name", format!("GET {path} HTTP/1.1\r\nConnection: close\r\n\r\n")),
            ("two names", request(path, "localhost\r\nHost: evil.example")),
            ("another name in the address", request(&format!("http://evil.example{path}"), "localhost")),
        ] {
            let told = answer(host.port, &forged).await;
            assert!([400, 421].contains(&code(told.as_deref())), "{path}, {what}: {told:?}");
            assert!(!told.is_some_and(|told| told.contains("recorder")), "{path}, {what}");
        }
    }
    let header = request("/livez", &format!("localhost\r\nX-Long: {}", "x".repeat(64 << 10)));
    assert_ne!(code(answer(host.port, &header).await.as_deref()), 200, "a header has its bounds");
    assert_eq!(ask(host.port, "/livez").await, 200);
}

/// Starts a host that may have no more than 1,024 open files, which is what many machines give it.
fn start_with_few_files(world: &World) -> Host {
    let port = free_port();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 1024 && exec \"$@\"", "sh", BINARY]);
    Host::start_as(command, &world.config(port), port)
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_say_nothing_keep_nobody_out() {
    let world = World::new("recorder", Options::mysql()).await;
    let host = start_with_few_files(&world);
    host.until_phase("recorder", "streaming").await;
    let connect = async || TcpStream::connect(("127.0.0.1", host.port)).await.expect("it takes connections");
    let mut silent = vec![];
    for _ in 0..1_100 {
        silent.push(connect().await);
    }
    for _ in 0..3 {
        for path in PATHS {
            assert_eq!(ask(host.port, path).await, 200, "{path} beside {} connections", silent.len());
        }
    }
    world.insert((1..=200).map(|n| event(&format!("e{n}"), "a", n, doc! {}))).await;
    world.until_committed("recorder", 200).await;
    world.assert_recorded(200, 1).await;
    let files = std::fs::read_dir(format!("/proc/{}/fd", host.id())).expect("it runs").count();
    assert!(files < 700, "{files} open files");
    drop(silent);
    // One that says nothing, one that stops in the middle of a header, and one that was answered and keeps its connection.
    let mut quiet = [connect().await, connect().await, connect().await];
    quiet[1].write_all(b"GET /livez HTTP/1.1\r\nHost: local").await.expect("it is open");
    quiet[2].write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("it is open");
    for stream in &mut quiet {
        let mut answered = vec![];
        let closed = stream.read_to_end(&mut answered);
        tokio::time::timeout(Duration::from_mins(2), closed).await.expect("it is closed").ok();
    }
    assert_eq!(ask(host.port, "/livez").await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn four_hundred_who_ask_at_once_share_one_session_and_the_lanes_go_on() {
    let mut world = World::new("picky", Options::mysql()).await;
    let account = format!("{}_app", world.name);
    world.run(&format!("DROP USER IF EXISTS {account}")).await;
    world.run(&format!("CREATE USER {account}")).await;
    world.run(&format!("GRANT ALL ON `{}%`.* TO {account}", world.name.replace('_', "\\_"))).await;
    world.options.host_mysql = Some(world.options.mysql.replacen("root", &account, 1));
    let host = world.start();
    let failing = |n: i64| event(&format!("bad{n}"), &format!("bad{n}"), 1, doc! { "do": "panic" });
    world.insert((1..=20).map(failing)).await;
    world.until_committed("picky", 20).await;
    host.until_phase("picky", "streaming").await;
    // All sessions that the host ever had: what a request opens for a moment counts, too.
    let sessions =
        format!("SELECT SUM(total_connections) FROM performance_schema.accounts WHERE user = '{account}'");
    assert_eq!(ask(host.port, "/dlq/picky").await, 200);
    let before = world.number(&sessions).await;
    let mut asking = JoinSet::new();
    let paths = ["/dlq/picky", "/api/v1/projections/picky/letters", "/api/v1/operations", "/api/v1/hosts"];
    for path in paths.into_iter().cycle().take(400) {
        let port = host.port;
        asking.spawn(async move { answer(port, &request(path, "localhost")).await });
    }
    let good = |n: i64| event(&format!("good{n}"), "good", n, doc! { "do": "ok" });
    world.insert((1..=300).map(good)).await;
    for path in HEALTH {
        assert_eq!(ask(host.port, path).await, 200, "{path} beside those who read letters");
    }
    let answers = asking.join_all().await;
    let (pages, busy): (Vec<_>, Vec<_>) =
        answers.iter().flatten().partition(|answer| code(Some(answer)) == 200);
    assert_eq!(pages.len() + busy.len(), 400, "everybody gets an answer");
    assert!(pages.iter().any(|page| page.contains("bad1")), "{pages:?}");
    for told in busy {
        let told = told.to_lowercase();
        assert!(code(Some(&told)) == 503 && told.contains("\r\nretry-after: 1\r\n"), "{told}");
    }
    world.until_committed("picky", 320).await;
    let opened = world.number(&sessions).await - before;
    assert!(opened <= 5, "400 requests opened {opened} sessions");
    assert_eq!(ask(host.port, "/dlq/picky").await, 200);
    drop(host);
    world.run(&format!("DROP USER {account}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_told_without_mysql_and_letters_say_that_it_is_away() {
    let world = World::new("recorder", Options::mysql()).await;
    let port = std::env::var("LATERNA_MYSQL_PORT").ok().and_then(|port| port.parse().ok()).expect("a port");
    let proxy = Proxy::to(port).await;
    let host = world.start_with(&[("MYSQL__URL", &world.url_at(proxy.port))]);
    host.until_phase("recorder", "streaming").await;
    assert_eq!(ask(host.port, "/dlq/recorder").await, 200);
    proxy.set(Mode::Refuse);
    proxy.cut();
    until("letters cannot be read", async || {
        let told = answer(host.port, &request("/dlq/recorder", "localhost")).await.unwrap_or_default();
        code(Some(&told)) == 503 && told.to_lowercase().contains("\r\nretry-after: ")
    })
    .await;
    assert_eq!([ask(host.port, "/livez").await, ask(host.port, "/metrics").await], [200, 200]);
    assert_eq!(ask(host.port, "/status").await, 200);
    until("it is told that it is not ready", async || ask(host.port, "/readyz").await == 503).await;
    proxy.set(Mode::Pass);
    until("letters can be read again", async || ask(host.port, "/dlq/recorder").await == 200).await;
}
