//! `laterna test`: a component, behind an upcaster or not, against recorded events, in the sandbox, with the budget and behind the checks that
//! `run` has. No server is asked: what it prints is the SQL that would be sent.
//!
//! The verdict about each event is that of a run of this event alone. Beside it a used instance answers, too, because
//! a projector that answers otherwise there keeps state.

mod bench;
mod golden;
mod record;
mod report;
mod summary;

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Args;

use super::{component, output};
use crate::component::version::LoadedComponent;
use crate::config::Config;
use crate::projector::Budget;
use crate::source::{Decoder, Fields};
use crate::statement::Schema;
use bench::Bench;
use summary::Summary;

/// The payload limit of a projection whose configuration names none.
const PAYLOAD_BYTES_MAX: usize = 1 << 20;

#[derive(Debug, Args)]
pub struct TestArguments {
    /// File of the component (`.wasm`): a projector, or an upcaster, whose events are shown.
    component: PathBuf,
    /// File of the upcaster that the projector runs behind.
    #[arg(long, value_name = "FILE")]
    upcaster: Option<PathBuf>,
    /// The events: one document of the outbox a line, as Extended JSON; what `mongoexport` writes will do.
    #[arg(long, value_name = "FILE.jsonl")]
    events: PathBuf,
    /// File of the expected answers, as this command printed them; lines that begin with `-- |` do not count.
    #[arg(long, value_name = "FILE")]
    expect: Option<PathBuf>,
    /// Write the answers to the file of `--expect` instead of comparing them.
    #[arg(long, requires = "expect")]
    update: bool,
    /// Use the budget and the field names of this projection of the configuration, not the defaults.
    #[arg(long, value_name = "NAME")]
    projection: Option<String>,
    /// Print JSON, one object an event.
    #[arg(long)]
    json: bool,
}

/// Exit code 1 when an event fails and nothing was expected, or when the answers are not those that were expected.
pub fn test(config: &Path, arguments: &TestArguments) -> anyhow::Result<ExitCode> {
    let (budget, decoder) = conditions(config, arguments.projection.as_deref())?;
    let tested = tested(arguments, &budget)?;
    let schema = match &tested {
        LoadedComponent::Projector(loaded) => loaded.deployed.schema.clone(),
        LoadedComponent::Upcaster(_) => Arc::new(Schema { tables: vec![], statements: vec![] }),
    };
    let expected = match &arguments.expect {
        Some(path) if !arguments.update => Some(golden::read(path)?),
        _ => None,
    };
    let mut bench = Bench::new(&tested, decoder);
    let mut answers = Vec::new();
    let mut summary = Summary::default();
    let (path, file) = (&arguments.events, File::open(&arguments.events));
    let file = file.with_context(|| format!("the events {} cannot be read", path.display()))?;
    for (line, number) in BufReader::new(file).lines().zip(1..) {
        let place = format!("{}, line {number}", path.display());
        let line = line.with_context(|| place.clone())?;
        if line.trim().is_empty() {
            continue;
        }
        let document = record::document(&line).with_context(|| place)?;
        let report = bench.run(&document)?;
        summary.add(&report);
        let text = report.text(summary.events, &schema);
        if arguments.json {
            output::line(report.json(number, &schema));
        } else {
            text.iter().for_each(output::line);
        }
        if arguments.expect.is_some() {
            answers.extend(text);
        }
    }
    if summary.events == 0 {
        bail!("{} has no events", path.display());
    }
    if !arguments.json {
        schema.notes().iter().for_each(|note| output::line(format_args!("-- | note: {note}")));
        output::line(summary.text(&tested));
    }
    let as_expected = match (&arguments.expect, expected) {
        (Some(path), None) => golden::write(path, &answers).map(|()| true)?,
        (Some(path), Some(expected)) => golden::compare(path, &expected, &answers),
        (None, _) => summary.failed == 0,
    };
    Ok(if as_expected && summary.keeps_state == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Loads the component under test: a projector, behind its upcaster if one is given, or an upcaster.
fn tested(arguments: &TestArguments, budget: &Budget) -> anyhow::Result<LoadedComponent> {
    let half = component::load_either(&arguments.component, budget)?;
    Ok(match (half, &arguments.upcaster) {
        (half, None) => half,
        (LoadedComponent::Projector(loaded), Some(path)) => {
            LoadedComponent::Projector(loaded.behind(Some(component::load_upcaster(path, budget)?)))
        }
        (LoadedComponent::Upcaster(_), Some(_)) => bail!(
            "{} is an upcaster itself; with `--upcaster`, the first file is a projector",
            arguments.component.display()
        ),
    })
}

/// The budget and the shape of the documents.
fn conditions(config: &Path, projection: Option<&str>) -> anyhow::Result<(Budget, Decoder)> {
    let Some(name) = projection else {
        return Ok((Budget::default(), Decoder::new(Fields::default(), PAYLOAD_BYTES_MAX)));
    };
    let config = Config::load(config)?;
    let Some(projection) = config.projection.get(name) else {
        let names: Vec<&str> = config.projection.keys().map(String::as_str).collect();
        bail!("there is no projection `{name}`; the configuration has {}", names.join(", "));
    };
    let decoder = Decoder::new(config.mongodb.field_names(), config.mongodb.payload_bytes_max);
    Ok((projection.budget.clone(), decoder))
}
