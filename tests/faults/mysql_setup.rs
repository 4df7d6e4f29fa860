//! Somebody changes tables, accounts or settings of MySQL while the host runs.

use bson::doc;
use laterna::statement::{FittedOperation, Sent};
use sqlx::Executor;

use super::load::Load;
use super::{SECONDS, administrator, drop_accounts, kill_sessions, with_accounts};
use crate::support::lane::{Bench, entry};
use crate::support::world::event;
use crate::support::{Mysqld, Options, World, some_time, until};

/// A column is dropped, then a whole table; each comes back as it was, as from a backup.
pub async fn table_changed() {
    let projections = [("recorder", "recorder"), ("accounts", "accounts")];
    let load = Load::of(World::with(&projections, Options::mysql()).await).await;
    let world = &load.world;
    let changes: [(&[&str], &str); 2] = [
        (
            &["ALTER TABLE last_seen DROP COLUMN disorder"],
            "ALTER TABLE last_seen ADD COLUMN disorder BIGINT NOT NULL DEFAULT 0",
        ),
        (
            &[
                "CREATE TABLE backup LIKE last_seen",
                "LOCK TABLES last_seen WRITE, backup WRITE",
                "INSERT INTO backup SELECT * FROM last_seen",
                "DROP TABLE last_seen",
                "UNLOCK TABLES",
            ],
            "RENAME TABLE backup TO last_seen",
        ),
    ];
    for (change, mend) in changes {
        let mut changing = world.mysql().await;
        for sql in change {
            changing.execute(*sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        }
        load.host.until_phase("recorder", "paused").await;
        load.until_told(&["do not fit the projector"]).await;
        let other =
            format!("SELECT SUM(events) FROM {}.checkpoint WHERE projection = 'accounts'", world.control());
        let before = world.number(&other).await;
        // A paused projection looks again every 15 s, and must not help itself to an empty table.
        some_time(20_000).await;
        let after = world.number(&other).await;
        assert!(after > before, "the other projection goes on");
        until("the other projection still goes on", async || world.number(&other).await > after).await;
        let status = load.host.status("recorder").await.expect("it answers");
        assert_eq!(status["phase"], "paused");
        assert_eq!(world.letters().await, (0, 0));
        changing.execute(mend).await.expect("the table is as it was");
        load.host.until_phase("recorder", "streaming").await;
    }
    load.ends_well().await;
}

pub async fn account() {
    let load = Load::of(with_accounts(Options::mysql()).await).await;
    let world = &load.world;
    let mut administrator = administrator(&world.options).await;
    let changes = [
        ("REVOKE INSERT ON {}.* FROM {}_app", "GRANT INSERT ON {}.* TO {}_app"),
        ("ALTER USER {}_app ACCOUNT LOCK", "ALTER USER {}_app ACCOUNT UNLOCK"),
        ("ALTER USER {}_app IDENTIFIED BY 'another'", "ALTER USER {}_app IDENTIFIED BY ''"),
    ];
    for (change, mend) in changes {
        world.run(&change.replace("{}", &world.name)).await;
        // Sessions keep what they were allowed when they chose their database.
        kill_sessions(world, &mut administrator).await;
        load.until_told(&["access denied"]).await;
        world.run(&mend.replace("{}", &world.name)).await;
        load.recovers_within(SECONDS(30)).await;
    }
    let world = load.ends_well().await;
    drop_accounts(&world).await;
}

/// A lane over a table with a text, at a server that is changed first.
async fn texts(server: &Mysqld, change: &str, column: &str) -> Bench {
    let mut administrator = administrator(&server.options()).await;
    administrator.execute(change).await.expect("it is the administrator");
    let ddl = format!("CREATE TABLE texts (id BIGINT PRIMARY KEY, body {column} NOT NULL)");
    Bench::with(server.options(), &[(&ddl, &["INSERT INTO texts (id, body) VALUES (?, ?)"])]).await
}

fn text(id: i64, bytes: usize) -> FittedOperation {
    FittedOperation {
        statement: 2,
        parameters: vec![Sent::Integer(Some(id)), Sent::Text(Some("x".repeat(bytes)))],
    }
}

/// It is lowered while the lane is connected: what it was told then holds no more when it connects again.
pub async fn packet() {
    let server = Mysqld::mysql().await;
    let bench = texts(&server, "SET GLOBAL max_allowed_packet = 67108864", "LONGTEXT").await;
    let mut lane = bench.lane(1).await;
    lane.commit(&bench.batch(1, vec![text(2000, 3_000_000)])).await.expect("it fits as it is");
    bench.world.run("SET GLOBAL max_allowed_packet = 1048576").await;
    bench.world.run(&kill_lanes(&bench).await).await;
    // Three megabytes in rows that fit one by one: the statements are split.
    let many = bench.batch(2, (0..300).map(|id| text(id, 10_000)).collect());
    let lost = lane.commit(&many).await.expect_err("its session is gone");
    assert_eq!(lost.class(), "connection-lost");
    lane.commit(&many).await.expect("it fits in parts");
    assert_eq!(bench.world.number("SELECT COUNT(*) FROM texts").await, 301);
    // A row that fits none is its event's fault, and the others go on.
    let entries = vec![entry(3, 1, vec![text(1000, 10)]), entry(4, 2, vec![text(1001, 2_000_000)])];
    let batch = bench.batch_of(3, entries);
    let refused = lane.commit(&batch).await.expect_err("it does not fit");
    assert_eq!(refused.class(), "refused-value");
    let found = lane.probe(&batch, &|_, _| true).await.expect("the connection holds");
    assert_eq!(found.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [1]);
    lane.commit(&bench.batch_of(3, batch.entries[..1].to_vec())).await.expect("the other one fits");
}

/// What ends the session of the bench's lane.
async fn kill_lanes(bench: &Bench) -> String {
    let id = format!("SELECT connection_id FROM {}.checkpoint", bench.world.control());
    format!("KILL {}", bench.world.number(&id).await)
}

pub async fn statements() {
    let server = Mysqld::mysql().await;
    let load = Load::on(server.options()).await;
    let mut administrator = administrator(&load.world.options).await;
    administrator.execute("SET GLOBAL max_prepared_stmt_count = 5").await.expect("it is the administrator");
    kill_sessions(&load.world, &mut administrator).await;
    load.until_told(&["max_prepared_stmt_count"]).await;
    administrator
        .execute("SET GLOBAL max_prepared_stmt_count = 16382")
        .await
        .expect("it is the administrator");
    load.recovers_within(SECONDS(5)).await;
    load.ends_well().await;
}

pub async fn not_strict() {
    let server = Mysqld::mysql().await;
    let bench = texts(&server, "SET GLOBAL sql_mode = ''", "VARCHAR(3)").await;
    let mut lane = bench.lane(1).await;
    lane.commit(&bench.batch(1, vec![text(1, 3)])).await.expect("it fits");
    // The host refuses what its declared column has no room for. This one is narrower by now.
    bench.world.run(&format!("DELETE FROM {}.texts", bench.world.name)).await;
    bench.world.run(&format!("ALTER TABLE {}.texts MODIFY body VARCHAR(2) NOT NULL", bench.world.name)).await;
    let refused =
        lane.commit(&bench.batch(2, vec![text(2, 3)])).await.expect_err("it is too long, and not cut off");
    assert_eq!(refused.class(), "refused-value", "{refused}");
    // A host that starts there works as anywhere.
    let world = World::new("recorder", server.options()).await;
    let host = world.start();
    world.insert([event("e1", "a", 1, doc! {})]).await;
    world.until_committed("recorder", 1).await;
    assert!(host.stop().await.success());
}
