//! A value as a literal of MySQL and MariaDB, for people: it shows what `bind` sends.

use crate::sql::fit::{day, sql_text};
use crate::statement::Sent;
use crate::text::is_harmful;

/// The literal, on one line.
pub fn literal(sent: &Sent) -> String {
    let shown = match sent {
        Sent::Integer(number) => number.map(|number| number.to_string()),
        Sent::Unsigned(number) => number.map(|number| number.to_string()),
        // With an exponent it is a double; without one it would be a decimal.
        Sent::Double(number) => number.map(|number| format!("{number:e}")),
        Sent::Decimal(digits) => digits.clone(),
        Sent::Text(text) => text.as_deref().map(text_literal),
        Sent::Bytes(bytes) => bytes.as_deref().map(|bytes| format!("X'{}'", hex::encode(bytes))),
        Sent::Date(date) => date.map(|date| format!("DATE'{}'", day(date))),
        Sent::Moment(moment) => moment.map(|moment| format!("TIMESTAMP'{}'", sql_text(moment))),
    };
    shown.unwrap_or_else(|| "NULL".to_owned())
}

/// A text as an expression that has its characters and can be shown: those that a terminal would not show as themselves
/// stand there by their bytes.
fn text_literal(text: &str) -> String {
    let by_bytes =
        |character: char| is_harmful(character) && !matches!(character, '\n' | '\r' | '\t' | '\0' | '\u{1a}');
    if !text.contains(by_bytes) {
        return quoted(text);
    }
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let hidden = by_bytes(first);
        let end = rest.find(|character| by_bytes(character) != hidden).unwrap_or(rest.len());
        let (part, behind) = rest.split_at(end);
        parts.push(if hidden { format!("_utf8mb4 X'{}'", hex::encode(part)) } else { quoted(part) });
        rest = behind;
    }
    format!("CONCAT({})", parts.join(", "))
}

/// A name of a schema, a table or a column.
pub fn identifier(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A text as a literal. Backslashes escape, as the host's sessions have it.
pub fn quoted(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 2);
    literal.push('\'');
    for character in text.chars() {
        match character {
            '\'' => literal.push_str("''"),
            '\\' => literal.push_str(r"\\"),
            '\n' => literal.push_str(r"\n"),
            '\r' => literal.push_str(r"\r"),
            '\0' => literal.push_str(r"\0"),
            '\u{1a}' => literal.push_str(r"\Z"),
            plain => literal.push(plain),
        }
    }
    literal.push('\'');
    literal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_its_literal() {
        let check = |sent: Sent, expect: &str| assert_eq!(literal(&sent), expect);
        check(Sent::Text(None), "NULL");
        check(Sent::Integer(Some(i64::MIN)), "-9223372036854775808");
        check(Sent::Unsigned(Some(u64::MAX)), "18446744073709551615");
        check(Sent::Double(Some(0.5)), "5e-1");
        check(Sent::Decimal(Some("-12.30".into())), "-12.30");
        check(Sent::Text(Some("it's a \\\n?".into())), r"'it''s a \\\n?'");
        check(
            Sent::Text(Some("a\u{1b}[2J\tb\u{202e}".into())),
            "CONCAT('a', _utf8mb4 X'1b', '[2J\tb', _utf8mb4 X'e280ae')",
        );
        check(Sent::Text(Some("\u{1b}".into())), "CONCAT(_utf8mb4 X'1b')");
        check(Sent::Bytes(Some(vec![0, 255])), "X'00ff'");
        check(Sent::Date(Some(time::macros::date!(0001 - 02 - 03))), "DATE'0001-02-03'");
        let moment = time::macros::datetime!(2026-01-31 12:00:00);
        check(Sent::Moment(Some(moment)), "TIMESTAMP'2026-01-31 12:00:00'");
        check(
            Sent::Moment(Some(moment + time::Duration::milliseconds(250))),
            "TIMESTAMP'2026-01-31 12:00:00.25'",
        );
    }
}
