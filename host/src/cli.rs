//! The command line: one file a command.

mod component;
mod output;
mod grants;
mod health;
mod new;
mod compose;
mod check;
mod forget;
mod init;
mod reload;
mod reloader;
mod run;
mod shell;
mod submit;
mod pause;
mod table;
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

use clap::{Parser, Subcommand};
use tokio::runtime::Runtime;

/// Keep MySQL read models in step with a MongoDB outbox.
#[derive(Debug, Parser)]
#[command(name = "laterna", version, arg_required_else_help = true)]
pub struct Cli {
    /// File of the configuration.
    #[arg(long, short, global = true, env = "LATERNA_CONFIG", default_value = "laterna.toml")]
    config: PathBuf,
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

/// The commands of people who run projections. All of them need the configuration.
#[derive(Debug, Subcommand)]
enum Operator {
    /// Run the projections until stopped.
    Run,
    /// Print the SQL that creates the databases and accounts of the configuration, for an administrator.
    Grants(grants::GrantsArguments),
    /// Check the configuration, components, servers and privileges, with what to do.
    Check(check::CheckArguments),
    /// Ask the running host whether it is alive: for a container's health check (exit code 1 if it is not).
    Health(health::HealthArguments),
    /// Show where each projection stands.
    Status(status::StatusArguments),
    /// Show why an aggregate's rows are as they are: its events, what became of each, and the SQL that each becomes.
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
    /// Measure a projection stage by stage in a scratch schema, and say what would help.
    Bench(bench::BenchArguments),
    /// List generations of tables; accept, return to or drop one.
    Generations(generations::GenerationsArguments),
    /// List deployments: which component, by whom, when, and the outcome.
    Deployments(deploy::ListArguments),
    /// List what was asked for, by whom, when, and what came of it.
    Audit(audit::AuditArguments),
    /// List and cancel what was asked for.
    Operations(operations::OperationsArguments),
    /// Have the running host read its configuration anew; what needs a restart is named.
    Reload(reload::ReloadArguments),
    /// Forget a projection that is no longer wanted (its tables stay).
    Forget(forget::ForgetArguments),
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
                eprintln!("error: {error:#}");
                ExitCode::from(REFUSED)
            }
        }
    }

    fn execute(self) -> anyhow::Result<ExitCode> {
        match self.command {
            CliCommand::Init(arguments) => init::init(&self.config, arguments),
            CliCommand::Operator(operator) => operator.execute(&self.config),
            CliCommand::Author(author) => author.execute(&self.config),
        }
    }
}

impl Operator {
    fn execute(self, config: &Path) -> anyhow::Result<ExitCode> {
        let path = config;
        let config = crate::config::Config::load(path)?;
        let runtime = runtime()?;
        match self {
            Self::Run => run::run(config, path, &runtime),
            Self::Grants(arguments) => grants::grants(&config, &arguments),
            Self::Health(arguments) => Ok(health::health(&config, arguments)),
            Self::Check(arguments) => check::check(&config, &arguments, &runtime),
            Self::Status(arguments) => status::status(&config, &arguments, &runtime),
            Self::Why(arguments) => why::why(&config, arguments, &runtime),
            Self::Dlq(arguments) => dlq::dlq(&config, arguments, &runtime),
            Self::Pause(arguments) => pause::pause(&config, &arguments, &runtime),
            Self::Resume(arguments) => pause::resume(&config, &arguments, &runtime),
            Self::Deploy(arguments) => deploy::deploy(&config, &arguments, &runtime),
            Self::Rollback(arguments) => deploy::rollback(&config, &arguments, &runtime),
            Self::Rebuild(arguments) => generations::rebuild(&config, &arguments, &runtime),
            Self::Verify(arguments) => verify::verify(&config, &arguments, &runtime),
            Self::Bench(arguments) => bench::bench(&config, &arguments, &runtime),
            Self::Generations(arguments) => generations::generations(&config, &arguments, &runtime),
            Self::Deployments(arguments) => deploy::list(&config, &arguments, &runtime),
            Self::Audit(arguments) => audit::audit(&config, arguments, &runtime),
            Self::Operations(arguments) => operations::operations(&config, arguments, &runtime),
            Self::Reload(arguments) => reload::reload(&config, arguments),
            Self::Forget(arguments) => forget::forget(&config, &arguments, &runtime),
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
