//! Another component under load, again and again: how long events take from their write in MongoDB to their committed
//! row while one is deployed, beside the ordinary time of the same run. Every component is a new one, so that it is
//! loaded, compiled and checked anew.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bank::Writer;
use bson::{DateTime, Document, doc};
use indicatif::ProgressBar;
use mongodb::Client;
use sqlx::{Executor, MySqlConnection, Row};

use crate::follower::{self, Running};
use crate::readmodel::{self, Target};
use crate::{CONTROL, DATABASE};

const PROJECTION: &str = "stamped";
const AGGREGATES: usize = 64;
/// How often events are written, and how often it is looked what has become of them.
const WRITE_INTERVAL: Duration = Duration::from_millis(10);
const LOOK_INTERVAL: Duration = Duration::from_millis(2);
/// What belongs to a deployment: from its command to this long after the lanes have it.
const AFTER: Duration = Duration::from_secs(1);
/// The ordinary time between two deployments.
const BETWEEN: Duration = Duration::from_millis(1500);
/// What is not counted at the beginning.
const WARM_UP: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_mins(1);

/// Events by aggregate: when those were written that have no row yet, and how many have one.
#[derive(Default)]
struct Written(Mutex<Vec<(VecDeque<Instant>, usize)>>);

/// An event's write, and how long it took to its row.
type Sample = (Instant, Duration);

/// One deployment: its command, and when the lanes had the component.
type Swap = (Instant, Instant);

pub async fn run(
    client: &Client,
    mongodb: &str,
    target: &Target,
    swaps: usize,
    rate: usize,
) -> anyhow::Result<()> {
    let mut connection = target.connect().await?;
    readmodel::prepare(&mut connection).await?;
    client.database(DATABASE).drop().await?;
    Writer::new(client, DATABASE).prepare().await?;
    let place = Place::new(mongodb, target)?;
    let mut host = follower::start_host(&place.config, &place.work.join("swaps.log"))?;
    place.until_given("first", &mut host).await?;
    let written = Arc::new(Written(Mutex::new(vec![Default::default(); AGGREGATES])));
    let (writes, looks) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(true)));
    let writing = tokio::spawn(write(client.clone(), written.clone(), writes.clone(), rate));
    let looking = tokio::spawn(look(connection, written.clone(), looks.clone()));
    let began = Instant::now();
    tokio::time::sleep(WARM_UP).await;
    let progress = ProgressBar::new(swaps as u64);
    let mut done = Vec::new();
    for number in 0..swaps {
        tokio::time::sleep(BETWEEN).await;
        let name = if number % 2 == 0 { "second" } else { "first" };
        done.push(place.deploy(name, number, &mut host).await?);
        progress.inc(1);
        tokio::time::sleep(AFTER).await;
    }
    tokio::time::sleep(BETWEEN).await;
    progress.finish_and_clear();
    writes.store(false, Ordering::Relaxed);
    let events = writing.await??;
    until("the last rows", async || written.is_done()).await?;
    looks.store(false, Ordering::Relaxed);
    let (mut connection, samples) = looking.await??;
    host.check()?;
    verify(&mut connection, events).await?;
    readmodel::drop_all(&mut connection).await?;
    let counted: Vec<Sample> = samples.into_iter().filter(|(at, _)| *at >= began + WARM_UP).collect();
    report(&counted, &done, events);
    Ok(())
}

/// Where the files are.
struct Place {
    work: PathBuf,
    guests: PathBuf,
    config: PathBuf,
    host: PathBuf,
    port: u16,
}

impl Place {
    fn new(mongodb: &str, target: &Target) -> anyhow::Result<Self> {
        let (host, work, guests) = follower::places()?;
        let (config, port) =
            follower::configuration(&work, mongodb, target, PROJECTION, &guests.join("first.wasm"))?;
        Ok(Self { work, guests, config, host, port })
    }

    /// Deploys a component; unless `BENCH_VERSIONS` says otherwise, one that no host has seen.
    async fn deploy(&self, name: &str, number: usize, host: &mut Running) -> anyhow::Result<Swap> {
        let file = self.work.join(format!("{name}.wasm"));
        std::fs::write(&file, unique(&self.guests.join(format!("{name}.wasm")), version(number))?)?;
        let mut command = Command::new(&self.host);
        command.arg("--config").arg(&self.config).arg("deploy").arg(&file);
        command.args(["--projection", PROJECTION, "--canary", "0"]).stdin(Stdio::null());
        // As from another machine: the host finds nothing compiled.
        command.env("LATERNA_HOST__STATE", self.work.join("elsewhere"));
        let asked = Instant::now();
        let output = tokio::task::spawn_blocking(move || command.output()).await??;
        ensure!(output.status.success(), "a deployment failed: {}", String::from_utf8_lossy(&output.stderr));
        self.until_given(name, host).await?;
        Ok((asked, Instant::now()))
    }

    async fn until_given(&self, name: &str, host: &mut Running) -> anyhow::Result<()> {
        until("the component to be in force", async || {
            let address = format!("http://127.0.0.1:{}/status", self.port);
            let asked =
                tokio::task::spawn_blocking(move || ureq::get(address).call()?.body_mut().read_to_string());
            let told: String = asked.await.ok().and_then(Result::ok).unwrap_or_default();
            told.contains(&format!("\"component\":\"stamped {name}\",\"digest\""))
                && told.contains("\"streaming\"")
        })
        .await
        .with_context(|| host.last_words())
    }
}

/// `BENCH_VERSIONS`: so many components take turns, so that later deployments find them compiled. Without it, each is new.
fn version(number: usize) -> usize {
    match std::env::var("BENCH_VERSIONS").ok().and_then(|count| count.parse::<usize>().ok()) {
        Some(count) if count > 0 => number % count,
        _ => number,
    }
}

/// The component with a section that nobody reads.
fn unique(file: &Path, number: usize) -> anyhow::Result<Vec<u8>> {
    let mut bytes = std::fs::read(file).with_context(|| format!("there is no {}", file.display()))?;
    let text = format!("\u{4}swap{}-{number}", std::process::id());
    bytes.extend([0, u8::try_from(text.len())?]);
    bytes.extend(text.as_bytes());
    Ok(bytes)
}

impl Written {
    fn change<T>(&self, change: impl FnOnce(&mut Vec<(VecDeque<Instant>, usize)>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn is_done(&self) -> bool {
        self.change(|all| all.iter().all(|(waiting, _)| waiting.is_empty()))
    }
}

/// Writes so many events a second until it is told to stop; gives how many.
async fn write(
    client: Client,
    written: Arc<Written>,
    goes_on: Arc<AtomicBool>,
    rate: usize,
) -> anyhow::Result<usize> {
    let outbox = client.database(DATABASE).collection::<Document>("outbox");
    let mut ticks = tokio::time::interval(WRITE_INTERVAL);
    let (began, mut sent) = (Instant::now(), 0);
    while goes_on.load(Ordering::Relaxed) {
        ticks.tick().await;
        let due = usize::try_from(began.elapsed().as_millis())? * rate / 1000;
        let documents: Vec<Document> = (sent..due).map(document).collect();
        if documents.is_empty() {
            continue;
        }
        let now = Instant::now();
        written.change(|all| (sent..due).for_each(|n| all[n % AGGREGATES].0.push_back(now)));
        outbox.insert_many(documents).await?;
        sent = due;
    }
    Ok(sent)
}

fn document(n: usize) -> Document {
    let sequence = i64::try_from(n / AGGREGATES + 1).unwrap_or(i64::MAX);
    doc! {
        "_id": format!("e{n}"), "type": "Happened", "aggregateType": "thing", "aggregateId": (n % AGGREGATES).to_string(),
        "sequence": sequence, "occurredAt": DateTime::now(), "payload": { "text": "x".repeat(150) },
    }
}

/// Looks what has been committed, until it is told to stop.
async fn look(
    mut connection: MySqlConnection,
    written: Arc<Written>,
    goes_on: Arc<AtomicBool>,
) -> anyhow::Result<(MySqlConnection, Vec<Sample>)> {
    let sql = format!("SELECT aggregate_id, sequence FROM {DATABASE}.last_seen");
    let mut samples = Vec::new();
    while goes_on.load(Ordering::Relaxed) {
        tokio::time::sleep(LOOK_INTERVAL).await;
        let rows = connection.fetch_all(sql.as_str()).await?;
        let now = Instant::now();
        for row in rows {
            let aggregate: usize = row.try_get_unchecked::<String, _>(0)?.parse()?;
            let sequence = usize::try_from(row.try_get::<i64, _>(1)?)?;
            written.change(|all| {
                let (waiting, seen) = &mut all[aggregate];
                let new = sequence.saturating_sub(*seen).min(waiting.len());
                samples.extend(waiting.drain(..new).map(|at| (at, now - at)));
                *seen += new;
            });
        }
    }
    Ok((connection, samples))
}

/// Each event has one row, in order.
async fn verify(connection: &mut MySqlConnection, events: usize) -> anyhow::Result<()> {
    let sql = format!(
        "SELECT (SELECT COUNT(*) FROM {DATABASE}.stamped), \
         (SELECT CAST(SUM(disorder) AS SIGNED) FROM {DATABASE}.last_seen), \
         (SELECT COUNT(*) FROM {CONTROL}.dead_letter)"
    );
    let row = connection.fetch_one(sql.as_str()).await?;
    let found: [i64; 3] = [row.try_get_unchecked(0)?, row.try_get_unchecked(1)?, row.try_get_unchecked(2)?];
    ensure!(
        found == [i64::try_from(events)?, 0, 0],
        "rows, disorder and letters are {found:?} of {events} events"
    );
    Ok(())
}

fn report(samples: &[Sample], swaps: &[Swap], events: usize) {
    let within = |at: Instant| swaps.iter().find(|(asked, given)| (*asked..*given + AFTER).contains(&at));
    let of = |wanted: &dyn Fn(Instant) -> bool| {
        let mut took: Vec<Duration> =
            samples.iter().filter(|(at, _)| wanted(*at)).map(|(_, took)| *took).collect();
        took.sort_unstable();
        took
    };
    let ordinary = of(&|at| within(at).is_none());
    let deploying = of(&|at| within(at).is_some_and(|(_, given)| at < *given));
    let after = of(&|at| within(at).is_some_and(|(_, given)| at >= *given));
    let all = of(&|at| within(at).is_some());
    println!(
        "{} deployments, {events} events; milliseconds from write to row: 50 %, 99 %, 99.9 %, highest",
        swaps.len()
    );
    for (name, took) in [
        ("ordinary", &ordinary),
        ("deploying: from the command until the lanes have it", &deploying),
        ("the second after", &after),
        ("both", &all),
    ] {
        let [half, p99, p999, most] = [0.5, 0.99, 0.999, 1.0].map(|share| quantile(took, share));
        println!("  {name}: {half:.1}, {p99:.1}, {p999:.1}, {most:.1} of {} events", took.len());
    }
    println!("ratio of the 99 %: {:.2}", quantile(&all, 0.99) / quantile(&ordinary, 0.99));
}

/// In milliseconds.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "few values"
)]
fn quantile(sorted: &[Duration], share: f64) -> f64 {
    let place = ((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len().max(1)) - 1;
    sorted.get(place).map_or(f64::NAN, |took| took.as_secs_f64() * 1000.0)
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) -> anyhow::Result<()> {
    let began = Instant::now();
    while !is_so().await {
        ensure!(began.elapsed() < PATIENCE, "waited too long for {what}");
        tokio::time::sleep(LOOK_INTERVAL * 5).await;
    }
    Ok(())
}
