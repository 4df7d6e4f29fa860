//! `laterna operations`: what was asked for, listed and cancelled; from the control schema, whether or not a host runs.

use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Subcommand};
use tokio::runtime::Runtime;

use super::{audit, compose, output, submit};
use crate::config::Config;
use crate::readmodel::control::command::{self, Cancellation};

#[derive(Debug, Args)]
pub struct OperationsArguments {
    #[command(subcommand)]
    action: OperationsAction,
}

#[derive(Debug, Subcommand)]
enum OperationsAction {
    /// List them, the newest first (as `laterna audit`).
    List(audit::AuditArguments),
    /// End one that is not done yet: one that waits, a rebuild or a verification, a replay between two letters.
    Cancel(CancelArguments),
}

#[derive(Debug, Args)]
struct CancelArguments {
    /// Its number, as `laterna operations list` shows it.
    id: u64,
    /// Say what would come of it, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// For machines: one JSON object.
    #[arg(long)]
    json: bool,
}

pub fn operations(
    config: &Config,
    arguments: OperationsArguments,
    runtime: &Runtime,
) -> anyhow::Result<ExitCode> {
    match arguments.action {
        OperationsAction::List(arguments) => audit::audit(config, arguments, runtime),
        OperationsAction::Cancel(arguments) => runtime.block_on(cancel(config, &arguments)),
    }
}

async fn cancel(config: &Config, arguments: &CancelArguments) -> anyhow::Result<ExitCode> {
    let CancelArguments { id, dry_run, json } = *arguments;
    let servers = compose::servers(config)?;
    let mut session = servers.applier.connect().await?;
    let by = submit::who(config);
    let cancelled = command::cancel(&mut session, &servers.control, id, (&by, dry_run)).await?;
    let (state, text) = match cancelled {
        Cancellation::Over if dry_run => ("cancelled", format!("Operation {id} would be cancelled.")),
        Cancellation::Over => ("cancelled", format!("Operation {id} is cancelled.")),
        Cancellation::Asked => (
            "pending",
            format!(
                "Operation {id} ends before its next letter; `laterna operations list` shows what was done by then."
            ),
        ),
        Cancellation::TooLate(why) => bail!("operation {id} is not cancelled: {why}"),
        Cancellation::NotThere => bail!("there is no operation {id}; `laterna operations list` lists them"),
    };
    output::line(if json { serde_json::json!({ "command": id, "state": state }).to_string() } else { text });
    Ok(ExitCode::SUCCESS)
}
