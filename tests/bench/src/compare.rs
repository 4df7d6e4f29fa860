//! The comparison: each cell of the plan in rounds, in which the followers take turns.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use indicatif::ProgressBar;

use crate::figure;
use crate::follower::Follower;
use crate::lag::{self, Plan, Traffic};
use crate::options::CompareOptions;
use crate::readmodel::{self, Target};
use crate::record::{Cell, Measured, Part, Record, Results};
use crate::site::{Distance, Site};
use crate::workload::{self, Load};
use crate::{machine, measure, report};

/// How many times the wanted number of rounds are tried, for as many undisturbed ones.
const TRIES: usize = 3;

/// Few accounts, whose rows can be looked at again and again.
const PACED: &str = "steps";
const PACED_ACCOUNTS: usize = workload::FEW;

/// What a paced run writes before it counts: as many events for each account.
const BEFORE: usize = 10;
const WARM_UP: Duration = Duration::from_secs(2);

pub async fn run(options: &CompareOptions) -> anyhow::Result<()> {
    let places = &options.places;
    places.prepare()?;
    let followers: Vec<Follower> =
        options.followers.iter().map(|name| Follower::named(name)).collect::<anyhow::Result<_>>()?;
    ensure!(!followers.is_empty(), "name a follower at least");
    let targets = crate::targets(&options.servers)?;
    let client = mongodb::Client::with_uri_str(&places.mongodb).await?;
    let mut results = Results {
        machine: machine::description(),
        mongodb: machine::mongodb_version(&client).await?,
        servers: Vec::new(),
        followers: options.followers.clone(),
        records: Vec::new(),
    };
    println!("{}\nMongoDB {}", results.machine, results.mongodb);
    for target in &targets {
        let description = readmodel::description(target).await?;
        println!("{}: {description}", target.name);
        results.servers.push((target.name.clone(), description));
    }
    for target in &targets {
        for cell in cells(options, target)? {
            let site = Site::new(places, target, cell.distance).await?;
            let mut comparison = Comparison { options, site: &site, cell: &cell, loads: BTreeMap::new() };
            comparison.run(&followers, &mut results.records).await.with_context(|| cell.title())?;
            // Whatever happens later, what was measured is kept.
            std::fs::write(&options.results, serde_json::to_vec_pretty(&results)?)?;
        }
    }
    println!("\n{}", report::tables(&results));
    figure::draw(&results, &options.figure)?;
    println!("Results: {}; figure: {}", options.results.display(), options.figure.display());
    Ok(())
}

/// Everything that is to be measured on one server.
fn cells(options: &CompareOptions, target: &Target) -> anyhow::Result<Vec<Cell>> {
    let all = options.workloads.iter().any(|name| name == "all");
    let named: Vec<&str> =
        if all { workload::NAMES.into() } else { options.workloads.iter().map(String::as_str).collect() };
    let named = named.into_iter().filter(|name| !name.is_empty() && *name != "none");
    let cell = |workload: &str| Cell {
        server: target.name.clone(),
        workload: workload.to_owned(),
        distance: Distance::default(),
        history: options.history,
        live: options.live,
        rate: None,
        is_backlog: false,
    };
    let mut cells: Vec<Cell> = named.map(cell).collect();
    for workload in &options.distance_workloads {
        let away = |distance| Cell { distance, ..cell(workload) };
        let mysql =
            options.mysql_distances.iter().map(|ms| Distance { mysql_ms: Some(*ms), mongodb_ms: None });
        let mongodb =
            options.mongodb_distances.iter().map(|ms| Distance { mysql_ms: None, mongodb_ms: Some(*ms) });
        cells.extend(mysql.chain(mongodb).map(away));
    }
    cells.extend(options.rates.iter().filter(|rate| **rate > 0).map(|rate| Cell {
        history: BEFORE * PACED_ACCOUNTS,
        live: rate * options.rate_seconds,
        rate: Some(*rate),
        ..cell(PACED)
    }));
    let backlogs = options.backlogs.iter().filter(|size| **size > 0);
    cells.extend(backlogs.map(|size| Cell { history: *size, live: 0, is_backlog: true, ..cell("upserts") }));
    for cell in &cells {
        workload::named(&cell.workload)?;
    }
    Ok(cells)
}

/// One cell at work.
struct Comparison<'a> {
    options: &'a CompareOptions,
    site: &'a Site,
    cell: &'a Cell,
    /// The documents, for those who get all of them (false) and those who get a part (true).
    loads: BTreeMap<bool, Load>,
}

impl Comparison<'_> {
    /// Rounds, until enough of them were undisturbed, or it was tried often enough.
    async fn run(&mut self, followers: &[Follower], records: &mut Vec<Record>) -> anyhow::Result<()> {
        let followers: Vec<&Follower> =
            followers.iter().filter(|one| one.takes(&self.cell.workload)).collect();
        for follower in &followers {
            self.prepare(follower)?;
        }
        println!("\n{}", self.cell.title());
        for load in self.loads.values() {
            println!("  {}", load.description());
        }
        let (mut round, mut quiet) = (0, 0);
        while quiet < self.options.rounds && round < self.options.rounds * TRIES {
            round += 1;
            let mut done = Vec::new();
            for follower in &followers {
                done.push(self.follower(follower, round).await.with_context(|| follower.name.clone())?);
            }
            let is_quiet = |record: &Record| record.parts.iter().all(Measured::is_quiet);
            quiet += usize::from(self.site.places.restless || done.iter().all(is_quiet));
            println!("  round {round}: {}", report::line(&done));
            records.append(&mut done);
        }
        Ok(())
    }

    fn prepare(&mut self, follower: &Follower) -> anyhow::Result<()> {
        let is_part = follower.is_slow() && self.cell.rate.is_none();
        if self.loads.contains_key(&is_part) {
            return Ok(());
        }
        let share = |count: usize| if is_part { part(count, self.options.slow_share) } else { count };
        let load = Load::new(&self.cell.workload, share(self.cell.history), share(self.cell.live))?;
        self.loads.insert(is_part, load);
        Ok(())
    }

    async fn follower(&self, follower: &Follower, round: usize) -> anyhow::Result<Record> {
        let is_part = follower.is_slow() && self.cell.rate.is_none();
        let load = self.loads.get(&is_part).context("the documents were made before")?;
        let progress = ProgressBar::new_spinner();
        progress.set_prefix(format!("{round} {}", follower.name));
        let before = machine::load();
        let parts = match self.cell.rate {
            None => measure::run(self.site, load, follower, &progress).await?,
            Some(rate) => vec![paced(self.site, load, follower, rate).await?],
        };
        progress.finish_and_clear();
        Ok(Record { cell: self.cell.clone(), follower: follower.name.clone(), round, load: before, parts })
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a number of events and a share of it"
)]
fn part(count: usize, share: f64) -> usize {
    ((count as f64 * share) as usize).clamp(count.min(1), count)
}

/// Writes at a rate, and measures how long each event takes to its row.
async fn paced(site: &Site, load: &Load, follower: &Follower, rate: usize) -> anyhow::Result<Measured> {
    let progress = ProgressBar::hidden();
    let mut watch = measure::begin(site, load, follower, &progress).await?;
    watch.until("the end of history", |now| now.events >= load.history() && now.streams).await?;
    let plan = Plan {
        rate,
        aggregates: PACED_ACCOUNTS,
        before: BEFORE,
        sql: "SELECT account_id, last_sequence FROM balances".to_owned(),
    };
    let mut documents = load.live_documents().to_vec().into_iter();
    let connection = site.target.connect().await?;
    let (began, start) = (Instant::now(), watch.moment().await?);
    let traffic = Traffic::begin(&site.client, connection, plan, Box::new(move || documents.next()));
    let (_, _, samples) = traffic.end(false).await?;
    let all = load.history() + load.live();
    let end = watch.until("the last events", |now| now.events >= all).await?;
    watch.finish(all).await?;
    let warm = began + WARM_UP.min(began.elapsed() / 5);
    let measured = start.to(&end, Part::Paced);
    Ok(Measured { rate: Some(rate), lag_ms: Some(lag::lag(&samples, |at| at >= warm)), ..measured })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_the_events_is_never_none_of_them() {
        assert_eq!([part(1000, 0.1), part(5, 0.1), part(0, 0.1), part(10, 5.0)], [100, 1, 0, 10]);
    }
}
