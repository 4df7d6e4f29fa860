//! The keys of rows, as far as they can be told apart without asking the server, and the sums of what is added to one row.

use std::borrow::Cow;

use bigdecimal::{BigDecimal, Signed, Zero};

use crate::statement::{Keyed, Merge, Parameter, Sent, Statement, Type};

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
    /// One that is beyond those with a sign.
    Unsigned(u64),
    Text(&'a str),
    Bytes(&'a [u8]),
}

/// The key that an operation names; none where it cannot be told from others.
pub(super) fn of<'a>(statement: &Statement, keyed: &Keyed, values: &'a [Sent]) -> Option<Key<'a>> {
    let part = |at: &usize| match (&statement.parameters.get(*at)?.kind, values.get(*at)?) {
        (Some(Type::Integer { .. }), Sent::Integer(Some(number))) => Some(KeyColumn::Integer(*number)),
        (Some(Type::Integer { .. }), Sent::Unsigned(Some(number))) => {
            Some(i64::try_from(*number).map_or(KeyColumn::Unsigned(*number), KeyColumn::Integer))
        }
        // Beyond ASCII, a character that a character set lacks may become another one.
        (Some(Type::Text { .. }), Sent::Text(Some(text))) if text.is_ascii() => {
            Some(KeyColumn::Text(text.trim_end_matches(' ')))
        }
        (Some(Type::Bytes { .. }), Sent::Bytes(Some(bytes))) => {
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
pub(super) fn is_kept(statement: &Statement, keyed: &Keyed, values: &[Sent]) -> bool {
    keyed.key.iter().all(|at| match (&statement.parameters[*at].kind, &values[*at]) {
        (_, Sent::Text(Some(text))) => !text.ends_with(' '),
        (Some(Type::Bytes { bytes: Some(most) }), Sent::Bytes(Some(bytes))) => {
            u64::try_from(bytes.len()).is_ok_and(|length| length == *most)
        }
        (_, value) => matches!(value, Sent::Integer(Some(_)) | Sent::Unsigned(Some(_))),
    })
}

/// The parameters of the one operation that two on the same row come to; none where they do not.
pub(super) fn merged<'a>(
    parameters: &[Parameter],
    merges: &[Merge],
    first: &[Sent],
    second: &'a [Sent],
) -> Option<Cow<'a, [Sent]>> {
    if merges.iter().all(|merge| *merge == Merge::Last) {
        return Some(Cow::Borrowed(second));
    }
    let places = parameters.iter().zip(merges).zip(first.iter().zip(second));
    let values = places.map(|((parameter, merge), (first, second))| match merge {
        Merge::Last => Some(second.clone()),
        Merge::Sum { scale } => sum(parameter.kind.as_ref()?, *scale, first, second),
    });
    values.collect::<Option<Vec<Sent>>>().map(Cow::Owned)
}

/// The sum of two exact numbers of one sign that is a value of this type itself.
fn sum(kind: &Type, scale: u32, first: &Sent, second: &Sent) -> Option<Sent> {
    match (kind, first, second) {
        (Type::Integer { bits, unsigned }, Sent::Integer(Some(first)), Sent::Integer(Some(second))) => {
            let sum = first.checked_add(*second).filter(|_| is_one_sign(first.signum(), second.signum()))?;
            let most = i64::MAX >> (64 - (*bits).clamp(1, 64));
            let most = if *unsigned { most.saturating_mul(2) } else { most };
            (sum.unsigned_abs() <= most.unsigned_abs()).then_some(Sent::Integer(Some(sum)))
        }
        (Type::Integer { bits: 64, unsigned: true }, Sent::Unsigned(first), Sent::Unsigned(second)) => first
            .zip(*second)
            .and_then(|(first, second)| first.checked_add(second))
            .map(|sum| Sent::Unsigned(Some(sum))),
        (Type::Decimal { digits, scale: its, .. }, first, second) => {
            let (first, second) = (decimal(first, scale)?, decimal(second, scale)?);
            let sum = &first + &second;
            let whole = sum.abs().with_scale(0).to_plain_string().len();
            let has_room = whole <= usize::try_from(digits.saturating_sub(*its)).ok()?;
            let is_one_sign = is_one_sign(sign(&first), sign(&second));
            (has_room && is_one_sign).then(|| Sent::Decimal(Some(sum.to_plain_string())))
        }
        _ => None,
    }
}

/// A number that has no more digits behind the point than its column keeps.
fn decimal(value: &Sent, scale: u32) -> Option<BigDecimal> {
    let Sent::Decimal(Some(text)) = value else { return None };
    let number = text.parse::<BigDecimal>().ok().filter(|_| text.len() <= 65)?;
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
    const LARGE: Type = Type::Integer { bits: 64, unsigned: true };
    const MONEY: Type = Type::Decimal { digits: 6, scale: 2, unsigned: false };

    fn decimal(text: &str) -> Sent {
        Sent::Decimal(Some(text.to_owned()))
    }

    fn large(number: u64) -> Sent {
        Sent::Unsigned(Some(number))
    }

    fn whole(number: i64) -> Sent {
        Sent::Integer(Some(number))
    }

    #[test]
    fn numbers_of_one_sign_are_added_as_long_as_the_sum_is_a_value_itself() {
        let cases = [
            (TINY, 0, whole(60), whole(60), Some(whole(120))),
            (TINY, 0, whole(100), whole(100), None),
            (TINY, 0, whole(-60), whole(0), Some(whole(-60))),
            (TINY, 0, whole(5), whole(-5), None),
            (TINY, 0, Sent::Integer(None), whole(5), None),
            (Type::WHOLE, 0, whole(i64::MAX), whole(1), None),
            (LARGE, 0, large(u64::MAX - 1), large(1), Some(large(u64::MAX))),
            (LARGE, 0, large(u64::MAX), large(1), None),
            (Type::WHOLE, 0, whole(i64::MAX - 1), whole(1), Some(whole(i64::MAX))),
            (MONEY, 2, decimal("0.05"), decimal("2"), Some(decimal("2.05"))),
            (MONEY, 2, decimal("0.005"), decimal("2"), None),
            (MONEY, 2, decimal("9999.99"), decimal("0.01"), None),
            (MONEY, 2, decimal("-0.05"), decimal("-0.05"), Some(decimal("-0.10"))),
            (MONEY, 2, decimal("1"), decimal("-0.05"), None),
            (Type::DOUBLE, 0, Sent::Double(Some(1.0)), Sent::Double(Some(1.0)), None),
        ];
        for (kind, scale, first, second, expect) in cases {
            assert_eq!(sum(&kind, scale, &first, &second), expect, "{first:?} and {second:?} as {kind}");
        }
    }
}
