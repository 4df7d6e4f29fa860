//! Binding what is sent to a prepared statement.
//!
//! Decimals and times are bound as such, not as text: MySQL would calculate with text as floating point.

use bigdecimal::BigDecimal;
use sqlx::encode::{Encode, IsNull};
use sqlx::error::BoxDynError;
use sqlx::mysql::{MySqlArguments, MySqlTypeInfo};
use sqlx::query::Query;
use sqlx::{MySql, Type};

use crate::statement::Sent;

/// Binds one value as the type that its variant is, NULL too.
pub fn bind<'q>(query: Query<'q, MySql, MySqlArguments>, sent: &'q Sent) -> Query<'q, MySql, MySqlArguments> {
    match sent {
        Sent::Integer(number) => query.bind(*number),
        Sent::Unsigned(number) => query.bind(*number),
        Sent::Double(number) => query.bind(*number),
        Sent::Decimal(digits) => query.bind(digits.as_deref().map(Digits)),
        Sent::Text(text) => query.bind(text.as_deref()),
        Sent::Bytes(bytes) => query.bind(bytes.as_deref()),
        Sent::Date(date) => query.bind(*date),
        Sent::Moment(moment) => query.bind(*moment),
    }
}

/// A decimal that is written out: the driver would send some with an exponent.
struct Digits<'q>(&'q str);

impl Type<MySql> for Digits<'_> {
    fn type_info() -> MySqlTypeInfo {
        <BigDecimal as Type<MySql>>::type_info()
    }
}

impl<'q> Encode<'q, MySql> for Digits<'q> {
    fn encode_by_ref(&self, buffer: &mut Vec<u8>) -> Result<IsNull, BoxDynError> {
        <&str as Encode<'q, MySql>>::encode_by_ref(&self.0, buffer)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::failure::Fault;
    use crate::sql::fit::{fit, judge};
    use crate::statement::{Column, Operation, Parameter, Role, Schema, Statement, Type as Kind, Value};

    fn kinds() -> Vec<Kind> {
        vec![
            Kind::Integer { bits: 8, unsigned: false },
            Kind::Integer { bits: 64, unsigned: true },
            Kind::WHOLE,
            Kind::Bit { bits: 3 },
            Kind::Year,
            Kind::Decimal { digits: 5, scale: 2, unsigned: false },
            Kind::EXACT,
            Kind::DOUBLE,
            Kind::Text { characters: Some(4) },
            Kind::TEXT,
            Kind::BYTES,
            Kind::Json,
            Kind::JsonValue,
            Kind::Date,
            Kind::DateTime { digits: 0 },
            Kind::MOMENT,
            Kind::Enum(vec!["0".into(), "no".into()]),
            Kind::Set(vec!["a".into(), "b".into()]),
        ]
    }

    fn any_parameter() -> impl Strategy<Value = Parameter> {
        let roles = [Role::Stored, Role::Equal, Role::Bound, Role::Argument];
        let kind = prop_oneof![Just(None), select(kinds()).prop_map(Some)];
        (kind, select(roles.to_vec()), any::<bool>()).prop_map(|(kind, role, required)| Parameter {
            kind,
            role,
            column: (role == Role::Stored).then(|| "t.c".to_owned()),
            required,
        })
    }

    fn statement(parameters: Vec<Parameter>) -> Statement {
        Statement {
            name: "it".into(),
            sql: format!("DELETE FROM t WHERE id IN (1{})", ", ?".repeat(parameters.len())),
            table: "t".into(),
            reads: vec![],
            proves: vec![],
            parameters,
            adds: Vec::new(),
            multi_row: None,
            keyed: None,
        }
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
            "0E-8",
            "1E+3",
            "1E-6176",
            "9E+6176",
            "1E+99999999999999999999",
            "0x1",
            " 1",
            "\u{663}",
            "a\0b",
            "{}",
            "[",
            "\"",
            "null",
            "NaN",
            "2026-01-31",
            "2026-01-31 12:00:00.5",
            "9999-12-31T23:59:59-23:59",
            "0000-01-01T00:00:00+23:59",
            "9999-12-31T23:59:60Z",
            "2026-01-31T12:00:00.9999999999999999999999Z",
            "2026-02-29T00:00:00Z",
            "2016-12-31t23:59:60z",
        ]);
        let text = prop_oneof![
            any::<String>(),
            "[-+]?[0-9]{0,3}[.]?[0-9]{0,3}(E[-+]?[0-9]{1,3})?",
            "[-+]?[0-9]{30,34}[.]?[0-9]{30,34}",
            "[0-9]{4}-[01][0-9]-[0-3][0-9].[0-2][0-9]:[0-5][0-9]:[0-6][0-9]([.][0-9]{1,12})?(Z|[-+][0-2][0-9]:[0-5][0-9])",
            (0..2000_usize).prop_map(|depth| "[".repeat(depth) + &"]".repeat(depth)),
            odd.prop_map(str::to_owned),
        ];
        (text, 0..9_u8, any::<i64>(), any::<f64>(), select(vec![f64::NAN, f64::INFINITY, -0.0])).prop_map(
            |(text, kind, integer, number, odd)| match kind {
                0 => Value::Null,
                1 => Value::Boolean(integer > 0),
                2 => Value::Integer(if integer % 2 == 0 { integer } else { integer % 300 }),
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
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4000) })]

        /// Whatever a component answers, it fits or is the event's fault, whose reason never has the value. What fits is
        /// bound as the type of its parameter, whatever the value was, and is NULL where the value is.
        #[test]
        fn any_operation_fits_or_is_the_events_fault(
            parameters in prop::collection::vec(any_parameter(), 1..3),
            values in prop::collection::vec(any_value(), 0..4),
            index in prop_oneof![Just(0), Just(0), Just(0), Just(1_u32), Just(u32::MAX)],
        ) {
            let statement = statement(parameters);
            let schema = Schema::new(vec![], vec![statement.clone()]);
            let operations = vec![Operation { statement: index, parameters: values.clone() }];
            let judged = judge(&schema, operations);
            if let Err(failure) = judged {
                prop_assert_eq!(failure.fault(), Fault::Event);
                let told = failure.to_string();
                prop_assert!(told.len() < 300, "{told}");
                for value in &values {
                    if let Value::Text(text) | Value::Json(text) = value {
                        let is_example = text.starts_with("2026-01-31");
                        prop_assert!(is_example || text.len() < 9 || !told.contains(text.as_str()), "{told}");
                    }
                }
                return Ok(());
            }
            let sent = judged.expect("it was judged").remove(0).parameters;
            for ((parameter, value), sent) in statement.parameters.iter().zip(&values).zip(&sent) {
                let nothing = Parameter { required: false, ..parameter.clone() };
                let null = fit(&nothing, Value::Null).expect("NULL fits");
                if parameter.kind.is_some() {
                    prop_assert_eq!(std::mem::discriminant(&null), std::mem::discriminant(sent));
                }
                prop_assert_eq!(sent.is_null(), null.is_null() && *value == Value::Null, "{:?} is sent as {:?}", value, sent);
            }
            let mut query = sent.iter().fold(sqlx::query(&statement.sql), bind);
            let bound = sqlx::Execute::take_arguments(&mut query);
            let bound = bound.map_err(|error| TestCaseError::fail(error.to_string()))?;
            prop_assert_eq!(bound.map(|bound| sqlx::Arguments::len(&bound)), Some(values.len()));
        }
    }

    #[test]
    fn an_operation_fits_its_statement_or_is_named() {
        let column = Column {
            name: "n".into(),
            kind: Kind::Integer { bits: 32, unsigned: false },
            nullable: true,
            has_default: true,
            generated: false,
            checked: false,
            collation: None,
        };
        let parameter = Parameter {
            kind: Some(column.kind),
            role: Role::Stored,
            column: Some("t.n".into()),
            required: !column.nullable,
        };
        let schema = Schema::new(vec![], vec![statement(vec![parameter])]);
        let judged =
            |statement, parameters| judge(&schema, vec![Operation { statement, parameters }]).map(|_| ());
        assert_eq!(judged(0, vec![Value::Null]), Ok(()));
        assert_eq!(judged(1, vec![]).map_err(|failure| failure.class()), Err("unknown-statement"));
        for parameters in [vec![], vec![Value::Null, Value::Null]] {
            assert_eq!(judged(0, parameters).map_err(|failure| failure.class()), Err("parameter-count"));
        }
        let refused = judged(0, vec![Value::Text("secret".into())]).expect_err("it is no number");
        assert_eq!(
            refused.to_string(),
            "operation 0, parameter 0 of `it`: `t.n` is INT, and the text given is no whole number"
        );
        assert_eq!(refused.class(), "bad-value");
    }
}
