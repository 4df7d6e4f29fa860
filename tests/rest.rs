//! A projection that has nothing to do asks little of MySQL, and hears of a command all the same.

use std::time::Instant;

use bson::doc;

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
