//! From a parameter's value to what is sent: a value of exactly the parameter's type, or a reason why not.
//!
//! What is sent for a parameter that has a type is always of one kind, NULL included: MySQL keeps the kinds of a
//! prepared statement, and would read a later text as the number that came before. A reason never has the value.

mod moment;
mod number;

use std::borrow::Cow;
use std::fmt::Write as _;

use time::{Date, PrimitiveDateTime};

use crate::statement::{Parameter, Role, Type, Value};

pub(in crate::readmodel) use moment::{day, sql_text};

/// A value on its way. Each variant is one type of MySQL's protocol, none is NULL of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Sent<'v> {
    Integer(Option<i64>),
    Unsigned(Option<u64>),
    Double(Option<f64>),
    /// Digits, perhaps a sign and a point.
    Decimal(Option<String>),
    Text(Option<Cow<'v, str>>),
    Bytes(Option<Cow<'v, [u8]>>),
    Date(Option<Date>),
    Moment(Option<PrimitiveDateTime>),
}

impl Sent<'_> {
    /// About how many bytes it takes on its way.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Text(Some(text)) => text.len(),
            Self::Bytes(Some(bytes)) => bytes.len(),
            Self::Decimal(Some(digits)) => digits.len(),
            _ => 12,
        }
    }
}

/// Fits a value to its parameter, or finds why it does not fit.
pub fn fit<'v>(parameter: &Parameter, value: &'v Value) -> Result<Sent<'v>, String> {
    let Some(kind) = &parameter.kind else {
        return alone_as(value).map_err(|why| format!("the {} {why}", value.kind()));
    };
    let sent = match value {
        Value::Null if parameter.required => Err("is not taken by a column that is NOT NULL"),
        Value::Null => Ok(null(kind)),
        value => typed(kind, parameter.role, value),
    };
    sent.map_err(|why| {
        let mut reason = String::new();
        let column = parameter.column.as_deref();
        // Writing to a text cannot fail.
        let _ = match column {
            Some(column) => write!(reason, "`{column}` is {kind}, and the {} given {why}", value.kind()),
            None => write!(reason, "it takes {kind}, and the {} given {why}", value.kind()),
        };
        reason
    })
}

type Fitted<T> = Result<T, &'static str>;

fn alone_as(value: &Value) -> Fitted<Sent<'_>> {
    Ok(match value {
        Value::Null => Sent::Text(None),
        Value::Boolean(truth) => Sent::Integer(Some(i64::from(*truth))),
        Value::Integer(number) => Sent::Integer(Some(*number)),
        Value::Number(number) => Sent::Double(Some(number::finite(*number)?)),
        Value::Decimal(text) => Sent::Decimal(Some(number::decimal(text)?.to_plain_string())),
        Value::Text(text) => Sent::Text(Some(text.into())),
        Value::Bytes(bytes) => Sent::Bytes(Some(bytes.into())),
        Value::Json(text) => Sent::Text(Some(json(text)?.into())),
        Value::Timestamp(text) => Sent::Moment(Some(moment::rfc3339(text)?)),
    })
}

fn null(kind: &Type) -> Sent<'static> {
    match kind {
        Type::Integer { bits: 64, unsigned: true } | Type::Bit { .. } => Sent::Unsigned(None),
        Type::Integer { .. } | Type::Year => Sent::Integer(None),
        Type::Decimal { .. } => Sent::Decimal(None),
        Type::Double { .. } => Sent::Double(None),
        Type::Text { .. } | Type::Json | Type::JsonValue | Type::Enum(_) | Type::Set(_) => Sent::Text(None),
        Type::Bytes { .. } => Sent::Bytes(None),
        Type::Date => Sent::Date(None),
        Type::DateTime { .. } => Sent::Moment(None),
    }
}

fn typed<'v>(kind: &Type, role: Role, value: &'v Value) -> Fitted<Sent<'v>> {
    // What is only looked for may be more than the column could hold: then nothing is found.
    let is_kept = matches!(role, Role::Stored | Role::Argument);
    Ok(match kind {
        Type::Integer { .. } | Type::Bit { .. } | Type::Year => whole(kind, is_kept, value)?,
        Type::Decimal { .. } | Type::Double { .. } => fraction(kind, role, is_kept, value)?,
        Type::Text { characters } => {
            let text = text(value)?;
            let most = characters.filter(|_| is_kept).and_then(|most| usize::try_from(most).ok());
            if most.is_some_and(|most| text.len() > most && text.chars().count() > most) {
                return Err("is longer than that");
            }
            Sent::Text(Some(text))
        }
        Type::Bytes { bytes: most } => {
            let bytes = bytes(value)?;
            let most = most.filter(|_| is_kept).and_then(|most| usize::try_from(most).ok());
            if most.is_some_and(|most| bytes.len() > most) {
                return Err("is longer than that");
            }
            Sent::Bytes(Some(bytes))
        }
        Type::Json => Sent::Text(Some(document(value)?)),
        Type::JsonValue => Sent::Text(Some(member(value)?)),
        Type::Date => Sent::Date(Some(moment::of(value)?.date())),
        Type::DateTime { digits } => {
            let moment = moment::of(value)?;
            let digits = if role == Role::Bound { 6 } else { *digits };
            Sent::Moment(Some(moment::cut(moment, digits)))
        }
        Type::Enum(members) => {
            let name = name(value)?;
            if is_kept && !members.iter().any(|member| *member == name) {
                return Err("is none of its members");
            }
            Sent::Text(Some(name))
        }
        Type::Set(members) => {
            let names = name(value)?;
            let is_member = |name: &str| members.iter().any(|member| member == name);
            if is_kept && !names.is_empty() && !names.split(',').all(is_member) {
                return Err("has something that is none of its members");
            }
            Sent::Text(Some(names))
        }
    })
}

/// Whole numbers: all but the widest unsigned ones go as signed numbers.
fn whole(kind: &Type, is_kept: bool, value: &Value) -> Fitted<Sent<'static>> {
    let whole = match (kind, value) {
        (Type::Bit { .. }, Value::Bytes(bytes)) if bytes.len() <= 8 => {
            bytes.iter().fold(0, |whole: i128, byte| whole << 8 | i128::from(*byte))
        }
        _ => number::whole(value)?,
    };
    match kind {
        Type::Integer { bits, unsigned } if is_kept => number::within(whole, *bits, *unsigned)?,
        Type::Bit { bits } => number::within(whole, *bits, true)?,
        Type::Year if is_kept && whole != 0 && !(1901..=2155).contains(&whole) => {
            return Err("is no year from 1901 to 2155");
        }
        _ => {}
    }
    Ok(match null(kind) {
        Sent::Unsigned(_) => Sent::Unsigned(Some(u64::try_from(whole).map_err(|_| number::RANGE)?)),
        _ => Sent::Integer(Some(i64::try_from(whole).map_err(|_| number::RANGE)?)),
    })
}

/// Exact and binary fractions. What was rounded when it was stored is looked for as that.
fn fraction(kind: &Type, role: Role, is_kept: bool, value: &Value) -> Fitted<Sent<'static>> {
    let is_rounded = role == Role::Equal;
    Ok(match kind {
        Type::Decimal { scale, .. } if is_rounded && matches!(value, Value::Number(_)) => {
            Sent::Decimal(Some(number::exact(value, Some((65, *scale)), false)?))
        }
        Type::Decimal { digits, scale, unsigned } => {
            let size = is_kept.then_some((*digits, *scale));
            Sent::Decimal(Some(number::exact(value, size, *unsigned && is_kept)?))
        }
        Type::Double { single: true } if is_rounded => {
            Sent::Double(Some(number::single(number::double(value, false)?)))
        }
        kind => {
            let is_single = *kind == Type::Double { single: true };
            Sent::Double(Some(number::double(value, is_single && is_kept)?))
        }
    })
}

/// A name of an ENUM or SET: its number means nothing, since servers take a number for a place in the list.
fn name(value: &Value) -> Fitted<Cow<'_, str>> {
    match value {
        Value::Boolean(_) => Err("has no name there: give the member's name as text"),
        value => text(value),
    }
}

/// A value as text: numbers in their shortest form, truth as 1 and 0, moments as events have them.
fn text(value: &Value) -> Fitted<Cow<'_, str>> {
    Ok(match value {
        Value::Null => Err("is no text")?,
        Value::Boolean(truth) => if *truth { "1" } else { "0" }.into(),
        Value::Integer(number) => number.to_string().into(),
        Value::Number(number) => number::shortest(number::finite(*number)?).into(),
        Value::Decimal(text) => number::decimal(text)?.to_plain_string().into(),
        Value::Text(text) => text.into(),
        Value::Json(text) => json(text)?.into(),
        Value::Bytes(bytes) => std::str::from_utf8(bytes).map_err(|_| "are no text in UTF-8")?.into(),
        Value::Timestamp(text) => moment::event_text(moment::rfc3339(text)?).into(),
    })
}

fn bytes(value: &Value) -> Fitted<Cow<'_, [u8]>> {
    match value {
        Value::Bytes(bytes) => Ok(bytes.into()),
        value => Ok(match text(value)? {
            Cow::Borrowed(text) => text.as_bytes().into(),
            Cow::Owned(text) => text.into_bytes().into(),
        }),
    }
}

fn json(text: &str) -> Fitted<&str> {
    let read = serde_json::from_str::<serde::de::IgnoredAny>(text);
    read.map(|_| text).map_err(|_| "is not JSON")
}

/// A value as a JSON document: text is one.
fn document(value: &Value) -> Fitted<Cow<'_, str>> {
    match value {
        Value::Text(text) => Ok(json(text)?.into()),
        value => member(value),
    }
}

/// A value as it stands inside a JSON document: text is a string.
fn member(value: &Value) -> Fitted<Cow<'_, str>> {
    let string = |text: &str| serde_json::to_string(text).map_err(|_| "is not JSON");
    Ok(match value {
        Value::Boolean(truth) => if *truth { "true" } else { "false" }.into(),
        Value::Json(text) => json(text)?.into(),
        Value::Text(text) => string(text)?.into(),
        Value::Decimal(text) => number::in_json(&number::decimal(text)?)?.into(),
        Value::Bytes(_) => Err("have no form in JSON: give them as text")?,
        Value::Timestamp(_) => string(&text(value)?)?.into(),
        Value::Null | Value::Integer(_) | Value::Number(_) => text(value)?,
    })
}

#[cfg(test)]
mod tests;
