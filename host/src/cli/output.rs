//! Lines for people and machines on standard output. A reader that has gone (`laterna status | head -1`) ends the
//! command quietly.

use std::fmt::Display;
use std::io::{IsTerminal, Write};

use anyhow::bail;

use crate::text;

/// The exit code of a program whose reader has gone, as shells count it: 128 + SIGPIPE.
const READER_GONE: i32 = 141;

/// Writes a line, or lines. Ids and reasons come out of documents: what would steer the terminal is shown, not done.
pub fn line(shown: impl Display) {
    if writeln!(std::io::stdout(), "{}", text::harmless_lines(&shown.to_string())).is_err() {
        std::process::exit(READER_GONE);
    }
}

/// Writes a line, or lines, on standard error, as [`line`] does.
pub fn error_line(told: impl Display) {
    eprintln!("{}", text::harmless_lines(&told.to_string()));
}

/// Asks somebody at a terminal for a yes. Without a terminal, the refusal names what is at stake.
pub fn is_confirmed(question: &str, at_stake: &str) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("{at_stake}; give --yes when there is nobody to ask");
    }
    print!("{question} [y/N] ");
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "yes"))
}
