//! Faults of MySQL and of the way to it.

mod load;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bson::doc;
use load::Load;
use rand::Rng;
use rand::seq::IndexedRandom;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::{ConnectOptions, Executor, Row as _};

use crate::catalogue::Proof::{Elsewhere, Quick, Slow};
use crate::catalogue::{Row, test};
use crate::support::lane::{Bench, batch, batch_of, entry};
use crate::support::proxy::{Mode, Proxy};
use crate::support::world::event;
use crate::support::{Mysqld, Options, World, random, some_time, until};

const SECONDS: fn(u64) -> Duration = Duration::from_secs;

pub fn rows() -> Vec<Row> {
    vec![
        Row { number: 33, fault: "mysqld is killed in the middle of a batch", proof: Quick(test!(killed)) },
        Row { number: 34, fault: "mysqld is frozen for 30 s", proof: Slow(test!(frozen)) },
        Row {
            number: 35,
            fault: "connections are killed at random",
            proof: Quick(test!(connections_killed)),
        },
        Row { number: 36, fault: "statements are interrupted", proof: Quick(test!(statements_interrupted)) },
        Row {
            number: 37,
            fault: "the connection is cut before or after COMMIT, or the answer is lost",
            proof: Elsewhere(
                "commits::a_host_whose_commits_are_cut_again_and_again_applies_each_event_once_without_a_restart",
            ),
        },
        Row {
            number: 38,
            fault: "MySQL is silent in the middle of a statement",
            proof: Quick(test!(silent)),
        },
        Row { number: 39, fault: "deadlocks all the time", proof: Quick(test!(deadlocks)) },
        Row { number: 40, fault: "somebody holds a row, or a checkpoint", proof: Quick(test!(rows_held)) },
        Row { number: 41, fault: "ALTER TABLE waits behind a long SELECT", proof: Slow(test!(table_held)) },
        Row { number: 42, fault: "the server becomes read-only", proof: Quick(test!(read_only)) },
        Row { number: 43, fault: "a failover loses the last commits", proof: Slow(test!(failover)) },
        Row {
            number: 44,
            fault: "there are too many connections",
            proof: Quick(test!(too_many_connections)),
        },
        Row { number: 45, fault: "MySQL's disk is full", proof: Slow(test!(disk_full)) },
        Row { number: 46, fault: "a column is dropped, and a table", proof: Slow(test!(table_changed)) },
        Row {
            number: 47,
            fault: "privileges are revoked, the account is locked",
            proof: Slow(test!(account)),
        },
        Row { number: 48, fault: "max_allowed_packet is lowered", proof: Quick(test!(packet)) },
        Row { number: 49, fault: "there are too many prepared statements", proof: Quick(test!(statements)) },
        Row { number: 50, fault: "the server's sql_mode is not strict", proof: Quick(test!(not_strict)) },
    ]
}

async fn killed() {
    let mut rng = random("mysqld killed");
    let mut server = Mysqld::mysql().await;
    let load = Load::on(server.options()).await;
    for _ in 0..2 {
        some_time(rng.random_range(200..800)).await;
        server.kill();
        load.until_told(&["MySQL is not reachable"]).await;
        server.start();
        server.until_ready().await;
        load.recovers_within(SECONDS(12)).await;
    }
    load.ends_well().await;
}

async fn frozen() {
    let server = Mysqld::mysql().await;
    let load = Load::on(server.options()).await;
    server.signal("STOP");
    load.until_told(&["MySQL is not reachable"]).await;
    some_time(30_000).await;
    server.signal("CONT");
    load.recovers_within(SECONDS(12)).await;
    load.ends_well().await;
}

/// The sessions of the host under test: all that use the world's database, while the test itself asks nothing.
async fn sessions(world: &World, administrator: &mut MySqlConnection) -> Vec<u64> {
    let sql = format!("SELECT id FROM information_schema.processlist WHERE db = '{}'", world.name);
    let rows = administrator.fetch_all(sql.as_str()).await.expect("the server answers");
    rows.iter()
        .map(|row| {
            row.try_get::<u64, _>(0).or(row.try_get::<i64, _>(0).map(i64::unsigned_abs)).expect("an id")
        })
        .collect()
}

/// Does something to one session of the host after another, at random.
async fn strike(load: &Load, command: &str, times: u32) {
    let mut rng = random(command);
    let mut administrator = administrator(&load.world.options).await;
    for _ in 0..times {
        let ids = sessions(&load.world, &mut administrator).await;
        if let Some(id) = ids.choose(&mut rng) {
            // It may be gone meanwhile.
            let _ = administrator.execute(format!("{command} {id}").as_str()).await;
        }
        some_time(rng.random_range(5..60)).await;
    }
}

async fn administrator(options: &Options) -> MySqlConnection {
    let url: MySqlConnectOptions = options.mysql.parse().expect("a URL");
    url.connect().await.expect("the server answers")
}

async fn connections_killed() {
    for options in [Options::mysql(), Options::mariadb()] {
        let load = Load::on(options).await;
        strike(&load, "KILL", 50).await;
        load.recovers_within(SECONDS(6)).await;
        load.ends_well().await;
    }
}

async fn statements_interrupted() {
    for options in [Options::mysql(), Options::mariadb()] {
        let load = Load::on(options).await;
        strike(&load, "KILL QUERY", 60).await;
        load.recovers_within(SECONDS(6)).await;
        load.ends_well().await;
    }
}

async fn silent() {
    let port = std::env::var("LATERNA_MYSQL_PORT").ok().and_then(|port| port.parse().ok()).expect("a port");
    let proxy = Proxy::to(port).await;
    let load = Load::on(Options { host_mysql: Some(Mysqld::url_at(proxy.port)), ..Options::mysql() }).await;
    proxy.set(Mode::BlackHole);
    load.until_told(&["MySQL is not reachable"]).await;
    // What was on its way arrives, but its answers do not, and the connections stay open.
    proxy.set(Mode::Deaf);
    some_time(500).await;
    proxy.set(Mode::Pass);
    load.recovers_within(SECONDS(15)).await;
    load.ends_well().await;
}

async fn deadlocks() {
    for options in [Options::mysql(), Options::mariadb()] {
        let load = Load::on(Options { batch_max: 50, ..options }).await;
        let mut hostile = load.world.mysql().await;
        let mut rounds = 0;
        // Until the lanes have lost some: which transaction is the victim is the server's choice.
        while rounds < 40 || !load.has_lost_transactions().await {
            rounds += 1;
            assert!(rounds < 2000, "no deadlock came about: the test shows nothing");
            // All rows, in an order that crosses the lanes', and changed, so that the lanes are the cheaper victims.
            hostile.execute("BEGIN").await.expect("it begins");
            for row in (0..100).rev() {
                let sql =
                    format!("UPDATE last_seen SET events = events + 1000 WHERE aggregate_id = 'a{row}'");
                if hostile.execute(sql.as_str()).await.is_err() {
                    break;
                }
            }
            hostile.execute("ROLLBACK").await.expect("it ends");
        }
        drop(hostile);
        load.recovers_within(SECONDS(8)).await;
        load.ends_well().await;
    }
}

async fn rows_held() {
    let load = Load::on(Options::mysql()).await;
    let mut holder = load.world.mysql().await;
    let checkpoint = format!(
        "SELECT * FROM {}.checkpoint WHERE projection = 'recorder' AND generation = 1 AND lane = 1 FOR UPDATE",
        load.world.control()
    );
    for held in ["SELECT * FROM last_seen WHERE aggregate_id = 'a7' FOR UPDATE", &checkpoint] {
        holder.execute("BEGIN").await.expect("it begins");
        holder.execute(held).await.expect("the row is there");
        let committed = format!("SELECT SUM(events) FROM {}.checkpoint", load.world.control());
        let before = load.world.number(&committed).await;
        load.until_told(&["Lock wait timeout"]).await;
        assert!(load.world.number(&committed).await > before, "the other lanes go on");
        holder.execute("ROLLBACK").await.expect("it ends");
        load.recovers_within(SECONDS(8)).await;
    }
    load.ends_well().await;
}

async fn table_held() {
    let load = Load::on(Options::mysql()).await;
    let mut reader = load.world.mysql().await;
    reader.execute("BEGIN").await.expect("it begins");
    reader.fetch_all("SELECT COUNT(*) FROM last_seen").await.expect("it is there");
    let mut changing = load.world.mysql().await;
    let alter = tokio::spawn(async move {
        changing.execute("ALTER TABLE last_seen ADD COLUMN remark INT NULL").await.map(|_| ())
    });
    load.until_told(&["Lock wait timeout"]).await;
    reader.execute("ROLLBACK").await.expect("it ends");
    alter.await.expect("it does not panic").expect("the column is added");
    load.recovers_within(SECONDS(15)).await;
    load.ends_well().await;
}

/// A world on a server in which the host has accounts with no more than they need.
async fn with_accounts(options: Options) -> World {
    let mut world = World::new("recorder", options).await;
    let (app, ddl) = (format!("{}_app", world.name), format!("{}_ddl", world.name));
    for account in [&app, &ddl] {
        world.run(&format!("CREATE USER {account}")).await;
    }
    grant(&world).await;
    for database in [world.name.clone(), world.control(), format!("{}_scratch", world.control())] {
        world.run(&format!("GRANT ALL ON {database}.* TO {ddl}")).await;
    }
    let account = |name: &str| Some(world.options.mysql.replacen("root", name, 1));
    let (host_mysql, ddl_mysql) = (account(&app), account(&ddl));
    world.options.host_mysql = host_mysql;
    world.options.ddl_mysql = ddl_mysql;
    world
}

async fn grant(world: &World) {
    for database in [&world.name, &world.control()] {
        let grant = format!("GRANT SELECT, INSERT, UPDATE, DELETE ON {database}.* TO {}_app", world.name);
        world.run(&grant).await;
    }
}

async fn drop_accounts(world: &World) {
    world.run(&format!("DROP USER {0}_app, {0}_ddl", world.name)).await;
}

async fn read_only() {
    let server = Mysqld::mysql().await;
    let load = Load::of(with_accounts(server.options()).await).await;
    load.world.run("SET GLOBAL read_only = 1").await;
    load.until_told(&["cannot write", "read-only"]).await;
    some_time(2000).await;
    load.world.run("SET GLOBAL read_only = 0").await;
    load.recovers_within(SECONDS(8)).await;
    load.ends_well().await;
}

async fn failover() {
    let mut server = Mysqld::mysql().await;
    let load = Load::on(server.options()).await;
    server.stop().await;
    let kept = server.data.with_extension("kept");
    copy(&server.data, &kept);
    server.start();
    server.until_ready().await;
    load.recovers_within(SECONDS(12)).await;
    let committed = format!("SELECT SUM(events) FROM {}.checkpoint", load.world.control());
    let before = load.world.number(&committed).await;
    server.kill();
    std::fs::remove_dir_all(&server.data).expect("it can be removed");
    std::fs::rename(&kept, &server.data).expect("it can be put there");
    server.start();
    server.until_ready().await;
    load.recovers_within(SECONDS(20)).await;
    assert!(before > 0 && load.host.log().contains("the server lost commits"), "it was noticed");
    load.ends_well().await;
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().expect("cp runs");
    assert!(copied.success(), "the data is copied");
}

async fn too_many_connections() {
    let server = Mysqld::mysql().await;
    let load = Load::of(with_accounts(server.options()).await).await;
    let (mut idle, mut administrator) = (vec![], administrator(&load.world.options).await);
    administrator.execute("SET GLOBAL max_connections = 20").await.expect("it is the administrator");
    let account = load.world.host_url().replace("_app@", "_ddl@");
    let account: MySqlConnectOptions = account.parse().expect("a URL");
    // Whatever the host loses is taken by others before it can have it back.
    for id in sessions(&load.world, &mut administrator).await {
        let _ = administrator.execute(format!("KILL {id}").as_str()).await;
        while let Ok(connection) = account.connect().await {
            idle.push(connection);
        }
    }
    load.until_told(&["Too many connections"]).await;
    drop(idle);
    load.recovers_within(SECONDS(8)).await;
    let user = format!("ALTER USER {}_app WITH MAX_USER_CONNECTIONS", load.world.name);
    administrator.execute(format!("{user} 2").as_str()).await.expect("it is the administrator");
    for id in sessions(&load.world, &mut administrator).await {
        let _ = administrator.execute(format!("KILL {id}").as_str()).await;
    }
    load.until_told(&["max_user_connections"]).await;
    administrator.execute(format!("{user} 0").as_str()).await.expect("it is the administrator");
    load.recovers_within(SECONDS(8)).await;
    load.ends_well().await;
}

/// A small file system of a test's own.
struct Disk(tempfile::TempDir);

impl Disk {
    fn new(megabytes: u32) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "tmpfs"]).arg(folder.path());
        assert!(mount.status().expect("mount runs").success(), "a file system of its own takes root");
        Self(folder)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

async fn disk_full() {
    let disk = Disk::new(600);
    let mut server = Mysqld::start_in("mysql", Some(&disk.0.path().join("data"))).await;
    let load = Load::on(server.options()).await;
    let ballast = disk.0.path().join("ballast");
    // As much as there is: writing ends with an error.
    let _ = std::fs::File::create(&ballast)
        .and_then(|mut file| std::io::copy(&mut std::io::repeat(0), &mut file));
    load.until_told(&["cannot write", "not reachable"]).await;
    some_time(3000).await;
    std::fs::remove_file(&ballast).expect("space is free again");
    if !server.is_running() {
        server.start();
    }
    // A server that waits for space looks again once a minute.
    load.recovers_within(SECONDS(100)).await;
    load.ends_well().await;
    drop(server);
}

async fn table_changed() {
    let projections = [("recorder", "recorder"), ("accounts", "accounts")];
    let load = Load::of(World::with(&projections, Options::mysql()).await).await;
    let world = &load.world;
    let changes = [
        (
            "ALTER TABLE {}.last_seen DROP COLUMN disorder",
            "ALTER TABLE {}.last_seen ADD COLUMN disorder BIGINT NOT NULL DEFAULT 0",
        ),
        ("RENAME TABLE {0}.last_seen TO {0}.elsewhere", "RENAME TABLE {0}.elsewhere TO {0}.last_seen"),
    ];
    for (change, mend) in changes {
        let at = |sql: &str| sql.replace("{0}", &world.name).replace("{}", &world.name);
        world.run(&at(change)).await;
        load.host.until_phase("recorder", "paused").await;
        load.until_told(&["do not fit the projector"]).await;
        let other =
            format!("SELECT SUM(events) FROM {}.checkpoint WHERE projection = 'accounts'", world.control());
        let before = world.number(&other).await;
        until("the other projection goes on", async || world.number(&other).await > before).await;
        assert_eq!(world.letters().await, (0, 0));
        world.run(&at(mend)).await;
        load.host.until_phase("recorder", "streaming").await;
    }
    load.ends_well().await;
}

async fn account() {
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
        for id in sessions(world, &mut administrator).await {
            let _ = administrator.execute(format!("KILL {id}").as_str()).await;
        }
        load.until_told(&["access denied"]).await;
        world.run(&mend.replace("{}", &world.name)).await;
        load.host.until_phase("recorder", "streaming").await;
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

fn text(id: i64, bytes: usize) -> laterna::statement::Operation {
    use laterna::statement::Value;
    laterna::statement::Operation {
        statement: 2,
        parameters: vec![Value::Integer(id), Value::Text("x".repeat(bytes))],
    }
}

async fn packet() {
    let server = Mysqld::mysql().await;
    let bench = texts(&server, "SET GLOBAL max_allowed_packet = 1048576", "LONGTEXT").await;
    let mut lane = bench.lane(1).await;
    // Three megabytes in rows that fit one by one: the statements are split.
    let many = (0..300).map(|id| text(id, 10_000)).collect();
    lane.commit(&batch(1, many)).await.expect("it fits in parts");
    assert_eq!(bench.world.number("SELECT COUNT(*) FROM texts").await, 300);
    // A row that fits none is its event's fault, and the others go on.
    let entries = vec![entry(2, 1, vec![text(1000, 10)]), entry(3, 2, vec![text(1001, 2_000_000)])];
    let batch = batch_of(2, entries);
    let refused = lane.commit(&batch).await.expect_err("it does not fit");
    assert_eq!(refused.class(), "refused-value");
    let found = lane.probe(&batch, &|_, _| true).await.expect("the connection holds");
    assert_eq!(found.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [1]);
    lane.commit(&batch_of(2, batch.entries[..1].to_vec())).await.expect("the other one fits");
}

async fn statements() {
    let server = Mysqld::mysql().await;
    let load = Load::on(server.options()).await;
    let mut administrator = administrator(&load.world.options).await;
    administrator.execute("SET GLOBAL max_prepared_stmt_count = 5").await.expect("it is the administrator");
    for id in sessions(&load.world, &mut administrator).await {
        let _ = administrator.execute(format!("KILL {id}").as_str()).await;
    }
    load.until_told(&["max_prepared_stmt_count"]).await;
    administrator
        .execute("SET GLOBAL max_prepared_stmt_count = 16382")
        .await
        .expect("it is the administrator");
    load.recovers_within(SECONDS(8)).await;
    load.ends_well().await;
}

async fn not_strict() {
    let server = Mysqld::mysql().await;
    let bench = texts(&server, "SET GLOBAL sql_mode = ''", "VARCHAR(3)").await;
    let mut lane = bench.lane(1).await;
    lane.commit(&batch(1, vec![text(1, 3)])).await.expect("it fits");
    let refused =
        lane.commit(&batch(2, vec![text(2, 4)])).await.expect_err("it is too long, and not cut off");
    assert_eq!(refused.class(), "refused-value", "{refused}");
    // A host that starts there works as anywhere.
    let world = World::new("recorder", server.options()).await;
    let host = world.start();
    world.insert([event("e1", "a", 1, doc! {})]).await;
    world.until_committed("recorder", 1).await;
    assert!(host.stop().await.success());
}
