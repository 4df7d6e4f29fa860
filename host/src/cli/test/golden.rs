//! The answers that are expected: a file of what the command printed before, compared line by line.

use std::path::Path;

use anyhow::Context;
use similar::{ChangeTag, DiffOp, TextDiff};

use super::report::ASIDE;
use crate::cli::output;

/// How many lines of a change are shown of each side.
const SHOWN: usize = 20;

/// How many equal lines are shown around a change.
const AROUND: usize = 3;

/// The lines of a file that count.
pub fn read(path: &Path) -> anyhow::Result<Vec<String>> {
    let text = std::fs::read_to_string(path).with_context(|| {
        format!("the expected answers {} cannot be read; --update writes them", path.display())
    })?;
    Ok(counting(text.lines().map(str::to_owned)))
}

pub fn write(path: &Path, answers: &[String]) -> anyhow::Result<()> {
    let lines = counting(answers.iter().cloned());
    std::fs::write(path, lines.join("\n") + "\n")
        .with_context(|| format!("{} cannot be written", path.display()))
}

/// Compares the answers with the expected ones, and prints where they differ.
pub fn compare(path: &Path, expected: &[String], answers: &[String]) -> bool {
    let answers = counting(answers.iter().cloned());
    let Some(difference) = difference(expected, &answers) else { return true };
    output::error_line(format_args!(
        "The answers are not those of {}; --update takes the new ones.{difference}",
        path.display()
    ));
    false
}

/// An answer of several lines, as a text in a declared statement may make it, is as many lines.
fn counting(lines: impl Iterator<Item = String>) -> Vec<String> {
    let lines: Vec<String> = lines.collect();
    let lines = lines.iter().flat_map(|line| line.split('\n'));
    lines.filter(|line| !line.starts_with(ASIDE.trim_end()) && !line.is_empty()).map(str::to_owned).collect()
}

/// Each change with the lines around it.
fn difference(expected: &[String], found: &[String]) -> Option<String> {
    let [before, after] =
        [expected, found].map(|lines| lines.iter().map(String::as_str).collect::<Vec<&str>>());
    let difference = TextDiff::from_slices(&before, &after);
    let mut lines = vec![];
    for hunk in difference.grouped_ops(AROUND) {
        let begin = hunk.first().map_or(0, |first| first.old_range().start);
        lines.push(format!("\nFrom line {} on (- expected, + found):", begin + 1));
        for change in &hunk {
            lines.extend(changed(&difference, change));
        }
    }
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn changed<'t>(difference: &TextDiff<'t, 't, str>, change: &DiffOp) -> Vec<String> {
    let mut lines = vec![];
    for (tag, sign) in [(ChangeTag::Equal, ' '), (ChangeTag::Delete, '-'), (ChangeTag::Insert, '+')] {
        let of_side = difference.iter_changes(change).filter(|line| line.tag() == tag);
        let side: Vec<String> = of_side.map(|line| format!("{sign} {}", line.value())).collect();
        let hidden = side.len().saturating_sub(SHOWN);
        lines.extend(side.into_iter().take(SHOWN));
        if hidden > 0 {
            lines.push(format!("{sign} … {hidden} lines more"));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        counting(text.lines().map(str::to_owned))
    }

    #[test]
    fn asides_do_not_count() {
        assert_eq!(lines("-- 1: A\n-- | fuel 7\n\nDELETE;\n"), ["-- 1: A", "DELETE;"]);
        assert_eq!(difference(&lines("a\n-- | x"), &lines("a\n-- | y")), None);
    }

    #[test]
    fn a_difference_is_each_change_with_three_lines_around_it() {
        let found = difference(&lines("a\nb\nc\nz"), &lines("a\nB\nz"));
        assert_eq!(
            found.as_deref(),
            Some("\nFrom line 1 on (- expected, + found):\n  a\n- b\n- c\n+ B\n  z")
        );
        let longer = difference(&lines("a"), &lines("a\na"));
        assert_eq!(longer.as_deref(), Some("\nFrom line 1 on (- expected, + found):\n  a\n+ a"));
        assert_eq!(difference(&lines("a\nb"), &lines("a\nb")), None);
    }

    #[test]
    fn two_distant_changes_are_both_shown_without_what_is_between() {
        let expected: Vec<String> = (1..=100).map(|n| format!("line {n}")).collect();
        let mut answers = expected.clone();
        (answers[9], answers[79]) = ("ten".to_owned(), "eighty".to_owned());
        let found = difference(&expected, &answers).expect("they differ");
        let hunk = |begin: usize, number: usize, word: &str| {
            let around = |from: usize| [from, from + 1, from + 2].map(|n| format!("\n  line {n}")).concat();
            format!(
                "\nFrom line {begin} on (- expected, + found):{}\n- line {number}\n+ {word}{}",
                around(number - 3),
                around(number + 1)
            )
        };
        assert_eq!(found, [hunk(7, 10, "ten"), hunk(77, 80, "eighty")].join("\n"));
    }

    #[test]
    fn a_long_change_hides_no_other_one() {
        let expected: Vec<String> = (1..=100).map(|n| format!("line {n}")).collect();
        let mut answers = expected.clone();
        answers.splice(..50, []);
        answers.push("the end".to_owned());
        let found = difference(&expected, &answers).expect("they differ");
        for says in ["- line 20\n- … 30 lines more\n  line 51", "\n  line 100\n+ the end"] {
            assert!(found.contains(says), "{says} is missing in\n{found}");
        }
    }
}
