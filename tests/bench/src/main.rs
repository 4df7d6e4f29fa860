//! The benchmark: the host beside a hand-written native loop, in one run, alternating, as a ratio.
//!
//!     bench [mysql-socket] [mysql-tcp] [mariadb-socket]     compare (default: every server whose address is known)
//!     bench swaps [mysql-socket] ...                        latency while components are deployed
//!     bench native MONGODB_URI MYSQL_URL                    be the loop
//!
//! `dev/bench` starts it with what it needs. Both followers run as processes of their own, are watched through the
//! checkpoint that they commit, and have to leave the same rows behind; a run that leaves others is an error.

mod follower;
mod machine;
mod measure;
mod native;
mod readmodel;
mod report;
mod swaps;
mod workload;

use anyhow::{Context, bail};
use indicatif::ProgressBar;

use follower::Follower;
use readmodel::Target;
use report::Round;
use workload::Workload;

/// The databases that a run makes and drops, in MongoDB and in MySQL.
const DATABASE: &str = "laterna_bench";
const CONTROL: &str = "laterna_bench_control";

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Runtime::new()?;
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["native", mongodb, mysql] => runtime.block_on(native::run(mongodb, mysql)),
        ["swaps", ref targets @ ..] => runtime.block_on(swap(targets)),
        ref targets => runtime.block_on(compare(targets)),
    }
}

async fn compare(wanted: &[&str]) -> anyhow::Result<()> {
    let mongodb =
        std::env::var("LATERNA_MONGODB_URI").context("LATERNA_MONGODB_URI is not set; use dev/bench")?;
    let targets = targets(wanted)?;
    let rounds = number("BENCH_ROUNDS", 3)?;
    let workload = Workload::new(number("BENCH_HISTORY", 200_000)?, number("BENCH_LIVE", 50_000)?);
    let client = mongodb::Client::with_uri_str(&mongodb).await?;
    println!("{}", machine::description());
    println!("{}", workload.description());
    println!("MongoDB {}", machine::mongodb_version(&client).await?);
    for target in &targets {
        println!("\n{}: {}", target.name, readmodel::description(target).await?);
        let mut done = Vec::new();
        while !report::suffices(&done, rounds) {
            let progress = ProgressBar::new_spinner();
            let run = async |follower: Follower| {
                progress.set_prefix(format!("{} {}", done.len() + 1, follower.name()));
                measure::run(&client, &mongodb, target, &workload, follower, &progress).await
            };
            let round =
                Round { native: run(Follower::Native).await?, laterna: run(Follower::Laterna).await? };
            progress.finish_and_clear();
            println!("  round {}: {}", done.len() + 1, round.line());
            done.push(round);
        }
        println!("{}", report::table(&done));
    }
    Ok(())
}

async fn swap(wanted: &[&str]) -> anyhow::Result<()> {
    let mongodb =
        std::env::var("LATERNA_MONGODB_URI").context("LATERNA_MONGODB_URI is not set; use dev/bench")?;
    let (swaps, rate) = (number("BENCH_SWAPS", 100)?, number("BENCH_RATE", 2000)?);
    let client = mongodb::Client::with_uri_str(&mongodb).await?;
    println!("{}", machine::description());
    for target in targets(wanted)? {
        println!("\n{}: {}", target.name, readmodel::description(&target).await?);
        swaps::run(&client, &mongodb, &target, swaps, rate).await?;
    }
    Ok(())
}

/// The servers to measure on: those that are named, or all whose addresses the environment has.
fn targets(wanted: &[&str]) -> anyhow::Result<Vec<Target>> {
    let known = Target::known();
    if let Some(unknown) = wanted.iter().find(|name| !known.iter().any(|target| target.name == **name)) {
        let names: Vec<&str> = known.iter().map(|target| target.name).collect();
        bail!("there is no address for `{unknown}`, only for: {}", names.join(", "));
    }
    Ok(known.into_iter().filter(|target| wanted.is_empty() || wanted.contains(&target.name)).collect())
}

fn number(variable: &str, default: usize) -> anyhow::Result<usize> {
    match std::env::var(variable) {
        Ok(text) => {
            text.parse().ok().filter(|number| *number > 0).with_context(|| format!("{variable} is no number"))
        }
        Err(_) => Ok(default),
    }
}
