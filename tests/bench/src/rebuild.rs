//! A rebuild alone, and beside live traffic: how long it takes, and what it does to the time from write to row.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use indicatif::ProgressBar;
use serde::Serialize;
use sqlx::{Executor, Row};

use crate::follower::{self, Follower, Running};
use crate::lag::{self, Plan, Sample, Traffic};
use crate::options::RebuildOptions;
use crate::readmodel;
use crate::record::Lag;
use crate::site::{Distance, Site};
use crate::workload::{self, Load};
use crate::{control, database, machine};

const PROJECTION: &str = "balances";
const WORKLOAD: &str = "steps";
const ASK_INTERVAL: Duration = Duration::from_millis(20);
/// A rebuild that takes longer is stuck.
const PATIENCE: Duration = Duration::from_mins(30);

#[derive(Debug, Serialize)]
struct Rebuilt {
    machine: String,
    server: String,
    events: usize,
    rate: usize,
    alone_seconds: f64,
    beside_seconds: f64,
    ordinary_ms: Lag,
    beside_ms: Lag,
    /// For how long no live event's row was committed, at most.
    stood_ms: f64,
    /// How often it was told how long it would take beside live traffic, and how many times as long as that it took at most.
    times_told: usize,
    told_ratio: f64,
}

pub async fn run(options: &RebuildOptions) -> anyhow::Result<()> {
    options.places.prepare()?;
    let mut results = Vec::new();
    for target in crate::targets(&options.servers)? {
        let site = Site::new(&options.places, &target, Distance::default()).await?;
        println!("{}\n{}: {}", machine::description(), target.name, readmodel::description(&target).await?);
        let rebuilt = measure(&site, options).await?;
        println!(
            "{} events: {:.1} s alone, {:.1} s beside {} events a second (ratio of the throughput {:.2})\n\
             milliseconds from write to row, 50, 99, 99.9 %: {:.1}, {:.1}, {:.1} ordinarily; {:.1}, {:.1}, {:.1} meanwhile \
             (ratio of the 99 %: {:.2})\n\
             the live rows stood still for {:.0} ms at most; the time left was told {} times, and it took at most {:.2} times as long",
            rebuilt.events,
            rebuilt.alone_seconds,
            rebuilt.beside_seconds,
            rebuilt.rate,
            rebuilt.alone_seconds / rebuilt.beside_seconds,
            rebuilt.ordinary_ms.p50,
            rebuilt.ordinary_ms.p99,
            rebuilt.ordinary_ms.p999,
            rebuilt.beside_ms.p50,
            rebuilt.beside_ms.p99,
            rebuilt.beside_ms.p999,
            rebuilt.beside_ms.p99 / rebuilt.ordinary_ms.p99,
            rebuilt.stood_ms,
            rebuilt.times_told,
            rebuilt.told_ratio,
        );
        results.push(rebuilt);
    }
    std::fs::write(&options.results, serde_json::to_vec_pretty(&results)?)?;
    Ok(())
}

async fn measure(site: &Site, options: &RebuildOptions) -> anyhow::Result<Rebuilt> {
    let mut connection = site.target.connect().await?;
    readmodel::prepare(&mut connection).await?;
    // Whole turns, so that every account has had as many events.
    let history = options.history.next_multiple_of(workload::FEW);
    let load = Load::new(WORKLOAD, history, 0)?;
    load.prepare(&site.client, &Follower::named("laterna")?).await?;
    let (config, _) =
        follower::configuration(&site.places, &site.addresses, &load.components(&site.places)?, "")?;
    let mut host = follower::start_host(&site.places, &config, "rebuild.log")?;
    let seen = Follower::named("laterna")?.seen();
    until("history", &mut host, async || {
        let now = readmodel::progress(&mut connection, seen, &load).await?;
        Ok(now.events >= load.history() && now.streams)
    })
    .await?;
    let asked = Asked { site, config: &config };
    let alone = asked.rebuild(&mut host).await?.seconds();

    let plan = Plan {
        rate: options.rate,
        aggregates: workload::FEW,
        before: history / workload::FEW,
        sql: "SELECT account_id, last_sequence FROM balances".to_owned(),
    };
    let mut next = workload::named(WORKLOAD)?;
    (0..history).for_each(|_| drop(next.next()));
    let documents = Box::new(move || bson::RawDocumentBuf::try_from(&next.next()).ok());
    let traffic = Traffic::begin(&site.client, site.target.connect().await?, plan, documents);
    let warm = Instant::now() + Duration::from_secs(options.seconds) / 5;
    tokio::time::sleep(Duration::from_secs(options.seconds)).await;
    let beside = asked.rebuild(&mut host).await?;
    let (written, mut connection, samples) = traffic.end(true).await?;
    host.check()?;
    let all = i64::try_from(history + written)?;
    let sum =
        connection.fetch_one("SELECT CAST(MAX(balance_cents) AS SIGNED), COUNT(*) FROM balances").await?;
    let found: [i64; 2] = [sum.try_get_unchecked(0)?, sum.try_get_unchecked(1)?];
    let accounts = i64::try_from(workload::FEW)?;
    ensure!(
        found == [all, accounts],
        "the last event and the rows are {found:?}, and not {:?}",
        [all, accounts]
    );
    drop(host);
    readmodel::drop_all(&mut connection).await?;
    site.client.database(database()).drop().await?;
    let within = |at: Instant| at >= beside.began && at < beside.ended;
    let lag = |is_wanted: &dyn Fn(Instant) -> bool| lag::lag(&samples as &[Sample], is_wanted);
    Ok(Rebuilt {
        machine: machine::description(),
        server: site.target.name.clone(),
        events: history,
        rate: options.rate,
        alone_seconds: alone,
        beside_seconds: beside.seconds(),
        ordinary_ms: lag(&|at| at >= warm && !within(at)),
        beside_ms: lag(&within),
        stood_ms: stood(samples.iter().map(|(at, took)| *at + *took).filter(|at| within(*at)).collect()),
        times_told: beside.told.len(),
        told_ratio: beside.told_ratio(),
    })
}

/// The longest time between two of these moments, in milliseconds.
fn stood(mut committed: Vec<Instant>) -> f64 {
    committed.sort_unstable();
    let gaps = committed.windows(2).map(|two| two[1] - two[0]);
    gaps.max().unwrap_or_default().as_secs_f64() * 1000.0
}

/// A rebuild that is over.
struct RebuildRun {
    began: Instant,
    ended: Instant,
    /// When another time was told, and how long it was to take from then on.
    told: Vec<(Instant, Duration)>,
}

impl RebuildRun {
    fn seconds(&self) -> f64 {
        (self.ended - self.began).as_secs_f64()
    }

    /// How many times as long as was told it took at most.
    fn told_ratio(&self) -> f64 {
        let took = self.told.iter().map(|(at, left)| (self.ended - *at).as_secs_f64() / left.as_secs_f64());
        took.fold(0.0, f64::max)
    }
}

/// Who asks for rebuilds.
struct Asked<'a> {
    site: &'a Site,
    config: &'a std::path::Path,
}

impl Asked<'_> {
    /// From the command until the tables have taken the live ones' place.
    async fn rebuild(&self, host: &mut Running) -> anyhow::Result<RebuildRun> {
        let mut connection = self.site.target.connect().await?;
        let sql = format!("SELECT CAST(live_generation AS SIGNED) FROM {}.projection", control());
        let before: i64 = connection.fetch_one(sql.as_str()).await?.try_get_unchecked(0)?;
        let mut command = Command::new(&self.site.places.host);
        command.arg("--config").arg(self.config).args(["rebuild", PROJECTION]).stdin(Stdio::null());
        let began = Instant::now();
        let output = tokio::task::spawn_blocking(move || command.output()).await??;
        ensure!(
            output.status.success(),
            "a rebuild was refused: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let left = format!(
            "SELECT CAST(ready_at AS CHAR), CAST(TIMESTAMPDIFF(MICROSECOND, CURRENT_TIMESTAMP(6), ready_at) AS SIGNED) \
             FROM {}.generation WHERE state = 'building' AND ready_at > CURRENT_TIMESTAMP(6)",
            control()
        );
        let (mut told, mut last) = (Vec::new(), String::new());
        until("the rebuilt tables", host, async || {
            if let Some(row) = connection.fetch_optional(left.as_str()).await? {
                let (ready, left): (String, i64) = (row.try_get_unchecked(0)?, row.try_get_unchecked(1)?);
                if ready != last {
                    told.push((Instant::now(), Duration::from_micros(left.try_into()?)));
                    last = ready;
                }
            }
            let live: i64 = connection.fetch_one(sql.as_str()).await?.try_get_unchecked(0)?;
            Ok(live > before)
        })
        .await?;
        Ok(RebuildRun { began, ended: Instant::now(), told })
    }
}

async fn until(
    what: &str,
    host: &mut Running,
    mut is_so: impl AsyncFnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let (began, progress) = (Instant::now(), ProgressBar::new_spinner());
    progress.set_message(format!("waiting for {what}"));
    while !is_so().await.with_context(|| format!("waiting for {what}"))? {
        host.check()?;
        ensure!(began.elapsed() < PATIENCE, "waited too long for {what}: {}", host.last_words());
        tokio::time::sleep(ASK_INTERVAL).await;
    }
    progress.finish_and_clear();
    Ok(())
}
