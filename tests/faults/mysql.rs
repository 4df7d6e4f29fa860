//! Faults of MySQL and of the way to it.

#[path = "mysql_locks.rs"]
mod locks;
#[path = "mysql_outages.rs"]
mod outages;
#[path = "mysql_setup.rs"]
mod setup;
mod load;

use std::time::Duration;

use load::Load;
use rand::Rng;
use rand::seq::IndexedRandom;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::{ConnectOptions, Executor, Row as _};

use crate::catalogue::Proof::{Elsewhere, Quick, Slow};
use crate::catalogue::{Row, test};
use crate::support::{Options, World, random, some_time, until};

const SECONDS: fn(u64) -> Duration = Duration::from_secs;

pub fn rows() -> Vec<Row> {
    vec![
        Row {
            number: 33,
            fault: "mysqld is killed in the middle of a batch, and at its COMMIT",
            proof: Quick(test!(outages::killed)),
        },
        Row {
            number: 33,
            fault: "mysqld is killed again and again",
            proof: Slow(test!(outages::killed_often)),
        },
        Row { number: 34, fault: "mysqld is frozen for 30 s", proof: Slow(test!(outages::frozen)) },
        Row {
            number: 35,
            fault: "connections are killed at random",
            proof: Quick(test!(outages::connections_killed)),
        },
        Row {
            number: 36,
            fault: "statements are interrupted",
            proof: Quick(test!(locks::statements_interrupted)),
        },
        Row {
            number: 36,
            fault: "statements take longer than MariaDB lets them",
            proof: Quick(test!(locks::statements_time_out)),
        },
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
            proof: Quick(test!(outages::silent)),
        },
        Row { number: 39, fault: "deadlocks all the time", proof: Quick(test!(locks::deadlocks)) },
        Row { number: 39, fault: "lanes cross each other", proof: Quick(test!(locks::lanes_cross)) },
        Row {
            number: 40,
            fault: "somebody holds a row, or a checkpoint, for a minute",
            proof: Slow(test!(locks::rows_held_for_a_minute)),
        },
        Row {
            number: 40,
            fault: "somebody holds a row, or a checkpoint",
            proof: Quick(test!(locks::rows_held)),
        },
        Row {
            number: 41,
            fault: "ALTER TABLE waits behind a long SELECT",
            proof: Slow(test!(locks::table_held)),
        },
        Row { number: 42, fault: "the server becomes read-only", proof: Quick(test!(outages::read_only)) },
        Row {
            number: 42,
            fault: "the server is read-only for 30 s",
            proof: Slow(test!(outages::read_only_for_long)),
        },
        Row { number: 43, fault: "a failover loses the last commits", proof: Slow(test!(outages::failover)) },
        Row {
            number: 44,
            fault: "there are too many connections",
            proof: Quick(test!(outages::too_many_connections)),
        },
        Row { number: 45, fault: "MySQL's disk is full", proof: Slow(test!(outages::disk_full)) },
        Row {
            number: 46,
            fault: "a column is dropped, and a table",
            proof: Slow(test!(setup::table_changed)),
        },
        Row {
            number: 47,
            fault: "privileges are revoked, the account is locked",
            proof: Slow(test!(setup::account)),
        },
        Row { number: 48, fault: "max_allowed_packet is lowered", proof: Quick(test!(setup::packet)) },
        Row {
            number: 49,
            fault: "there are too many prepared statements",
            proof: Quick(test!(setup::statements)),
        },
        Row {
            number: 50,
            fault: "the server's sql_mode is not strict",
            proof: Quick(test!(setup::not_strict)),
        },
    ]
}

/// The sessions of the host under test: all that use the world's database, while the test itself asks nothing. MySQL
/// cannot list them while one runs a statement whose values are not text; then there are none.
async fn sessions(world: &World, administrator: &mut MySqlConnection) -> Vec<u64> {
    let sql = format!("SELECT id FROM information_schema.processlist WHERE db = '{}'", world.name);
    let rows = match administrator.fetch_all(sql.as_str()).await {
        Err(sqlx::Error::Database(error)) if error.message().contains("Cannot convert") => vec![],
        rows => rows.expect("the server answers"),
    };
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

/// Ends every session of the host under test.
async fn kill_sessions(world: &World, administrator: &mut MySqlConnection) {
    let mut killed = 0;
    until("the host's sessions are ended", async || {
        for id in sessions(world, administrator).await {
            // It may be gone meanwhile.
            let ended = administrator.execute(format!("KILL {id}").as_str()).await;
            killed += usize::from(ended.is_ok());
        }
        killed > 0
    })
    .await;
}

/// The one number that a query gives, asked in a session that is open already.
async fn number(session: &mut MySqlConnection, sql: &str) -> i64 {
    let row = session.fetch_one(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    row.try_get::<i64, _>(0).or(row.try_get::<u64, _>(0).map(u64::cast_signed)).expect("a number")
}

async fn administrator(options: &Options) -> MySqlConnection {
    let url: MySqlConnectOptions = options.mysql.parse().expect("a URL");
    url.connect().await.expect("the server answers")
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
