//! From a parameter's value to what is bound to a prepared statement, and why a value cannot be bound.
//!
//! Decimals and times are bound as such, not as text: MySQL would calculate with text as floating point.

use bigdecimal::BigDecimal;
use sqlx::MySql;
use sqlx::mysql::MySqlArguments;
use sqlx::query::Query;
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, PrimitiveDateTime, UtcOffset};

use crate::failure::Failure;
use crate::statement::{Operation, Schema, Value};

/// MySQL's DECIMAL has at most 65 digits; more could only be refused or rounded.
const DIGITS_MAX: usize = 65;

/// Binds one value. Values that [`refusal`] names must not come here; NULL is bound in their place.
pub fn bind<'q>(
    query: Query<'q, MySql, MySqlArguments>,
    value: &'q Value,
) -> Query<'q, MySql, MySqlArguments> {
    match value {
        Value::Null => query.bind(None::<&str>),
        Value::Boolean(truth) => query.bind(i8::from(*truth)),
        Value::Integer(number) => query.bind(*number),
        Value::Number(number) => query.bind(*number),
        Value::Decimal(text) => query.bind(decimal(text).ok()),
        Value::Text(text) | Value::Json(text) => query.bind(text.as_str()),
        Value::Bytes(bytes) => query.bind(bytes.as_slice()),
        Value::Timestamp(text) => query.bind(timestamp(text).ok()),
    }
}

/// Checks what is left to check when a projector has answered: that each operation names a declared statement, has
/// as many parameters as it, and only values that can be sent.
pub fn judge(schema: &Schema, operations: &[Operation]) -> Result<(), Failure> {
    for (index, operation) in operations.iter().enumerate() {
        let statement = usize::try_from(operation.statement).ok().and_then(|at| schema.statements.get(at));
        let statement = statement.ok_or(Failure::UnknownStatement {
            operation: index,
            index: operation.statement,
            declared: schema.statements.len(),
        })?;
        let (expected, given) = (statement.parameters, operation.parameters.len());
        if expected != given {
            let statement = statement.name.clone();
            return Err(Failure::ParameterCount { operation: index, statement, expected, given });
        }
        let refused =
            operation.parameters.iter().enumerate().find_map(|(at, value)| Some((at, refusal(value)?)));
        if let Some((parameter, reason)) = refused {
            let statement = statement.name.clone();
            return Err(Failure::BadValue { operation: index, statement, parameter, reason });
        }
    }
    Ok(())
}

/// Why a value cannot be sent to MySQL; none when it can.
fn refusal(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) if !number.is_finite() => {
            Some(format!("{number} is not a number that MySQL has: NaN and infinity have no column type"))
        }
        Value::Decimal(text) => decimal(text).err(),
        Value::Json(text) => serde_json::from_str::<serde::de::IgnoredAny>(text)
            .err()
            .map(|error| format!("it is declared as JSON, but is not: {error}")),
        Value::Timestamp(text) => timestamp(text).err(),
        _ => None,
    }
}

fn decimal(text: &str) -> Result<BigDecimal, String> {
    let plain = text.len() <= DIGITS_MAX + 2
        && text.bytes().any(|byte| byte.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.'));
    if !plain {
        return Err(format!(
            "`{}` is not a decimal like -12.30 with at most {DIGITS_MAX} digits",
            start(text)
        ));
    }
    text.parse().map_err(|_| format!("`{}` is not a decimal like -12.30", start(text)))
}

fn timestamp(text: &str) -> Result<PrimitiveDateTime, String> {
    let moment = OffsetDateTime::parse(text, &Rfc3339)
        .map_err(|_| format!("`{}` is not RFC 3339 like 2026-01-31T12:00:00.000Z", start(text)))?;
    let moment = moment.to_offset(UtcOffset::UTC);
    if !(0..=9999).contains(&moment.year()) {
        return Err(format!("`{}` is outside the years 0 to 9999", start(text)));
    }
    let micros = moment.nanosecond() / 1000 * 1000;
    let cut = moment.replace_nanosecond(micros).map_err(|_| "its fraction is out of range".to_owned())?;
    Ok(PrimitiveDateTime::new(cut.date(), cut.time()))
}

/// The beginning of a text that may be long.
fn start(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::Statement;

    #[test]
    fn an_operation_fits_its_statement_or_is_named() {
        let statement = Statement {
            name: "open".into(),
            sql: String::new(),
            table: "t".into(),
            reads: vec![],
            parameters: 1,
            multi_row: None,
        };
        let schema = Schema { tables: vec![], statements: vec![statement] };
        let judged = |statement, parameters| judge(&schema, &[Operation { statement, parameters }]);
        assert_eq!(judged(0, vec![Value::Null]), Ok(()));
        assert_eq!(judged(1, vec![]).map_err(|failure| failure.class()), Err("unknown-statement"));
        for parameters in [vec![], vec![Value::Null, Value::Null]] {
            assert_eq!(judged(0, parameters).map_err(|failure| failure.class()), Err("parameter-count"));
        }
        assert_eq!(
            judged(0, vec![Value::Number(f64::NAN)]).map_err(|failure| failure.class()),
            Err("bad-value")
        );
    }

    #[test]
    fn what_mysql_has_no_type_for_is_named() {
        let cases = [
            (Value::Number(f64::NAN), "NaN is not a number"),
            (Value::Number(f64::INFINITY), "inf is not a number"),
            (Value::Decimal("1e5".into()), "`1e5` is not a decimal"),
            (Value::Decimal("-".into()), "is not a decimal"),
            (Value::Decimal("1.2.3".into()), "is not a decimal"),
            (Value::Decimal("9".repeat(68)), "at most 65 digits"),
            (Value::Json("{".into()), "it is declared as JSON"),
            (Value::Timestamp("yesterday".into()), "is not RFC 3339"),
        ];
        for (value, expected) in cases {
            let refused = refusal(&value).expect("it must be refused");
            assert!(refused.contains(expected), "{refused}");
        }
    }

    #[test]
    fn ordinary_values_are_sent() {
        let values = [
            Value::Null,
            Value::Number(-0.0),
            Value::Decimal("-12.30".into()),
            Value::Decimal("9".repeat(65)),
            Value::Json("[1]".into()),
            Value::Timestamp("2026-01-31T12:00:00+02:00".into()),
        ];
        for value in values {
            assert_eq!(refusal(&value), None, "{value:?}");
        }
    }

    #[test]
    fn times_become_utc_and_are_cut_to_microseconds() {
        let moment = timestamp("2026-01-31T12:00:00.123456789+02:00").expect("it is RFC 3339");
        assert_eq!(moment, time::macros::datetime!(2026-01-31 10:00:00.123456));
    }
}
