//! Tables of what each kind of value becomes in each type.

use super::fit;
use crate::statement::{Parameter, Role, Sent, Type, Value};

fn as_kind(kind: &Type, role: Role, value: &Value) -> String {
    let parameter = Parameter { kind: Some(kind.clone()), role, column: None, required: false };
    match fit(&parameter, value.clone()) {
        Ok(sent) => shown(&sent),
        Err(reason) => {
            let why = reason.split(" given ").nth(1).unwrap_or(&reason);
            format!("no: {why}")
        }
    }
}

fn shown(sent: &Sent) -> String {
    match sent {
        Sent::Integer(Some(number)) => number.to_string(),
        Sent::Unsigned(Some(number)) => format!("{number} unsigned"),
        Sent::Double(Some(number)) => format!("{number:e}"),
        Sent::Decimal(Some(digits)) => digits.clone(),
        Sent::Text(Some(text)) => format!("'{text}'"),
        Sent::Bytes(Some(bytes)) => format!("{bytes:?}"),
        Sent::Date(Some(date)) => super::day(*date),
        Sent::Moment(Some(moment)) => super::sql_text(*moment),
        _ => "NULL".to_owned(),
    }
}

fn check(kind: &Type, cases: &[(Value, &str)]) {
    for (value, expect) in cases {
        assert_eq!(as_kind(kind, Role::Stored, value), *expect, "{value:?} as {kind}");
    }
}

fn decimal(text: &str) -> Value {
    Value::Decimal(text.to_owned())
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn json(text: &str) -> Value {
    Value::Json(text.to_owned())
}

fn moment(text: &str) -> Value {
    Value::Timestamp(text.to_owned())
}

#[test]
fn an_integer_takes_what_is_one() {
    check(
        &Type::Integer { bits: 8, unsigned: false },
        &[
            (Value::Null, "NULL"),
            (Value::Boolean(true), "1"),
            (Value::Integer(-128), "-128"),
            (Value::Integer(128), "no: is out of its range"),
            (Value::Number(5.0), "5"),
            (Value::Number(1.5), "no: is no whole number"),
            (decimal("5.00"), "5"),
            (decimal("1E+2"), "100"),
            (text("007"), "7"),
            (text("1e2"), "no: is no whole number"),
            (text(""), "no: is no whole number"),
            (json("5"), "no: is no number"),
            (Value::Bytes(b"5".to_vec()), "no: is no number"),
            (moment("2026-01-31T12:00:00Z"), "no: is no number"),
        ],
    );
    let unsigned = Type::Integer { bits: 64, unsigned: true };
    check(
        &unsigned,
        &[
            (decimal("18446744073709551615"), "18446744073709551615 unsigned"),
            (decimal("18446744073709551616"), "no: is out of its range"),
            (Value::Integer(-1), "no: is out of its range"),
        ],
    );
    check(
        &Type::Bit { bits: 3 },
        &[(Value::Integer(7), "7 unsigned"), (Value::Integer(8), "no: is out of its range")],
    );
    check(
        &Type::Year,
        &[(Value::Integer(2026), "2026"), (Value::Integer(5), "no: is no year from 1901 to 2155")],
    );
    // What is only looked for may be more than the column holds.
    let small = Type::Integer { bits: 8, unsigned: true };
    assert_eq!(as_kind(&small, Role::Bound, &Value::Integer(-300)), "-300");
}

#[test]
fn a_decimal_takes_what_has_no_more_digits() {
    check(
        &Type::Decimal { digits: 5, scale: 2, unsigned: false },
        &[
            (decimal("-999.99"), "-999.99"),
            (decimal("1000"), "no: is out of its range"),
            (decimal("1.500"), "1.50"),
            (decimal("1.005"), "no: has more digits behind the point: round it in the projector"),
            (decimal("0E-8"), "0"),
            (decimal("1E+2"), "100"),
            (Value::Number(0.1 + 0.2), "0.30"),
            (Value::Number(1e300), "no: is out of its range"),
            (Value::Integer(7), "7"),
            (text("7.25"), "7.25"),
            (text("seven"), "no: is no number"),
        ],
    );
    // What was rounded when it was stored is found by the same value.
    let third = Value::Number(1.0 / 3.0);
    let money = Type::Decimal { digits: 5, scale: 2, unsigned: false };
    assert_eq!(as_kind(&money, Role::Equal, &third), as_kind(&money, Role::Stored, &third));
    assert_eq!(as_kind(&money, Role::Equal, &decimal("1.005")), "1.005");
    check(
        &Type::EXACT,
        &[
            (decimal("1E-8"), "0.00000001"),
            (decimal("1E-31"), "no: has more digits behind the point: round it in the projector"),
        ],
    );
}

#[test]
fn text_is_what_a_value_says() {
    check(
        &Type::Text { characters: Some(24) },
        &[
            (Value::Boolean(true), "'1'"),
            (Value::Integer(5), "'5'"),
            (Value::Number(5.0), "'5'"),
            (Value::Number(-0.0), "'0'"),
            (Value::Number(1e300), "'1e300'"),
            (decimal("+.5"), "'0.5'"),
            (decimal("12.30"), "'12.30'"),
            (decimal("1E-8"), "'0.00000001'"),
            (decimal("0E-8"), "'0.00000000'"),
            (decimal("1E+3"), "'1000'"),
            (text("007"), "'007'"),
            (text("exactly twenty-four of éé"), "no: is longer than that"),
            (text("exactly twenty-three éé"), "'exactly twenty-three éé'"),
            (Value::Bytes(vec![0xff]), "no: are no text in UTF-8"),
            (moment("2026-01-31T13:00:00+01:00"), "'2026-01-31T12:00:00.000Z'"),
        ],
    );
    check(&Type::BYTES, &[(Value::Bytes(vec![0, 255]), "[0, 255]"), (text("é"), "[195, 169]")]);
}

#[test]
fn inside_of_a_document_text_is_a_string_and_json_stays_json() {
    let cases = [
        (Value::Boolean(true), "'true'"),
        (Value::Integer(5), "'5'"),
        (Value::Number(0.5), "'0.5'"),
        (decimal("18446744073709551615"), "'18446744073709551615'"),
        (decimal("12.30"), "'12.3'"),
        (
            decimal("0.1234567890123456789"),
            "no: has more digits than a number in JSON keeps: give it as text",
        ),
        (json(r#"{"sku":"a"}"#), r#"'{"sku":"a"}'"#),
        (json("{"), "no: is not JSON"),
        (moment("2026-01-31T12:00:00Z"), r#"'"2026-01-31T12:00:00.000Z"'"#),
        (Value::Bytes(vec![1]), "no: have no form in JSON: give them as text"),
    ];
    check(&Type::JsonValue, &cases);
    check(&Type::Json, &cases);
    check(&Type::JsonValue, &[(text("it's \"a\""), r#"'"it's \"a\""'"#)]);
    check(&Type::Json, &[(text("[1]"), "'[1]'"), (text("Dresden"), "no: is not JSON")]);
}

#[test]
fn moments_are_cut_and_bounds_are_not() {
    let late = moment("2026-12-31T23:59:59.987654321Z");
    check(&Type::Date, &[(late.clone(), "2026-12-31"), (text("2026-02-28"), "2026-02-28")]);
    for (digits, expect) in [(0, ""), (1, ".9"), (3, ".987"), (6, ".987654")] {
        check(&Type::DateTime { digits }, &[(late.clone(), &format!("2026-12-31 23:59:59{expect}"))]);
    }
    let seconds = Type::DateTime { digits: 0 };
    assert_eq!(as_kind(&seconds, Role::Equal, &late), "2026-12-31 23:59:59");
    assert_eq!(as_kind(&seconds, Role::Bound, &late), "2026-12-31 23:59:59.987654");
    check(
        &Type::MOMENT,
        &[
            (moment("9999-12-31T23:59:59+23:59"), "9999-12-31 00:00:59"),
            (moment("0000-01-01T00:00:00-00:01"), "0000-01-01 00:01:00"),
            (moment("1969-12-31T23:59:59.9999999Z"), "1969-12-31 23:59:59.999999"),
            (moment("2016-12-31T23:59:60Z"), "2016-12-31 23:59:59.999999"),
            (moment("9999-12-31T23:59:59-00:01"), "no: is outside of the years 0 to 9999"),
            (moment("yesterday"), "no: is not RFC 3339 like 2026-01-31T12:00:00.000Z"),
            (text("2026-01-31 12:00:00.5"), "2026-01-31 12:00:00.5"),
            (text("2026-01-31T13:00:00.5+01:00"), "2026-01-31 12:00:00.5"),
            (text("2026-02-30"), "no: is no day or moment like 2026-01-31 or 2026-01-31T12:00:00Z"),
            (Value::Integer(20_260_131), "no: is no moment"),
        ],
    );
}

#[test]
fn members_are_names() {
    check(
        &Type::Enum(vec!["0".into(), "no".into(), "yes".into()]),
        &[
            (text("no"), "'no'"),
            (Value::Integer(0), "'0'"),
            (Value::Integer(1), "no: is none of its members"),
            (Value::Boolean(true), "no: has no name there: give the member's name as text"),
        ],
    );
    check(
        &Type::Set(vec!["a".into(), "b".into()]),
        &[
            (text("b,a"), "'b,a'"),
            (text(""), "''"),
            (Value::Integer(3), "no: has something that is none of its members"),
        ],
    );
}

#[test]
fn null_is_refused_where_nothing_else_could_come_of_it() {
    let required =
        Parameter { kind: Some(Type::TEXT), role: Role::Stored, column: Some("t.a".into()), required: true };
    let refused = fit(&required, Value::Null).expect_err("it is NOT NULL");
    assert_eq!(refused, "`t.a` is text, and the null given is not taken by a column that is NOT NULL");
}
