//! The host while its page is open somewhere, or while it is abused, beside the same host while nobody looks: how many events a second its lanes commit.
//! The two take turns, in one run of the host.

use std::time::Duration;

use anyhow::{Context, ensure};
use bson::RawDocumentBuf;
use indicatif::ProgressBar;
use serde::Serialize;

use crate::crowd::Crowd;
use crate::follower::Follower;
use crate::measure::{self, Watch};
use crate::open_page::{Looked, OpenPages};
use crate::options::{PagesOptions, Places};
use crate::record::{Measured, Part};
use crate::site::{Distance, Site};
use crate::workload::{self, Load};
use crate::{machine, readmodel, report};

/// What is kept in the file of results.
#[derive(Debug, Serialize)]
struct PagesMeasured {
    machine: String,
    server: String,
    clients: usize,
    rounds: Vec<Round>,
    /// The median of the rounds' ratios.
    ratio: f64,
    /// They mean harm.
    is_abused: bool,
    /// Events of their streams that all clients were told of while it was measured, or requests that were answered.
    told: u64,
}

/// One round: a part without anybody who looks, and one with all clients.
#[derive(Debug, Serialize)]
struct Round {
    without: Measured,
    with: Measured,
    ratio: f64,
    /// Other processes took much of the machine meanwhile.
    is_disturbed: bool,
}

pub async fn run(options: &PagesOptions) -> anyhow::Result<()> {
    options.places.prepare()?;
    let places = Places { is_guarded: options.abuse, ..options.places.clone() };
    let mut results = Vec::new();
    for target in crate::targets(&options.servers)? {
        let site = Site::new(&places, &target, Distance::default()).await?;
        println!("{}\n{}: {}", machine::description(), target.name, readmodel::description(&target).await?);
        let measured = measure(&site, options).await?;
        let ratios: Vec<f64> = measured.rounds.iter().map(|round| round.ratio).collect();
        println!(
            "{} {}, {} {}: ratio of the throughput {:.3} ({:.3} - {:.3}) in {} rounds",
            measured.clients,
            if measured.is_abused { "who mean harm" } else { "open pages" },
            measured.told,
            if measured.is_abused { "answers" } else { "changes told" },
            measured.ratio,
            ratios.iter().copied().fold(f64::INFINITY, f64::min),
            ratios.iter().copied().fold(0.0, f64::max),
            ratios.len(),
        );
        results.push(measured);
    }
    std::fs::write(&options.results, serde_json::to_vec_pretty(&results)?)?;
    let least = options.at_least.unwrap_or_default();
    for PagesMeasured { server, ratio, .. } in results {
        ensure!(ratio >= least, "{server}: the ratio is {ratio:.3}, and not {least} at least");
    }
    Ok(())
}

async fn measure(site: &Site, options: &PagesOptions) -> anyhow::Result<PagesMeasured> {
    let follower = Follower::named("laterna")?;
    let load = Load::new(&options.workload, options.history, options.events * 2 * options.rounds)?;
    println!("  {}", load.description());
    let progress = ProgressBar::new_spinner();
    let mut watch = measure::begin(site, &load, &follower, &progress).await?;
    watch.until("the change stream", |now| now.events >= load.history() && now.streams).await?;
    let port = watch.admin().context("the host serves no page")?;
    let first = load.live_documents().first().context("there are no events to be measured")?;
    let looked = Looked::of(port, load.projections.first().map_or("", |one| &one.name), first)?;
    let clients = options.clients();
    let mut parts =
        Parts { site, options, watch, documents: load.live_documents().chunks(options.events), told: 0 };
    let mut rounds = Vec::new();
    while rounds.len() < options.rounds {
        // Whichever is first has the colder machine: they take turns in that, too.
        let clients = [0, clients];
        let (one, other) = if rounds.len() % 2 == 0 { (0, 1) } else { (1, 0) };
        let mut both = [None, None];
        for which in [one, other] {
            both[which] = Some(parts.part(&looked, clients[which]).await?);
        }
        let [Some(without), Some(with)] = both else { continue };
        let ratio = with.throughput() / without.throughput();
        let is_disturbed = !(without.is_quiet() && with.is_quiet());
        println!(
            "  round {}: {:.0} events/s without, {:.0} with: {ratio:.3}{}",
            rounds.len() + 1,
            without.throughput(),
            with.throughput(),
            if is_disturbed { ", disturbed" } else { "" }
        );
        rounds.push(Round { without, with, ratio, is_disturbed });
    }
    let told = parts.told;
    parts.watch.finish(load.history() + load.live()).await?;
    progress.finish_and_clear();
    let quiet = || rounds.iter().filter(|round| !round.is_disturbed);
    let counted: Vec<f64> = if quiet().next().is_some() && !site.places.restless {
        quiet().map(|round| round.ratio).collect()
    } else {
        rounds.iter().map(|round| round.ratio).collect()
    };
    Ok(PagesMeasured {
        machine: machine::description(),
        server: site.target.name.clone(),
        clients,
        is_abused: options.abuse,
        ratio: report::median(counted).context("no round was measured")?,
        rounds,
        told,
    })
}

/// Those who come while it is measured.
enum Visitors {
    Pages(OpenPages),
    Crowd(Crowd),
}

impl Visitors {
    async fn come(looked: &Looked, clients: usize, options: &PagesOptions) -> anyhow::Result<Self> {
        Ok(if options.abuse {
            Self::Crowd(Crowd::gather(looked, clients, Duration::from_millis(options.abuse_ms))?)
        } else {
            Self::Pages(OpenPages::open(looked, clients).await?)
        })
    }

    fn told(&self) -> u64 {
        match self {
            Self::Pages(pages) => pages.told(),
            Self::Crowd(crowd) => crowd.answered(),
        }
    }

    fn check(self) -> anyhow::Result<()> {
        match self {
            Self::Pages(pages) => pages.check(),
            Self::Crowd(crowd) => crowd.check(),
        }
    }
}

/// The parts of one run, one after the other.
struct Parts<'a> {
    site: &'a Site,
    options: &'a PagesOptions,
    watch: Watch<'a>,
    documents: std::slice::Chunks<'a, RawDocumentBuf>,
    told: u64,
}

impl Parts<'_> {
    /// Writes as fast as one writer can, while so many clients look.
    async fn part(&mut self, looked: &Looked, clients: usize) -> anyhow::Result<Measured> {
        let documents = self.documents.next().context("the documents have come to their end")?;
        let visitors = Visitors::come(looked, clients, self.options).await?;
        let began = self.watch.moment().await?;
        let before = visitors.told();
        let all = began.events() + documents.len() as u64;
        let (written, ended) = tokio::join!(
            workload::insert(&self.site.client, documents),
            self.watch.until("the end of the part", |now| now.events >= all)
        );
        written?;
        let ended = ended?;
        self.told += visitors.told() - before;
        visitors.check()?;
        Ok(began.to(&ended, Part::Live))
    }
}
