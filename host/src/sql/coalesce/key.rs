//! The keys of rows, as far as they can be told apart without asking the server, and the sums of what is added to one row.

use std::borrow::Cow;

use bigdecimal::{BigDecimal, Signed, Zero};

use crate::statement::{Keyed, Merge, Parameter, Statement, Type, Value};

/// A primary key. Two that differ are of two rows on every server. Two that are equal may be of two rows as well: blanks at
/// the end count in some collations.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Key<'a> {
    One(KeyColumn<'a>),
    Many(Vec<KeyColumn<'a>>),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum KeyColumn<'a> {
    Integer(i64),
    Text(&'a str),
    Bytes(&'a [u8]),
}

/// The key that an operation names; none where it cannot be told from others.
pub(super) fn of<'a>(statement: &Statement, keyed: &Keyed, values: &'a [Value]) -> Option<Key<'a>> {
    let part = |at: &usize| match (&statement.parameters.get(*at)?.kind, values.get(*at)?) {
        (Some(Type::Integer { .. }), Value::Integer(number)) => Some(KeyColumn::Integer(*number)),
        // Beyond ASCII, a character that a character set lacks may become another one.
        (Some(Type::Text { .. }), Value::Text(text)) if text.is_ascii() => {
            Some(KeyColumn::Text(text.trim_end_matches(' ')))
        }
        (Some(Type::Bytes { .. }), Value::Bytes(bytes)) => {
            let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            Some(KeyColumn::Bytes(&bytes[..end]))
        }
        _ => None,
    };
    match &keyed.key[..] {
        [only] => part(only).map(Key::One),
        several => several.iter().map(part).collect::<Option<_>>().map(Key::Many),
    }
}

/// Returns true where a row that is inserted with this key is the one that is found by it: no column cuts or fills it up.
pub(super) fn is_kept(statement: &Statement, keyed: &Keyed, values: &[Value]) -> bool {
    keyed.key.iter().all(|at| match (&statement.parameters[*at].kind, &values[*at]) {
        (_, Value::Text(text)) => !text.ends_with(' '),
        (Some(Type::Bytes { bytes: Some(most) }), Value::Bytes(bytes)) => {
            u64::try_from(bytes.len()).is_ok_and(|length| length == *most)
        }
        (_, value) => matches!(value, Value::Integer(_)),
    })
}

/// The parameters of the one operation that two on the same row come to; none where they do not.
pub(super) fn merged<'a>(
    parameters: &[Parameter],
    merges: &[Merge],
    first: &[Value],
    second: &'a [Value],
) -> Option<Cow<'a, [Value]>> {
    if merges.iter().all(|merge| *merge == Merge::Last) {
        return Some(Cow::Borrowed(second));
    }
    let places = parameters.iter().zip(merges).zip(first.iter().zip(second));
    let values = places.map(|((parameter, merge), (first, second))| match merge {
        Merge::Last => Some(second.clone()),
        Merge::Sum { scale } => sum(parameter.kind.as_ref()?, *scale, first, second),
    });
    values.collect::<Option<Vec<Value>>>().map(Cow::Owned)
}

/// The sum of two exact numbers of one sign that is a value of this type itself.
fn sum(kind: &Type, scale: u32, first: &Value, second: &Value) -> Option<Value> {
    match (kind, first, second) {
        (Type::Integer { bits, unsigned }, Value::Integer(first), Value::Integer(second)) => {
            let sum = first.checked_add(*second).filter(|_| is_one_sign(first.signum(), second.signum()))?;
            let most = i64::MAX >> (64 - (*bits).clamp(1, 64));
            let most = if *unsigned { most.saturating_mul(2) } else { most };
            (sum.unsigned_abs() <= most.unsigned_abs()).then_some(Value::Integer(sum))
        }
        (Type::Decimal { digits, scale: its, .. }, first, second) => {
            let (first, second) = (decimal(first, scale)?, decimal(second, scale)?);
            let sum = &first + &second;
            let whole = sum.abs().with_scale(0).to_plain_string().len();
            let has_room = whole <= usize::try_from(digits.saturating_sub(*its)).ok()?;
            let is_one_sign = is_one_sign(sign(&first), sign(&second));
            (has_room && is_one_sign).then(|| Value::Decimal(sum.to_plain_string()))
        }
        _ => None,
    }
}

/// A number that has no more digits behind the point than its column keeps.
fn decimal(value: &Value, scale: u32) -> Option<BigDecimal> {
    let number = match value {
        Value::Integer(number) => BigDecimal::from(*number),
        Value::Decimal(text) => {
            let is_plain =
                text.len() <= 65 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'.'));
            text.parse::<BigDecimal>().ok().filter(|_| is_plain)?
        }
        _ => return None,
    };
    (number.fractional_digit_count() <= i64::from(scale)).then_some(number)
}

fn sign(number: &BigDecimal) -> i64 {
    if number.is_zero() {
        0
    } else if number.is_negative() {
        -1
    } else {
        1
    }
}

fn is_one_sign(first: i64, second: i64) -> bool {
    first * second >= 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const TINY: Type = Type::Integer { bits: 8, unsigned: false };
    const MONEY: Type = Type::Decimal { digits: 6, scale: 2, unsigned: false };

    fn decimal(text: &str) -> Value {
        Value::Decimal(text.to_owned())
    }

    #[test]
    fn numbers_of_one_sign_are_added_as_long_as_the_sum_is_a_value_itself() {
        let cases = [
            (TINY, 0, Value::Integer(60), Value::Integer(60), Some(Value::Integer(120))),
            (TINY, 0, Value::Integer(100), Value::Integer(100), None),
            (TINY, 0, Value::Integer(-60), Value::Integer(0), Some(Value::Integer(-60))),
            (TINY, 0, Value::Integer(5), Value::Integer(-5), None),
            (TINY, 0, Value::Null, Value::Integer(5), None),
            (Type::WHOLE, 0, Value::Integer(i64::MAX), Value::Integer(1), None),
            (Type::WHOLE, 0, Value::Integer(i64::MAX - 1), Value::Integer(1), Some(Value::Integer(i64::MAX))),
            (MONEY, 2, decimal("0.05"), Value::Integer(2), Some(decimal("2.05"))),
            (MONEY, 2, decimal("0.005"), Value::Integer(2), None),
            (MONEY, 2, decimal("9999.99"), decimal("0.01"), None),
            (MONEY, 2, decimal("-0.05"), decimal("-0.05"), Some(decimal("-0.10"))),
            (MONEY, 2, decimal("1"), decimal("-0.05"), None),
            (MONEY, 2, decimal("1E+3"), decimal("1"), None),
            (Type::DOUBLE, 0, Value::Number(1.0), Value::Number(1.0), None),
        ];
        for (kind, scale, first, second, expect) in cases {
            assert_eq!(sum(&kind, scale, &first, &second), expect, "{first:?} and {second:?} as {kind}");
        }
    }
}
