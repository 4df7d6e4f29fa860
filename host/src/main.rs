//! The binary: parses the command line, runs one command, and turns its result into an exit code.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    laterna::cli::Cli::parse().run()
}
