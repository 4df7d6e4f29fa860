//! `laterna pause` and `laterna resume`: rows that survive restarts and take-overs.

use std::process::ExitCode;

use clap::Args;
use tokio::runtime::Runtime;

use super::{parts, submit};
use crate::config::Config;
use crate::readmodel::command::Request;

#[derive(Debug, Args)]
pub struct PauseArguments {
    projection: String,
    /// Why; it is shown and recorded.
    #[arg(long)]
    why: String,
    /// For machines.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub struct ResumeArguments {
    projection: String,
    /// For machines.
    #[arg(long)]
    json: bool,
}

pub fn pause(config: &Config, arguments: &PauseArguments, runtime: &Runtime) -> anyhow::Result<ExitCode> {
    let why = submit::reason(&arguments.why)?;
    runtime.block_on(switch(config, &arguments.projection, &Request::Pause { why }, arguments.json))
}

pub fn resume(config: &Config, arguments: &ResumeArguments, runtime: &Runtime) -> anyhow::Result<ExitCode> {
    runtime.block_on(switch(config, &arguments.projection, &Request::Resume, arguments.json))
}

async fn switch(
    config: &Config,
    projection: &str,
    request: &Request,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let servers = parts::servers(config)?;
    let mut session = servers.applier.connect().await?;
    submit::registered(&mut session, &servers, projection).await?;
    submit::carry_out(&mut session, &servers, config, projection, request, json).await
}
