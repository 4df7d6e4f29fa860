//! The command line: one file a command.

mod component;
mod output;
mod progress;
mod grants;
mod new;
mod compose;
mod own_host;
mod fleet;
mod console;
mod health;
mod check;
mod forget;
mod init;
mod reload;
mod reloader;
mod run;
mod shell;
mod submit;
mod following;
mod pause;
mod table;
mod hosts;
mod audit;
mod bench;
mod build;
mod dlq;
mod generations;
mod inspect;
mod operations;
mod status;
mod take_up;
mod deploy;
mod test;
mod verify;
mod why;

use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use tokio::runtime::Runtime;

use console::{ByDatabases, Console, HostArguments, Target};

/// Keep MySQL read models in step with a MongoDB outbox.
#[derive(Debug, Parser)]
#[command(name = "laterna", version, arg_required_else_help = true)]
pub struct Cli {
    /// File of the configuration.
    #[arg(long, short, global = true, env = "LATERNA_CONFIG", default_value = "laterna.toml")]
    config: PathBuf,
    #[command(flatten)]
    host: HostArguments,
    #[command(subcommand)]
    command: CliCommand,
}

#[derive(Debug, Subcommand)]
enum CliCommand {
    /// Write a first configuration, and print what is left to do.
    Init(init::InitArguments),
    #[command(flatten)]
    Operator(Operator),
    #[command(flatten)]
    Author(Author),
}

/// The commands of people who run projections. They need the configuration, unless they ask a host.
#[derive(Debug, Subcommand)]
enum Operator {
    /// Run the projections until stopped.
    Run,
    /// Print the SQL that creates the databases and accounts of the configuration, for an administrator.
    Grants(grants::GrantsArguments),
    /// Check the configuration, components, servers and privileges; print what to do.
    Check(check::CheckArguments),
    /// Ask the running host whether it is alive: for a container's health check (exit code 1 if it is not).
    Health(health::HealthArguments),
    /// Show the state of each projection: lag, throughput, dead letters.
    Status(status::StatusArguments),
    #[command(flatten)]
    Console(ConsoleCommand),
    /// Measure a projection stage by stage in a scratch schema, and say what would help.
    Bench(bench::BenchArguments),
    /// Reload the configuration of the running host; print what needs a restart.
    Reload(reload::ReloadArguments),
    /// Forget a projection that is no longer wanted (its tables stay).
    Forget(forget::ForgetArguments),
}

/// The commands that do the same through the databases and through a host's API.
#[derive(Debug, Subcommand)]
enum ConsoleCommand {
    /// Show why an aggregate's rows are as they are: its events, what became of each, and their SQL.
    Why(why::WhyArguments),
    /// List, show, export, replay, discard and erase dead letters.
    Dlq(dlq::DlqArguments),
    /// Pause a projection (dead letters can still be replayed).
    Pause(pause::PauseArguments),
    /// Resume a projection that an operator or its breaker paused.
    Resume(pause::ResumeArguments),
    /// Deploy another component to a running projection.
    Deploy(deploy::DeployArguments),
    /// Roll back to the previous component.
    Rollback(deploy::RollbackArguments),
    /// Rebuild tables from history and swap them in.
    Rebuild(generations::RebuildArguments),
    /// Compare tables with what history makes of them (exit code 1 if they differ).
    Verify(verify::VerifyArguments),
    /// List generations of tables; accept, return to or drop one.
    Generations(generations::GenerationsArguments),
    /// List deployments: which component, by whom, when, and the outcome.
    Deployments(deploy::ListArguments),
    /// List who asked for what, when, and the result.
    Audit(audit::AuditArguments),
    /// List who leads which projection, under which epoch, and until when its lease is good.
    Hosts(hosts::HostsArguments),
    /// List and cancel operations (what people asked for).
    Operations(operations::OperationsArguments),
}

/// The commands of people who write projectors. None of them needs a server.
#[derive(Debug, Subcommand)]
enum Author {
    /// Create a projector project in Rust, JavaScript, TypeScript or Python.
    New(new::NewArguments),
    /// Build a projector project into its folder `dist`.
    Build(build::BuildArguments),
    /// Run a component against recorded events; show the SQL, fuel and memory of each.
    Test(test::TestArguments),
    /// Show a component's digest, imports, exports, tables and statements.
    Inspect(inspect::InspectArguments),
    /// Print a completion script for a shell.
    Completions(shell::CompletionArguments),
    /// Write man pages, one per command.
    Man(shell::ManArguments),
}

/// The exit code for what was refused before anything was touched.
const REFUSED: u8 = 2;

impl Cli {
    pub fn run(self) -> ExitCode {
        match self.execute() {
            Ok(code) => code,
            Err(error) => {
                output::error_line(format_args!("error: {error:#}"));
                ExitCode::from(REFUSED)
            }
        }
    }

    fn execute(self) -> anyhow::Result<ExitCode> {
        match self.command {
            CliCommand::Init(arguments) => init::init(&self.config, arguments),
            CliCommand::Operator(operator) => operator.execute(&self.config, &self.host),
            CliCommand::Author(author) => author.execute(&self.config),
        }
    }
}

impl Operator {
    fn execute(self, path: &Path, host: &HostArguments) -> anyhow::Result<ExitCode> {
        let api = host.api()?;
        // Where a host is asked, its configuration counts.
        let config = if api.is_none() { Some(crate::config::Config::load(path)?) } else { None };
        let target = match (api, &config) {
            (None, Some(config)) => Target::Config(config),
            (api, _) => Target::Host(api.context("a host is named")?),
        };
        let runtime = runtime()?;
        match self {
            Self::Grants(arguments) => grants::grants(target.config("grants")?, &arguments),
            Self::Check(arguments) => check::check(target.config("check")?, &arguments, &runtime),
            Self::Bench(arguments) => bench::bench(target.config("bench")?, &arguments, &runtime),
            Self::Forget(arguments) => forget::forget(target.config("forget")?, &arguments, &runtime),
            Self::Health(arguments) => Ok(health::health(&target, arguments)),
            Self::Status(arguments) => status::status(&target, &arguments, &runtime),
            Self::Reload(arguments) => reload::reload(&target, arguments),
            Self::Run => {
                target.config("run")?;
                run::run(config.context("there is a configuration")?, path, &runtime)
            }
            Self::Console(command) => runtime.block_on(async {
                match target {
                    Target::Config(config) => command.execute(&mut ByDatabases::connect(config).await?).await,
                    Target::Host(mut api) => command.execute(&mut api).await,
                }
            }),
        }
    }
}

impl ConsoleCommand {
    async fn execute(self, console: &mut impl Console) -> anyhow::Result<ExitCode> {
        match self {
            Self::Why(arguments) => why::why(console, arguments).await,
            Self::Dlq(arguments) => dlq::dlq(console, arguments).await,
            Self::Pause(arguments) => pause::pause(console, &arguments).await,
            Self::Resume(arguments) => pause::resume(console, &arguments).await,
            Self::Deploy(arguments) => deploy::deploy(console, &arguments).await,
            Self::Rollback(arguments) => deploy::rollback(console, &arguments).await,
            Self::Rebuild(arguments) => generations::rebuild(console, &arguments).await,
            Self::Verify(arguments) => verify::verify(console, &arguments).await,
            Self::Generations(arguments) => generations::generations(console, &arguments).await,
            Self::Deployments(arguments) => deploy::list(console, &arguments).await,
            Self::Audit(arguments) => audit::audit(console, arguments).await,
            Self::Hosts(arguments) => hosts::hosts(console, &arguments).await,
            Self::Operations(arguments) => operations::operations(console, arguments).await,
        }
    }
}

/// Never taken apart: the process ends with it. Where its tasks went one after the other, MongoDB's driver would meet some
/// of its own that are gone, and panic.
fn runtime() -> std::io::Result<ManuallyDrop<Runtime>> {
    Runtime::new().map(ManuallyDrop::new)
}

impl Author {
    fn execute(self, config: &Path) -> anyhow::Result<ExitCode> {
        match self {
            Self::New(arguments) => new::new(&arguments),
            Self::Build(arguments) => build::build(&arguments),
            Self::Test(arguments) => test::test(config, &arguments),
            Self::Inspect(arguments) => inspect::inspect(&arguments),
            Self::Completions(arguments) => shell::completions(&arguments),
            Self::Man(arguments) => shell::man(&arguments),
        }
    }
}
