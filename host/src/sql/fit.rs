//! From a projector's answer to what is sent: for each parameter a value of exactly its type, or a reason why not.
//!
//! What is sent for a parameter that has a type is always of one kind, NULL included: MySQL keeps the kinds of a
//! prepared statement, and would read a later text as the number that came before. A reason never has the value.

mod moment;
mod number;

use std::fmt::Write as _;

use crate::failure::Failure;
use crate::statement::{FittedOperation, Operation, Parameter, Role, Schema, Sent, Statement, Type, Value};

pub use moment::{day, sql_text};

/// Takes a projector's answer as what is sent: each operation names a declared statement, has as many parameters as it, and
/// only values that fit them. Each value is read once, here.
pub fn judge(schema: &Schema, operations: Vec<Operation>) -> Result<Vec<FittedOperation>, Failure> {
    let judged = operations.into_iter().enumerate().map(|(index, operation)| {
        let Operation { statement, parameters } = operation;
        let declared = usize::try_from(statement).ok().and_then(|at| schema.statements.get(at));
        let declared = declared.ok_or(Failure::UnknownStatement {
            operation: index,
            index: statement,
            declared: schema.statements.len(),
        })?;
        Ok(Operation { statement, parameters: fitted(index, declared, parameters)? })
    });
    judged.collect()
}

/// Fits the values of an operation, which is the number `operation` of its event.
pub fn fitted(operation: usize, statement: &Statement, values: Vec<Value>) -> Result<Vec<Sent>, Failure> {
    let (expected, given) = (statement.parameters.len(), values.len());
    if expected != given {
        let statement = statement.name.clone();
        return Err(Failure::ParameterCount { operation, statement, expected, given });
    }
    let places = values.into_iter().zip(&statement.parameters).enumerate();
    let sent = places.map(|(parameter, (value, place))| {
        fit(place, value).map_err(|mut reason| {
            if let Some(column) = place.column.as_ref().filter(|column| statement.adds.contains(column)) {
                // A number that is below zero, and would be right as a part of the sum.
                reason = format!("{reason}. It adds to `{column}`: {}", Statement::SUMS);
            }
            let statement = statement.name.clone();
            Failure::BadValue { operation, statement, parameter, reason }
        })
    });
    sent.collect()
}

/// Fits a value to its parameter, or finds why it does not fit.
pub fn fit(parameter: &Parameter, value: Value) -> Result<Sent, String> {
    let given = value.kind();
    let Some(kind) = &parameter.kind else {
        return alone_as(value).map_err(|why| format!("the {given} {why}"));
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
            Some(column) => write!(reason, "`{column}` is {kind}, and the {given} given {why}"),
            None => write!(reason, "it takes {kind}, and the {given} given {why}"),
        };
        reason
    })
}

type Fitted<T> = Result<T, &'static str>;

fn alone_as(value: Value) -> Fitted<Sent> {
    Ok(match value {
        Value::Null => Sent::Text(None),
        Value::Boolean(truth) => Sent::Integer(Some(i64::from(truth))),
        Value::Integer(number) => Sent::Integer(Some(number)),
        Value::Number(number) => Sent::Double(Some(number::finite(number)?)),
        Value::Decimal(text) => Sent::Decimal(Some(number::decimal(&text)?.to_plain_string())),
        Value::Text(text) => Sent::Text(Some(text)),
        Value::Bytes(bytes) => Sent::Bytes(Some(bytes)),
        Value::Json(text) => Sent::Text(Some(json(text)?)),
        Value::Timestamp(text) => Sent::Moment(Some(moment::rfc3339(&text)?)),
    })
}

fn null(kind: &Type) -> Sent {
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

fn typed(kind: &Type, role: Role, value: Value) -> Fitted<Sent> {
    // What is only looked for may be more than the column could hold: then nothing is found.
    let is_kept = matches!(role, Role::Stored | Role::Argument);
    Ok(match kind {
        Type::Integer { .. } | Type::Bit { .. } | Type::Year => whole(kind, is_kept, &value)?,
        Type::Decimal { .. } | Type::Double { .. } => fraction(kind, role, is_kept, &value)?,
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
        Type::Date => Sent::Date(Some(moment::of(&value)?.date())),
        Type::DateTime { digits } => {
            let moment = moment::of(&value)?;
            let digits = if role == Role::Bound { 6 } else { *digits };
            Sent::Moment(Some(moment::cut(moment, digits)))
        }
        Type::Enum(members) => {
            let name = name(value)?;
            if is_kept && !members.contains(&name) {
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
fn whole(kind: &Type, is_kept: bool, value: &Value) -> Fitted<Sent> {
    let whole = match (kind, value) {
        (Type::Bit { .. }, Value::Bytes(bytes)) if bytes.len() <= 8 => {
            bytes.iter().fold(0, |whole: i128, byte| whole << 8 | i128::from(*byte))
        }
        _ => number::whole(value)?,
    };
    match kind {
        Type::Integer { bits, unsigned } if is_kept => number::within(whole, *bits, *unsigned)?,
        Type::Bit { bits } if is_kept => number::within(whole, *bits, true)?,
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
fn fraction(kind: &Type, role: Role, is_kept: bool, value: &Value) -> Fitted<Sent> {
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
fn name(value: Value) -> Fitted<String> {
    match value {
        Value::Boolean(_) => Err("has no name there: give the member's name as text"),
        value => text(value),
    }
}

/// A value as text: numbers in their shortest form, truth as 1 and 0, moments as events have them.
fn text(value: Value) -> Fitted<String> {
    Ok(match value {
        Value::Null => Err("is no text")?,
        Value::Boolean(truth) => if truth { "1" } else { "0" }.to_owned(),
        Value::Integer(number) => number.to_string(),
        Value::Number(number) => number::shortest(number::finite(number)?),
        Value::Decimal(text) => number::decimal(&text)?.to_plain_string(),
        Value::Text(text) => text,
        Value::Json(text) => json(text)?,
        Value::Bytes(bytes) => String::from_utf8(bytes).map_err(|_| "are no text in UTF-8")?,
        Value::Timestamp(text) => moment::event_text(moment::rfc3339(&text)?),
    })
}

fn bytes(value: Value) -> Fitted<Vec<u8>> {
    match value {
        Value::Bytes(bytes) => Ok(bytes),
        value => text(value).map(String::into_bytes),
    }
}

fn json(text: String) -> Fitted<String> {
    match serde_json::from_str::<serde::de::IgnoredAny>(&text) {
        Ok(_) => Ok(text),
        Err(_) => Err("is not JSON"),
    }
}

/// A value as a JSON document: text is one.
fn document(value: Value) -> Fitted<String> {
    match value {
        Value::Text(text) => json(text),
        value => member(value),
    }
}

/// A value as it stands inside a JSON document: text is a string.
fn member(value: Value) -> Fitted<String> {
    let string = |text: String| serde_json::to_string(&text).map_err(|_| "is not JSON");
    Ok(match value {
        Value::Boolean(truth) => if truth { "true" } else { "false" }.to_owned(),
        Value::Json(text) => json(text)?,
        Value::Text(text) => string(text)?,
        Value::Decimal(text) => number::in_json(&number::decimal(&text)?)?,
        Value::Bytes(_) => Err("have no form in JSON: give them as text")?,
        value @ Value::Timestamp(_) => string(text(value)?)?,
        value @ (Value::Null | Value::Integer(_) | Value::Number(_)) => text(value)?,
    })
}

#[cfg(test)]
mod tests;
