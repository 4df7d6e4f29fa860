//! A stop: in a written order, within a deadline, naming who is late. Correctness never depends on it.

use std::time::{Duration, Instant};

use bson::doc;
use sqlx::Executor;
use sqlx::mysql::MySqlConnection;

use crate::support::proxy::{Mode, Proxy};
use crate::support::world::event;
use crate::support::{Host, Options, World, some_time, until};

/// A host whose only lane has a transaction open, because another client holds a row that it needs.
async fn stuck(settings: &[(&str, &str)]) -> (World, Host, MySqlConnection) {
    let world = World::new("recorder", Options { lanes: 1, ..Options::mysql() }).await;
    let host = world.start_with(settings);
    world.insert([event("e1", "a", 1, doc! {})]).await;
    world.until_committed("recorder", 1).await;
    let mut other = world.mysql().await;
    other.execute("BEGIN").await.expect("it begins");
    other.execute("SELECT * FROM last_seen FOR UPDATE").await.expect("the row is free");
    world.insert([event("e2", "a", 2, doc! {})]).await;
    until("the lane waits for the row", async || {
        let waiting = "SELECT COUNT(*) FROM information_schema.innodb_trx t JOIN information_schema.processlist p \
                       ON p.id = t.trx_mysql_thread_id WHERE t.trx_state = 'LOCK WAIT' AND p.db";
        // MySQL shows what it showed before to whoever asks again within 100 ms.
        some_time(150).await;
        world.number(&format!("{waiting} = '{}'", world.name)).await > 0
    })
    .await;
    (world, host, other)
}

/// What was stopped in between is done once by the next host.
async fn assert_goes_on(world: &World) {
    let _host = world.start();
    world.insert([event("e3", "a", 3, doc! {})]).await;
    world.until_committed("recorder", 3).await;
    world.assert_recorded(3, 1).await;
    assert_eq!(world.letters().await, (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_finishes_what_is_open_and_keeps_its_order() {
    let (world, host, mut other) = stuck(&[]).await;
    host.signal("TERM");
    until("the endpoint says that it is stopping", async || {
        host.get("/readyz").await.is_some_and(|(code, text)| code == 503 && text.contains("stopping"))
    })
    .await;
    // What comes now is not read any more.
    world.insert([event("e3", "a", 3, doc! {})]).await;
    other.execute("ROLLBACK").await.expect("it ends");
    let (log, status) = host.ended_with_log().await;
    assert!(status.success(), "{log}");
    assert_eq!(world.number("SELECT COUNT(*) FROM recorded").await, 2, "what was open is committed, no more");
    let lease =
        format!("SELECT COUNT(*) FROM {}.lease WHERE owner = '' AND connection_id = 0", world.control());
    assert_eq!(world.number(&lease).await, 1, "the lease is given back");
    let places =
        ["INFO stopping", "phase=\"stopping\"", "gave the lease back", "phase=\"stopped\"", "INFO stopped"]
            .map(|said| log.find(said).unwrap_or_else(|| panic!("`{said}` is missing in\n{log}")));
    assert!(places.is_sorted(), "the order is another one:\n{log}");
    assert!(!log.contains("took too long"), "{log}");
    let _host = world.start();
    world.until_committed("recorder", 3).await;
    world.assert_recorded(3, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_names_who_is_not_done_by_its_deadline() {
    let (world, host, mut other) = stuck(&[("HOST__STOP_SECONDS", "1")]).await;
    let began = Instant::now();
    host.signal("TERM");
    let (log, status) = host.ended_with_log().await;
    assert!(began.elapsed() < Duration::from_secs(4), "it took {:?}", began.elapsed());
    assert!(status.success(), "{log}");
    let late = log.lines().find(|line| line.contains("the stop took too long")).unwrap_or_default();
    for named in ["projection=\"recorder\"", "lane=0", "waiting for MySQL to commit a batch of 1 events"] {
        assert!(late.contains(named), "`{named}` is missing in `{late}` of\n{log}");
    }
    other.execute("ROLLBACK").await.expect("it ends");
    assert_goes_on(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_the_host_at_once() {
    let (world, host, mut other) = stuck(&[]).await;
    host.signal("TERM");
    until("it listens for a second signal", async || {
        host.status("recorder").await.is_some_and(|status| status["phase"] == "stopping")
    })
    .await;
    let mut began = Instant::now();
    let first = began;
    // Those that follow the first one closely are the same wish.
    until("the second signal is sent", async || {
        began = Instant::now();
        let late = first.elapsed() > Duration::from_millis(1300);
        if late {
            host.signal("TERM");
        }
        late
    })
    .await;
    let (log, status) = host.ended_with_log().await;
    assert_eq!(status.code(), Some(130), "{log}");
    assert!(began.elapsed() < Duration::from_secs(1), "it took {:?}", began.elapsed());
    other.execute("ROLLBACK").await.expect("it ends");
    assert_goes_on(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_does_not_write_stops_at_once() {
    let world = World::new("recorder", Options::mysql()).await;
    let port = std::env::var("LATERNA_MYSQL_PORT").expect("it is set").parse().expect("a port");
    let proxy = Proxy::to(port).await;
    proxy.set(Mode::BlackHole);
    let writing = world.start();
    world.insert([event("e1", "a", 1, doc! {})]).await;
    world.until_committed("recorder", 1).await;
    let standing = world.start();
    standing.until_phase("recorder", "standby").await;
    let cut_off = world.start_with(&[("MYSQL__URL", &world.url_at(proxy.port))]);
    cut_off.until_phase("recorder", "starting").await;
    for host in [standing, cut_off] {
        let began = Instant::now();
        assert!(host.stop().await.success());
        assert!(began.elapsed() < Duration::from_secs(3), "it took {:?}", began.elapsed());
    }
    assert!(writing.stop().await.success());
}
