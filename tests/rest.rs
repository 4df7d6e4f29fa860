//! A projection that has nothing to do asks little of MySQL, and hears of a command all the same.

use std::time::Instant;

use bson::doc;
use laterna::failure::Failure;

use crate::support::lane::{Bench, add, put};
use crate::support::world::{event, laterna, said};
use crate::support::{Options, PATIENCE, World, some_time};

/// How many statements an account has run.
async fn statements(world: &World, account: &str) -> i64 {
    let sql = format!(
        "SELECT SUM(count_star) FROM performance_schema.events_statements_summary_by_user_by_event_name \
         WHERE user = '{account}'"
    );
    world.number(&sql).await
}

/// Waits until an account has run fewer statements than that in ten seconds.
async fn until_fewer(world: &World, account: &str, limit: i64) {
    let mut windows = vec![];
    let since = Instant::now();
    while since.elapsed() < PATIENCE {
        let (began, before) = (Instant::now(), statements(world, account).await);
        some_time(10_000).await;
        let seconds = i64::try_from(began.elapsed().as_secs()).expect("a short time");
        let ran = (statements(world, account).await - before) * 10 / seconds.max(10);
        windows.push(ran);
        if ran <= limit {
            return;
        }
    }
    panic!("`{account}` has run so many statements in ten seconds each: {windows:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projection_at_rest_asks_mysql_once_a_second_at_most_and_takes_commands_at_once() {
    let mut world = World::new("recorder", Options::mysql()).await;
    let account = format!("rest_{}", world.name);
    for sql in [format!("CREATE USER {account}"), format!("GRANT ALL ON *.* TO {account}")] {
        world.run(&sql).await;
    }
    world.options.host_mysql = Some(world.options.mysql.replacen("root", &account, 1));
    let host = world.start_with(&[("HOST__LEASE_SECONDS", "10")]);
    world.insert([event("e1", "a", 1, doc! {})]).await;
    world.until_committed("recorder", 1).await;
    host.until_phase("recorder", "streaming").await;
    until_fewer(&world, &account, 10).await;
    // Commands, and the end of a pause, are noticed from rest.
    let paused = laterna(&world.config(host.port), &["pause", "recorder", "--why", "a look", "--wait", "20"]);
    assert!(paused.status.success(), "{}", said(&paused));
    until_fewer(&world, &account, 10).await;
    let resumed = laterna(&world.config(host.port), &["resume", "recorder"]);
    assert!(resumed.status.success(), "{}", said(&resumed));
    host.until_phase("recorder", "streaming").await;
    world.insert([event("e2", "a", 2, doc! {})]).await;
    world.until_committed("recorder", 2).await;
    drop(host);
    world.run(&format!("DROP USER {account}")).await;
}

/// As a server does with a session that is silent for long (`wait_timeout`), or a proxy on the way.
#[tokio::test(flavor = "multi_thread")]
async fn a_lanes_session_that_was_closed_for_its_silence_is_no_failure() {
    for options in [Options::mysql(), Options::mariadb()] {
        let bench = Bench::new(options).await;
        let mut lane = bench.lane(1).await;
        lane.commit(&bench.batch(1, vec![put(1)])).await.expect("it is this lane's turn");
        let session = format!("SELECT connection_id FROM {}.checkpoint", bench.world.control());
        bench.world.run(&format!("KILL {}", bench.world.number(&session).await)).await;
        // One that was used a moment ago is not asked first: that is noticed, and told.
        let noticed = lane.commit(&bench.batch(2, vec![add(1)])).await;
        assert!(matches!(noticed, Err(Failure::ConnectionLost { .. })), "{noticed:?}");
        lane.commit(&bench.batch(2, vec![add(1)])).await.expect("in a new session");
        bench.world.run(&format!("KILL {}", bench.world.number(&session).await)).await;
        some_time(11_000).await;
        lane.commit(&bench.batch(3, vec![add(1)])).await.expect("in a new session, and nobody is told");
        assert_eq!(bench.amounts().await, [2]);
    }
}
