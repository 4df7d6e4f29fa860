//! What was measured, as it is kept in the file of results.

use serde::{Deserialize, Serialize};

use crate::machine::{Cpu, QUIET_CORES};
use crate::site::Distance;

/// Which part of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// From the first commit to the last one of what stood in the outbox.
    History,
    /// From the first write to the last commit, as fast as one writer can.
    Live,
    /// So many events a second.
    Paced,
}

impl Part {
    pub fn name(self) -> &'static str {
        match self {
            Self::History => "history",
            Self::Live => "live",
            Self::Paced => "paced",
        }
    }
}

/// Milliseconds from the write in MongoDB to the committed row.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Lag {
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
    pub highest: f64,
}

/// What was measured of one part.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    pub part: Part,
    pub events: u64,
    pub seconds: f64,
    /// Seconds of processor time.
    pub cpu: Cpu,
    /// The most that the follower's processes ever had until the end of the part.
    pub peak_memory_bytes: u64,
    /// Statements that the SQL server had, from whomever: nobody else should use it.
    pub statements: u64,
    /// Transactions; 0 where the follower does not count them.
    pub commits: u64,
    /// How often the follower had to wait for the server, where there was a proxy that counted.
    pub mysql_turns: Option<u64>,
    pub mongodb_turns: Option<u64>,
    /// Events a second that were written, where they were paced.
    pub rate: Option<usize>,
    pub lag_ms: Option<Lag>,
}

#[expect(clippy::cast_precision_loss, reason = "a benchmark has fewer events than an f64 has digits")]
impl Measured {
    /// Events a second.
    pub fn throughput(&self) -> f64 {
        self.events as f64 / self.seconds
    }

    /// How many cores others kept busy.
    pub fn elsewhere(&self) -> f64 {
        self.cpu.elsewhere() / self.seconds
    }

    pub fn is_quiet(&self) -> bool {
        self.elsewhere() < QUIET_CORES
    }

    /// Microseconds of processor time for each event.
    pub fn micros(&self, seconds: f64) -> f64 {
        seconds / self.events as f64 * 1e6
    }

    pub fn peak_megabytes(&self) -> f64 {
        self.peak_memory_bytes as f64 / 1e6
    }

    pub fn each(&self, count: u64) -> f64 {
        count as f64 / self.events as f64
    }

    /// Turns of the connections to MySQL for each commit.
    pub fn turns_per_commit(&self) -> Option<f64> {
        let commits = Some(self.commits).filter(|commits| *commits > 0)?;
        Some(self.mysql_turns? as f64 / commits as f64)
    }
}

/// What is compared with each other: the same work in the same place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    pub server: String,
    pub workload: String,
    #[serde(flatten)]
    pub distance: Distance,
    pub history: usize,
    pub live: usize,
    pub rate: Option<usize>,
    /// It tells what an event costs that waits with so many others.
    pub is_backlog: bool,
}

impl Cell {
    /// What it is, in a few words.
    pub fn title(&self) -> String {
        let mut title = vec![self.workload.clone(), self.server.clone()];
        let distances = [("MySQL", self.distance.mysql_ms), ("MongoDB", self.distance.mongodb_ms)];
        for (server, away) in distances.into_iter().filter_map(|(server, away)| Some((server, away?))) {
            title.push(format!("{away} ms to {server}"));
        }
        if let Some(rate) = self.rate {
            title.push(format!("{rate} a second"));
        }
        if self.is_backlog {
            title.push(format!("a backlog of {}", self.history));
        }
        title.join(", ")
    }
}

/// One follower's run in one round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    #[serde(flatten)]
    pub cell: Cell,
    pub follower: String,
    pub round: usize,
    /// The machine's load before it.
    pub load: String,
    pub parts: Vec<Measured>,
}

/// Everything of one run of the benchmark.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Results {
    pub machine: String,
    pub mongodb: String,
    /// Each server with its version and settings.
    pub servers: Vec<(String, String)>,
    /// The first one is what the others are compared with.
    pub followers: Vec<String>,
    pub records: Vec<Record>,
}
