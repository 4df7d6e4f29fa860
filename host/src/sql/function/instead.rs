//! Functions that servers have and that are not called here, with the reason and what to write instead.
//!
//! Words only: whatever has no line here is refused all the same.

/// A function, why it is not called, and what to write.
type Line = (&'static str, &'static str, &'static str);

const PATTERNS: &str =
    "MySQL and MariaDB read patterns differently, and one event's text can keep a pattern busy for ever";
const REPLACES: &str =
    "REPLACE, TRIM, SUBSTRING_INDEX or LIKE, or let the projector do it with the event's text";
const ZONES: &str = "its answer depends on the session's time zone, or on tables of zones";
const LOCALE: &str = "its answer depends on lc_time_names";
const MACHINE: &str = "the servers do not give the same digits";

const LINES: &[Line] = &[
    ("REGEXP_REPLACE", PATTERNS, REPLACES),
    ("REGEXP_SUBSTR", PATTERNS, REPLACES),
    ("REGEXP_INSTR", PATTERNS, "LOCATE, or let the projector do it with the event's text"),
    ("REGEXP_LIKE", PATTERNS, "LIKE, or let the projector do it with the event's text"),
    (
        "CONVERT_TZ",
        "MariaDB knows no years beyond 2038 there, and fewer offsets than MySQL",
        "at + INTERVAL 2 HOUR for an offset; where a zone has summer time, let the projector do it",
    ),
    ("FROM_UNIXTIME", ZONES, "TIMESTAMP '1970-01-01 00:00:00' + INTERVAL n SECOND"),
    ("UNIX_TIMESTAMP", ZONES, "TIMESTAMPDIFF(SECOND, TIMESTAMP '1970-01-01 00:00:00', at)"),
    ("DAYNAME", LOCALE, "ELT(WEEKDAY(d) + 1, 'Monday', 'Tuesday', ...)"),
    ("MONTHNAME", LOCALE, "ELT(MONTH(d), 'January', 'February', ...)"),
    ("FORMAT", "its answer depends on a locale", "ROUND, and fill it where it is shown"),
    ("LOG2", MACHINE, "LN(x) / LN(2)"),
    (
        "JSON_VALUE",
        "the servers give truth, lists and fractions differently",
        "JSON_UNQUOTE(JSON_EXTRACT(doc, '$.path'))",
    ),
    (
        "JSON_ARRAYAGG",
        "the order of rows is not determined",
        "a row for each element, in a table of their own",
    ),
    (
        "GROUP_CONCAT",
        "the order of rows, and how long it may become, is not determined",
        "a row for each element",
    ),
    ("PERIOD_ADD", "the servers differ about months that there are not", "DATE_ADD(d, INTERVAL n MONTH)"),
    ("PERIOD_DIFF", "the servers differ about months that there are not", "TIMESTAMPDIFF(MONTH, a, b)"),
    ("TIME", "MySQL turns a TIME into a date by adding today's", "HOUR, MINUTE and SECOND"),
    ("MAKETIME", "MySQL turns a TIME into a date by adding today's", "an integer of seconds"),
    ("SEC_TO_TIME", "MySQL turns a TIME into a date by adding today's", "the seconds themselves"),
    ("TIMEDIFF", "MySQL turns a TIME into a date by adding today's", "TIMESTAMPDIFF(SECOND, a, b)"),
    ("ADDTIME", "MySQL turns a TIME into a date by adding today's", "at + INTERVAL n SECOND"),
    ("SUBTIME", "MySQL turns a TIME into a date by adding today's", "at - INTERVAL n SECOND"),
    ("SPACE", "a length that is not bounded", "REPEAT(' ', 3)"),
];

/// The function's name as it is written, why it is not called, and what to write.
pub(super) fn of(name: &str) -> Option<Line> {
    LINES.iter().find(|(one, ..)| one.eq_ignore_ascii_case(name)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_function_is_both_called_and_replaced() {
        for (name, ..) in LINES {
            assert!(super::super::find(name).is_none(), "{name}");
        }
    }
}
