//! How far something is, at a terminal. Where nobody looks, nothing of it is written.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::text::harmless;

/// Interval in which it shows that it goes on.
const TURN: Duration = Duration::from_millis(120);

/// Returns true where somebody looks at a terminal.
pub fn is_watched() -> bool {
    std::io::stderr().is_terminal()
}

/// One line that changes, and is gone in the end.
pub struct Progress(ProgressBar);

impl Progress {
    pub fn new() -> Self {
        let bar = ProgressBar::new_spinner();
        // Where nobody looks, nothing turns.
        if is_watched() {
            bar.enable_steady_tick(TURN);
        }
        Self(bar)
    }

    /// Shows a text; where it says "5 of 20", as a bar as well.
    pub fn show(&self, text: &str) {
        let template = match share(text) {
            Some((done, all)) => {
                self.0.set_length(all);
                self.0.set_position(done.min(all));
                "{spinner} {bar:30} {percent:>3} % {elapsed} {msg}"
            }
            None => "{spinner} {elapsed} {msg}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.0.set_style(style.progress_chars("##-"));
        }
        self.0.set_message(harmless(text.lines().next().unwrap_or_default()));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// The two numbers of "5 of 20", or "5 of about 20", in a text.
fn share(text: &str) -> Option<(u64, u64)> {
    let words: Vec<&str> = text.split_whitespace().filter(|word| *word != "about").collect();
    let number = |word: &str| word.trim_end_matches(|c: char| !c.is_ascii_digit()).parse().ok();
    let found = words.windows(3).filter(|three| three[1] == "of");
    let mut found = found.filter_map(|three| Some((number(three[0])?, number(three[2])?)));
    found.find(|(_, all)| *all > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_read_from_what_is_told() {
        assert_eq!(share("generation 2: 1200 of 5000 events, about 12 s left"), Some((1200, 5000)));
        assert_eq!(share("comparing `a`: 7 of about 9 rows"), Some((7, 9)));
        assert_eq!(share("generation 2 waits: one of them"), None);
        assert_eq!(share("0 of 0 events"), None);
    }
}
