//! `laterna bench`: a projection's component, its recorded events and its server, stage by stage, and what would help.
//!
//! The stages run one after the other, so that each is seen by itself; a host runs them at the same time, and the slowest one
//! decides. What is written goes into the scratch schema, by lanes as a host has them.

mod answers;
mod recorded;
mod writing;
mod advice;
mod shown;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use secrecy::SecretString;
use tokio::runtime::Runtime;

use super::{compose, output};
use crate::component::version::Loaded;
use crate::config::{Config, Projection};
use crate::operation::load;
use crate::projector::Chain;
use crate::readmodel::mysql::session::Connector;
use crate::readmodel::tables::scratch_lanes::{ScratchLanes, WholeTableRead};
use crate::statement::Ordering;
use answers::Answers;
use recorded::Recorded;
use writing::{MeasuredSetting, Setting, Writing};

/// Numbers of lanes that are tried beside the configured one.
const LANES: [u32; 5] = [1, 2, 4, 8, 16];

/// Multiples and parts of the configured batch that are tried.
const BATCHES: usize = 4;

#[derive(Debug, Args)]
pub struct BenchArguments {
    /// Name of the projection.
    projection: String,
    /// How many recorded events to take, from the beginning of history.
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    events: usize,
    /// Measure this server; without a URL, the configuration's.
    #[arg(long, value_name = "URL")]
    mysql: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Everything that was measured.
struct BenchReport {
    projection: String,
    component: String,
    events: usize,
    document_bytes: usize,
    /// Events that failed, and those behind them that would wait.
    left_out: usize,
    round_trip: Duration,
    read: Duration,
    decode: Duration,
    project: Duration,
    configured: Setting,
    /// With the configured setting first.
    written: Vec<MeasuredSetting>,
    whole_table_reads: Vec<WholeTableRead>,
}

pub fn bench(config: &Config, arguments: &BenchArguments, runtime: &Runtime) -> anyhow::Result<ExitCode> {
    let name = &arguments.projection;
    let Some(projection) = config.projection.get(name) else {
        let names: Vec<&str> = config.projection.keys().map(String::as_str).collect();
        bail!("there is no projection `{name}`; the configuration has {}", names.join(", "));
    };
    let engine = compose::engine(config)?;
    let upcaster = compose::upcaster(config, &engine, projection)?;
    let loaded = load::load(&engine, name, &projection.component, &projection.budget)?.behind(upcaster);
    let report = runtime.block_on(measure(config, arguments, projection, &loaded))?;
    if arguments.json {
        output::line(serde_json::to_string_pretty(&report.json())?);
    } else {
        output::line(report.text());
    }
    Ok(ExitCode::SUCCESS)
}

async fn measure(
    config: &Config,
    arguments: &BenchArguments,
    projection: &Projection,
    loaded: &Loaded,
) -> anyhow::Result<BenchReport> {
    let servers = compose::servers(config)?;
    let connector = match &arguments.mysql {
        Some(url) => Connector::of_an_account("--mysql", &SecretString::from(url.as_str()))?,
        None => servers.ddl.clone(),
    };
    let recorded = Recorded::read(&servers, arguments.events).await?;
    if recorded.deliveries.is_empty() {
        bail!(
            "the outbox `{}` has no events: there is nothing to measure with until some are written",
            config.mongodb.outbox
        );
    }
    let upcaster = loaded.upcaster.as_ref().map(|upcaster| upcaster.component.clone());
    let chain = Chain { projector: loaded.component.clone(), upcaster };
    let answers = Answers::of(&recorded.deliveries, chain, &loaded.deployed).await?;
    let mut scratch = ScratchLanes::begin(&connector, &loaded.deployed.schema).await?;
    let measured = written(&mut scratch, projection, loaded, &recorded, &answers).await;
    // Whatever happened, the schema goes.
    let cleared = scratch.clear().await;
    let (configured, written, round_trip, whole_table_reads) = measured?;
    cleared?;
    let bytes: usize = recorded.deliveries.iter().map(|delivery| delivery.document.len()).sum();
    Ok(BenchReport {
        projection: arguments.projection.clone(),
        component: loaded.title(),
        events: recorded.deliveries.len(),
        document_bytes: bytes / recorded.deliveries.len(),
        left_out: answers.left_out + written.first().map_or(0, |written| written.refused),
        round_trip,
        read: recorded.read,
        decode: recorded.decode,
        project: answers.took,
        configured,
        written,
        whole_table_reads,
    })
}

type OnServer = (Setting, Vec<MeasuredSetting>, Duration, Vec<WholeTableRead>);

/// Writes the answers with the configured setting and with others.
async fn written(
    scratch: &mut ScratchLanes,
    projection: &Projection,
    loaded: &Loaded,
    recorded: &Recorded,
    answers: &Answers,
) -> anyhow::Result<OnServer> {
    let one_lane = loaded.deployed.manifest.ordering == Ordering::Stream;
    let lanes = if one_lane { 1 } else { projection.lanes };
    let configured = Setting { lanes, batch_max: projection.batch_max };
    let writing = Writing {
        entries: &answers.entries,
        begin: &recorded.begin,
        window: projection.dedupe_window,
        version: &loaded.deployed,
    };
    // The first run warms the server's caches up, and says how statements find their rows.
    writing.run(scratch, configured).await?;
    let reads = scratch.whole_table_reads(&answers.samples(&loaded.deployed.schema)).await?;
    let round_trip = scratch.round_trip().await?;
    let mut all = Vec::new();
    for setting in settings(configured, one_lane) {
        all.push(writing.run(scratch, setting).await?);
    }
    Ok((configured, all, round_trip, reads))
}

/// The configured setting, then others that differ from it in one thing.
fn settings(configured: Setting, one_lane: bool) -> Vec<Setting> {
    let lanes = LANES.into_iter().filter(|lanes| *lanes != configured.lanes && !one_lane);
    let lanes = lanes.map(|lanes| Setting { lanes, ..configured });
    let batches = [configured.batch_max / BATCHES, configured.batch_max * BATCHES];
    let batches = batches.into_iter().filter(|batch_max| *batch_max > 0);
    let batches = batches.map(|batch_max| Setting { batch_max, ..configured });
    std::iter::once(configured).chain(lanes).chain(batches).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configured_setting_is_measured_once_and_first_and_others_differ_in_one_thing() {
        let setting = |lanes, batch_max| Setting { lanes, batch_max };
        let expect = [
            setting(4, 500),
            setting(1, 500),
            setting(2, 500),
            setting(8, 500),
            setting(16, 500),
            setting(4, 125),
            setting(4, 2000),
        ];
        assert_eq!(settings(setting(4, 500), false), expect);
        assert_eq!(settings(setting(1, 2), true), [setting(1, 2), setting(1, 8)]);
    }
}
