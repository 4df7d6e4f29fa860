//! What the measurements were made on, and what each process took of it. Linux's `/proc` only; elsewhere, and for
//! servers that run elsewhere, the numbers are missing.

use std::fs::read_to_string;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use anyhow::Context;
use bson::doc;
use mongodb::Client;
use serde::{Deserialize, Serialize};

/// The kernel counts in hundredths of a second, whatever its own clock.
const TICKS_PER_SECOND: f64 = 100.0;

/// How many cores others may keep busy for a measurement to count as undisturbed. Two cores are often two threads
/// of one, so that other work slows a run down even where cores seem free.
pub const QUIET_CORES: f64 = 0.2;

/// How long a run waits for the others to be done.
const PATIENCE: Duration = Duration::from_mins(1);

/// Seconds of processor time since each began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Cpu {
    pub follower: f64,
    pub mysqld: f64,
    pub mongod: f64,
    /// This process: it writes the events and watches.
    pub bench: f64,
    /// Everything that runs on the machine.
    pub all: f64,
}

impl Cpu {
    pub fn since(self, earlier: Self) -> Self {
        Self {
            follower: self.follower - earlier.follower,
            mysqld: self.mysqld - earlier.mysqld,
            mongod: self.mongod - earlier.mongod,
            bench: self.bench - earlier.bench,
            all: self.all - earlier.all,
        }
    }

    /// What nobody of the benchmark took.
    pub fn elsewhere(&self) -> f64 {
        (self.all - self.follower - self.mysqld - self.mongod - self.bench).max(0.0)
    }
}

/// The processes of one run. A server that does not run here has no id.
#[derive(Debug, Clone, Copy)]
pub struct Processes {
    pub follower: u32,
    pub mysqld: Option<u32>,
    pub mongod: Option<u32>,
}

impl Processes {
    pub fn cpu(&self) -> Cpu {
        Cpu {
            follower: tree(self.follower).into_iter().map(tree_seconds).sum(),
            mysqld: self.mysqld.map_or(0.0, process_seconds),
            mongod: self.mongod.map_or(0.0, process_seconds),
            bench: process_seconds(std::process::id()),
            all: machine_seconds(),
        }
    }
}

pub fn description() -> String {
    let model = read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = model
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map(|(_, name)| name);
    let cores = available_parallelism().map_or(0, usize::from);
    let memory = read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = memory.split_whitespace().nth(1).and_then(|kilobytes| kilobytes.parse::<u64>().ok());
    format!(
        "{cores} cores ({}), {} GB; load {}",
        model.unwrap_or("unknown").trim(),
        memory.unwrap_or_default() >> 20,
        load()
    )
}

/// The machine's load over the last minute.
pub fn load() -> String {
    read_to_string("/proc/loadavg").unwrap_or_default().split(' ').next().unwrap_or("unknown").to_owned()
}

/// Waits until the machine has nothing to do, for a while.
pub async fn until_quiet() {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        let (before, span) = (machine_seconds(), Instant::now());
        tokio::time::sleep(Duration::from_secs(1)).await;
        if (machine_seconds() - before) / span.elapsed().as_secs_f64() < QUIET_CORES {
            return;
        }
    }
}

pub async fn mongodb_version(client: &Client) -> anyhow::Result<String> {
    let status = client.database("admin").run_command(doc! { "buildInfo": 1 }).await?;
    Ok(status.get_str("version").context("a MongoDB has a version")?.to_owned())
}

/// The MongoDB server's process, if it is one of this machine's.
pub async fn mongod(client: &Client) -> anyhow::Result<Option<u32>> {
    let status = client.database("admin").run_command(doc! { "serverStatus": 1 }).await?;
    let id = status.get_i64("pid").ok().and_then(|id| u32::try_from(id).ok());
    Ok(id.filter(|id| is_process(*id, &["mongod"])))
}

/// Whether a process of this machine is one of these programs: ids from within containers are not.
pub fn is_process(id: u32, programs: &[&str]) -> bool {
    let command = read_to_string(format!("/proc/{id}/cmdline")).unwrap_or_default();
    programs.iter().any(|program| command.contains(program))
}

/// A process and all that it has started, which is still there.
fn tree(id: u32) -> Vec<u32> {
    let (mut found, mut next) = (Vec::new(), vec![id]);
    while let Some(id) = next.pop() {
        found.push(id);
        let Ok(tasks) = std::fs::read_dir(format!("/proc/{id}/task")) else { continue };
        for task in tasks.flatten() {
            let children = read_to_string(task.path().join("children")).unwrap_or_default();
            next.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
    }
    found
}

/// The most memory that a process and those that it has started ever had, each by itself.
pub fn peak_memory(id: u32) -> u64 {
    let peak = |id| {
        let status = read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let line =
            status.lines().find_map(|line| line.strip_prefix("VmHWM:")).map(str::trim).map(str::to_owned);
        line.and_then(|line| line.split(' ').next()?.parse::<u64>().ok()).unwrap_or_default() << 10
    };
    tree(id).into_iter().map(peak).sum()
}

/// Its own time, and that of those it has started that have ended.
fn tree_seconds(id: u32) -> f64 {
    seconds(id, 4)
}

fn process_seconds(id: u32) -> f64 {
    seconds(id, 2)
}

/// The fields of `/proc/PID/stat` behind the name, which may hold spaces: the 12th and 13th are user and system time, the
/// next two those of children that have ended.
fn seconds(id: u32, fields: usize) -> f64 {
    let stat = read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    let found = stat.rsplit_once(')').map_or("", |(_, found)| found).split_whitespace().skip(11).take(fields);
    found.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / TICKS_PER_SECOND
}

/// The first line of `/proc/stat`: user, nice, system, idle, waiting, and the interrupts' three.
fn machine_seconds() -> f64 {
    let stat = read_to_string("/proc/stat").unwrap_or_default();
    let line = stat.lines().next().unwrap_or_default();
    let fields: Vec<f64> = line.split_whitespace().skip(1).filter_map(|ticks| ticks.parse().ok()).collect();
    [0, 1, 2, 5, 6].iter().filter_map(|field| fields.get(*field)).sum::<f64>() / TICKS_PER_SECOND
}
