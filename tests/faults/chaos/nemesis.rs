//! Injects the faults of a schedule, each for its time, several at once where they meet; and heals everything in the end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bson::doc;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::IteratorRandom;
use sqlx::mysql::MySqlConnection;
use sqlx::{Executor, Row};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::generations;
use super::ground::{Ground, PROJECTIONS};
use super::history;
use super::load::ACCOUNTS;
use super::mysqld::admin;
use super::operator;
use super::purge;
use super::schedule::{Fault, Road, Step, Trouble};
use crate::support::proxy::{AtCommit, Mode, Proxy};
use crate::support::server::faketime;

/// How long one statement of the nemesis may take, so that a frozen server does not hold it.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a COMMIT to strike at is waited for.
const COMMITS_WITHIN: Duration = Duration::from_millis(700);

/// How long healing insists.
const INSISTENCE: Duration = Duration::from_secs(90);

/// What became of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Injected {
    Yes,
    /// What it was to strike was down already, or did nothing.
    Missed,
    /// This machine cannot do it.
    Impossible,
}

/// How often each kind of fault came to what.
pub type Counts = BTreeMap<&'static str, [u32; 3]>;

/// Injects all faults at their times, and waits until the last of them is over.
pub async fn rage(ground: &Arc<Ground>, steps: &[Step], seed: u64) -> Counts {
    let began = Instant::now();
    let counts = Arc::<Mutex<Counts>>::default();
    let mut raging = JoinSet::new();
    for (number, step) in (1_u64..).zip(steps.iter().copied()) {
        sleep_until(began + step.at).await;
        let (ground, counts) = (ground.clone(), counts.clone());
        raging.spawn(async move {
            let nemesis = Nemesis { ground: &ground };
            let random = StdRng::seed_from_u64(seed ^ number << 20);
            let came_to = nemesis.strike(step.fault, random).await;
            let mut counts = counts.lock().expect("nobody panics with it");
            counts.entry(step.fault.kind()).or_default()[came_to as usize] += 1;
        });
    }
    while let Some(ended) = raging.join_next().await {
        ended.expect("the nemesis does not panic");
    }
    let counts = counts.lock().expect("nobody panics with it");
    counts.clone()
}

/// Makes everything whole. What is half-open stays so: hosts have to notice by themselves.
pub async fn heal(ground: &Ground) {
    for proxy in ground.roads() {
        proxy.set(Mode::Pass);
    }
    {
        let mut mysqld = ground.mysqld.lock().await;
        mysqld.signal("CONT");
        if mysqld.has_ended() {
            mysqld.run();
        }
    }
    let nemesis = Nemesis { ground };
    for sql in ["SET GLOBAL read_only = OFF", CONNECTIONS_AGAIN, PACKETS_AGAIN] {
        nemesis.insist(sql).await;
    }
    ground.fleet.start().await;
    ground.cluster.lock().await.until_primary().await;
}

const CONNECTIONS_AGAIN: &str = "SET GLOBAL max_connections = 151";
const PACKETS_AGAIN: &str = "SET GLOBAL max_allowed_packet = 67108864";

struct Nemesis<'a> {
    ground: &'a Ground,
}

impl Nemesis<'_> {
    async fn strike(&self, fault: Fault, random: StdRng) -> Injected {
        let (fleet, ms) = (&self.ground.fleet, Duration::from_millis);
        match fault {
            Fault::KillHost { who, ms: down } => fleet.kill(who, ms(down)).await,
            Fault::FreezeHost { who, ms: time } => fleet.freeze(who, ms(time)).await,
            Fault::StopHost { who, ms: down } => fleet.stop(who, ms(down)).await,
            Fault::JumpClock { .. } if faketime().is_none() => return Injected::Impossible,
            Fault::JumpClock { who, seconds, ms: time } => {
                fleet.clock(who).set(seconds);
                sleep(ms(time)).await;
                fleet.clock(who).set(0);
            }
            Fault::Network { road, trouble, ms: time } => self.network(road, trouble, ms(time)).await,
            Fault::Commit { who, fault, times } => {
                return self.commits(self.ground.proxy(Road::MySql(who)), fault, times).await;
            }
            Fault::BlockRows { ms: time } => {
                return operator::block_rows(self.ground, ms(time), random).await;
            }
            Fault::Replay { projection, choice } => {
                return operator::replay(self.ground, projection, choice, random).await;
            }
            Fault::Discard { projection } => return operator::discard(self.ground, projection, random).await,
            Fault::Purge => return purge::purge(self.ground, random).await,
            Fault::Rebuild { .. }
            | Fault::Verify { .. }
            | Fault::Deploy { .. }
            | Fault::Rollback { .. }
            | Fault::DropGeneration { .. }
            | Fault::Pause { .. } => return generations::operate(self.ground, fault, random).await,
            Fault::KillPrimary { .. } | Fault::StepDown | Fault::FreezeMember { .. } => {
                return self.mongodb(fault).await;
            }
            _ => return self.mysql(fault, random).await,
        }
        Injected::Yes
    }

    /// Strikes at one COMMIT after the other, as they come.
    async fn commits(&self, proxy: &Proxy, fault: AtCommit, times: u32) -> Injected {
        let struck = proxy.struck();
        for time in 1..=u64::from(times) {
            proxy.at_commit(fault);
            let until = Instant::now() + COMMITS_WITHIN;
            while proxy.struck() < struck + time && Instant::now() < until {
                sleep(Duration::from_millis(5)).await;
            }
        }
        // What is armed stays so: a host that stands by strikes it later.
        if proxy.struck() > struck { Injected::Yes } else { Injected::Missed }
    }

    async fn network(&self, road: Road, trouble: Trouble, time: Duration) {
        let proxy = self.ground.proxy(road);
        let mode = match trouble {
            Trouble::Cut => return proxy.cut(),
            Trouble::Truncate => return proxy.truncate(),
            Trouble::BlackHole => Mode::BlackHole,
            Trouble::Deaf => Mode::Deaf,
            Trouble::Delay { ms } => Mode::Delay(Duration::from_millis(ms)),
            Trouble::Refuse => Mode::Refuse,
        };
        proxy.set(mode);
        if trouble == Trouble::Refuse {
            proxy.cut();
        }
        sleep(time).await;
        // If another trouble came meanwhile, this ends it early; the schedule says when.
        proxy.set(Mode::Pass);
    }

    async fn mongodb(&self, fault: Fault) -> Injected {
        let mut cluster = self.ground.cluster.lock().await;
        match fault {
            Fault::FreezeMember { member, ms } => {
                cluster.signal(member, "STOP");
                sleep(Duration::from_millis(ms)).await;
                cluster.signal(member, "CONT");
            }
            Fault::KillPrimary { ms } => {
                let Some(primary) = cluster.primary().await else { return Injected::Missed };
                cluster.kill_member(primary);
                sleep(Duration::from_millis(ms)).await;
                cluster.start_member(primary);
            }
            _ => {
                let Some(primary) = cluster.primary().await else { return Injected::Missed };
                let command = doc! { "replSetStepDown": 6, "secondaryCatchUpPeriodSecs": 2, "force": true };
                // It closes connections, and so its answer may not come.
                let _ = timeout(PATIENCE, cluster.admin(primary).await.run_command(command)).await;
            }
        }
        Injected::Yes
    }

    async fn mysql(&self, fault: Fault, random: StdRng) -> Injected {
        match fault {
            Fault::KillMysqld { ms } => {
                let mut mysqld = self.ground.mysqld.lock().await;
                mysqld.kill();
                sleep(Duration::from_millis(ms)).await;
                mysqld.run();
            }
            Fault::FreezeMysqld { ms } => {
                let mysqld = self.ground.mysqld.lock().await;
                mysqld.signal("STOP");
                sleep(Duration::from_millis(ms)).await;
                mysqld.signal("CONT");
            }
            Fault::FillDisk { ms } => {
                if !self.ground.has_disk {
                    return Injected::Impossible;
                }
                let mut mysqld = self.ground.mysqld.lock().await;
                mysqld.fill_disk();
                sleep(Duration::from_millis(ms)).await;
                mysqld.make_room();
                if mysqld.has_ended() {
                    mysqld.run();
                }
            }
            _ => {
                let Some(mut session) = admin(&self.ground.admin_url).await else { return Injected::Missed };
                if self.by_session(fault, random, &mut session).await.is_err() {
                    return Injected::Missed;
                }
            }
        }
        Injected::Yes
    }

    async fn by_session(
        &self,
        fault: Fault,
        mut random: StdRng,
        session: &mut MySqlConnection,
    ) -> sqlx::Result<()> {
        match fault {
            Fault::ReadOnly { ms } => {
                run(session, "SET GLOBAL read_only = ON").await?;
                sleep(Duration::from_millis(ms)).await;
                self.insist("SET GLOBAL read_only = OFF").await;
            }
            Fault::ShrinkPackets { bytes, ms } => {
                run(session, &format!("SET GLOBAL max_allowed_packet = {bytes}")).await?;
                self.kill_sessions(session, 2, &mut random).await?;
                sleep(Duration::from_millis(ms)).await;
                self.insist(PACKETS_AGAIN).await;
            }
            Fault::FewConnections { ms } => {
                let all = ids(session, "").await?.len();
                run(session, &format!("SET GLOBAL max_connections = {}", all.saturating_sub(2).max(1)))
                    .await?;
                self.kill_sessions(session, 4, &mut random).await?;
                sleep(Duration::from_millis(ms)).await;
                self.insist(CONNECTIONS_AGAIN).await;
            }
            Fault::KillSessions { sessions } => self.kill_sessions(session, sessions, &mut random).await?,
            Fault::KillQueries { ms } => {
                let until = Instant::now() + Duration::from_millis(ms);
                while Instant::now() < until {
                    for id in ids(session, "AND command IN ('Query', 'Execute')").await? {
                        // One that has ended meanwhile is no error.
                        attempt(session, &format!("KILL QUERY {id}")).await?;
                    }
                    sleep(Duration::from_millis(1)).await;
                }
            }
            Fault::HoldCheckpoint { projection, lane, ms } => {
                let (control, projection) = (self.ground.world.control(), PROJECTIONS[projection]);
                run(session, "BEGIN").await?;
                let lock = format!(
                    "SELECT 1 FROM {control}.checkpoint WHERE projection = '{projection}' AND lane = {lane} FOR UPDATE"
                );
                run(session, &lock).await?;
                sleep(Duration::from_millis(ms)).await;
                run(session, "ROLLBACK").await?;
            }
            Fault::HoldRows { ms } => self.hold_rows(session, Duration::from_millis(ms)).await?,
            Fault::LockStorm { ms } => self.lock_storm(session, Duration::from_millis(ms)).await?,
            other => unreachable!("{other:?} needs no session"),
        }
        Ok(())
    }

    async fn kill_sessions(
        &self,
        session: &mut MySqlConnection,
        count: usize,
        random: &mut StdRng,
    ) -> sqlx::Result<()> {
        for id in ids(session, "").await?.into_iter().choose_multiple(random, count) {
            attempt(session, &format!("KILL {id}")).await?;
        }
        Ok(())
    }

    /// Locks the accounts' rows against the order in which hosts do, in transactions so heavy that InnoDB takes the
    /// host's for the victim.
    async fn lock_storm(&self, session: &mut MySqlConnection, time: Duration) -> sqlx::Result<()> {
        let schema = history::schema(self.ground);
        run(session, "SET SESSION innodb_lock_wait_timeout = 3").await?;
        let weight = format!(
            "INSERT INTO {schema}.weight (n) WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < 300) \
             SELECT i FROM n"
        );
        let until = Instant::now() + time;
        while Instant::now() < until {
            run(session, "BEGIN").await?;
            run(session, &weight).await?;
            'locking: for table in ["accounts", "last_seen"] {
                for account in (0..ACCOUNTS).rev() {
                    // A deadlock ends the transaction; then the next round begins.
                    if !attempt(session, &self.lock(table, account)).await? {
                        break 'locking;
                    }
                    sleep(Duration::from_millis(5)).await;
                }
            }
            run(session, "ROLLBACK").await?;
        }
        Ok(())
    }

    /// Holds rows for longer than hosts wait for a lock, as somebody does who forgot to commit.
    async fn hold_rows(&self, session: &mut MySqlConnection, time: Duration) -> sqlx::Result<()> {
        run(session, "SET SESSION innodb_lock_wait_timeout = 3").await?;
        run(session, "BEGIN").await?;
        for account in 0..ACCOUNTS {
            for table in ["accounts", "last_seen"] {
                // Where it is the victim of a deadlock itself, it holds what comes after.
                if !attempt(session, &self.lock(table, account)).await? {
                    run(session, "BEGIN").await?;
                }
            }
        }
        sleep(time).await;
        run(session, "ROLLBACK").await
    }

    /// Locks the row that a table has for an account.
    fn lock(&self, table: &str, account: i64) -> String {
        let key = if table == "accounts" { "account_id" } else { "aggregate_id" };
        let read_model = &self.ground.world.name;
        format!("SELECT 1 FROM {read_model}.{table} WHERE {key} = 'account-{account}' FOR UPDATE")
    }

    /// Runs a statement until it succeeds, with as many sessions as it takes. A server whose disk was full may end by itself
    /// a moment after there is room again; it is started as whatever watches over it would.
    async fn insist(&self, sql: &str) {
        let until = Instant::now() + INSISTENCE;
        while Instant::now() < until {
            {
                let mut mysqld = self.ground.mysqld.lock().await;
                if mysqld.has_ended() {
                    mysqld.run();
                }
            }
            if let Some(mut session) = admin(&self.ground.admin_url).await
                && run(&mut session, sql).await.is_ok()
            {
                return;
            }
            sleep(Duration::from_millis(100)).await;
        }
        panic!("{sql}: MySQL does not take it");
    }
}

/// The hosts' sessions.
async fn ids(session: &mut MySqlConnection, further: &str) -> sqlx::Result<Vec<u64>> {
    let sql = format!(
        "SELECT CAST(id AS UNSIGNED) FROM information_schema.processlist WHERE user = 'chaos_app' {further} ORDER BY id"
    );
    Ok(rows(session, &sql).await?.iter().map(|row| row.get(0)).collect())
}

pub async fn run(session: &mut MySqlConnection, sql: &str) -> sqlx::Result<()> {
    timeout(PATIENCE, session.execute(sql)).await.map_err(|_| sqlx::Error::PoolTimedOut)?.map(|_| ())
}

/// Whether MySQL did it. Anything but an answer is an error.
async fn attempt(session: &mut MySqlConnection, sql: &str) -> sqlx::Result<bool> {
    match run(session, sql).await {
        Ok(()) => Ok(true),
        Err(sqlx::Error::Database(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

pub async fn rows(session: &mut MySqlConnection, sql: &str) -> sqlx::Result<Vec<sqlx::mysql::MySqlRow>> {
    timeout(PATIENCE, session.fetch_all(sql)).await.map_err(|_| sqlx::Error::PoolTimedOut)?
}
