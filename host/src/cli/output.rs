//! Lines for people and machines on standard output. A reader that has gone (`laterna status | head -1`) ends the
//! command quietly.

use std::fmt::Display;
use std::io::Write;

/// What a shell calls the end of a program whose reader has gone: 128 + SIGPIPE.
const READER_GONE: i32 = 141;

/// Writes one line.
pub fn line(text: impl Display) {
    if writeln!(std::io::stdout(), "{text}").is_err() {
        std::process::exit(READER_GONE);
    }
}
