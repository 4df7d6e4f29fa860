//! A document's place in history: the values of the history index, in MongoDB's own order.
//!
//! The order is that of an index with the simple collation, over every type that MongoDB stores. It must agree with the
//! server exactly: what a host resumes behind is decided by it.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::str::FromStr;

use bigdecimal::BigDecimal;
use serde::{Deserialize, Serialize};

/// One value of a [`ScanKey`]. Values of different types stand in the order of these variants; the numbers are one type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyPart {
    Least,
    Undefined,
    /// The field is missing or null, which is one value to an index.
    Missing,
    NotANumber,
    NegativeInfinity,
    Integer(i64),
    /// A finite double.
    Number(f64),
    /// A finite Decimal128 as its text.
    Decimal(String),
    Infinity,
    Text(String),
    Object(Vec<(String, KeyPart)>),
    Array(Vec<KeyPart>),
    /// Subtype and bytes.
    Binary(u8, Vec<u8>),
    ObjectId([u8; 12]),
    Boolean(bool),
    /// Milliseconds since 1970.
    Date(i64),
    /// Seconds since 1970, and the increment.
    Timestamp(u32, u32),
    /// Pattern and options.
    Regex(Box<[String; 2]>),
    Code(String),
    Greatest,
}

impl KeyPart {
    /// The place of the value's type among all types.
    fn rank(&self) -> u8 {
        match self {
            Self::Least => 0,
            Self::Undefined => 1,
            Self::Missing => 2,
            Self::NotANumber
            | Self::NegativeInfinity
            | Self::Integer(_)
            | Self::Number(_)
            | Self::Decimal(_)
            | Self::Infinity => 3,
            Self::Text(_) => 4,
            Self::Object(_) => 5,
            Self::Array(_) => 6,
            Self::Binary(..) => 7,
            Self::ObjectId(_) => 8,
            Self::Boolean(_) => 9,
            Self::Date(_) => 10,
            Self::Timestamp(..) => 11,
            Self::Regex(_) => 12,
            Self::Code(_) => 13,
            Self::Greatest => 14,
        }
    }

    /// The order of a MongoDB index with the simple collation.
    pub fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) | (Self::Date(a), Self::Date(b)) => a.cmp(b),
            (Self::Text(a), Self::Text(b)) | (Self::Code(a), Self::Code(b)) => a.as_bytes().cmp(b.as_bytes()),
            (Self::Object(a), Self::Object(b)) => compare_fields(a, b),
            (Self::Array(a), Self::Array(b)) => compare_lists(a, b),
            (Self::Binary(kind_a, a), Self::Binary(kind_b, b)) => {
                a.len().cmp(&b.len()).then(kind_a.cmp(kind_b)).then_with(|| a.cmp(b))
            }
            (Self::ObjectId(a), Self::ObjectId(b)) => a.cmp(b),
            (Self::Boolean(a), Self::Boolean(b)) => a.cmp(b),
            (Self::Timestamp(a, a_increment), Self::Timestamp(b, b_increment)) => {
                (a, a_increment).cmp(&(b, b_increment))
            }
            (Self::Regex(a), Self::Regex(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()).then_with(|| compare_numbers(self, other)),
        }
    }

    /// A finite number's exact value.
    fn exact(&self) -> Option<Cow<'_, BigDecimal>> {
        let exact = match self {
            Self::Integer(number) => Some(BigDecimal::from(*number)),
            Self::Number(number) => BigDecimal::try_from(*number).ok(),
            Self::Decimal(text) => BigDecimal::from_str(text).ok(),
            _ => None,
        };
        exact.map(Cow::Owned)
    }

    /// Where a number stands that has no finite value.
    fn side(&self) -> i8 {
        match self {
            Self::NotANumber => -2,
            Self::NegativeInfinity => -1,
            Self::Infinity => 1,
            _ => 0,
        }
    }
}

/// By value, whatever the numbers' widths: an index takes minus zero for zero, and keeps a double apart from an integer
/// that it would be rounded to.
fn compare_numbers(a: &KeyPart, b: &KeyPart) -> Ordering {
    if let (KeyPart::Number(a), KeyPart::Number(b)) = (a, b) {
        return a.partial_cmp(b).unwrap_or(Ordering::Equal);
    }
    a.side().cmp(&b.side()).then_with(|| a.exact().cmp(&b.exact()))
}

/// Field by field: the value's type, the field's name, the value; a shorter object is less.
fn compare_fields(a: &[(String, KeyPart)], b: &[(String, KeyPart)]) -> Ordering {
    let fields = a.iter().zip(b).map(|((a_name, a), (b_name, b))| {
        let names = || a_name.as_bytes().cmp(b_name.as_bytes());
        a.rank().cmp(&b.rank()).then_with(names).then_with(|| a.compare(b))
    });
    first_difference(fields, a.len(), b.len())
}

fn compare_lists(a: &[KeyPart], b: &[KeyPart]) -> Ordering {
    first_difference(a.iter().zip(b).map(|(a, b)| a.compare(b)), a.len(), b.len())
}

fn first_difference(mut parts: impl Iterator<Item = Ordering>, a: usize, b: usize) -> Ordering {
    parts.find(|order| order.is_ne()).unwrap_or_else(|| a.cmp(&b))
}

impl KeyPart {
    fn held_bytes(&self) -> usize {
        match self {
            Self::Text(text) | Self::Decimal(text) | Self::Code(text) => text.len(),
            Self::Regex(parts) => size_of::<[String; 2]>() + parts[0].len() + parts[1].len(),
            Self::Binary(_, bytes) => bytes.len(),
            Self::Object(fields) => fields
                .iter()
                .map(|(name, part)| size_of::<(String, Self)>() + name.len() + part.held_bytes())
                .sum(),
            Self::Array(parts) => parts.iter().map(|part| size_of::<Self>() + part.held_bytes()).sum(),
            _ => 0,
        }
    }
}

/// A document's place in history, which no other document shares: aggregate type, aggregate id, sequence, `_id`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScanKey(pub [KeyPart; 4]);

impl ScanKey {
    /// About how many bytes its parts hold elsewhere.
    pub fn held_bytes(&self) -> usize {
        self.0.iter().map(KeyPart::held_bytes).sum()
    }

    pub fn compare(&self, other: &Self) -> Ordering {
        compare_lists(&self.0, &other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> KeyPart {
        KeyPart::Decimal(text.into())
    }

    #[test]
    fn key_parts_stand_in_the_order_of_a_mongodb_index() {
        let text = |text: &str| KeyPart::Text(text.into());
        let object = |name: &str, value| KeyPart::Object(vec![(name.to_owned(), value)]);
        let ascending = [
            KeyPart::Least,
            KeyPart::Undefined,
            KeyPart::Missing,
            KeyPart::NotANumber,
            KeyPart::NegativeInfinity,
            decimal("-1E+6144"),
            KeyPart::Integer(-1),
            decimal("1E-6176"),
            KeyPart::Number(2.5),
            KeyPart::Integer(3),
            KeyPart::Number(9_007_199_254_740_992.0),
            KeyPart::Integer(9_007_199_254_740_993),
            decimal("9007199254740993.5"),
            KeyPart::Infinity,
            text(""),
            text("Z"),
            text("a"),
            KeyPart::Object(vec![]),
            object("b", KeyPart::Integer(1)),
            object("a", text("1")),
            KeyPart::Array(vec![]),
            KeyPart::Array(vec![KeyPart::Integer(1)]),
            KeyPart::Binary(4, vec![9]),
            KeyPart::Binary(0, vec![0, 0]),
            KeyPart::Binary(4, vec![0, 0]),
            KeyPart::ObjectId([0; 12]),
            KeyPart::Boolean(false),
            KeyPart::Boolean(true),
            KeyPart::Date(-1),
            KeyPart::Date(0),
            KeyPart::Timestamp(1, 2),
            KeyPart::Timestamp(2, 1),
            KeyPart::Regex(Box::new(["a".into(), String::new()])),
            KeyPart::Code("a".into()),
            KeyPart::Greatest,
        ];
        for (i, a) in ascending.iter().enumerate() {
            for (j, b) in ascending.iter().enumerate() {
                assert_eq!(a.compare(b), i.cmp(&j), "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn a_number_is_one_value_whatever_its_type() {
        let equal = [
            [KeyPart::Integer(0), KeyPart::Number(-0.0)],
            [KeyPart::Number(0.0), KeyPart::Number(-0.0)],
            [KeyPart::Integer(0), decimal("-0E+3")],
            [KeyPart::Number(0.5), decimal("0.50")],
            [KeyPart::Integer(5), decimal("5.0")],
        ];
        for [a, b] in equal {
            assert_eq!(a.compare(&b), Ordering::Equal, "{a:?} {b:?}");
        }
    }

    #[test]
    fn a_stored_key_reads_back() {
        let stored = r#"[{"text":"account"},{"integer":5},"missing",{"binary":[4,[1,2]]}]"#;
        let key: ScanKey = serde_json::from_str(stored).expect("keys of earlier hosts are read");
        assert_eq!(serde_json::to_string(&key).expect("it is stored"), stored);
        assert_eq!(key.0[1], KeyPart::Integer(5));
    }
}
