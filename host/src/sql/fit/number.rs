//! Numbers: exactly what was given, in the form that a type takes.
//!
//! An exact number has to fit. A binary fraction (`number`) has no exact decimal that its author meant, so it is
//! rounded to the digits of a DECIMAL.

use bigdecimal::{BigDecimal, RoundingMode, ToPrimitive, Zero};

use super::Fitted;
use crate::statement::Value;

pub(super) const RANGE: &str = "is out of its range";
const NO_NUMBER: &str = "is no number";

/// MySQL's DECIMAL has at most 65 digits, 30 of them behind the point; more could only be refused or rounded.
const DIGITS_MAX: u64 = 65;
const SCALE_MAX: u32 = 30;
/// The largest exponent of a Decimal128. A larger one would be a text of any length.
const EXPONENT_MAX: i64 = 6176;

pub(super) fn finite(number: f64) -> Fitted<f64> {
    if number.is_finite() { Ok(number) } else { Err("is NaN or infinite, which no column type has") }
}

/// The shortest text that is read as this number again; whole ones without a point.
pub(super) fn shortest(number: f64) -> String {
    let text = format!("{number:?}");
    match text.strip_suffix(".0") {
        Some("-0") => "0".to_owned(),
        Some(whole) => whole.to_owned(),
        None => text,
    }
}

/// A decimal like `-12.30` or `1E-8`.
pub(super) fn decimal(text: &str) -> Fitted<BigDecimal> {
    const FORM: &str = "is not a decimal like -12.30 or 1E-8";
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let digits = mantissa.strip_prefix(['-', '+']).unwrap_or(mantissa);
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        && digits.bytes().any(|byte| byte.is_ascii_digit())
        && digits.bytes().filter(|byte| *byte == b'.').count() <= 1
        && digits.len() <= 100;
    let exponent = exponent.parse::<i64>().ok().filter(|exponent| exponent.abs() <= EXPONENT_MAX);
    let (true, Some(exponent)) = (is_plain, exponent) else { return Err(FORM) };
    let number: BigDecimal = mantissa.parse().map_err(|_| FORM)?;
    let (digits, scale) = number.into_bigint_and_exponent();
    let number = BigDecimal::new(digits, scale - exponent);
    // Without an exponent it is written out; of zero nothing is worth writing out.
    let number = match number.as_bigint_and_exponent() {
        (digits, scale) if digits.is_zero() => BigDecimal::new(digits, scale.clamp(0, SCALE_MAX.into())),
        (_, scale) if scale < 0 => number.with_scale(0),
        _ => number,
    };
    let number = if places(&number) > DIGITS_MAX { number.normalized() } else { number };
    if places(&number) > DIGITS_MAX { Err("has more than 65 digits") } else { Ok(number) }
}

/// How many digits it has when it is written out.
fn places(number: &BigDecimal) -> u64 {
    let behind = u64::try_from(number.fractional_digit_count()).unwrap_or(0);
    let before = u64::try_from(-number.fractional_digit_count()).unwrap_or(0);
    (number.digits() + before).max(behind)
}

/// The number that a value is exactly, or the shortest one that is read as its binary fraction.
fn number(value: &Value) -> Fitted<BigDecimal> {
    match value {
        Value::Boolean(truth) => Ok(i64::from(*truth).into()),
        Value::Integer(number) => Ok((*number).into()),
        Value::Number(number) => format!("{:e}", finite(*number)?).parse().map_err(|_| NO_NUMBER),
        Value::Decimal(text) => decimal(text),
        Value::Text(text) => decimal(text).map_err(|_| NO_NUMBER),
        Value::Null | Value::Bytes(_) | Value::Json(_) | Value::Timestamp(_) => Err(NO_NUMBER),
    }
}

pub(super) fn whole(value: &Value) -> Fitted<i128> {
    const WHOLE: &str = "is no whole number";
    match value {
        Value::Boolean(truth) => Ok(i128::from(*truth)),
        Value::Integer(number) => Ok(i128::from(*number)),
        Value::Text(text) => {
            let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
            let is_whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            if is_whole { text.parse().map_err(|_| RANGE) } else { Err(WHOLE) }
        }
        value => {
            let number = number(value)?;
            if !number.is_integer() {
                return Err(WHOLE);
            }
            number.to_i128().ok_or(RANGE)
        }
    }
}

/// Checks that so many bits hold the number.
pub(super) fn within(whole: i128, bits: u32, unsigned: bool) -> Fitted<()> {
    let range = if unsigned { 0..1 << bits.min(64) } else { -(1 << (bits - 1))..1 << (bits - 1) };
    if range.contains(&whole) { Ok(()) } else { Err(RANGE) }
}

/// The digits of an exact number, if it has no more than fit; `size` is how many there are, and behind the point.
pub(super) fn exact(value: &Value, size: Option<(u32, u32)>, unsigned: bool) -> Fitted<String> {
    let mut number = number(value)?;
    let scale = i64::from(size.map_or(SCALE_MAX, |(_, scale)| scale));
    if number.fractional_digit_count() > scale {
        let rounded = number.with_scale_round(scale, RoundingMode::HalfUp);
        if !matches!(value, Value::Number(_)) && rounded != number {
            return Err("has more digits behind the point: round it in the projector");
        }
        number = rounded;
    }
    if unsigned && number.sign() == bigdecimal::num_bigint::Sign::Minus {
        return Err(RANGE);
    }
    let before = size.map_or(DIGITS_MAX, |(digits, scale)| u64::from(digits.saturating_sub(scale)));
    let is_whole_zero = number.with_scale(0).is_zero();
    if !is_whole_zero && number.with_scale(0).digits() > before || places(&number) > DIGITS_MAX {
        return Err(RANGE);
    }
    let negative_zero = number.is_zero();
    Ok(if negative_zero { "0".to_owned() } else { number.to_plain_string() })
}

/// The nearest binary fraction.
pub(super) fn double(value: &Value, single: bool) -> Fitted<f64> {
    let double = match value {
        Value::Number(number) => finite(*number)?,
        value => number(value)?.to_plain_string().parse::<f64>().map_err(|_| NO_NUMBER)?,
    };
    let is_beyond = double.is_infinite() || single && double.abs() > f64::from(f32::MAX);
    if is_beyond { Err(RANGE) } else { Ok(double) }
}

/// A decimal as a number of a JSON document, where fractions are binary on MySQL.
pub(super) fn in_json(number: &BigDecimal) -> Fitted<String> {
    let plain = number.normalized();
    let text = plain.to_plain_string();
    let is_kept = if plain.is_integer() {
        plain.to_i64().is_some() || plain.to_u64().is_some()
    } else {
        let double = text.parse::<f64>().map_err(|_| NO_NUMBER)?;
        shortest(double).parse::<BigDecimal>().is_ok_and(|kept| kept == plain)
    };
    if is_kept { Ok(text) } else { Err("has more digits than a number in JSON keeps: give it as text") }
}

/// The part of a number that 32 bits keep.
#[expect(clippy::cast_possible_truncation, reason = "that is what a FLOAT does")]
pub(super) fn single(double: f64) -> f64 {
    f64::from(double as f32)
}
