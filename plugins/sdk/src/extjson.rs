//! BSON types in relaxed MongoDB Extended JSON v2, for the fields of a payload.
//!
//! Each one is [`Into<Value>`](Value), so that it goes into a statement as it is.
//!
//! ```
//! use laterna_sdk::extjson::{Date, Decimal, Long};
//!
//! #[derive(serde::Deserialize)]
//! struct Priced {
//!     price: Decimal,
//!     stock: Long,
//!     since: Date,
//! }
//! let text = r#"{ "price": { "$numberDecimal": "12.30" }, "stock": 5, "since": { "$date": "2026-01-31T12:00:00Z" } }"#;
//! let priced: Priced = serde_json::from_str(text).unwrap();
//! assert_eq!((priced.price.0.as_str(), priced.stock.0), ("12.30", 5));
//! assert_eq!(priced.since.0, "2026-01-31T12:00:00Z");
//! ```

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use time::OffsetDateTime;

use crate::{Value, decimal, timestamp};

/// An integer of 64 bits: a number, or `{"$numberLong": "..."}`. A double that is a whole number is taken too,
/// because JavaScript writers store large integers so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "LongForm")]
pub struct Long(pub i64);

/// An exact number as text: `{"$numberDecimal": "..."}`, or an integer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(from = "DecimalForm")]
pub struct Decimal(pub String);

/// A date as RFC 3339 in UTC: `{"$date": "..."}`, or `{"$date": {"$numberLong": "..."}}` before 1970.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "DateForm")]
pub struct Date(pub String);

/// An ObjectId as 24 hex digits: `{"$oid": "..."}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(from = "ObjectIdForm")]
pub struct ObjectId(pub String);

/// Bytes: `{"$binary": {"base64": "...", "subType": "00"}}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "BinaryForm")]
pub struct Binary(pub Vec<u8>);

/// A UUID as text with hyphens: `{"$uuid": "..."}`, or binary of subtype 4.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "UuidForm")]
pub struct Uuid(pub String);

macro_rules! into_value {
    ($($type:ident => $value:expr;)+) => {
        $(impl From<$type> for Value {
            fn from(value: $type) -> Self {
                $value(value.0)
            }
        })+
    };
}

into_value! {
    Long => Value::Integer;
    Decimal => decimal;
    Date => timestamp;
    ObjectId => Value::Text;
    Binary => Value::Bytes;
    Uuid => Value::Text;
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected an integer or {\"$numberLong\": \"...\"}")]
enum LongForm {
    Integer(i64),
    Double(f64),
    Long {
        #[serde(rename = "$numberLong", alias = "$numberInt")]
        text: String,
    },
}

impl TryFrom<LongForm> for Long {
    type Error = String;

    fn try_from(form: LongForm) -> Result<Self, String> {
        /// Beyond 2^53 a double no longer tells neighbouring integers apart.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        match form {
            LongForm::Integer(number) => Ok(Self(number)),
            LongForm::Long { text } => {
                text.parse().map(Self).map_err(|error| format!("$numberLong {text:?}: {error}"))
            }
            #[expect(clippy::cast_possible_truncation, reason = "it is whole and below 2^53")]
            LongForm::Double(number) if number.fract() == 0.0 && number.abs() < EXACT => {
                Ok(Self(number as i64))
            }
            LongForm::Double(number) => Err(format!("{number} is not an exact integer")),
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected {\"$numberDecimal\": \"...\"} or an integer")]
enum DecimalForm {
    Decimal {
        #[serde(rename = "$numberDecimal", alias = "$numberLong", alias = "$numberInt")]
        text: String,
    },
    Integer(i64),
}

impl From<DecimalForm> for Decimal {
    fn from(form: DecimalForm) -> Self {
        match form {
            DecimalForm::Decimal { text } => Self(text),
            DecimalForm::Integer(number) => Self(number.to_string()),
        }
    }
}

#[derive(Deserialize)]
#[serde(expecting = "expected {\"$date\": ...}")]
struct DateForm {
    #[serde(rename = "$date")]
    date: DateText,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected RFC 3339 or {\"$numberLong\": \"...\"} in $date")]
enum DateText {
    Text(String),
    Milliseconds(Long),
}

impl TryFrom<DateForm> for Date {
    type Error = String;

    fn try_from(form: DateForm) -> Result<Self, String> {
        let milliseconds = match form.date {
            DateText::Text(text) => return Ok(Self(text)),
            DateText::Milliseconds(Long(milliseconds)) => milliseconds,
        };
        let date = OffsetDateTime::from_unix_timestamp_nanos(i128::from(milliseconds) * 1_000_000)
            .ok()
            .filter(|date| (0..=9999).contains(&date.year()))
            .ok_or_else(|| format!("$date {milliseconds}: outside of the years 0 to 9999"))?;
        let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
        let (hour, minute, second, millisecond) = date.to_hms_milli();
        Ok(Self(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}Z")))
    }
}

#[derive(Deserialize)]
#[serde(expecting = "expected {\"$oid\": \"...\"}")]
struct ObjectIdForm {
    #[serde(rename = "$oid")]
    text: String,
}

impl From<ObjectIdForm> for ObjectId {
    fn from(form: ObjectIdForm) -> Self {
        Self(form.text)
    }
}

#[derive(Deserialize)]
#[serde(expecting = "expected {\"$binary\": {\"base64\": \"...\", \"subType\": \"..\"}}")]
struct BinaryForm {
    #[serde(rename = "$binary")]
    binary: BinaryText,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BinaryText {
    base64: String,
    sub_type: String,
}

impl BinaryText {
    fn decode(&self) -> Result<Vec<u8>, String> {
        BASE64_STANDARD.decode(&self.base64).map_err(|error| format!("$binary: {error}"))
    }
}

impl TryFrom<BinaryForm> for Binary {
    type Error = String;

    fn try_from(form: BinaryForm) -> Result<Self, String> {
        form.binary.decode().map(Self)
    }
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected {\"$uuid\": \"...\"} or binary of subtype 04")]
enum UuidForm {
    Text {
        #[serde(rename = "$uuid")]
        text: String,
    },
    Binary(BinaryForm),
}

impl TryFrom<UuidForm> for Uuid {
    type Error = String;

    fn try_from(form: UuidForm) -> Result<Self, String> {
        let binary = match form {
            UuidForm::Text { text } => return Ok(Self(text)),
            UuidForm::Binary(BinaryForm { binary }) => binary,
        };
        if !matches!(binary.sub_type.as_str(), "04" | "4") {
            return Err(format!("$binary of subtype {} is not a UUID", binary.sub_type));
        }
        let bytes: [u8; 16] = binary.decode()?.try_into().map_err(|_| "a UUID has 16 bytes".to_owned())?;
        let digits = format!("{:032x}", u128::from_be_bytes(bytes));
        let groups = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
        Ok(Self(groups.join("-")))
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use serde::de::DeserializeOwned;

    use super::*;

    fn check<T: DeserializeOwned + Debug + PartialEq>(json: &str, expect: &T) {
        assert_eq!(&serde_json::from_str::<T>(json).unwrap(), expect, "{json}");
    }

    fn refused<T: DeserializeOwned + Debug>(json: &str, expect: &str) {
        let error = serde_json::from_str::<T>(json).unwrap_err().to_string();
        assert!(error.starts_with(expect), "{json}: {error}");
    }

    #[test]
    fn integers_stay_exact() {
        check("5", &Long(5));
        check("-9007199254740991", &Long(-9_007_199_254_740_991));
        check(r#"{"$numberLong":"9223372036854775807"}"#, &Long(i64::MAX));
        check("3000000000.0", &Long(3_000_000_000));
        refused::<Long>("1.5", "1.5 is not an exact integer");
        refused::<Long>("1e300", "1000");
        refused::<Long>(r#"{"$numberLong":"x"}"#, "$numberLong \"x\": invalid digit");
        refused::<Long>(r#""5""#, "expected an integer or");
    }

    #[test]
    fn decimals_keep_their_digits() {
        check(r#"{"$numberDecimal":"12.30"}"#, &Decimal("12.30".into()));
        check(r#"{"$numberLong":"9223372036854775807"}"#, &Decimal("9223372036854775807".into()));
        check("7", &Decimal("7".into()));
        refused::<Decimal>("0.1", "expected {\"$numberDecimal\"");
    }

    #[test]
    fn dates_of_all_times_are_text() {
        check(r#"{"$date":"2026-01-31T12:00:00.250Z"}"#, &Date("2026-01-31T12:00:00.250Z".into()));
        check(r#"{"$date":{"$numberLong":"-1"}}"#, &Date("1969-12-31T23:59:59.999Z".into()));
        check(r#"{"$date":{"$numberLong":"-5000000000000"}}"#, &Date("1811-07-23T15:06:40.000Z".into()));
        refused::<Date>(r#"{"$date":{"$numberLong":"9000000000000000"}}"#, "$date 9000000000000000: outside");
    }

    #[test]
    fn ids_and_bytes_are_read() {
        check(r#"{"$oid":"010101010101010101010101"}"#, &ObjectId("010101010101010101010101".into()));
        check(r#"{"$binary":{"base64":"AQI=","subType":"00"}}"#, &Binary(vec![1, 2]));
        let uuid = || Uuid("abababab-abab-abab-abab-abababababab".into());
        check(r#"{"$uuid":"abababab-abab-abab-abab-abababababab"}"#, &uuid());
        check(r#"{"$binary":{"base64":"q6urq6urq6urq6urq6urqw==","subType":"04"}}"#, &uuid());
        refused::<Uuid>(r#"{"$binary":{"base64":"AQI=","subType":"04"}}"#, "a UUID has 16 bytes");
        refused::<Uuid>(r#"{"$binary":{"base64":"AQI=","subType":"00"}}"#, "$binary of subtype 00");
    }
}
