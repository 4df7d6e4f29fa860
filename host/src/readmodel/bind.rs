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

pub(super) fn decimal(text: &str) -> Result<BigDecimal, String> {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let plain = (1..=DIGITS_MAX).contains(&digits)
        && text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.'));
    if !plain {
        return Err(format!(
            "`{}` is not a decimal like -12.30 with at most {DIGITS_MAX} digits",
            start(text)
        ));
    }
    text.parse().map_err(|_| format!("`{}` is not a decimal like -12.30", start(text)))
}

pub(super) fn timestamp(text: &str) -> Result<PrimitiveDateTime, String> {
    let moment = OffsetDateTime::parse(text, &Rfc3339)
        .map_err(|_| format!("`{}` is not RFC 3339 like 2026-01-31T12:00:00.000Z", start(text)))?;
    let utc = moment.checked_to_offset(UtcOffset::UTC).filter(|utc| (0..=9999).contains(&utc.year()));
    let moment = utc.ok_or_else(|| format!("`{}` is outside the years 0 to 9999", start(text)))?;
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
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::failure::Fault;
    use crate::statement::Statement;

    /// A schema of two statements, with one and two parameters.
    fn schema() -> Schema {
        let statement = |parameters: usize| Statement {
            name: format!("takes-{parameters}"),
            sql: format!("DELETE FROM t WHERE id IN (1{})", ", ?".repeat(parameters)),
            table: "t".into(),
            reads: vec![],
            parameters,
            multi_row: None,
        };
        Schema { tables: vec![], statements: vec![statement(1), statement(2)] }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let odd = select(vec![
            "",
            "-",
            ".",
            "+.",
            "1.",
            ".5",
            "1-2",
            "1e5",
            "0x1",
            " 1",
            "\u{663}",
            "a\0b",
            "{}",
            "[",
            "\"",
            "null",
            "NaN",
            "9999-12-31T23:59:59-23:59",
            "0000-01-01T00:00:00+23:59",
            "9999-12-31T23:59:60Z",
            "2026-01-31T12:00:00.9999999999999999999999Z",
            "2026-02-29T00:00:00Z",
            "2016-12-31t23:59:60z",
        ]);
        let text = prop_oneof![
            any::<String>(),
            "[-+]?[0-9]{0,3}[.]?[0-9]{0,3}",
            "[-+]?[0-9]{30,34}[.]?[0-9]{30,34}",
            "[0-9]{4}-[01][0-9]-[0-3][0-9].[0-2][0-9]:[0-5][0-9]:[0-6][0-9]([.][0-9]{1,12})?(Z|[-+][0-2][0-9]:[0-5][0-9])",
            (0..2000_usize).prop_map(|depth| "[".repeat(depth) + &"]".repeat(depth)),
            odd.prop_map(str::to_owned),
        ];
        (text, 0..9_u8, any::<i64>(), any::<f64>(), select(vec![f64::NAN, f64::INFINITY, -0.0])).prop_map(
            |(text, kind, integer, number, odd)| match kind {
                0 => Value::Null,
                1 => Value::Boolean(integer > 0),
                2 => Value::Integer(integer),
                3 => Value::Number(if integer % 2 == 0 { number } else { odd }),
                4 => Value::Decimal(text),
                5 => Value::Text(text),
                6 => Value::Bytes(text.into_bytes()),
                7 => Value::Json(text),
                _ => Value::Timestamp(text),
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

        /// Whatever a component answers, it fits or is the event's fault; and what fits can be bound as it is.
        #[test]
        fn any_operation_fits_or_is_the_events_fault(
            (statement, parameters) in prop_oneof![
                (Just(0), prop::collection::vec(any_value(), 1)),
                (Just(1), prop::collection::vec(any_value(), 2)),
                (prop_oneof![0..3_u32, Just(u32::MAX)], prop::collection::vec(any_value(), 0..4)),
            ],
        ) {
            let schema = schema();
            let operations = [Operation { statement, parameters }];
            if let Err(failure) = judge(&schema, &operations) {
                prop_assert_eq!(failure.fault(), Fault::Event);
                prop_assert!(failure.to_string().chars().count() < 1000);
                return Ok(());
            }
            let taken = &schema.statements[usize::try_from(statement).expect("it is declared")];
            prop_assert_eq!(operations[0].parameters.len(), taken.parameters);
            let mut query = operations[0].parameters.iter().fold(sqlx::query(&taken.sql), bind);
            let bound = sqlx::Execute::take_arguments(&mut query);
            let bound = bound.map_err(|error| TestCaseError::fail(error.to_string()))?;
            prop_assert_eq!(bound.map(|bound| sqlx::Arguments::len(&bound)), Some(taken.parameters));
            for value in &operations[0].parameters {
                check_is_exact(value)?;
            }
        }
    }

    /// A decimal keeps its digits, a moment its microseconds; neither becomes NULL on its way.
    fn check_is_exact(value: &Value) -> Result<(), TestCaseError> {
        match value {
            Value::Decimal(text) => {
                let digits = |text: &str| text.bytes().filter(u8::is_ascii_digit).count();
                let sent = decimal(text).map_err(TestCaseError::fail)?;
                prop_assert!(digits(text) <= DIGITS_MAX, "{text}");
                prop_assert_eq!(sent, text.parse::<BigDecimal>().expect("it was taken"));
            }
            Value::Timestamp(text) => {
                let sent = timestamp(text).map_err(TestCaseError::fail)?;
                let said = OffsetDateTime::parse(text, &Rfc3339).expect("it was taken");
                let lost = said - sent.assume_utc();
                prop_assert!((0..1000).contains(&lost.whole_nanoseconds()), "{text} is sent as {sent}");
            }
            _ => {}
        }
        Ok(())
    }

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
    fn moments_are_taken_up_to_the_edge_of_what_mysql_can_say() {
        for (text, expected) in [
            ("9999-12-31T23:59:59.9999999Z", time::macros::datetime!(9999-12-31 23:59:59.999999)),
            ("9999-12-31T23:59:59+23:59", time::macros::datetime!(9999-12-31 00:00:59)),
            ("0000-01-01T00:00:00-00:01", time::macros::datetime!(0000-01-01 00:01)),
            ("1969-12-31T23:59:59.9999999Z", time::macros::datetime!(1969-12-31 23:59:59.999999)),
            ("2016-12-31T23:59:60Z", time::macros::datetime!(2016-12-31 23:59:59.999999)),
        ] {
            assert_eq!(timestamp(text), Ok(expected), "{text}");
        }
        for text in ["9999-12-31T23:59:59-00:01", "9999-12-31T23:59:59-23:59", "0000-01-01T00:00:00+00:01"] {
            let refused = timestamp(text).expect_err(text);
            assert!(refused.contains("outside the years 0 to 9999"), "{refused}");
        }
    }

    #[test]
    fn times_become_utc_and_are_cut_to_microseconds() {
        let moment = timestamp("2026-01-31T12:00:00.123456789+02:00").expect("it is RFC 3339");
        assert_eq!(moment, time::macros::datetime!(2026-01-31 10:00:00.123456));
    }
}
