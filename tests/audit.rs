//! The audit keeps what was asked for as long as the configuration says, and no longer; and it has everything that changes something.

mod carried_out;
mod changes;

use crate::support::world::{laterna, said};
use crate::support::{Options, World, until};

const DAYS: &str = "2";

/// Writes commands down that ended as long ago as an interval of SQL says.
async fn ended(world: &World, projection: &str, request: &str, state: &str, interval: &str, count: i64) {
    world
        .run(&format!(
            "INSERT INTO {}.command (projection, request, state, result, requested_by, requested_at, finished_at) \
             WITH RECURSIVE numbers (number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < {count}) \
             SELECT '{projection}', '{{\"do\":\"{request}\"}}', '{state}', '', '{interval}', \
             CURRENT_TIMESTAMP(6) - INTERVAL 20 DAY, CURRENT_TIMESTAMP(6) - INTERVAL {interval} FROM numbers",
            world.control()
        ))
        .await;
}

async fn forgets(options: Options) {
    let world = World::new("picky", options).await;
    let host = world.start();
    host.until_phase("picky", "streaming").await;
    host.stop().await;
    ended(&world, "picky", "resume", "done", "49 HOUR", 730).await;
    ended(&world, "picky", "resume", "failed", "3 DAY", 1).await;
    ended(&world, "picky", "resume", "done", "47 HOUR", 1).await;
    ended(&world, "picky", "resume", "failed", "0 HOUR", 1).await;
    ended(&world, "another", "resume", "done", "3 DAY", 1).await;
    // What hosts did as a whole, and who forgot what there is no more, belongs to nobody.
    for (gone, request) in [("", "reload"), ("gone", "forget")] {
        ended(&world, gone, request, "done", "49 HOUR", 2).await;
        ended(&world, gone, request, "failed", "47 HOUR", 1).await;
    }
    // What is not over is done, however old it is.
    ended(&world, "picky", "resume", "pending", "9 DAY", 1).await;
    let of = |projection: &str| {
        format!("SELECT COUNT(*) FROM {}.command WHERE projection = '{projection}'", world.control())
    };

    // Nothing is forgotten where nobody said so.
    let host = world.start();
    host.until_phase("picky", "streaming").await;
    let pending = format!("SELECT COUNT(*) FROM {}.command WHERE state = 'pending'", world.control());
    until("what was asked for is done", async || world.number(&pending).await == 0).await;
    host.stop().await;
    assert_eq!(world.number(&of("picky")).await, 734);
    assert_eq!((world.number(&of("")).await, world.number(&of("gone")).await), (3, 3));

    let host = world.start_with(&[("HOST__AUDIT_RETENTION_DAYS", DAYS)]);
    until("what is too old is gone", async || world.number(&of("picky")).await == 3).await;
    until("that is logged", async || {
        host.log().contains("removed operations from the audit that were over 2 days ago")
    })
    .await;
    assert_eq!(world.number(&of("another")).await, 1, "nobody runs it here");
    for gone in ["", "gone"] {
        until("what belongs to nobody goes, too", async || world.number(&of(gone)).await == 1).await;
    }
    let config = world.folder.path().join(format!("laterna-{}.toml", host.port));
    let told = said(&laterna(&config, &["audit", "picky"]));
    let has = |interval: &str| told.contains(interval);
    assert_eq!(
        ["49 HOUR", "3 DAY", "47 HOUR", "0 HOUR", "9 DAY"].map(has),
        [false, false, true, true, true],
        "{told}"
    );
    assert!(host.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_forgets_what_was_over_longer_ago_than_configured_and_nothing_else_on_mysql() {
    forgets(Options::mysql()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_forgets_what_was_over_longer_ago_than_configured_and_nothing_else_on_mariadb() {
    forgets(Options::mariadb()).await;
}
