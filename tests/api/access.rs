//! Who gets what: two listeners, tokens and their roles, and `laterna health`.

use std::path::Path;

use bson::doc;

use super::{Guarded, OPERATOR, VIEWER};
use crate::support::http::Client;
use crate::support::world::{event, laterna, said};
use crate::support::{Options, World};

#[tokio::test(flavor = "multi_thread")]
async fn health_is_told_to_everybody_and_the_rest_to_those_with_a_token() {
    let world = World::new("picky", Options::mysql()).await;
    let Guarded { host, health, stranger, viewer, operator } = Guarded::start(&world);
    world.insert([event("bad", "w", 1, doc! { "do": "reject" })]).await;
    world.until_committed("picky", 1).await;
    for path in ["/livez", "/readyz", "/metrics"] {
        for name in ["10.1.2.3:7421", "laterna.internal", "localhost"] {
            let told = health.with("Host", name).get(path).await;
            assert!([200, 503].contains(&told.code) && !told.text.is_empty(), "{path}: {told:?}");
        }
        assert_eq!(health.ask("POST", path, b"").await.expect("an answer").code, 405, "{path}");
        assert_ne!(stranger.get(path).await.code, 401, "{path}");
    }
    for path in ["/status", "/dlq/picky"] {
        assert_eq!(health.get(path).await.code, 404, "{path}: health shows health only");
        for (who, wrong) in [
            ("no token", stranger.clone()),
            ("another token", stranger.with_token("viewer-0123456789abcdef0123456789abcdeF")),
            ("a part of one", stranger.with_token(&VIEWER[1..])),
            ("another scheme", stranger.with("Authorization", &format!("Basic {OPERATOR}"))),
            ("two tokens", viewer.with_token(OPERATOR)),
            ("an empty one", stranger.with("Authorization", "Bearer ")),
        ] {
            let told = wrong.get(path).await;
            assert_eq!((told.code, told.header("www-authenticate")), (401, "Bearer"), "{who}: {told:?}");
            assert_eq!(told.header("content-type"), "application/problem+json");
            assert_eq!(told.json()["class"], "unauthenticated", "{told:?}");
            assert!(!told.text.contains("picky") && !told.text.contains("0123456789"), "{who}: {told:?}");
        }
        assert_eq!([viewer.get(path).await.code, operator.get(path).await.code], [200, 200], "{path}");
    }
    let (masked, whole) = (viewer.get("/dlq/picky").await, operator.get("/dlq/picky").await);
    assert!(whole.text.contains("told to reject"), "{whole:?}");
    assert!(!masked.text.contains("told to reject") && masked.text.contains("(masked)"), "{masked:?}");
    for change in ["POST", "PUT", "PATCH", "DELETE"] {
        let told = viewer.ask(change, "/status", b"").await.expect("an answer");
        assert!([403, 405].contains(&told.code), "{change}: {told:?}");
    }
    // Who reads the host's file of tokens asks with one of them.
    let config = world.config(host.port);
    let mut command = std::process::Command::new(crate::support::host::BINARY);
    command.arg("--config").arg(&config).arg("status");
    let file = world.folder.path().join("tokens.toml");
    let status = command.env("LATERNA_HOST__TOKENS", &file).output().expect("the binary runs");
    assert!(status.status.success() && !said(&status).contains("No host answers"), "{}", said(&status));
    let log = host.log();
    assert!(!log.contains(OPERATOR) && !log.contains(VIEWER), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_machines_reach_the_api_with_tokens_only_and_a_wrong_file_of_them_ends_the_start() {
    let world = World::new("recorder", Options::mysql()).await;
    let config = world.config(0);
    let run = |settings: &[(&str, &str)]| {
        let mut command = std::process::Command::new(crate::support::host::BINARY);
        command.envs(settings.iter().copied()).arg("--config").arg(&config).arg("run");
        command.output().expect("the binary runs")
    };
    let open = run(&[("LATERNA_HOST__ADMIN", "0.0.0.0:0")]);
    assert!(open.status.code() == Some(2) && said(&open).contains("nobody needs a token"), "{}", said(&open));
    let file = world.folder.path().join("wrong.toml");
    let text = format!("[[token]]\nname = \"a\"\nrole = \"admin\"\ntoken = {OPERATOR:?}\n");
    std::fs::write(&file, text).expect("it can be written");
    let wrong = run(&[("LATERNA_HOST__TOKENS", &file.display().to_string())]);
    let mut check = std::process::Command::new(crate::support::host::BINARY);
    check.env("LATERNA_HOST__TOKENS", &file).arg("--config").arg(&config).arg("check");
    let checked = check.output().expect("the binary runs");
    let told = said(&checked);
    let fails = told.lines().any(|line| line.starts_with("FAIL") && line.contains("wrong.toml, line 3"));
    assert!(checked.status.code() == Some(1) && fails && !told.contains(OPERATOR), "{told}");
    assert!(
        wrong.status.code() == Some(2) && said(&wrong).contains("wrong.toml, line 3"),
        "{}",
        said(&wrong)
    );
    assert!(!said(&wrong).contains(OPERATOR), "{}", said(&wrong));
    let reached = Guarded::start_at(&world, "0.0.0.0");
    reached.host.until_healthy(&reached.health).await;
    let stranger = reached.stranger.with("Host", "localhost");
    assert_eq!(stranger.get("/status").await.code, 401);
    assert_eq!(reached.operator.get("/status").await.code, 200);
    // A program beside it reaches it, too, past any proxy, and says so where it is refused.
    let port = reached.host.port;
    let status = |tokens: &Path| {
        let mut command = std::process::Command::new(crate::support::host::BINARY);
        command.env("LATERNA_HOST__ADMIN", format!("0.0.0.0:{port}")).env("HTTP_PROXY", "http://127.0.0.1:9");
        command.env("LATERNA_HOST__TOKENS", tokens);
        said(&command.arg("--config").arg(&config).arg("status").output().expect("the binary runs"))
    };
    let told = status(&world.folder.path().join("tokens.toml"));
    assert!(told.contains("recorder") && !told.contains("this is what MySQL knows"), "{told}");
    let stranger = world.folder.path().join("stranger.toml");
    let text = format!("[[token]]\nname = \"a\"\nrole = \"viewer\"\ntoken = {:?}\n", "s".repeat(40));
    std::fs::write(&stranger, text).expect("it can be written");
    let told = status(&stranger);
    let says = format!(
        "What listens on 127.0.0.1:{port} does not tell the status of its projections (it does not know"
    );
    assert!(told.contains(&says) && told.contains("this is what MySQL knows"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_health_check_by_the_program_itself_tells_a_host_from_none() {
    let world = World::new("recorder", Options::mysql()).await;
    let Guarded { host, health, .. } = Guarded::start(&world);
    let config = world.folder.path().join(format!("laterna-{}.toml", host.port));
    let text = std::fs::read_to_string(&config).expect("it is there");
    std::fs::write(&config, text.replace("127.0.0.1:0", &format!("0.0.0.0:{}", health.port)))
        .expect("written");
    host.until_healthy(&health).await;
    let alive = laterna(&config, &["health"]);
    assert!(alive.status.success() && said(&alive).contains("s ago"), "{}", said(&alive));
    crate::support::until("it is ready", async || laterna(&config, &["health", "--ready"]).status.success())
        .await;
    laterna(&config, &["pause", "recorder", "--why", "a test"]);
    let paused = laterna(&config, &["health", "--ready"]);
    assert!(paused.status.code() == Some(1) && said(&paused).contains("paused by"), "{}", said(&paused));
    assert!(laterna(&config, &["health"]).status.success(), "a paused host is alive");
    host.kill();
    let gone = laterna(&config, &["health"]);
    assert!(gone.status.code() == Some(1) && said(&gone).contains("does not answer"), "{}", said(&gone));
    assert!(Client::new(health.port).ask("GET", "/livez", b"").await.is_none());
}
