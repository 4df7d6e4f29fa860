//! A guest's output while it runs: stdout, stderr and the contract's `log`, bounded, kept until the run is over.
//!
//! `log_forwarder` reads it. A guest that writes too much is cut short, never failed for it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::Level;

use crate::text::harmless;

const LINE_BYTES_MAX: usize = 1024;
/// Lines and bytes that one event may write. A list has room for as many events, up to [`LIST_ROOM_MAX`].
const LINES_PER_EVENT: usize = 64;
const BYTES_PER_EVENT: usize = 64 << 10;
const LIST_ROOM_MAX: usize = 16;
/// The last words for a trap's message: where toolchains put the guest's panic or exception.
const LAST_WORDS: usize = 16;

/// Where a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Voice {
    Stdout,
    Stderr,
    Log(Level),
}

impl Voice {
    fn level(self) -> Level {
        match self {
            Self::Stdout => Level::INFO,
            Self::Stderr => Level::WARN,
            Self::Log(level) => level,
        }
    }
}

/// The output of one instance; clones share it.
#[derive(Clone, Default)]
pub(super) struct Output(Arc<Mutex<Pages>>);

#[derive(Default)]
struct Pages {
    lines: Vec<(Voice, String)>,
    room: OutputRoom,
    dropped: usize,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    last_words: VecDeque<String>,
    last_errors: VecDeque<String>,
}

#[derive(Default)]
struct OutputRoom {
    lines: usize,
    bytes: usize,
}

impl Output {
    /// Forgets the last run and makes room for one of so many events.
    pub(super) fn open(&self, events: usize) {
        let events = events.clamp(1, LIST_ROOM_MAX);
        let room = OutputRoom { lines: events * LINES_PER_EVENT, bytes: events * BYTES_PER_EVENT };
        *self.pages() = Pages { room, ..Pages::default() };
    }

    /// Takes bytes of a stream; lines may arrive in pieces.
    pub(super) fn write(&self, voice: Voice, mut bytes: &[u8]) {
        let mut pages = self.pages();
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            pages.append(voice, &bytes[..end]);
            pages.finish(voice);
            bytes = &bytes[end + 1..];
        }
        pages.append(voice, bytes);
    }

    /// Takes one whole line of the contract's `log`.
    pub(super) fn log(&self, level: Level, message: &str) {
        self.pages().line(Voice::Log(level), message);
    }

    /// The guest's last words: what it wrote to stderr, or else to its log as errors.
    pub(super) fn last_words(&self) -> String {
        let mut pages = self.pages();
        pages.finish(Voice::Stderr);
        let words = if pages.last_words.is_empty() { &pages.last_errors } else { &pages.last_words };
        words.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }

    /// The lines since the last run began, and how many there was no room for.
    pub(super) fn take(&self) -> (Vec<(Level, String)>, usize) {
        let mut pages = self.pages();
        pages.finish(Voice::Stdout);
        pages.finish(Voice::Stderr);
        let lines = std::mem::take(&mut pages.lines).into_iter();
        (lines.map(|(voice, line)| (voice.level(), line)).collect(), std::mem::take(&mut pages.dropped))
    }

    /// Forgets what was written to stderr, and to the log as errors: of a run that trapped it is the panic or the
    /// exception, which may quote the event. Its last words stay, for the letter.
    pub(super) fn forget_errors(&self) {
        let mut pages = self.pages();
        pages.finish(Voice::Stderr);
        pages.lines.retain(|(voice, _)| !matches!(voice, Voice::Stderr | Voice::Log(Level::ERROR)));
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages {
    fn append(&mut self, voice: Voice, bytes: &[u8]) {
        let partial = self.partial(voice);
        let space = (LINE_BYTES_MAX + 1).saturating_sub(partial.len());
        partial.extend_from_slice(&bytes[..bytes.len().min(space)]);
    }

    fn finish(&mut self, voice: Voice) {
        let bytes = std::mem::take(self.partial(voice));
        if !bytes.is_empty() {
            self.line(voice, &String::from_utf8_lossy(&bytes));
        }
    }

    fn partial(&mut self, voice: Voice) -> &mut Vec<u8> {
        match voice {
            Voice::Stderr => &mut self.stderr,
            Voice::Stdout | Voice::Log(_) => &mut self.stdout,
        }
    }

    fn line(&mut self, voice: Voice, text: &str) {
        let line = printable(text);
        let words = match voice {
            Voice::Stderr => Some(&mut self.last_words),
            Voice::Log(Level::ERROR) => Some(&mut self.last_errors),
            Voice::Stdout | Voice::Log(_) => None,
        };
        if let Some(words) = words.filter(|_| !line.starts_with("note: run with `RUST_BACKTRACE")) {
            words.push_back(line.clone());
            if words.len() > LAST_WORDS {
                words.pop_front();
            }
        }
        if self.lines.len() < self.room.lines && line.len() <= self.room.bytes {
            self.room.bytes -= line.len();
            self.lines.push((voice, line));
        } else {
            self.dropped += 1;
        }
    }
}

/// At most [`LINE_BYTES_MAX`] bytes, without anything that could steer a terminal or forge a line.
fn printable(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(LINE_BYTES_MAX));
    for character in text.chars() {
        if line.len() >= LINE_BYTES_MAX {
            line.push('…');
            break;
        }
        match character {
            '\t' => line.push(' '),
            other => line.push_str(&harmless(other.encode_utf8(&mut [0; 4]))),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(output: &Output) -> Vec<String> {
        let mut pages = output.pages();
        pages.finish(Voice::Stdout);
        pages.finish(Voice::Stderr);
        pages.lines.iter().map(|(_, line)| line.clone()).collect()
    }

    fn opened() -> Output {
        let output = Output::default();
        output.open(1);
        output
    }

    #[test]
    fn a_line_may_arrive_in_pieces_and_without_its_end() {
        let output = opened();
        output.write(Voice::Stdout, b"hel");
        output.write(Voice::Stderr, b"oops\n");
        output.write(Voice::Stdout, b"lo\nwor");
        output.write(Voice::Stdout, b"ld");
        assert_eq!(lines(&output), ["oops", "hello", "world"]);
    }

    #[test]
    fn control_characters_are_escaped() {
        let output = opened();
        output.write(Voice::Stdout, b"\x1b[31mred\tthing\r\n");
        output.log(Level::INFO, "forged\n2026 ERROR \u{202e}line");
        assert_eq!(lines(&output), ["\\u001b[31mred thing\\r", "forged\\n2026 ERROR \\u202eline"]);
    }

    #[test]
    fn a_flood_is_cut_short_but_its_last_words_are_kept() {
        let output = opened();
        for number in 0..100_000 {
            output.write(Voice::Stderr, format!("line {number}\n").as_bytes());
        }
        output.write(Voice::Stderr, "x".repeat(1 << 20).as_bytes());
        assert_eq!(lines(&output).len(), LINES_PER_EVENT);
        let words = output.last_words();
        assert!(words.starts_with("line 99985\n"), "{words}");
        assert!(words.ends_with("x…") && words.len() < 2 * LINE_BYTES_MAX);
        assert_eq!(output.pages().dropped, 100_000 + 1 - LINES_PER_EVENT);
    }

    #[test]
    fn a_guest_without_stderr_has_its_logged_errors_as_last_words() {
        let output = opened();
        output.log(Level::INFO, "all is well");
        output.log(Level::ERROR, "it is not");
        assert_eq!(output.last_words(), "it is not");
    }

    #[test]
    fn a_new_run_starts_with_an_empty_page() {
        let output = opened();
        output.write(Voice::Stderr, b"old\npartial");
        output.open(1);
        assert!(lines(&output).is_empty() && output.last_words().is_empty());
    }
}
