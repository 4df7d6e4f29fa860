//! Lines for people and machines on standard output. A reader that has gone (`laterna status | head -1`) ends the
//! command quietly.

use std::fmt::Display;
use std::io::Write;

/// What a shell calls the end of a program whose reader has gone: 128 + SIGPIPE.
const READER_GONE: i32 = 141;

/// Writes one line.
pub fn line(text: impl Display) {
    if writeln!(std::io::stdout(), "{}", harmless(&text.to_string())).is_err() {
        std::process::exit(READER_GONE);
    }
}

/// Ids and reasons come out of documents: what would move the cursor or colour the terminal is shown, not done.
fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\t' => shown.push(character),
            control if control.is_control() => shown.extend(control.escape_default()),
            plain => shown.push(plain),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::harmless;

    #[test]
    fn what_would_steer_a_terminal_is_shown_instead() {
        assert_eq!(harmless("a\u{1b}[2Jb\r\0c\td\n"), "a\\u{1b}[2Jb\\r\\u{0}c\td\n");
    }
}
