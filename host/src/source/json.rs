//! BSON to JSON text: MongoDB's relaxed Extended JSON v2, except that 64-bit integers beyond +-(2^53 - 1) are
//! written as `{"$numberLong": "..."}`, because most JSON parsers would round them.
//!
//! The types that events are full of are written here, straight from the raw bytes; the rare ones by the bson
//! crate's own conversion. Refused: deep nesting and repeated field names, about which parsers disagree.

use std::collections::HashSet;
use std::io::Write;

use bson::raw::RawBsonRef;
use bson::{Bson, RawArray, RawDocument};

use crate::event::SEQUENCE_MAX;

/// How deep documents and arrays may nest. JSON parsers of guests have limits near 128.
pub const DEPTH_MAX: usize = 100;

/// The last millisecond of the year 9999, since 1970.
pub const MILLIS_OF_9999: i64 = 253_402_300_799_999;

/// Why a value has no JSON text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotJson {
    #[error("it nests deeper than {DEPTH_MAX} levels")]
    TooDeep,
    #[error("its JSON text is longer than {0} bytes")]
    TooLong(usize),
    #[error("the field `{0}` stands twice in one document")]
    RepeatedField(String),
    #[error("it is not valid BSON: {0}")]
    Malformed(String),
}

/// The JSON text of a value, of at most `bytes_max` bytes.
pub fn to_json(value: RawBsonRef<'_>, bytes_max: usize) -> Result<String, NotJson> {
    // About as long as the bytes; names and numbers take more, types take less.
    let length = if let RawBsonRef::Document(document) = value { document.as_bytes().len() } else { 0 };
    let mut text =
        Text { out: Vec::with_capacity((length + length / 4).clamp(16, bytes_max.max(16))), bytes_max };
    text.value(value, 0)?;
    Ok(String::from_utf8(text.out).expect("only strings and ASCII were written"))
}

struct Text {
    out: Vec<u8>,
    bytes_max: usize,
}

impl Text {
    fn value(&mut self, value: RawBsonRef<'_>, depth: usize) -> Result<(), NotJson> {
        match value {
            RawBsonRef::Document(document) => self.document(document, depth + 1)?,
            RawBsonRef::Array(array) => self.array(array, depth + 1)?,
            RawBsonRef::String(text) => self.string(text),
            RawBsonRef::Int32(number) => self.integer(number.into()),
            RawBsonRef::Int64(number) if number.unsigned_abs() <= SEQUENCE_MAX.unsigned_abs() => {
                self.integer(number);
            }
            RawBsonRef::Int64(number) => self.write(format_args!("{{\"$numberLong\":\"{number}\"}}")),
            // `Debug` keeps the point of whole numbers, so that a double stays one.
            RawBsonRef::Double(number) if number.is_finite() => self.write(format_args!("{number:?}")),
            RawBsonRef::Boolean(truth) => self.write(format_args!("{truth}")),
            RawBsonRef::Null => self.write(format_args!("null")),
            // The bson crate would show a date beyond the year 9999 as its end.
            RawBsonRef::DateTime(date) if !(0..=MILLIS_OF_9999).contains(&date.timestamp_millis()) => {
                self.write(format_args!("{{\"$date\":{{\"$numberLong\":\"{}\"}}}}", date.timestamp_millis()));
            }
            RawBsonRef::ObjectId(id) => self.write(format_args!("{{\"$oid\":\"{}\"}}", id.to_hex())),
            RawBsonRef::Timestamp(at) => {
                self.write(format_args!("{{\"$timestamp\":{{\"t\":{},\"i\":{}}}}}", at.time, at.increment));
            }
            RawBsonRef::RegularExpression(regex) => {
                self.out.extend_from_slice(b"{\"$regularExpression\":{\"pattern\":");
                self.string(regex.pattern.as_str());
                self.out.extend_from_slice(b",\"options\":");
                self.string(regex.options.as_str());
                self.out.extend_from_slice(b"}}");
            }
            // A scope is a document like any other, with the same limits, one object further in.
            RawBsonRef::JavaScriptCodeWithScope(code) => {
                self.out.extend_from_slice(b"{\"$code\":");
                self.string(code.code);
                self.out.extend_from_slice(b",\"$scope\":");
                self.document(code.scope, depth + 2)?;
                self.out.push(b'}');
            }
            rare => self.rare(rare)?,
        }
        if self.out.len() > self.bytes_max { Err(NotJson::TooLong(self.bytes_max)) } else { Ok(()) }
    }

    fn document(&mut self, document: &RawDocument, depth: usize) -> Result<(), NotJson> {
        if depth > DEPTH_MAX {
            return Err(NotJson::TooDeep);
        }
        let mut names = JsonNames::default();
        self.out.push(b'{');
        for (i, element) in document.into_iter().enumerate() {
            let (name, value) = element.map_err(malformed)?;
            if !names.insert(name.as_str()) {
                return Err(NotJson::RepeatedField(name.as_str().to_owned()));
            }
            if i > 0 {
                self.out.push(b',');
            }
            self.string(name.as_str());
            self.out.push(b':');
            self.value(value, depth)?;
        }
        self.out.push(b'}');
        Ok(())
    }

    fn array(&mut self, array: &RawArray, depth: usize) -> Result<(), NotJson> {
        if depth > DEPTH_MAX {
            return Err(NotJson::TooDeep);
        }
        self.out.push(b'[');
        for (i, value) in array.into_iter().enumerate() {
            if i > 0 {
                self.out.push(b',');
            }
            self.value(value.map_err(malformed)?, depth)?;
        }
        self.out.push(b']');
        Ok(())
    }

    fn rare(&mut self, value: RawBsonRef<'_>) -> Result<(), NotJson> {
        let owned = Bson::try_from(value).map_err(malformed)?;
        serde_json::to_writer(&mut self.out, &owned.into_relaxed_extjson()).map_err(malformed)
    }

    fn string(&mut self, text: &str) {
        serde_json::to_writer(&mut self.out, text).expect("writing a string to memory cannot fail");
    }

    fn integer(&mut self, number: i64) {
        self.out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        self.out.write_fmt(text).expect("writing to memory cannot fail");
    }
}

/// How many names are compared one by one.
const FEW_NAMES: usize = 12;

/// The names of one document. Most have few, which are compared faster than hashed.
#[derive(Default)]
struct JsonNames<'a> {
    few: [&'a str; FEW_NAMES],
    /// How many of the few there are.
    count: usize,
    many: Option<HashSet<&'a str>>,
}

impl<'a> JsonNames<'a> {
    /// False when the name was there already.
    fn insert(&mut self, name: &'a str) -> bool {
        if self.few[..self.count].contains(&name) {
            return false;
        }
        if let Some(free) = self.few.get_mut(self.count) {
            *free = name;
            self.count += 1;
            return true;
        }
        self.many.get_or_insert_default().insert(name)
    }
}

fn malformed(error: impl std::fmt::Display) -> NotJson {
    NotJson::Malformed(error.to_string())
}

#[cfg(test)]
mod tests {
    use bson::{RawDocumentBuf, doc};
    use proptest::prelude::*;

    use super::*;

    fn json(document: bson::Document) -> Result<String, NotJson> {
        let raw = RawDocumentBuf::try_from(document).expect("a document has raw bytes");
        to_json(RawBsonRef::Document(&raw), 1 << 20)
    }

    #[test]
    fn common_types_are_plain_json() {
        let document = doc! { "a": 1, "b": 2_i64, "c": 1.0, "d": "é\"\n", "e": [true, Bson::Null], "f": {} };
        let expected = r#"{"a":1,"b":2,"c":1.0,"d":"é\"\n","e":[true,null],"f":{}}"#;
        assert_eq!(json(document).as_deref(), Ok(expected));
    }

    #[test]
    fn large_integers_are_never_rounded() {
        let limit = SEQUENCE_MAX;
        let document = doc! { "last": limit, "first": -limit, "beyond": limit + 1, "least": i64::MIN };
        let expected = concat!(
            r#"{"last":9007199254740991,"first":-9007199254740991,"#,
            r#""beyond":{"$numberLong":"9007199254740992"},"least":{"$numberLong":"-9223372036854775808"}}"#
        );
        assert_eq!(json(document).as_deref(), Ok(expected));
    }

    #[test]
    fn rare_types_are_extended_json() {
        let decimal: bson::Decimal128 = "12.30".parse().expect("a decimal");
        let regex = bson::Regex {
            pattern: bson::raw::CString::try_from("^a\"").expect("no NUL"),
            options: bson::raw::CString::try_from("i").expect("no NUL"),
        };
        let document = doc! {
            "regex": regex, "timestamp": bson::Timestamp { time: 1, increment: 2 },
            "decimal": decimal, "nan": f64::NAN, "date": bson::DateTime::from_millis(0),
            "before": bson::DateTime::from_millis(-1), "last": bson::DateTime::from_millis(MILLIS_OF_9999),
            "far": bson::DateTime::from_millis(MILLIS_OF_9999 + 1),
            "id": bson::oid::ObjectId::from_bytes([1; 12]),
        };
        let expected = concat!(
            r#"{"regex":{"$regularExpression":{"pattern":"^a\"","options":"i"}},"#,
            r#""timestamp":{"$timestamp":{"t":1,"i":2}},"#,
            r#""decimal":{"$numberDecimal":"12.30"},"nan":{"$numberDouble":"NaN"},"#,
            r#""date":{"$date":"1970-01-01T00:00:00Z"},"before":{"$date":{"$numberLong":"-1"}},"#,
            r#""last":{"$date":"9999-12-31T23:59:59.999Z"},"far":{"$date":{"$numberLong":"253402300800000"}},"#,
            r#""id":{"$oid":"010101010101010101010101"}}"#
        );
        assert_eq!(json(document).as_deref(), Ok(expected));
    }

    #[test]
    fn depth_is_limited_from_both_sides() {
        let nested = |levels: usize| (1..levels).fold(doc! {}, |inner, _| doc! { "a": inner });
        assert!(json(nested(DEPTH_MAX)).is_ok());
        assert_eq!(json(nested(DEPTH_MAX + 1)), Err(NotJson::TooDeep));
        let arrays = (0..DEPTH_MAX).fold(Bson::Array(vec![]), |inner, _| Bson::Array(vec![inner]));
        assert_eq!(json(doc! { "a": arrays }), Err(NotJson::TooDeep));
    }

    #[test]
    fn length_is_limited_from_both_sides() {
        let raw = RawDocumentBuf::try_from(doc! { "a": "1234567890" }).expect("a document has raw bytes");
        let text = to_json(RawBsonRef::Document(&raw), 20).expect("within the limit");
        assert_eq!(text.len(), 18);
        assert_eq!(to_json(RawBsonRef::Document(&raw), 11), Err(NotJson::TooLong(11)));
    }

    #[test]
    fn a_repeated_field_is_refused_wherever_it_stands() {
        for distance in [0, 5, 40] {
            let mut raw = RawDocumentBuf::new();
            raw.append(bson::cstr!("twin"), 1);
            for i in 0..distance {
                let name = bson::raw::CString::try_from(format!("field{i}")).expect("no NUL");
                raw.append(&name, 1);
            }
            raw.append(bson::cstr!("twin"), 2);
            let refused = to_json(RawBsonRef::Document(&raw), 1 << 20);
            assert_eq!(refused, Err(NotJson::RepeatedField("twin".into())));
        }
    }

    fn any_bson() -> impl Strategy<Value = Bson> {
        let leaf = prop_oneof![
            any::<i32>().prop_map(Bson::Int32),
            (-SEQUENCE_MAX..=SEQUENCE_MAX).prop_map(Bson::Int64),
            // Parsers may round others in their last digit.
            any::<i32>().prop_map(|quarters| Bson::Double(f64::from(quarters) / 4.0)),
            any::<bool>().prop_map(Bson::Boolean),
            any::<String>().prop_map(Bson::String),
            (0..=MILLIS_OF_9999).prop_map(|ms| Bson::DateTime(bson::DateTime::from_millis(ms))),
            any::<[u8; 12]>().prop_map(|bytes| Bson::ObjectId(bson::oid::ObjectId::from_bytes(bytes))),
            Just(Bson::Null),
            Just(Bson::MinKey),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            let name = "[a-z$.]{0,6}";
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Bson::Array),
                prop::collection::btree_map(name, inner, 0..6)
                    .prop_map(|fields| Bson::Document(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// The standard's own implementation is the reference.
        #[test]
        fn the_text_says_what_relaxed_extended_json_says(value in any_bson()) {
            let ours = json(doc! { "value": value.clone() }).expect("within every limit");
            let ours: serde_json::Value = serde_json::from_str(&ours).expect("it is JSON");
            prop_assert_eq!(&ours["value"], &value.into_relaxed_extjson());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut framed = u32::try_from(bytes.len() + 5).expect("short").to_le_bytes().to_vec();
            framed.extend_from_slice(&bytes);
            framed.push(0);
            if let Ok(document) = RawDocument::from_bytes(&framed) {
                let _ = to_json(RawBsonRef::Document(document), 1 << 20);
            }
        }
    }
}
