//! A value on its way to the server: of exactly the type of the parameter that it meets.
//!
//! Words only. `sql::fit` makes it of a projector's value, and `readmodel::mysql::bind` sends it.

use std::fmt;

use time::{Date, PrimitiveDateTime};

/// A value on its way. Each variant is one type of MySQL's protocol, none is NULL of it.
#[derive(Clone, PartialEq)]
pub enum Sent {
    Integer(Option<i64>),
    Unsigned(Option<u64>),
    Double(Option<f64>),
    /// Digits, perhaps a sign and a point.
    Decimal(Option<String>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
    Date(Option<Date>),
    Moment(Option<PrimitiveDateTime>),
}

impl Sent {
    /// NULL, of whatever type.
    pub fn is_null(&self) -> bool {
        matches!(
            self,
            Self::Integer(None)
                | Self::Unsigned(None)
                | Self::Double(None)
                | Self::Decimal(None)
                | Self::Text(None)
                | Self::Bytes(None)
                | Self::Date(None)
                | Self::Moment(None)
        )
    }

    /// About how many bytes it takes on its way.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Text(Some(text)) | Self::Decimal(Some(text)) => text.len(),
            Self::Bytes(Some(bytes)) => bytes.len(),
            _ => 12,
        }
    }
}

/// As dead letters show it: by the names that a projector's values have.
impl fmt::Debug for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(Some(number)) => f.debug_tuple("Integer").field(number).finish(),
            Self::Unsigned(Some(number)) => f.debug_tuple("Integer").field(number).finish(),
            Self::Double(Some(number)) => f.debug_tuple("Number").field(number).finish(),
            Self::Decimal(Some(digits)) => f.debug_tuple("Decimal").field(digits).finish(),
            Self::Text(Some(text)) => f.debug_tuple("Text").field(text).finish(),
            Self::Bytes(Some(bytes)) => f.debug_tuple("Bytes").field(bytes).finish(),
            Self::Date(Some(date)) => write!(f, "Date({date})"),
            Self::Moment(Some(moment)) => write!(f, "Timestamp({moment})"),
            _ => f.write_str("Null"),
        }
    }
}
