//! The answers that are expected: a file of what the command printed before, compared line by line.

use std::path::Path;

use anyhow::Context;

use super::report::ASIDE;

/// How many lines of a difference are shown of each side.
const SHOWN: usize = 20;

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
    eprintln!("The answers are not those of {}; --update takes the new ones.{difference}", path.display());
    false
}

/// An answer of several lines, as a text in a declared statement may make it, is as many lines.
fn counting(lines: impl Iterator<Item = String>) -> Vec<String> {
    let lines: Vec<String> = lines.collect();
    let lines = lines.iter().flat_map(|line| line.split('\n'));
    lines.filter(|line| !line.starts_with(ASIDE.trim_end()) && !line.is_empty()).map(str::to_owned).collect()
}

/// The lines between the equal beginning and the equal end.
fn difference(expected: &[String], found: &[String]) -> Option<String> {
    if expected == found {
        return None;
    }
    let equal = |left: &&String, right: &&String| left == right;
    let begin = expected.iter().zip(found).take_while(|(left, right)| equal(left, right)).count();
    let (expected, found) = (&expected[begin..], &found[begin..]);
    let same = |(left, right): &(&String, &String)| equal(left, right);
    let end = expected.iter().rev().zip(found.iter().rev()).take_while(same).count();
    let (expected, found) = (&expected[..expected.len() - end], &found[..found.len() - end]);
    let mut lines = vec![String::new(), format!("From line {} on (- expected, + found):", begin + 1)];
    for (sign, side) in [('-', expected), ('+', found)] {
        lines.extend(side.iter().take(SHOWN).map(|line| format!("{sign} {line}")));
        if side.len() > SHOWN {
            lines.push(format!("{sign} … {} lines more", side.len() - SHOWN));
        }
    }
    Some(lines.join("\n"))
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
    fn a_difference_is_what_stands_between_the_equal_ends() {
        let found = difference(&lines("a\nb\nc\nz"), &lines("a\nB\nz"));
        assert_eq!(found.as_deref(), Some("\nFrom line 2 on (- expected, + found):\n- b\n- c\n+ B"));
        let longer = difference(&lines("a"), &lines("a\na"));
        assert_eq!(longer.as_deref(), Some("\nFrom line 2 on (- expected, + found):\n+ a"));
    }
}
