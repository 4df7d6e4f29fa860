//! Functions one argument of which has to be written out, because it decides what the others mean.
//!
//! It knows texts and numbers only; where they stand, the walk over expressions knows.

use crate::sql::refusal::{Reason, not_allowed};

/// Parts of a date's text that are digits, or signs that no locale changes.
const NUMERIC: &str = "Y y m c d e H k h I l i s S f T r p j u U v V x X w D %";
/// A format that gives a whole day, and perhaps a time.
const READABLE: &str = "Y m c d e H k i s S f T %";

/// Finds what is wrong with the literals of a call; `literals` has each argument that is one, as its text.
pub(in crate::sql) fn demand(name: &str, literals: &[Option<String>], in_table: bool) -> Option<Reason> {
    let second = literals.get(1).and_then(Option::as_deref);
    match name.to_ascii_uppercase().as_str() {
        "WEEK" | "YEARWEEK" => {
            let is_mode = |text: &str| matches!(text.as_bytes(), [b'0'..=b'7']);
            (literals.len() != 2 || !second.is_some_and(is_mode)).then(|| {
                let remedy = "how weeks are counted is a setting of the server: write the mode, e.g. WEEK(d, 3) for ISO";
                not_allowed(format_args!("{name} without a mode from 0 to 7"), remedy)
            })
        }
        "TIMESTAMP" => (literals.len() != 1).then(|| {
            let remedy = "MySQL turns a TIME into a date by adding today's: write TIMESTAMP(d), and add an INTERVAL";
            not_allowed("TIMESTAMP of two values", remedy)
        }),
        "DATE_FORMAT" => (literals.len() != 2 || second.is_none_or(|format| parts(format, NUMERIC).is_none()))
            .then(|| {
                let remedy = "write the format out, of numbers only, e.g. '%Y-%m-%d %H:%i': the names of days and months \
                              depend on lc_time_names";
                not_allowed("this format of DATE_FORMAT", remedy)
            }),
        "STR_TO_DATE" => (literals.len() != 2 || !second.is_some_and(is_whole_day)).then(|| {
            let remedy = "write the format out, with %Y, %m or %c, %d or %e once each, and perhaps a time of %H, %i, %s \
                          and %f: the servers fill in differently what lacks";
            not_allowed("this format of STR_TO_DATE", remedy)
        }),
        "JSON_ARRAY_INSERT" => {
            let is_cell = |path: &Option<String>| path.as_deref().is_some_and(ends_in_a_cell);
            (!literals.iter().skip(1).step_by(2).all(is_cell)).then(|| {
                let remedy = "MariaDB loses the document: write the path out, so that it ends with a place, e.g. '$.list[0]'";
                not_allowed("a path of JSON_ARRAY_INSERT that is no place in an array", remedy)
            })
        }
        _ => None,
    }
    .or_else(|| {
        let is_completed = ["STR_TO_DATE", "JSON_ARRAY_APPEND"].iter().any(|one| one.eq_ignore_ascii_case(name));
        (in_table && is_completed).then(|| {
            let remedy = "the servers differ about what does not fit: compute it where the row is written";
            not_allowed(format_args!("{name} in a table"), remedy)
        })
    })
}

/// The letters behind the percent signs, if all of them are allowed.
fn parts(format: &str, allowed: &str) -> Option<Vec<char>> {
    let mut parts = Vec::new();
    let mut characters = format.chars();
    while let Some(character) = characters.next() {
        if character == '%' {
            let part =
                characters.next().filter(|part| allowed.split(' ').any(|one| one.starts_with(*part)))?;
            parts.push(part);
        }
    }
    Some(parts)
}

fn is_whole_day(format: &str) -> bool {
    let Some(parts) = parts(format, READABLE) else { return false };
    let count = |of: &[char]| parts.iter().filter(|part| of.contains(part)).count();
    let hours = count(&['H', 'k', 'T']);
    let finer = [count(&['i']), count(&['s', 'S']), count(&['f'])];
    count(&['Y']) == 1
        && count(&['m', 'c']) == 1
        && count(&['d', 'e']) == 1
        && hours <= 1
        && finer.iter().all(|count| *count <= 1)
        && (hours == 1 || finer == [0, 0, 0])
}

/// Returns true where a path ends with a place in an array, counted from its beginning.
fn ends_in_a_cell(path: &str) -> bool {
    let Some((before, place)) = path.strip_suffix(']').and_then(|path| path.rsplit_once('[')) else {
        return false;
    };
    before.starts_with('$')
        && !before.contains('*')
        && !before.contains("last")
        && !place.is_empty()
        && place.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_numbers_and_whole() {
        for (name, literal, is_taken) in [
            ("DATE_FORMAT", "%d.%m.%Y %H:%i:%s.%f %%", true),
            ("DATE_FORMAT", "%x-%v", true),
            ("DATE_FORMAT", "%W", false),
            ("DATE_FORMAT", "%b %Y", false),
            ("DATE_FORMAT", "%", false),
            ("STR_TO_DATE", "%Y-%m-%d", true),
            ("STR_TO_DATE", "%e.%c.%Y %T", true),
            ("STR_TO_DATE", "%d/%m/%Y %H:%i:%s.%f", true),
            ("STR_TO_DATE", "%Y-%m", false),
            ("STR_TO_DATE", "%H:%i", false),
            ("STR_TO_DATE", "%Y-%m-%d %i", false),
            ("STR_TO_DATE", "%y-%m-%d", false),
            ("STR_TO_DATE", "%d %M %Y", false),
            ("WEEK", "3", true),
            ("YEARWEEK", "8", false),
            ("WEEK", "33", false),
            ("JSON_ARRAY_INSERT", "$.a[0]", true),
            ("JSON_ARRAY_INSERT", "$[12]", true),
            ("JSON_ARRAY_INSERT", "$.a", false),
            ("JSON_ARRAY_INSERT", "$", false),
            ("JSON_ARRAY_INSERT", "$[last]", false),
            ("JSON_ARRAY_INSERT", "$[*][0]", false),
            ("JSON_ARRAY_INSERT", "$[-1]", false),
        ] {
            let literals = [None, Some(literal.to_owned())];
            assert_eq!(demand(name, &literals, false).is_none(), is_taken, "{name} {literal}");
            assert!(demand(name, &[None, None], false).is_some(), "{name}");
        }
        assert!(demand("WEEK", &[None], false).is_some());
        assert!(demand("TIMESTAMP", &[None], false).is_none());
        assert!(demand("TIMESTAMP", &[None, None], false).is_some());
        assert!(demand("STR_TO_DATE", &[None, Some("%Y-%m-%d".to_owned())], true).is_some());
    }
}
