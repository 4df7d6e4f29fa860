//! The command line: one file a command.

mod check;
mod dlq;
mod output;
mod parts;
mod run;
mod status;
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
    /// Lists, shows, replays and discards dead letters.
    Dlq(dlq::Arguments),
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
        }
    }
}
