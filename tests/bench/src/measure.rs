//! One run of one follower: from empty tables through history to the end of the live part, and the proof that the
//! rows are right.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use indicatif::ProgressBar;
use mongodb::Client;
use sqlx::mysql::MySqlConnection;

use crate::follower::{Follower, Running};
use crate::machine::{self, Cpu, Processes};
use crate::readmodel::{self, Progress, Target};
use crate::workload::Workload;

/// How often the checkpoint is looked at: what a part takes is known this well.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// A follower that commits nothing for so long is stuck.
const PATIENCE: Duration = Duration::from_mins(1);

/// What was measured of one part.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    pub events: u64,
    pub seconds: f64,
    pub cpu: Cpu,
}

impl Part {
    /// Events a second.
    #[expect(clippy::cast_precision_loss, reason = "a benchmark has fewer events than an f64 has digits")]
    pub fn rate(&self) -> f64 {
        self.events as f64 / self.seconds
    }

    /// How many cores others kept busy.
    pub fn elsewhere(&self) -> f64 {
        self.cpu.elsewhere() / self.seconds
    }
}

/// What was measured of one run.
#[derive(Debug, Clone)]
pub struct Run {
    /// From the first commit to the last one of history.
    pub history: Part,
    /// From the first write to the last commit.
    pub live: Part,
    pub load: String,
}

pub async fn run(
    client: &Client,
    mongodb: &str,
    target: &Target,
    workload: &Workload,
    follower: Follower,
    progress: &ProgressBar,
) -> anyhow::Result<Run> {
    let mut connection = target.connect().await?;
    progress.set_message("writing history");
    progress.enable_steady_tick(Duration::from_millis(200));
    readmodel::prepare(&mut connection).await?;
    workload.prepare(client).await?;
    progress.set_message("waiting for a quiet moment");
    machine::until_quiet().await;
    let load = machine::load();
    let running = follower.start(mongodb, target)?;
    let processes = Processes {
        follower: running.id(),
        mysqld: readmodel::process(&mut connection).await,
        mongod: machine::mongod(client).await?,
    };
    let mut watch = Watch { connection, follower, running, processes, progress };

    let began = watch.until("the first commit", |now| now.events > 0).await?;
    let ended = watch.until("the end of history", |now| now.events >= workload.history()).await?;
    let history = began.to(&ended);
    watch.until("the change stream", |now| now.streams).await?;

    let began = Moment { progress: ended.progress, ..watch.moment().await? };
    let all = workload.history() + workload.live();
    let (written, ended) = tokio::join!(
        workload.write_live(client),
        watch.until("the end of the live part", |now| now.events >= all)
    );
    written?;
    let live = began.to(&ended?);

    progress.set_message("comparing the rows");
    let found = watch.moment().await?.progress.events;
    ensure!(found == all, "{found} events were counted, of {all}");
    readmodel::verify(&mut watch.connection, &workload.rows)
        .await
        .with_context(|| format!("{} made a wrong table", follower.name()))?;
    drop(watch.running);
    readmodel::drop_all(&mut watch.connection).await?;
    client.database(crate::DATABASE).drop().await?;
    Ok(Run { history, live, load })
}

/// What is known of a follower at one time.
struct Moment {
    time: Instant,
    progress: Progress,
    cpu: Cpu,
}

impl Moment {
    fn to(&self, later: &Self) -> Part {
        Part {
            events: later.progress.events - self.progress.events,
            seconds: (later.time - self.time).as_secs_f64(),
            cpu: later.cpu.since(self.cpu),
        }
    }
}

/// Looks at a follower's checkpoint.
struct Watch<'a> {
    connection: MySqlConnection,
    follower: Follower,
    running: Running,
    processes: Processes,
    progress: &'a ProgressBar,
}

impl Watch<'_> {
    async fn moment(&mut self) -> anyhow::Result<Moment> {
        let progress = readmodel::progress(&mut self.connection, self.follower).await?;
        Ok(Moment { time: Instant::now(), progress, cpu: self.processes.cpu() })
    }

    /// Waits for a state of the checkpoint.
    async fn until(&mut self, what: &str, reached: impl Fn(&Progress) -> bool) -> anyhow::Result<Moment> {
        let (mut last, mut since) = (Progress::default(), Instant::now());
        loop {
            let now = self.moment().await?;
            if reached(&now.progress) {
                return Ok(now);
            }
            if now.progress != last {
                (last, since) = (now.progress, now.time);
                self.progress.set_message(format!("{} events, waiting for {what}", last.events));
            }
            self.running.check()?;
            ensure!(since.elapsed() < PATIENCE, "waited in vain for {what}: {}", self.running.last_words());
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }
}
