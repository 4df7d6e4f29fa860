//! One run of one follower: from empty tables through history to the end of the live part, and the proof that the
//! rows are right.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use indicatif::ProgressBar;
use sqlx::mysql::MySqlConnection;

use crate::follower::{Follower, Running};
use crate::machine::{self, Cpu, Processes};
use crate::readmodel::{self, Progress};
use crate::record::{Measured, Part};
use crate::site::Site;
use crate::workload::Load;

/// How often the checkpoint is looked at: what a part takes is known this well.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// A follower that commits nothing for so long is stuck.
const PATIENCE: Duration = Duration::from_mins(2);

/// Measures history, and the live part where there is one.
pub async fn run(
    site: &Site,
    load: &Load,
    follower: &Follower,
    progress: &ProgressBar,
) -> anyhow::Result<Vec<Measured>> {
    let mut watch = begin(site, load, follower, progress).await?;
    // A tool that copies has its start in its work, each time; the others are ready long before they are needed.
    let began = if follower.looks_for_times() {
        watch.moment().await?
    } else {
        watch.until("the first commit", |now| now.events > 0).await?
    };
    let ended = watch.until("the end of history", |now| now.events >= load.history()).await?;
    let mut parts = vec![began.to(&ended, Part::History)];
    let all = load.history() + load.live();
    if load.live() > 0 {
        watch.until("the change stream", |now| now.streams).await?;
        let began = Moment { progress: ended.progress, ..watch.moment().await? };
        let (written, ended) = tokio::join!(
            load.write_live(&site.client),
            watch.until("the end of the live part", |now| now.events >= all)
        );
        written?;
        parts.push(began.to(&ended?, Part::Live));
    }
    watch.finish(all).await?;
    Ok(parts)
}

/// A follower that has just been started, on fresh databases with the history.
pub async fn begin<'a>(
    site: &'a Site,
    load: &'a Load,
    follower: &'a Follower,
    progress: &'a ProgressBar,
) -> anyhow::Result<Watch<'a>> {
    let mut connection = site.target.connect().await?;
    progress.set_message("writing history");
    progress.enable_steady_tick(Duration::from_millis(200));
    readmodel::prepare(&mut connection).await?;
    if follower.needs_table() {
        readmodel::prepare_copy(&mut connection).await?;
    }
    load.prepare(&site.client, follower).await?;
    if !site.places.restless {
        progress.set_message("waiting for a quiet moment");
        machine::until_quiet().await;
    }
    let running = follower.start(&site.places, &site.addresses, load)?;
    let processes = Processes {
        follower: running.id(),
        mysqld: readmodel::process(&mut connection).await,
        mongod: machine::mongod(&site.client).await?,
    };
    Ok(Watch { connection, site, load, follower, running, processes, progress, looks: 0 })
}

/// What is known of a follower at one time.
pub struct Moment {
    time: Instant,
    progress: Progress,
    cpu: Cpu,
    memory: u64,
    statements: u64,
    /// How many of the statements were this program's.
    looks: u64,
    turns: [Option<u64>; 2],
}

impl Moment {
    /// How many events were committed.
    pub fn events(&self) -> u64 {
        self.progress.events
    }

    pub fn to(&self, later: &Self, part: Part) -> Measured {
        let turns = [0, 1].map(|server| Some(later.turns[server]? - self.turns[server]?));
        Measured {
            part,
            events: later.progress.events - self.progress.events,
            seconds: (later.time - self.time).as_secs_f64(),
            cpu: later.cpu.since(self.cpu),
            peak_memory_bytes: later.memory,
            statements: (later.statements - self.statements).saturating_sub(later.looks - self.looks),
            commits: later.progress.commits - self.progress.commits,
            mysql_turns: turns[0],
            mongodb_turns: turns[1],
            rate: None,
            lag_ms: None,
        }
    }
}

/// Looks at a follower's checkpoint.
pub struct Watch<'a> {
    connection: MySqlConnection,
    site: &'a Site,
    load: &'a Load,
    follower: &'a Follower,
    running: Running,
    processes: Processes,
    progress: &'a ProgressBar,
    looks: u64,
}

impl Watch<'_> {
    /// Everything that is known now.
    pub async fn moment(&mut self) -> anyhow::Result<Moment> {
        let progress = self.look().await?;
        let cpu = self.processes.cpu();
        self.looks += 1;
        Ok(Moment {
            time: Instant::now(),
            progress,
            cpu,
            memory: machine::peak_memory(self.processes.follower),
            statements: readmodel::statements(&mut self.connection).await?,
            looks: self.looks,
            turns: self.site.turns(),
        })
    }

    /// The port of the host's page.
    pub fn admin(&self) -> Option<u16> {
        self.running.admin()
    }

    async fn look(&mut self) -> anyhow::Result<Progress> {
        self.looks += 1;
        readmodel::progress(&mut self.connection, self.follower.seen(), self.load).await
    }

    /// Waits for a state of the checkpoint.
    pub async fn until(&mut self, what: &str, reached: impl Fn(&Progress) -> bool) -> anyhow::Result<Moment> {
        let (mut last, mut since) = (Progress::default(), Instant::now());
        loop {
            let now = self.look().await?;
            if reached(&now) {
                return self.moment().await;
            }
            if now != last {
                (last, since) = (now, Instant::now());
                self.progress.set_message(format!("{} events, waiting for {what}", last.events));
            }
            self.running.check()?;
            ensure!(since.elapsed() < PATIENCE, "waited in vain for {what}: {}", self.running.last_words());
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    /// Compares the rows with what so many events should have made, and takes everything away.
    pub async fn finish(mut self, events: u64) -> anyhow::Result<()> {
        self.progress.set_message("comparing the rows");
        let found = self.look().await?.events;
        ensure!(found == events, "{} has counted {found} events, of {events}", self.follower.name);
        if !self.follower.is_copying() {
            let verified = readmodel::verify(&mut self.connection, &self.load.expected).await;
            verified.with_context(|| format!("{} made a wrong table", self.follower.name))?;
        }
        drop(self.running);
        readmodel::drop_all(&mut self.connection).await?;
        self.site.client.database(crate::database()).drop().await?;
        Ok(())
    }
}
