//! MySQL ends transactions and statements: for a deadlock, a lock, a limit of time, or because somebody said so.

use bson::doc;
use rand::Rng;
use sqlx::Executor;

use super::load::Load;
use super::{SECONDS, administrator, kill_sessions, strike};
use crate::support::world::event;
use crate::support::{Mysqld, Options, World, random, some_time, until, until_within};

pub async fn statements_interrupted() {
    for options in [Options::mysql(), Options::mariadb()] {
        let load = Load::on(options).await;
        strike(&load, "KILL QUERY", 60).await;
        load.recovers_within(SECONDS(1)).await;
        load.ends_well().await;
    }
}

/// MariaDB's limit holds for whatever a session does; MySQL's is for reading only.
pub async fn statements_time_out() {
    let server = Mysqld::mariadb().await;
    let load = Load::on(server.options()).await;
    let mut administrator = administrator(&load.world.options).await;
    administrator.execute("SET GLOBAL max_statement_time = 0.3").await.expect("it is the administrator");
    // It holds for new sessions.
    kill_sessions(&load.world, &mut administrator).await;
    let mut holder = load.world.mysql().await;
    holder.execute("SET SESSION max_statement_time = 0").await.expect("it waits for its own lock");
    holder.execute("BEGIN").await.expect("it begins");
    holder.execute("SELECT * FROM last_seen WHERE aggregate_id = 'a7' FOR UPDATE").await.expect("a row");
    // The lanes' sessions have limits of their own, so it is the lock that they cannot wait for any longer.
    load.until_told(&["error 1205"]).await;
    some_time(5000).await;
    holder.execute("ROLLBACK").await.expect("it ends");
    load.recovers_within(SECONDS(1)).await;
    load.ends_well().await;
}

pub async fn deadlocks() {
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

/// Every lane writes the same rows, each event another two of them, half of them in the other order.
pub async fn lanes_cross() {
    const EVENTS: i64 = 6000;
    const ROWS: i64 = 8;
    /// However many deadlocks there are: a lane tells of the first one, and of their number once a minute.
    const LINES_OF_A_LANE: usize = 2;
    for options in [Options::mysql(), Options::mariadb()] {
        let lanes = options.lanes as usize;
        let world = World::new("crossing", Options { batch_max: 20, ..options }).await;
        let host = world.start();
        host.until_phase("crossing", "streaming").await;
        let mut random = random("lanes cross");
        let mut sums = vec![0; usize::try_from(ROWS).expect("a few")];
        let mut sequences = [0; 16];
        let mut documents = vec![];
        for n in 0..EVENTS {
            let aggregate = random.random_range(0..sequences.len());
            let (from, to) = (random.random_range(0..ROWS), random.random_range(1..ROWS));
            let to = (from + to) % ROWS;
            sequences[aggregate] += 1;
            for row in [from, to] {
                sums[usize::try_from(row).expect("a few")] += n;
            }
            let payload = doc! { "first": from, "second": to, "ordinal": n };
            documents.push(event(&format!("e{n}"), &format!("a{aggregate}"), sequences[aggregate], payload));
        }
        world.insert(documents).await;
        world.until_committed("crossing", EVENTS).await;
        let (_, metrics) = host.get("/metrics").await.expect("it answers");
        let deadlocks = metrics.lines().find(|line| line.contains("class=\"transaction-lost\""));
        println!("{deadlocks:?}");
        assert!(deadlocks.is_some(), "no deadlock came about: the test shows nothing");
        let log = host.log();
        let told =
            log.lines().filter(|line| line.contains("trying again") || line.contains("the lane go")).count();
        assert!(told <= lanes * LINES_OF_A_LANE, "{told} lines of {deadlocks:?}:\n{log}");
        for (row, sum) in sums.iter().enumerate() {
            let found = format!("SELECT total FROM crossed WHERE row_id = {row}");
            assert_eq!(world.number(&found).await, *sum, "row {row}");
        }
        assert_eq!(world.letters().await, (0, 0), "a deadlock is never an event's fault");
        assert!(host.stop().await.success());
    }
}

pub async fn rows_held() {
    hold_rows(false).await;
}

pub async fn rows_held_for_a_minute() {
    hold_rows(true).await;
}

async fn hold_rows(long: bool) {
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
        some_time(if long { 55_000 } else { 5000 }).await;
        let told = load.world.number(&committed).await;
        assert!(told > before, "the other lanes go on");
        until("the other lanes still go on", async || load.world.number(&committed).await > told).await;
        // The lane that was held up is behind all the others.
        let least = format!("SELECT MIN(events) FROM {}.checkpoint", load.world.control());
        let held_at = load.world.number(&least).await;
        holder.execute("ROLLBACK").await.expect("it ends");
        until_within(SECONDS(1), "the lane goes on", async || load.world.number(&least).await > held_at)
            .await;
        // There is more or less to make up for.
        load.recovers_within(SECONDS(if long { 15 } else { 3 })).await;
    }
    load.ends_well().await;
}

pub async fn table_held() {
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
