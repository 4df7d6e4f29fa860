//! `laterna verify`: whether the tables are what history makes of them.

mod report;

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use super::console::Console;
use super::output;
use super::submit::{self, CommandAnswer, Patience};
use crate::operation::wish::Wish;
use crate::readmodel::compare::ComparisonReport;

#[derive(Debug, Args)]
pub struct VerifyArguments {
    /// Name of the projection.
    projection: String,
    /// If the tables differ, swap in the rebuilt ones.
    #[arg(long)]
    repair: bool,
    #[command(flatten)]
    patience: Patience,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Exit code 1 when anything differs; 2 when nobody knows yet.
pub async fn verify(console: &mut impl Console, arguments: &VerifyArguments) -> anyhow::Result<ExitCode> {
    let VerifyArguments { projection, repair, patience, json } = arguments;
    let result =
        match submit::answer(console, projection, Wish::Verify { repair: *repair }, *patience).await? {
            CommandAnswer::Done { result, .. } => result,
            pending => {
                pending.print(*json);
                return Ok(ExitCode::from(super::REFUSED));
            }
        };
    let report: ComparisonReport =
        serde_json::from_str(&result).context("the host's report cannot be read")?;
    if *json {
        output::line(serde_json::to_string_pretty(&report)?);
    } else {
        output::line(report::render(&report));
    }
    if report.is_clean() {
        return Ok(ExitCode::SUCCESS);
    }
    if *repair && !*json && report.lacks.is_some() {
        output::line(format_args!(
            "\nThe live tables stay: the rebuilt ones wait for your word, since rows may go that the outbox cannot give back: \
             laterna generations list {projection}"
        ));
    } else if *repair && !*json {
        output::line(format_args!(
            "\nThe rebuilt tables take the live ones' place as soon as they have caught up, unless they have more dead \
             letters: laterna generations list {projection}"
        ));
    }
    Ok(ExitCode::FAILURE)
}
