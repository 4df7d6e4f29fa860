//! Values for the columns of random tables: few, so that rows meet, and on the edge of what fits.

use laterna::statement::{Operation, Parameter, Role, Schema, Value};
use rand::Rng;
use rand::rngs::StdRng;

use super::schema::Made;

/// An operation; often one more of the last one's statement, and often on the same row.
pub fn operation(made: &Made, schema: &Schema, last: Option<&Operation>, rng: &mut StdRng) -> Operation {
    let again = last.filter(|_| rng.random_bool(0.5));
    let index =
        again.map_or_else(|| rng.random_range(0..schema.statements.len()), |last| last.statement as usize);
    let same_row = again.filter(|_| rng.random_bool(0.5));
    let value = |(at, parameter): (usize, &Parameter)| {
        let Some(column) = &parameter.column else { return amount(rng) };
        let is_key = [".k", ".id", "pid", "parent"].iter().any(|part| column.contains(part));
        if let Some(last) = same_row.filter(|_| is_key) {
            return last.parameters[at].clone();
        }
        let is_null = rng.random_bool(if parameter.role == Role::Equal { 0.03 } else { 0.1 });
        if is_null && !parameter.required { Value::Null } else { of(made.kind(column), is_key, rng) }
    };
    let parameters = schema.statements[index].parameters.iter().enumerate().map(value).collect();
    Operation { statement: u32::try_from(index).expect("few"), parameters }
}

/// What counters go up and down by; sometimes past a bound.
fn amount(rng: &mut StdRng) -> Value {
    match rng.random_range(0..12) {
        0 => Value::Integer(rng.random_range(-120..120)),
        1 => Value::Decimal("0.005".to_owned()),
        2 => Value::Decimal("-2.50".to_owned()),
        3 => Value::Null,
        4 => Value::Integer(i64::MAX),
        5 => Value::Decimal("1.25".to_owned()),
        _ => Value::Integer(rng.random_range(0..9)),
    }
}

fn one<'v>(values: &[&'v str], rng: &mut StdRng) -> &'v str {
    values[rng.random_range(0..values.len())]
}

fn of(kind: &str, is_key: bool, rng: &mut StdRng) -> Value {
    let text = |text: &str| Value::Text(text.to_owned());
    if kind.starts_with("VARCHAR") || kind.starts_with("CHAR") || kind == "TEXT" {
        let texts = if is_key {
            one(&["a", "A", "a ", "b", "b  ", "c", "\u{e4}", "d", "ss", "\u{df}", ""], rng)
        } else {
            one(&["x", "y ", "\u{1f600}", "\u{e9}", "long12", "", "it's", "\\", "7"], rng)
        };
        return text(texts);
    }
    if kind.contains("BINARY") || kind == "BLOB" {
        let values: &[&[u8]] = &[b"a", b"a\0", b"a ", b"\0", b"", b"\xff\xfe", b"A"];
        return Value::Bytes(values[rng.random_range(0..values.len())].to_vec());
    }
    match kind {
        "DATE" | "DATETIME" | "DATETIME(3)" | "DATETIME(6)" => Value::Timestamp(
            one(&["2026-01-31T12:00:00.123456Z", "2026-01-31T12:00:00Z", "1999-12-31T23:59:59.9Z"], rng)
                .to_owned(),
        ),
        "JSON" => Value::Json(
            one(&["{\"a\": [1, 2.5, \"x\"]}", "null", "[]", "\"7\"", "18446744073709551615"], rng).to_owned(),
        ),
        "FLOAT" | "DOUBLE" => Value::Number([0.1, -2.5, 1e10, 16_777_217.0, 0.3][rng.random_range(0..5)]),
        "YEAR" => Value::Integer(rng.random_range(2000..2004)),
        "BIT(5)" => Value::Integer(rng.random_range(0..32)),
        kind if kind.starts_with("ENUM") => text(one(&["a", "B", "c"], rng)),
        kind if kind.starts_with("SET") => text(one(&["a", "b", "a,b", ""], rng)),
        kind if kind.starts_with("DECIMAL") && !is_key => {
            Value::Decimal(one(&["1.25", "-0.5", "9999", "3"], rng).to_owned())
        }
        kind if kind.starts_with("DECIMAL") => {
            Value::Decimal(one(&["1", "1.0", "1.5", "2", "3"], rng).to_owned())
        }
        "BIGINT UNSIGNED" if rng.random_bool(0.2) => Value::Decimal("18446744073709551615".to_owned()),
        _ if is_key => Value::Integer(rng.random_range(0..7)),
        _ => Value::Integer(rng.random_range(0..12) * if rng.random_bool(0.1) { 10 } else { 1 }),
    }
}
