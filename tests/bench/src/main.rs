//! The benchmark: the host beside a hand-written native loop and others, in one run, alternating, as a ratio.
//!
//! `dev/bench` starts it with what it needs. All followers run as processes of their own, are watched through the
//! checkpoint that they commit, and have to leave the same rows behind; a run that leaves others is an error.

mod compare;
mod crowd;
mod figure;
mod floor;
mod follower;
mod lag;
mod machine;
mod measure;
mod open_page;
mod options;
mod pages;
mod proxy;
mod readmodel;
mod rebuild;
mod record;
mod report;
mod site;
mod swaps;
mod workload;

use std::sync::LazyLock;

use anyhow::{Context, bail, ensure};
use clap::Parser;

use options::{Command, Options};
use readmodel::Target;
use record::Results;
use site::{Distance, Site};

/// The databases that a run makes and drops, in MongoDB and in MySQL. Those whom it starts have its environment.
static DATABASE: LazyLock<String> =
    LazyLock::new(|| std::env::var("BENCH_DATABASE").unwrap_or_else(|_| "laterna_bench".to_owned()));
static CONTROL: LazyLock<String> = LazyLock::new(|| format!("{}_control", *DATABASE));

pub fn database() -> &'static str {
    &DATABASE
}

pub fn control() -> &'static str {
    &CONTROL
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let runtime = tokio::runtime::Runtime::new()?;
    match options.command {
        Command::Compare(options) => runtime.block_on(compare::run(&options)),
        Command::Swaps(options) => runtime.block_on(async {
            options.places.prepare()?;
            for target in targets(&options.servers)? {
                let site = Site::new(&options.places, &target, Distance::default()).await?;
                println!(
                    "{}\n{}: {}",
                    machine::description(),
                    target.name,
                    readmodel::description(&target).await?
                );
                swaps::run(&site, &options).await?;
            }
            Ok(())
        }),
        Command::Rebuild(options) => runtime.block_on(rebuild::run(&options)),
        Command::Pages(options) => runtime.block_on(pages::run(&options)),
        Command::Figure { results, figure } => {
            let text = std::fs::read(&results).with_context(|| format!("reading {}", results.display()))?;
            let results: Results = serde_json::from_slice(&text)?;
            println!("{}", report::tables(&results));
            figure::draw(&results, &figure)
        }
        Command::Floor { workload, events, mongodb, mysql } => {
            runtime.block_on(floor::run(&workload, events, &mongodb, &mysql))
        }
    }
}

/// The servers to measure on, in the order in which they are named.
fn targets(wanted: &[String]) -> anyhow::Result<Vec<Target>> {
    let known = Target::known();
    ensure!(!known.is_empty(), "the environment has no address of a server: use dev/bench");
    let find = |name: &String| {
        if let Some(target) = known.iter().find(|target| target.name == *name) {
            return Ok(target.clone());
        }
        let names: Vec<&str> = known.iter().map(|target| target.name.as_str()).collect();
        bail!("there is no address for `{name}`, only for: {}", names.join(", "))
    };
    wanted.iter().map(find).collect()
}
