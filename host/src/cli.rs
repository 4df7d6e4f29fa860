//! The command line: one file a command.

mod build;
mod check;
mod component;
mod deploy;
mod dlq;
mod forget;
mod generations;
mod grants;
mod init;
mod inspect;
mod new;
mod output;
mod parts;
mod pause;
mod run;
mod shell;
mod status;
mod submit;
mod table;
mod test;
mod verify;

use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::runtime::Runtime;

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
    /// Writes a first configuration: asks for the addresses, and says what is still to be done.
    Init(init::Arguments),
    #[command(flatten)]
    Operator(Operator),
    #[command(flatten)]
    Author(Author),
}

/// What people do who run projections. All of it needs the configuration.
#[derive(Debug, Subcommand)]
enum Operator {
    /// Runs the projections until it is stopped.
    Run,
    /// Prints the SQL that makes the databases and accounts of the configuration, for an administrator.
    Grants(grants::Arguments),
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
    /// Makes a projection's tables anew from history, beside the live ones, and lets them take their place.
    Rebuild(generations::RebuildArguments),
    /// Compares a projection's tables with what history makes of them, while it goes on. Exit code 1 where they differ.
    Verify(verify::Arguments),
    /// Lists the generations of a projection's tables; accepts, returns and drops them.
    Generations(generations::Arguments),
    /// Lists what a projection was given, by whom, when, and what came of it.
    Deployments(deploy::ListArguments),
    /// Forgets a projection that is not wanted any more: its checkpoints and dead letters go, its tables stay.
    Forget(forget::Arguments),
}

/// What people do who write projectors. None of it needs a server.
#[derive(Debug, Subcommand)]
enum Author {
    /// Makes a projector's project in Rust, JavaScript or Python: to be changed, built and tried.
    New(new::Arguments),
    /// Builds a projector's project with its language's own tool, into its folder `dist`.
    Build(build::Arguments),
    /// Runs a component against recorded events, and shows the SQL, the fuel and the memory of each.
    Test(test::Arguments),
    /// Shows what a component is: its digest, what it imports and exports, its tables and statements.
    Inspect(inspect::Arguments),
    /// Prints a script that completes commands and options in a shell.
    Completions(shell::CompletionArguments),
    /// Writes man pages, one a command.
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
            Command::Init(arguments) => init::init(&self.config, arguments),
            Command::Operator(operator) => operator.execute(&self.config),
            Command::Author(author) => author.execute(&self.config),
        }
    }
}

impl Operator {
    fn execute(self, config: &Path) -> anyhow::Result<ExitCode> {
        let config = crate::config::Config::load(config)?;
        let runtime = runtime()?;
        match self {
            Self::Run => run::run(config, &runtime),
            Self::Grants(arguments) => grants::grants(&config, &arguments),
            Self::Check => check::check(&config, &runtime),
            Self::Status(arguments) => status::status(&config, &arguments, &runtime),
            Self::Dlq(arguments) => dlq::dlq(&config, arguments, &runtime),
            Self::Pause(arguments) => pause::pause(&config, &arguments, &runtime),
            Self::Resume(arguments) => pause::resume(&config, &arguments, &runtime),
            Self::Deploy(arguments) => deploy::deploy(&config, &arguments, &runtime),
            Self::Rollback(arguments) => deploy::rollback(&config, &arguments, &runtime),
            Self::Rebuild(arguments) => generations::rebuild(&config, &arguments, &runtime),
            Self::Verify(arguments) => verify::verify(&config, &arguments, &runtime),
            Self::Generations(arguments) => generations::generations(&config, &arguments, &runtime),
            Self::Deployments(arguments) => deploy::list(&config, &arguments, &runtime),
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
