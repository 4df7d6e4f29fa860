//! `laterna test`: a component, behind an upcaster or not, against recorded events, in the sandbox, with the budget and behind the checks that
//! `run` has. It prints the SQL that would be sent; with `--mysql`, a server is asked, and the rows are shown.
//!
//! The verdict about each event is that of a run of this event alone. Beside it a used instance answers, too, because
//! a projector that answers otherwise there keeps state.

mod record;
mod report;
mod bench;
mod golden;
mod rows;
mod fuzz;
mod summary;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::bail;
use bson::RawDocument;
use clap::Args;

use super::{component, output};
use crate::component::version::LoadedComponent;
use crate::config::Config;
use crate::projector::Budget;
use crate::source::{Decoder, Fields};
use crate::statement::Schema;
use bench::Bench;
use fuzz::Fuzz;
use rows::ScratchServer;
use summary::Summary;

/// The payload limit of a projection whose configuration names none.
const PAYLOAD_BYTES_MAX: usize = 1 << 20;

#[derive(Debug, Args)]
pub struct TestArguments {
    /// File of the component (`.wasm`): a projector, or an upcaster, whose events are shown.
    component: PathBuf,
    /// File of the upcaster that runs before the projector.
    #[arg(long, value_name = "FILE")]
    upcaster: Option<PathBuf>,
    /// The events: one document of the outbox a line, as Extended JSON; what `mongoexport` writes will do.
    #[arg(long, value_name = "FILE.jsonl")]
    events: PathBuf,
    /// File of the expected answers, as this command printed them; lines that begin with `-- |` are not compared.
    #[arg(long, value_name = "FILE")]
    expect: Option<PathBuf>,
    /// Write the answers to the file of `--expect` instead of comparing them.
    #[arg(long, requires = "expect")]
    update: bool,
    /// Use the budget and the field names of this projection of the configuration, not the defaults.
    #[arg(long, value_name = "NAME")]
    projection: Option<String>,
    /// Run the SQL in a scratch schema of this server, and show the rows; without a URL, the configuration's server.
    #[arg(long, value_name = "URL", num_args = 0..=1, default_missing_value = "")]
    mysql: Option<String>,
    /// Try variations of the events (fields that are missing, null, of another type, huge) and show what fails.
    #[arg(long, conflicts_with_all = ["expect", "json"])]
    fuzz: bool,
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
        LoadedComponent::Upcaster(_) => Arc::new(Schema::new(vec![], vec![])),
    };
    let expected = match &arguments.expect {
        Some(path) if !arguments.update => Some(golden::read(path)?),
        _ => None,
    };
    let bench = Bench::new(&tested, decoder);
    let server =
        arguments.mysql.as_ref().map(|url| ScratchServer::begin(url, config, &schema)).transpose()?;
    if arguments.fuzz {
        return fuzz(bench, server, arguments, &schema);
    }
    let mut run =
        TestRun { arguments, schema: &schema, bench, server, answers: vec![], summary: Summary::default() };
    for document in record::documents(&arguments.events)? {
        let (number, document) = document?;
        run.event(number, &document)?;
    }
    if run.summary.events == 0 {
        bail!("{} has no events", arguments.events.display());
    }
    run.rows()?;
    let TestRun { answers, summary, .. } = run;
    if !arguments.json {
        schema.notes().iter().for_each(|note| output::line(format_args!("-- | note: {note}")));
        summary.types(&tested).iter().for_each(output::line);
        output::line(summary.text(&tested));
    }
    let as_expected = match (&arguments.expect, expected) {
        (Some(path), None) => golden::write(path, &answers).map(|()| true)?,
        (Some(path), Some(expected)) => golden::compare(path, &expected, &answers),
        (None, _) => summary.failed == 0,
    };
    Ok(if as_expected && summary.keeps_state == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The run over all events.
struct TestRun<'a> {
    arguments: &'a TestArguments,
    schema: &'a Schema,
    bench: Bench<'a>,
    server: Option<ScratchServer>,
    answers: Vec<String>,
    summary: Summary,
}

impl TestRun<'_> {
    /// Tries one event, and prints its answer.
    fn event(&mut self, number: usize, document: &RawDocument) -> anyhow::Result<()> {
        let report = self.bench.run(document)?;
        self.summary.add(&report);
        let mut text = report.text(self.summary.events, self.schema);
        if let Some(server) = &mut self.server {
            let refused = server.refused;
            text.extend(server.apply(&report, self.schema)?);
            self.summary.failed += server.refused - refused;
        }
        if self.arguments.json {
            output::line(report.json(number, self.schema));
        } else {
            text.iter().for_each(output::line);
        }
        if self.arguments.expect.is_some() {
            self.answers.extend(text);
        }
        Ok(())
    }

    /// Prints the rows that there are now.
    fn rows(&mut self) -> anyhow::Result<()> {
        let Some(mut server) = self.server.take() else { return Ok(()) };
        let rows = server.rows(self.schema)?;
        if !self.arguments.json {
            rows.iter().for_each(output::line);
        }
        self.answers.extend(rows);
        Ok(())
    }
}

/// Tries variations of the events. Exit code 1 when one shows a fault.
fn fuzz(
    mut bench: Bench<'_>,
    server: Option<ScratchServer>,
    arguments: &TestArguments,
    schema: &Schema,
) -> anyhow::Result<ExitCode> {
    let mut fuzz = Fuzz::new(schema, server);
    for document in record::documents(&arguments.events)? {
        fuzz.event(&mut bench, &document?.1)?;
    }
    let (lines, is_faulty) = fuzz.report();
    lines.iter().for_each(output::line);
    Ok(if is_faulty { ExitCode::FAILURE } else { ExitCode::SUCCESS })
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
