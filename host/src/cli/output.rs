//! Lines for people and machines on standard output. A reader that has gone (`laterna status | head -1`) ends the
//! command quietly.

use std::fmt::Display;
use std::io::Write;

use crate::text;

/// What a shell calls the end of a program whose reader has gone: 128 + SIGPIPE.
const READER_GONE: i32 = 141;

/// Writes a line, or lines. Ids and reasons come out of documents: what would steer the terminal is shown, not done.
pub fn line(shown: impl Display) {
    if writeln!(std::io::stdout(), "{}", text::harmless_lines(&shown.to_string())).is_err() {
        std::process::exit(READER_GONE);
    }
}
