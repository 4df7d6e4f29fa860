//! Another component under load, again and again: how long events take from their write in MongoDB to their committed
//! row while one is deployed, beside the ordinary time of the same run. Every component is a new one, so that it is
//! loaded, compiled and checked anew.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bank::Writer;
use bson::{DateTime, RawDocumentBuf, doc};
use indicatif::ProgressBar;
use sqlx::{Executor, MySqlConnection, Row};

use crate::follower::{self, Running};
use crate::lag::{self, Plan, Sample, Traffic};
use crate::options::SwapOptions;
use crate::readmodel;
use crate::site::Site;
use crate::{control, database};

const PROJECTION: &str = "stamped";
const AGGREGATES: usize = 64;
/// How often it is asked whether a component is in force.
const ASK_INTERVAL: Duration = Duration::from_millis(10);
/// What belongs to a deployment: from its command to this long after the lanes have it.
const AFTER: Duration = Duration::from_secs(1);
/// The ordinary time between two deployments.
const BETWEEN: Duration = Duration::from_millis(1500);
/// What is not counted at the beginning.
const WARM_UP: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_mins(1);

/// One deployment: its command, and when the lanes had the component.
type Swap = (Instant, Instant);

pub async fn run(site: &Site, options: &SwapOptions) -> anyhow::Result<()> {
    let mut connection = site.target.connect().await?;
    readmodel::prepare(&mut connection).await?;
    site.client.database(database()).drop().await?;
    Writer::new(&site.client, database()).prepare().await?;
    let place = Place::new(site, options.versions)?;
    let mut host = follower::start_host(&site.places, &place.config, "swaps.log")?;
    place.until_given("first", &mut host).await?;
    let sql = "SELECT aggregate_id, sequence FROM last_seen".to_owned();
    let plan = Plan { rate: options.rate, aggregates: AGGREGATES, before: 0, sql };
    let mut documents = (0..).map(document);
    let traffic = Traffic::begin(&site.client, connection, plan, Box::new(move || documents.next()));
    let began = Instant::now();
    tokio::time::sleep(WARM_UP).await;
    let progress = ProgressBar::new(options.swaps as u64);
    let mut done = Vec::new();
    for number in 0..options.swaps {
        tokio::time::sleep(BETWEEN).await;
        let name = if number % 2 == 0 { "second" } else { "first" };
        done.push(place.deploy(name, number, &mut host).await?);
        progress.inc(1);
        tokio::time::sleep(AFTER).await;
    }
    tokio::time::sleep(BETWEEN).await;
    progress.finish_and_clear();
    let (events, mut connection, samples) = traffic.end(true).await?;
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
    /// So many components take turns; 0: each is a new one.
    versions: usize,
}

impl Place {
    fn new(site: &Site, versions: usize) -> anyhow::Result<Self> {
        let places = site.places.clone();
        let component = [(PROJECTION.to_owned(), places.guests.join("first.wasm"))];
        let (config, port) = follower::configuration(&places, &site.addresses, &component, "")?;
        Ok(Self { work: places.work, guests: places.guests, config, host: places.host, port, versions })
    }

    /// Deploys a component; unless some take turns, one that no host has seen.
    async fn deploy(&self, name: &str, number: usize, host: &mut Running) -> anyhow::Result<Swap> {
        let file = self.work.join(format!("{name}.wasm"));
        std::fs::write(&file, unique(&self.guests.join(format!("{name}.wasm")), self.version(number))?)?;
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

    fn version(&self, number: usize) -> usize {
        if self.versions == 0 { number } else { number % self.versions }
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

/// The component with a section that nobody reads.
fn unique(file: &Path, number: usize) -> anyhow::Result<Vec<u8>> {
    let mut bytes = std::fs::read(file).with_context(|| format!("there is no {}", file.display()))?;
    let text = format!("\u{4}swap{}-{number}", std::process::id());
    bytes.extend([0, u8::try_from(text.len())?]);
    bytes.extend(text.as_bytes());
    Ok(bytes)
}

fn document(n: usize) -> RawDocumentBuf {
    let sequence = i64::try_from(n / AGGREGATES + 1).unwrap_or(i64::MAX);
    let document = doc! {
        "_id": format!("e{n}"), "type": "Happened", "aggregateType": "thing", "aggregateId": (n % AGGREGATES).to_string(),
        "sequence": sequence, "occurredAt": DateTime::now(), "payload": { "text": "x".repeat(150) },
    };
    RawDocumentBuf::try_from(&document).expect("it is small and has plain names")
}

/// Each event has one row, in order.
async fn verify(connection: &mut MySqlConnection, events: usize) -> anyhow::Result<()> {
    let sql = format!(
        "SELECT (SELECT COUNT(*) FROM {0}.stamped), \
         (SELECT CAST(SUM(disorder) AS SIGNED) FROM {0}.last_seen), \
         (SELECT COUNT(*) FROM {1}.dead_letter)",
        database(),
        control()
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
    let of = |is_wanted: &dyn Fn(Instant) -> bool| {
        (lag::lag(samples, is_wanted), samples.iter().filter(|(at, _)| is_wanted(*at)).count())
    };
    let ordinary = of(&|at| within(at).is_none());
    let deploying = of(&|at| within(at).is_some_and(|(_, given)| at < *given));
    let after = of(&|at| within(at).is_some_and(|(_, given)| at >= *given));
    let all = of(&|at| within(at).is_some());
    println!(
        "{} deployments, {events} events; milliseconds from write to row: 50 %, 99 %, 99.9 %, highest",
        swaps.len()
    );
    for (name, (lag, count)) in [
        ("ordinary", ordinary),
        ("deploying: from the command until the lanes have it", deploying),
        ("the second after", after),
        ("both", all),
    ] {
        println!(
            "  {name}: {:.1}, {:.1}, {:.1}, {:.1} of {count} events",
            lag.p50, lag.p99, lag.p999, lag.highest
        );
    }
    println!("ratio of the 99 %: {:.2}", all.0.p99 / ordinary.0.p99);
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) -> anyhow::Result<()> {
    let began = Instant::now();
    while !is_so().await {
        ensure!(began.elapsed() < PATIENCE, "waited too long for {what}");
        tokio::time::sleep(ASK_INTERVAL).await;
    }
    Ok(())
}
