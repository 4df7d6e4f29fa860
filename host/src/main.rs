//! The binary: parses the command line, runs one command, and turns its result into an exit code.

use std::process::ExitCode;

use clap::Parser;

/// Release builds have it: events are made on one thread and dropped on another, which costs glibc's allocator a lock each time.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    laterna::cli::Cli::parse().run()
}
