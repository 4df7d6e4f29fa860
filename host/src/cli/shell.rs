//! `laterna completions` and `laterna man`: what shells and `man` know of this program, made from its own definition.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, output};

#[derive(Debug, Args)]
pub struct CompletionArguments {
    /// The shell, e.g. `laterna completions bash > /etc/bash_completion.d/laterna`.
    shell: Shell,
}

#[derive(Debug, Args)]
pub struct ManArguments {
    /// Where the pages are written, one a command, e.g. /usr/local/share/man/man1.
    folder: PathBuf,
}

pub fn completions(arguments: &CompletionArguments) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "laterna", &mut script);
    // A reader that has gone is no failure.
    match std::io::stdout().write_all(&script) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).context("writing the script")
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

pub fn man(arguments: &ManArguments) -> anyhow::Result<ExitCode> {
    let folder = &arguments.folder;
    let written = || {
        std::fs::create_dir_all(folder)?;
        clap_mangen::generate_to(Cli::command().disable_help_subcommand(true), folder)
    };
    written().with_context(|| format!("writing the pages to {}", folder.display()))?;
    output::line(format_args!("The pages are in {}: man laterna, man laterna-run, …", folder.display()));
    Ok(ExitCode::SUCCESS)
}
