//! `laterna check`: everything that can be known before the first event, one line each, with the remedy.
//!
//! What keeps a run from going on is asked for by the run's own functions, so that both say the same.

mod fix;
mod projection;
mod servers;

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Args;
use tokio::runtime::Runtime;

use super::{compose, output};
use crate::component::version::Loaded;
use crate::config::{Config, Start};
use crate::failure::Failure;
use crate::operation::load;
use crate::projector::Engine;
use crate::readmodel::mysql::session::CREATE_DATABASE;
use crate::source::{CREATE_INDEX, OnLost};
use crate::supervisor::reason;
use crate::supervisor::startup::history_has_order;
use fix::{Fix, HowToFix};

#[derive(Debug, Args, Default)]
pub struct CheckArguments {
    /// Also print what fixes the failures: accounts and grants as SQL, the index for history as a command. With
    /// `--fix=run`, run it as far as the configured accounts may; nothing is ever dropped.
    #[arg(long, value_enum, value_name = "HOW", num_args = 0..=1, default_missing_value = "print", require_equals = true)]
    fix: Option<HowToFix>,
}

/// The lines, whether any of them is a failure, and what fixes it.
#[derive(Default)]
struct CheckReport {
    lines: usize,
    failures: usize,
    fixes: Vec<Fix>,
    /// The failures that were told in the words of a run.
    told: Vec<Failure>,
}

impl CheckReport {
    fn ok(&mut self, what: &str, found: &str) {
        self.line("ok   ", what, found);
    }

    /// Something to know that is no obstacle.
    fn note(&mut self, what: &str, found: &str) {
        self.line("note ", what, found);
    }

    fn fail(&mut self, what: &str, problem: &str) {
        self.failures += 1;
        for line in problem.lines() {
            self.line("FAIL ", what, line);
        }
    }

    /// A failure in the words of a run, with what to do where these do not say it.
    fn refuse(&mut self, what: &str, failure: &Failure) {
        match failure {
            // MongoDB's codes are below these.
            Failure::AccessDenied { code: 1000.., .. } => self.fixes.push(Fix::Accounts),
            Failure::Misconfigured { remedy, .. } if remedy == CREATE_DATABASE => {
                self.fixes.push(Fix::Accounts);
            }
            Failure::Misconfigured { remedy, .. } if remedy.starts_with(CREATE_INDEX) => {
                self.fixes.push(Fix::Index(remedy.trim_start_matches(CREATE_INDEX).to_owned()));
            }
            _ => {}
        }
        self.fail(what, &told(failure));
        self.told.push(failure.clone());
    }

    fn line(&mut self, verdict: &str, what: &str, text: &str) {
        self.lines += 1;
        output::line(format_args!("{verdict} {what}: {text}"));
    }
}

/// The failure as a run tells it, and its remedy where it has none in its words.
fn told(failure: &Failure) -> String {
    let said = reason(failure, OnLost::Pause);
    let is_settled = match failure {
        Failure::AccessDenied { message, .. } => message.contains("as an administrator: "),
        Failure::SchemaMismatch { message, .. } => message.contains("fix the projector"),
        Failure::Misconfigured { .. }
        | Failure::ResumeLost { .. }
        | Failure::LettersFull { .. }
        | Failure::StreamHeld { .. }
        | Failure::Paused { .. }
        | Failure::ReadModelRestored { .. } => true,
        _ => false,
    };
    if is_settled { said } else { format!("{said}; {}", failure.remedy()) }
}

pub fn check(config: &Config, arguments: &CheckArguments, runtime: &Runtime) -> anyhow::Result<ExitCode> {
    let engine = Engine::new(Some(&config.state().join("components")))?;
    let mut report = examine(config, &engine, runtime)?;
    if let Some(how) = arguments.fix
        && runtime.block_on(fix::fix(config, how, &report.fixes))?
    {
        output::line("\nChecked again:");
        report = examine(config, &engine, runtime)?;
    }
    match report.failures {
        0 => {
            output::line(format_args!("\nEverything is ready: laterna run"));
            Ok(ExitCode::SUCCESS)
        }
        failures => {
            output::line(format_args!("\n{failures} of {} checks failed.", report.lines));
            if arguments.fix.is_none() && !report.fixes.is_empty() {
                output::line(
                    "`laterna check --fix` prints commands that mend what can be mended; `--fix=run` runs them.",
                );
            }
            Ok(ExitCode::FAILURE)
        }
    }
}

fn examine(config: &Config, engine: &Engine, runtime: &Runtime) -> anyhow::Result<CheckReport> {
    let mut report = CheckReport::default();
    report.ok("configuration", &format!("{} projection(s)", config.projection.len()));
    let loaded = components(config, engine, &mut report);
    runtime.block_on(servers::check(config, engine, &loaded, &mut report))?;
    Ok(report)
}

fn components(config: &Config, engine: &Engine, report: &mut CheckReport) -> BTreeMap<String, Loaded> {
    let mut all = BTreeMap::new();
    for (name, projection) in &config.projection {
        let what = format!("component of `{name}`");
        match load::load(engine, name, &projection.component, &projection.budget) {
            Ok(loaded) => {
                let manifest = &loaded.deployed.manifest;
                let digest: String = loaded.deployed.digest.chars().take(12).collect();
                let (tables, statements) = (manifest.tables.len(), manifest.statements.len());
                report.ok(
                    &what,
                    &format!(
                        "{} {} ({digest}), {tables} table(s), {statements} statement(s)",
                        manifest.name, manifest.version
                    ),
                );
                if projection.start == Start::History
                    && let Err(failure) = history_has_order(manifest)
                {
                    report.note(&what, &failure.to_string());
                }
                all.insert(name.clone(), loaded);
            }
            Err(refused) => report.fail(&what, &refused.to_string()),
        }
    }
    if let Some(projection) = config.projection.values().next() {
        match compose::upcaster(config, engine, projection) {
            Ok(Some(upcaster)) => {
                let (manifest, digest) = (upcaster.component.manifest(), upcaster.component.short_digest());
                let takes = match manifest.event_types.len() {
                    0 => "every event type".to_owned(),
                    types => format!("{types} event type(s)"),
                };
                report.ok(
                    "upcaster",
                    &format!("{} {} ({digest}), takes {takes}", manifest.name, manifest.version),
                );
            }
            Ok(None) => {}
            Err(refused) => report.fail("upcaster", &refused.to_string()),
        }
    }
    for problem in compose::shared_tables(&all) {
        report.fail("tables", &problem);
    }
    all
}
