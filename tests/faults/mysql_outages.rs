//! MySQL is away, or does not take what it is sent.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use sqlx::mysql::MySqlConnectOptions;
use sqlx::{ConnectOptions, Executor};

use super::load::Load;
use super::{SECONDS, administrator, kill_sessions, number, sessions, strike, with_accounts};
use crate::support::proxy::{AtCommit, Mode, Proxy};
use crate::support::{Mysqld, Options, some_time, until, until_often, until_then, until_within};

/// In the middle of a batch: while one of its statements waits for a row. And at its COMMIT: before it arrives, and
/// right when it does, so that nobody is told what came of it.
pub async fn killed() {
    kill_at(&[None, Some(AtCommit::LoseAnswer)]).await;
}

pub async fn killed_often() {
    use AtCommit::{CutAfter, CutBefore, LoseAnswer};
    let commits = [LoseAnswer, CutBefore, LoseAnswer, CutAfter, LoseAnswer, LoseAnswer].map(Some);
    kill_at(&[&[None], &commits[..], &[None]].concat()).await;
}

/// Kills mysqld in the middle of a batch (`None`), or at a COMMIT.
async fn kill_at(faults: &[Option<AtCommit>]) {
    let mut server = Mysqld::mysql().await;
    let proxy = Proxy::to(server.port).await;
    let options = Options { host_mysql: Some(Mysqld::url_at(proxy.port)), ..server.options() };
    let load = Load::on(options).await;
    for fault in faults {
        if let Some(fault) = *fault {
            let struck = proxy.struck();
            proxy.at_commit(fault);
            until_often("a COMMIT is struck", || proxy.struck() > struck).await;
            server.kill();
        } else {
            let mut holder = load.world.mysql().await;
            holder.execute("BEGIN").await.expect("it begins");
            holder
                .execute("SELECT * FROM last_seen WHERE aggregate_id = 'a7' FOR UPDATE")
                .await
                .expect("a row");
            until("a batch is open and waits", async || {
                let waiting = "SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT' \
                               AND trx_rows_modified > 0";
                // MySQL shows what it showed before to whoever asks again within 100 ms.
                some_time(150).await;
                load.world.number(waiting).await > 0
            })
            .await;
            server.kill();
        }
        load.until_told(&["MySQL is not reachable"]).await;
        server.start();
        server.until_ready().await;
        load.goes_on_within(SECONDS(5)).await;
        load.recovers_within(SECONDS(10)).await;
    }
    load.ends_well().await;
}

pub async fn frozen() {
    let server = Mysqld::mysql().await;
    let load = Load::on(server.options()).await;
    server.signal("STOP");
    load.until_told(&["MySQL is not reachable"]).await;
    some_time(30_000).await;
    server.signal("CONT");
    load.recovers_within(SECONDS(10)).await;
    load.ends_well().await;
}

pub async fn connections_killed() {
    for options in [Options::mysql(), Options::mariadb()] {
        let load = Load::on(options).await;
        strike(&load, "KILL", 50).await;
        load.recovers_within(SECONDS(1)).await;
        load.ends_well().await;
    }
}

/// Open connections are silent for ever, in the middle of whatever was asked; new ones are not. So it is first with both
/// ways, then with the answers only.
pub async fn silent() {
    let port = std::env::var("LATERNA_MYSQL_PORT").ok().and_then(|port| port.parse().ok()).expect("a port");
    let proxy = Proxy::to(port).await;
    let load = Load::on(Options { host_mysql: Some(Mysqld::url_at(proxy.port)), ..Options::mysql() }).await;
    for mode in [Mode::BlackHole, Mode::Deaf] {
        proxy.forsake(mode);
        load.recovers_within(SECONDS(12)).await;
    }
    // Nothing passes at all, and then everything does, but for what was open.
    proxy.set(Mode::BlackHole);
    load.until_told(&["MySQL is not reachable"]).await;
    proxy.set(Mode::Pass);
    proxy.forsake(Mode::Deaf);
    load.recovers_within(SECONDS(12)).await;
    load.ends_well().await;
}

pub async fn read_only() {
    become_read_only(SECONDS(8)).await;
}

pub async fn read_only_for_long() {
    become_read_only(SECONDS(30)).await;
}

/// Long enough for the lease to run out: the host ends its lanes by itself, and nobody can take its place. It goes on
/// within 5 s; what was written meanwhile takes as long as the machine needs.
async fn become_read_only(time: Duration) {
    let server = Mysqld::mysql().await;
    let load = Load::of(with_accounts(server.options()).await).await;
    let standby = load.world.start();
    standby.until_phase("recorder", "standby").await;
    let control = load.world.control();
    let epoch = format!("SELECT epoch FROM {control}.lease");
    let batches = format!("SELECT SUM(batch) FROM {control}.checkpoint");
    load.world.run("SET GLOBAL read_only = 1").await;
    let (began, before) = (Instant::now(), load.world.number(&epoch).await);
    let batch = load.world.number(&batches).await;
    load.until_told(&["cannot write", "read-only"]).await;
    until_within(SECONDS(6), "the host ends its lanes by itself", async || {
        load.host.log().contains("another host may have it")
    })
    .await;
    println!("fenced itself after {:.2?}", began.elapsed());
    until_then(began + time).await;
    assert_eq!(load.world.number(&epoch).await, before, "nobody can have the lease");
    assert_eq!(load.world.number(&batches).await, batch, "nothing was written");
    load.world.run("SET GLOBAL read_only = 0").await;
    load.goes_on_within(SECONDS(5)).await;
    load.recovers_within(SECONDS(15)).await;
    // One of them writes; the other one is ready, too.
    assert!(standby.stop().await.success());
    load.ends_well().await;
}

pub async fn failover() {
    let mut server = Mysqld::mysql().await;
    let load = Load::on(server.options()).await;
    server.stop().await;
    let kept = server.data.with_extension("kept");
    copy(&server.data, &kept);
    let kept_at_most = load.sent();
    server.start();
    server.until_ready().await;
    load.recovers_within(SECONDS(10)).await;
    let committed = format!("SELECT SUM(events) FROM {}.checkpoint", load.world.control());
    until("there is more than what was kept", async || load.world.number(&committed).await > kept_at_most)
        .await;
    let log = load.host.log().len();
    server.kill();
    std::fs::remove_dir_all(&server.data).expect("it can be removed");
    std::fs::rename(&kept, &server.data).expect("it can be put there");
    server.start();
    server.until_ready().await;
    load.recovers_within(SECONDS(10)).await;
    // Who still had the lease notices it at once, who has to take it again begins at what there is.
    let log = load.host.log()[log..].to_owned();
    let noticed = ["the server lost commits", "took the lease"].map(|words| log.contains(words));
    println!("noticed, began anew: {noticed:?}");
    assert!(noticed.contains(&true), "what was lost is made up for by chance only:\n{log}");
    load.ends_well().await;
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().expect("cp runs");
    assert!(copied.success(), "the data is copied");
}

/// First all that there are are taken while the host has its own: it does not notice. Then it loses them.
pub async fn too_many_connections() {
    let server = Mysqld::mysql().await;
    let load = Load::of(with_accounts(server.options()).await).await;
    let (mut idle, mut administrator) = (vec![], administrator(&load.world.options).await);
    administrator.execute("SET GLOBAL max_connections = 57").await.expect("it is the administrator");
    let account = load.world.host_url().replace("_app@", "_ddl@");
    let account: MySqlConnectOptions = account.parse().expect("a URL");
    while let Ok(connection) = account.connect().await {
        idle.push(connection);
    }
    assert!(idle.len() > 30, "{} connections are taken", idle.len());
    let control = load.world.control();
    let epoch = format!("SELECT epoch FROM {control}.lease");
    let before = number(&mut administrator, &epoch).await;
    // Longer than the lease. Each look shows that what was sent a second ago has arrived.
    for _ in 0..6 {
        let sent = load.sent();
        some_time(1000).await;
        let committed = format!("SELECT CAST(SUM(events) AS SIGNED) FROM {control}.checkpoint");
        let committed = number(&mut administrator, &committed).await;
        assert!(committed >= sent, "the lanes are held up: {committed} of {sent}");
    }
    assert_eq!(number(&mut administrator, &epoch).await, before, "the lease is kept");
    // Whatever the host loses is taken by others before it can have it back.
    for id in sessions(&load.world, &mut administrator).await {
        let _ = administrator.execute(format!("KILL {id}").as_str()).await;
        while let Ok(connection) = account.connect().await {
            idle.push(connection);
        }
    }
    load.until_told(&["Too many connections"]).await;
    drop(idle);
    load.recovers_within(SECONDS(5)).await;
    let user = format!("ALTER USER {}_app WITH MAX_USER_CONNECTIONS", load.world.name);
    administrator.execute(format!("{user} 1").as_str()).await.expect("it is the administrator");
    kill_sessions(&load.world, &mut administrator).await;
    load.until_told(&["max_user_connections"]).await;
    administrator.execute(format!("{user} 0").as_str()).await.expect("it is the administrator");
    load.recovers_within(SECONDS(5)).await;
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

pub async fn disk_full() {
    for (flavor, megabytes) in [("mysql", 600), ("mariadb", 160)] {
        let disk = Disk::new(megabytes);
        let mut server = Mysqld::start_in(flavor, Some(&disk.0.path().join("data"))).await;
        let load = Load::on(server.options()).await;
        let ballast = disk.0.path().join("ballast");
        // As much as there is: writing ends with an error.
        let _ = std::fs::File::create(&ballast)
            .and_then(|mut file| std::io::copy(&mut std::io::repeat(0), &mut file));
        load.until_told(&["cannot write", "not reachable"]).await;
        some_time(3000).await;
        std::fs::remove_file(&ballast).expect("space is free again");
        let crashed = !server.is_running();
        println!("{flavor} {}", if crashed { "crashed" } else { "waited for space" });
        if crashed {
            server.start();
        }
        // A server that waits for space looks again once a minute.
        {
            let recovering = load.recovers_within(SECONDS(if crashed { 30 } else { 100 }));
            tokio::pin!(recovering);
            // MySQL may end over it later, too; whoever keeps servers running starts it again.
            while tokio::time::timeout(SECONDS(1), &mut recovering).await.is_err() {
                if !server.is_running() {
                    server.start();
                }
            }
        }
        load.ends_well().await;
        drop(server);
    }
}
