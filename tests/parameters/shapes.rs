//! The shapes of statements, each with what it makes of a sample.

use laterna::statement::Value;

use super::samples::{COLUMNS, Sample, read};

/// One way in which a value goes into a statement.
pub struct Shape {
    pub sql: String,
    pub column: &'static str,
    /// The row is there before.
    pub seeded: bool,
    pub parameters: &'static [Part],
    /// None: the column holds what it holds of the value itself.
    expect: Option<fn(&Sample) -> Option<String>>,
}

/// What stands for a `?`: the row's number, or the value.
#[derive(Clone, Copy, PartialEq)]
pub enum Part {
    Id,
    Given,
}
use Part::{Given, Id};

impl Shape {
    /// What the column of the row holds afterwards; none where that is NULL, or the sample does not fit.
    pub fn expect(&self, sample: &Sample) -> Option<String> {
        self.expect.map_or_else(|| read(self.column, sample), |expect| expect(sample))
    }
}

/// `#` is the column, and every column has its turn.
const STORING: [(&str, bool, &[Part]); 8] = [
    ("INSERT INTO typed (id, #) VALUES (?, ?)", false, &[Id, Given]),
    ("INSERT INTO typed (id, #) VALUES (?, ?) ON DUPLICATE KEY UPDATE # = VALUES(#)", true, &[Id, Given]),
    ("REPLACE INTO typed (#, id) VALUES (?, ?)", true, &[Given, Id]),
    ("UPDATE typed SET # = ? WHERE id = ?", true, &[Given, Id]),
    ("INSERT INTO typed (id, #) VALUES (?, NULL) ON DUPLICATE KEY UPDATE # = ?", true, &[Id, Given]),
    // Nothing is there before, so NULL stays NULL.
    ("UPDATE typed SET # = COALESCE(?, #) WHERE id = ?", true, &[Given, Id]),
    ("UPDATE typed SET # = IF(id > 0, ?, NULL) WHERE id = ?", true, &[Given, Id]),
    ("UPDATE typed SET # = CASE WHEN id IN (?) THEN ? END WHERE id = ?", true, &[Id, Given, Id]),
];

type Other = (&'static str, &'static str, bool, &'static [Part], fn(&Sample) -> Option<String>);

const OTHERS: [Other; 14] = [
    ("UPDATE typed SET words = CONCAT(?, '') WHERE id = ?", "words", true, &[Given, Id], text),
    ("INSERT INTO typed (id, words) VALUES (?, CONCAT('', ?))", "words", false, &[Id, Given], text),
    ("INSERT INTO typed (id, words) VALUES (?, LOWER(?))", "words", false, &[Id, Given], lower),
    ("UPDATE typed SET doc = JSON_SET('{}', '$.v', ?) WHERE id = ?", "doc", true, &[Given, Id], within),
    ("INSERT INTO typed (id, doc) VALUES (?, JSON_OBJECT('v', ?))", "doc", false, &[Id, Given], within),
    ("INSERT INTO typed (id, doc) VALUES (?, JSON_ARRAY(?))", "doc", false, &[Id, Given], listed),
    (
        "INSERT INTO typed (id, doc) VALUES (?, JSON_ARRAY_APPEND('[]', '$', ?))",
        "doc",
        false,
        &[Id, Given],
        listed,
    ),
    ("INSERT INTO typed (id, doc) VALUES (?, JSON_MERGE_PATCH('{}', ?))", "doc", false, &[Id, Given], merged),
    ("UPDATE typed SET price = 0.5 + ? WHERE id = ?", "price", true, &[Given, Id], sum),
    ("INSERT INTO typed (id, price) VALUES (?, ? + 0.5)", "price", false, &[Id, Given], sum),
    ("INSERT INTO typed (id, price) VALUES (?, ? * 2)", "price", false, &[Id, Given], double),
    ("INSERT INTO typed (id, whole) VALUES (?, 1 + ?)", "whole", false, &[Id, Given], next),
    // Alone: it is to the server what it is.
    (
        "INSERT INTO typed (id, words) VALUES (?, IF(? IS NULL, 'none', 'some'))",
        "words",
        false,
        &[Id, Given],
        is_null,
    ),
    ("INSERT INTO typed (id, words) VALUES (?, HEX(?))", "words", false, &[Id, Given], in_hex),
];

/// Every shape of statement.
pub fn shapes() -> Vec<Shape> {
    let storing = COLUMNS.iter().flat_map(|(column, _)| {
        STORING.iter().map(|(sql, seeded, parameters)| Shape {
            sql: sql.replace('#', column),
            column,
            seeded: *seeded,
            parameters,
            expect: None,
        })
    });
    let others = OTHERS.iter().map(|(sql, column, seeded, parameters, expect)| Shape {
        sql: (*sql).to_owned(),
        column,
        seeded: *seeded,
        parameters,
        expect: Some(*expect),
    });
    storing.chain(others).collect()
}

fn text(sample: &Sample) -> Option<String> {
    sample.text.map(str::to_owned)
}

fn lower(sample: &Sample) -> Option<String> {
    sample.text.map(str::to_lowercase)
}

fn member(sample: &Sample) -> Option<&'static str> {
    if sample.value == Value::Null { Some("null") } else { sample.member }
}

fn within(sample: &Sample) -> Option<String> {
    Some(format!("{{\"v\":{}}}", member(sample)?))
}

fn listed(sample: &Sample) -> Option<String> {
    Some(format!("[{}]", member(sample)?))
}

fn merged(sample: &Sample) -> Option<String> {
    sample.document.map(str::to_owned)
}

/// The value in millionths, of which the column keeps all.
fn millionths(sample: &Sample) -> Option<i128> {
    // A calculation keeps more digits than the column.
    let tiny = || sample.double.filter(|digits| *digits == "0.00000001").map(|_| "0");
    let digits = sample.exact.or_else(tiny)?;
    let (before, behind) = digits.split_once('.').unwrap_or((digits, ""));
    format!("{before}{behind:0<6}").parse().ok()
}

fn price(millionths: i128) -> String {
    let sign = if millionths < 0 { "-" } else { "" };
    format!("{sign}{}.{:06}", millionths.abs() / 1_000_000, millionths.abs() % 1_000_000)
}

fn sum(sample: &Sample) -> Option<String> {
    Some(price(millionths(sample)? + 500_000))
}

fn double(sample: &Sample) -> Option<String> {
    // Twice a third has another last digit than twice its rounded form.
    let thirds = sample.exact == Some("0.333333");
    Some(price(millionths(sample)? * 2 + i128::from(thirds)))
}

fn next(sample: &Sample) -> Option<String> {
    sample.whole.map(|whole| (i128::from(whole) + 1).to_string())
}

fn is_null(sample: &Sample) -> Option<String> {
    let words = [Some("none"), Some("some")];
    words[usize::from(sample.value != Value::Null)].map(str::to_owned)
}

/// What it makes of other kinds is the server's.
fn in_hex(sample: &Sample) -> Option<String> {
    match &sample.value {
        Value::Boolean(truth) => Some(u8::from(*truth).to_string()),
        Value::Integer(number) => Some(format!("{number:X}")),
        Value::Text(text) | Value::Json(text) => Some(hex::encode_upper(text)),
        Value::Bytes(bytes) => Some(hex::encode_upper(bytes)),
        _ => None,
    }
}
