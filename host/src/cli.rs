//! The command line: one file a command.

mod check;
mod deploy;
mod dlq;
mod output;
mod parts;
mod pause;
mod run;
mod status;
mod submit;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Keeps MySQL read models in step with a MongoDB outbox.
#[derive(Debug, Parser)]
#[command(name = "laterna", version, arg_required_else_help = true)]
pub struct Cli {
    /// The configuration.
    #[arg(long, short, global = true, env = "LATERNA_CONFIG", default_value = "laterna.toml")]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the projections until it is stopped.
    Run,
    /// Checks the configuration, the components, both databases and the privileges, and says what to do.
    Check,
    /// Shows how the projections stand.
    Status(status::Arguments),
    /// Lists, shows, exports, replays, discards and erases dead letters.
    Dlq(dlq::Arguments),
    /// Keeps a projection from taking events, until it is resumed. Its dead letters can still be dealt with.
    Pause(pause::PauseArguments),
    /// Lets a projection take events again that was paused, by an operator or by its breaker.
    Resume(pause::ResumeArguments),
    /// Gives a running projection another component: checked first, then taken up between two batches.
    Deploy(deploy::DeployArguments),
    /// Gives a projection the component back that it had before.
    Rollback(deploy::RollbackArguments),
    /// Lists what a projection was given, by whom, when, and what came of it.
    Deployments(deploy::ListArguments),
}

/// The exit code for what was refused before anything was touched.
const REFUSED: u8 = 2;

impl Cli {
    pub fn run(self) -> ExitCode {
        match self.execute() {
            Ok(code) => code,
            Err(error) => {
                eprintln!("error: {error:#}");
                ExitCode::from(REFUSED)
            }
        }
    }

    fn execute(self) -> anyhow::Result<ExitCode> {
        let config = crate::config::Config::load(&self.config)?;
        let runtime = tokio::runtime::Runtime::new()?;
        match self.command {
            Command::Run => run::run(config, &runtime),
            Command::Check => check::check(&config, &runtime),
            Command::Status(arguments) => status::status(&config, &arguments, &runtime),
            Command::Dlq(arguments) => dlq::dlq(&config, arguments, &runtime),
            Command::Pause(arguments) => pause::pause(&config, &arguments, &runtime),
            Command::Resume(arguments) => pause::resume(&config, &arguments, &runtime),
            Command::Deploy(arguments) => deploy::deploy(&config, &arguments, &runtime),
            Command::Rollback(arguments) => deploy::rollback(&config, &arguments, &runtime),
            Command::Deployments(arguments) => deploy::list(&config, &arguments, &runtime),
        }
    }
}
