//! `laterna operations`: what was asked for, listed and cancelled; from the control schema, or from a host that is asked.

use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Subcommand};

use super::console::Console;
use super::{audit, output};
use crate::readmodel::control::command::Cancellation;

#[derive(Debug, Args)]
pub struct OperationsArguments {
    #[command(subcommand)]
    action: OperationsAction,
}

#[derive(Debug, Subcommand)]
enum OperationsAction {
    /// List operations, the newest first (as `laterna audit`).
    List(audit::AuditArguments),
    /// Cancel an operation that is not done yet: one that waits, a rebuild or a verification, a replay between two letters.
    Cancel(CancelArguments),
}

#[derive(Debug, Args)]
struct CancelArguments {
    /// Number of the operation, as `laterna operations list` shows it.
    id: u64,
    /// Print what would happen, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub async fn operations(
    console: &mut impl Console,
    arguments: OperationsArguments,
) -> anyhow::Result<ExitCode> {
    match arguments.action {
        OperationsAction::List(arguments) => audit::audit(console, arguments).await,
        OperationsAction::Cancel(arguments) => cancel(console, &arguments).await,
    }
}

async fn cancel(console: &mut impl Console, arguments: &CancelArguments) -> anyhow::Result<ExitCode> {
    let CancelArguments { id, dry_run, json } = *arguments;
    let (state, text) = match console.cancel(id, dry_run).await? {
        Cancellation::Over if dry_run => ("cancelled", format!("Operation {id} would be cancelled.")),
        Cancellation::Over => ("cancelled", format!("Operation {id} is cancelled.")),
        Cancellation::Asked => (
            "pending",
            format!(
                "Operation {id} ends before its next letter; `laterna operations list` shows what was done by then."
            ),
        ),
        Cancellation::TooLate(why) => bail!("operation {id} is not cancelled: {why}"),
        Cancellation::NotThere => bail!("there is no operation {id}"),
    };
    output::line(if json { serde_json::json!({ "command": id, "state": state }).to_string() } else { text });
    Ok(ExitCode::SUCCESS)
}
