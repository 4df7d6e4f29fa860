//! The command line: what is measured, where, and how often.

use std::path::{Path, PathBuf};

use anyhow::ensure;
use clap::{Args, Parser, Subcommand};

/// Measure Laterna beside a hand-written loop and others, alternating, in one run.
///
/// The database that a run makes and drops, in MongoDB and MySQL, is `laterna_bench`, or what `BENCH_DATABASE` says.
#[derive(Debug, Parser)]
#[command(name = "bench", version)]
pub struct Options {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Compare followers over workloads, distances and lanes.
    Compare(Box<CompareOptions>),
    /// Measure the latency while components are deployed, beside the ordinary one.
    Swaps(SwapOptions),
    /// Measure a rebuild alone and beside live traffic, and the latency meanwhile.
    Rebuild(RebuildOptions),
    /// Measure the throughput while the page is open somewhere, or under abuse, beside that while nobody looks.
    Pages(PagesOptions),
    /// Draw the figure anew from a file of results.
    Figure {
        /// The file of results.
        #[arg(long, default_value = "target/bench/results.json")]
        results: PathBuf,
        /// The figure.
        #[arg(long, default_value = "target/bench/figure.svg")]
        figure: PathBuf,
    },
    /// Be the hand-written loop (started by the others).
    Floor {
        /// Name of the workload.
        workload: String,
        /// How many events a transaction takes.
        events: usize,
        /// The MongoDB server.
        mongodb: String,
        /// The read model's database.
        mysql: String,
    },
}

/// Where things are.
#[derive(Debug, Clone, Args)]
pub struct Places {
    /// The host's program; unless given, it lies beside this one.
    #[arg(long, env = "BENCH_HOST", default_value_os_t = beside())]
    pub host: PathBuf,
    /// Folder of the tests' guests.
    #[arg(long, env = "BENCH_GUESTS", default_value = "target/guests")]
    pub guests: PathBuf,
    /// Folder of the projectors.
    #[arg(long, env = "BENCH_PLUGINS", default_value = "plugins/dist")]
    pub plugins: PathBuf,
    /// Folder of the other followers' scripts.
    #[arg(long, env = "BENCH_SCRIPTS", default_value = "tests/bench/peers")]
    pub scripts: PathBuf,
    /// Folder where the other followers are installed.
    #[arg(long, env = "BENCH_PEERS", default_value = "target/peers")]
    pub peers: PathBuf,
    /// Folder for what the run leaves: logs, configurations.
    #[arg(long, env = "BENCH_WORK", default_value = "target/bench")]
    pub work: PathBuf,
    /// The MongoDB server, a replica set.
    #[arg(long, env = "LATERNA_MONGODB_URI", hide_env_values = true)]
    pub mongodb: String,
    /// Lines for the projection's section of the host's configuration.
    #[arg(long, env = "BENCH_SETTINGS", default_value = "")]
    pub settings: String,
    /// The host's API listens on every address, with tokens.
    #[arg(skip)]
    pub is_guarded: bool,
    /// Do not wait for a quiet machine, and do not repeat disturbed rounds.
    #[arg(long, env = "BENCH_RESTLESS")]
    pub restless: bool,
}

#[derive(Debug, Clone, Args)]
pub struct CompareOptions {
    #[command(flatten)]
    pub places: Places,
    /// Servers: mysql-socket, mysql-tcp, mariadb-socket, mariadb-tcp.
    #[arg(long, env = "BENCH_SERVERS", value_delimiter = ',', default_value = "mysql-socket")]
    pub servers: Vec<String>,
    /// Followers: floor, laterna, laterna-N with N lanes, naive, python-naive, python-batched, debezium, sling, dlt, ingestr.
    /// The first one is what the others are compared with.
    #[arg(long, env = "BENCH_FOLLOWERS", value_delimiter = ',', default_value = "floor,laterna")]
    pub followers: Vec<String>,
    /// Workloads: upserts, large, hot, orders, counters, updates, deletes, bank, fan-1, fan-4, fan-16; or all.
    #[arg(long, env = "BENCH_WORKLOADS", value_delimiter = ',', default_value = "all")]
    pub workloads: Vec<String>,
    /// Round trips to MySQL in milliseconds, through a proxy that counts turns.
    #[arg(long, env = "BENCH_MYSQL_DISTANCES", num_args = 0.., value_delimiter = ',', default_value = "0,5")]
    pub mysql_distances: Vec<f64>,
    /// Round trips to MongoDB in milliseconds.
    #[arg(long, env = "BENCH_MONGODB_DISTANCES", num_args = 0.., value_delimiter = ',', default_value = "5")]
    pub mongodb_distances: Vec<f64>,
    /// Workloads that are measured over distances.
    #[arg(long, env = "BENCH_DISTANCE_WORKLOADS", num_args = 0.., value_delimiter = ',', default_value = "upserts")]
    pub distance_workloads: Vec<String>,
    /// Paced rates in events a second, for the time from commit to row.
    #[arg(long, env = "BENCH_RATES", num_args = 0.., value_delimiter = ',', default_value = "500")]
    pub rates: Vec<usize>,
    /// How many seconds each rate lasts.
    #[arg(long, env = "BENCH_RATE_SECONDS", default_value_t = 10)]
    pub rate_seconds: usize,
    /// Sizes of a backlog whose cost for each event is measured.
    #[arg(long, env = "BENCH_BACKLOGS", num_args = 0.., value_delimiter = ',', default_value = "20000,200000")]
    pub backlogs: Vec<usize>,
    /// Undisturbed rounds that are wanted.
    #[arg(long, env = "BENCH_ROUNDS", default_value_t = 3)]
    pub rounds: usize,
    /// Events in the outbox before a follower starts.
    #[arg(long, env = "BENCH_HISTORY", default_value_t = 40_000)]
    pub history: usize,
    /// Events that are written while it follows.
    #[arg(long, env = "BENCH_LIVE", default_value_t = 20_000)]
    pub live: usize,
    /// The part of the events that slow followers get: one transaction an event, and tools that copy.
    #[arg(long, env = "BENCH_SLOW_SHARE", default_value_t = 0.1)]
    pub slow_share: f64,
    /// File for the results.
    #[arg(long, env = "BENCH_RESULTS", default_value = "target/bench/results.json")]
    pub results: PathBuf,
    /// File for the figure.
    #[arg(long, env = "BENCH_FIGURE", default_value = "target/bench/figure.svg")]
    pub figure: PathBuf,
}

#[derive(Debug, Clone, Args)]
pub struct SwapOptions {
    #[command(flatten)]
    pub places: Places,
    /// Servers: mysql-socket, mysql-tcp, mariadb-socket, mariadb-tcp.
    #[arg(long, env = "BENCH_SERVERS", value_delimiter = ',', default_value = "mysql-socket")]
    pub servers: Vec<String>,
    /// Deployments.
    #[arg(long, env = "BENCH_SWAPS", default_value_t = 100)]
    pub swaps: usize,
    /// Events a second.
    #[arg(long, env = "BENCH_RATE", default_value_t = 2000)]
    pub rate: usize,
    /// So many components take turns; 0: each is a new one.
    #[arg(long, env = "BENCH_VERSIONS", default_value_t = 0)]
    pub versions: usize,
}

#[derive(Debug, Clone, Args)]
pub struct RebuildOptions {
    #[command(flatten)]
    pub places: Places,
    /// Servers: mysql-socket, mysql-tcp, mariadb-socket, mariadb-tcp.
    #[arg(long, env = "BENCH_SERVERS", value_delimiter = ',', default_value = "mysql-socket")]
    pub servers: Vec<String>,
    /// Events of the outbox.
    #[arg(long, env = "BENCH_HISTORY", default_value_t = 200_000)]
    pub history: usize,
    /// Events a second that are written meanwhile.
    #[arg(long, env = "BENCH_RATE", default_value_t = 500)]
    pub rate: usize,
    /// Seconds of ordinary traffic before the rebuild.
    #[arg(long, env = "BENCH_RATE_SECONDS", default_value_t = 10)]
    pub seconds: u64,
    /// File for the results.
    #[arg(long, env = "BENCH_RESULTS", default_value = "target/bench/rebuild.json")]
    pub results: PathBuf,
}

#[derive(Debug, Clone, Args)]
pub struct PagesOptions {
    #[command(flatten)]
    pub places: Places,
    /// Servers: mysql-socket, mysql-tcp, mariadb-socket, mariadb-tcp.
    #[arg(long, env = "BENCH_SERVERS", value_delimiter = ',', default_value = "mysql-socket")]
    pub servers: Vec<String>,
    /// Open pages, each with another view: overview, projection, letters, aggregate, hosts. With `--abuse`, how many ask at once.
    /// [default: 5, or 400]
    #[arg(long, env = "BENCH_CLIENTS")]
    pub clients: Option<usize>,
    /// Instead of pages: those who mean harm. They ask for everything at once, keep slow connections open, and send what is too large.
    #[arg(long)]
    pub abuse: bool,
    /// Fail where the ratio is below this one, e.g. 0.95.
    #[arg(long, env = "BENCH_AT_LEAST")]
    pub at_least: Option<f64>,
    /// How often those who mean harm ask at once, in milliseconds.
    #[arg(long, env = "BENCH_ABUSE_MS", default_value_t = 2_000)]
    pub abuse_ms: u64,
    /// Rounds: in each a part with the pages, and one without.
    #[arg(long, env = "BENCH_ROUNDS", default_value_t = 9)]
    pub rounds: usize,
    /// The workload, one of those that `compare` has.
    #[arg(long, env = "BENCH_WORKLOAD", default_value = "upserts")]
    pub workload: String,
    /// Events in the outbox before the host starts.
    #[arg(long, env = "BENCH_HISTORY", default_value_t = 20_000)]
    pub history: usize,
    /// Events that are written in each part.
    #[arg(long, env = "BENCH_LIVE", default_value_t = 60_000)]
    pub events: usize,
    /// File for the results.
    #[arg(long, env = "BENCH_RESULTS", default_value = "target/bench/pages.json")]
    pub results: PathBuf,
}

impl PagesOptions {
    /// How many clients there are.
    pub fn clients(&self) -> usize {
        self.clients.unwrap_or(if self.abuse { 400 } else { 5 })
    }
}

impl Places {
    /// Makes the folder to work in, and looks for the program.
    pub fn prepare(&self) -> anyhow::Result<()> {
        ensure!(
            self.host.exists(),
            "there is no {}: build it with `cargo build --release`",
            self.host.display()
        );
        std::fs::create_dir_all(&self.work)?;
        Ok(())
    }
}

fn beside() -> PathBuf {
    let here = std::env::current_exe().unwrap_or_default();
    here.parent().unwrap_or(Path::new(".")).join("laterna")
}
