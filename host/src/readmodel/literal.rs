//! A parameter's value as a literal of MySQL and MariaDB, for people: what it shows is what `bind` sends.

use super::bind::{decimal, timestamp};
use crate::statement::Value;

/// The literal, on one line. A value that cannot be sent, which `judge` refuses, is NULL, as it is in `bind`.
pub fn literal(value: &Value) -> String {
    match value {
        Value::Null => null(),
        Value::Boolean(truth) => u8::from(*truth).to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Number(number) if !number.is_finite() => null(),
        // With an exponent it is a double; without one it would be a decimal.
        Value::Number(number) => format!("{number:e}"),
        Value::Decimal(text) => decimal(text).map_or_else(|_| null(), |number| number.to_plain_string()),
        Value::Text(text) | Value::Json(text) => quoted(text),
        Value::Bytes(bytes) => format!("X'{}'", hex::encode(bytes)),
        Value::Timestamp(text) => timestamp(text).map_or_else(
            |_| null(),
            |moment| {
                let (date, (hour, minute, second, micro)) = (moment.date(), moment.as_hms_micro());
                let fraction = if micro == 0 { String::new() } else { format!(".{micro:06}") };
                let fraction = fraction.trim_end_matches('0');
                let (year, month) = (date.year(), u8::from(date.month()));
                let day = date.day();
                format!(
                    "TIMESTAMP'{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}{fraction}'"
                )
            },
        ),
    }
}

fn null() -> String {
    "NULL".to_owned()
}

/// Backslashes escape, as the host's sessions have it.
fn quoted(text: &str) -> String {
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
        let check = |value: Value, expect: &str| assert_eq!(literal(&value), expect);
        check(Value::Null, "NULL");
        check(Value::Boolean(true), "1");
        check(Value::Integer(i64::MIN), "-9223372036854775808");
        check(Value::Number(0.5), "5e-1");
        check(Value::Number(f64::NAN), "NULL");
        check(Value::Decimal("-12.30".into()), "-12.30");
        check(Value::Text("it's a \\\n?".into()), r"'it''s a \\\n?'");
        check(Value::Json(r#"{"a":1}"#.into()), r#"'{"a":1}'"#);
        check(Value::Bytes(vec![0, 255]), "X'00ff'");
        check(Value::Timestamp("2026-01-31T13:00:00+01:00".into()), "TIMESTAMP'2026-01-31 12:00:00'");
        check(Value::Timestamp("2026-01-31T12:00:00.250Z".into()), "TIMESTAMP'2026-01-31 12:00:00.25'");
    }
}
