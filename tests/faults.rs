//! Faults, one trial a row: what goes wrong between MongoDB, the host and MySQL, injected on real servers.
//!
//! `make faults` runs all of them; `cargo test`, and so CI, runs those that are quick. Each row says where its test is,
//! or why it has none, and a summary of all rows is printed at the end.

#[expect(dead_code, reason = "these are shared with the tests in main.rs")]
mod guests;
#[expect(dead_code, reason = "these are shared with the tests in main.rs")]
mod support;
#[expect(dead_code, reason = "these are tests in main.rs")]
mod deploy;
#[path = "faults/catalogue.rs"]
mod catalogue;
#[path = "faults/followed.rs"]
mod followed;
#[path = "faults/hosts.rs"]
mod hosts;
#[path = "faults/health.rs"]
mod health;
#[path = "faults/shortage.rs"]
mod shortage;
#[path = "faults/mongodb.rs"]
mod mongodb_faults;
#[path = "faults/mysql.rs"]
mod mysql_faults;

/// With a folder of its own.
mod faults {
    pub mod chaos;
}

use std::process::ExitCode;

use faults::chaos;

fn main() -> ExitCode {
    catalogue::run()
}
