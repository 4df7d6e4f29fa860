//! What becomes a parameter.

use crate::Value;

/// An exact number as text, e.g. `-12.30`.
pub fn decimal(text: impl Into<String>) -> Value {
    Value::Decimal(text.into())
}

/// A value for a JSON column.
pub fn json(value: &serde_json::Value) -> Value {
    Value::Json(value.to_string())
}

/// A moment, as RFC 3339 with an offset or `Z`.
pub fn timestamp(text: impl Into<String>) -> Value {
    Value::Timestamp(text.into())
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

macro_rules! from {
    ($($type:ty: $value:ident => $expression:expr;)+) => {
        $(impl From<$type> for Value {
            fn from($value: $type) -> Self {
                $expression
            }
        })+
    };
}

from! {
    bool: value => Self::Boolean(value);
    i64: value => Self::Integer(value);
    i32: value => Self::Integer(value.into());
    u32: value => Self::Integer(value.into());
    f64: value => Self::Number(value);
    String: value => Self::Text(value);
    &String: value => Self::Text(value.clone());
    &str: value => Self::Text(value.to_owned());
    Vec<u8>: value => Self::Bytes(value);
    &[u8]: value => Self::Bytes(value.to_owned());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_kept() {
        let check = |value: Value, expect: Value| assert_eq!(value, expect);
        check(true.into(), Value::Boolean(true));
        check(7.into(), Value::Integer(7));
        check(i64::MIN.into(), Value::Integer(i64::MIN));
        check(0.5.into(), Value::Number(0.5));
        check("a".into(), Value::Text("a".into()));
        check(vec![1_u8].into(), Value::Bytes(vec![1]));
        check(None::<i64>.into(), Value::Null);
        check(Some("a".to_owned()).into(), Value::Text("a".into()));
        check(decimal("1.20"), Value::Decimal("1.20".into()));
        check(json(&serde_json::json!({ "a": [1] })), Value::Json(r#"{"a":[1]}"#.into()));
        check(timestamp("2026-01-31T12:00:00Z"), Value::Timestamp("2026-01-31T12:00:00Z".into()));
    }
}
