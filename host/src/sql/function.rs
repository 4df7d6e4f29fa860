//! Which functions a statement may call: those whose answer depends on their arguments alone.
//!
//! Lists only. A function that reads the clock, the session, the server, a file or another table is not here, nor
//! one whose answer follows the session's time zone or locale, nor one that gives a TIME: MySQL turns a TIME into a
//! date by adding today's. Some servers lack some of these (MySQL 9.7 has no MD5): preparing the statement finds out.

mod instead;
mod literal;

use super::refusal::Reason;
use crate::statement::Type;

pub(super) use literal::demand;

/// How the arguments of an allowed function are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ArgumentKinds {
    Expressions,
    /// The first one is a unit of time.
    UnitFirst,
    /// `VALUES(column)`, in ON DUPLICATE KEY UPDATE only.
    OneColumn,
}

/// The shape of an argument, or of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ArgumentShape {
    Text,
    Bytes,
    Whole,
    Exact,
    Real,
    Day,
    Moment,
    /// A JSON document, or one given as text.
    Document,
    /// A value inside a JSON document.
    Member,
    /// The shape that the other arguments of this kind and the result have.
    Alike,
    /// Whatever it is.
    Any,
}

/// A function that may be called.
#[derive(Debug, Clone, Copy)]
pub(super) struct Function {
    name: &'static str,
    /// The first arguments.
    first: &'static [ArgumentShape],
    /// The further ones, over and over.
    further: &'static [ArgumentShape],
    pub gives: ArgumentShape,
}

use ArgumentShape::{Alike, Any, Bytes, Day, Document, Exact, Member, Moment, Real, Text, Whole};

const fn takes(
    name: &'static str,
    first: &'static [ArgumentShape],
    further: &'static [ArgumentShape],
    gives: ArgumentShape,
) -> Function {
    Function { name, first, further, gives }
}

const DETERMINISTIC: &[Function] = &[
    // Choice
    takes("COALESCE", &[], &[Alike], Alike),
    takes("GREATEST", &[], &[Alike], Alike),
    takes("IF", &[Any], &[Alike], Alike),
    takes("IFNULL", &[], &[Alike], Alike),
    takes("ISNULL", &[], &[Any], Whole),
    takes("LEAST", &[], &[Alike], Alike),
    takes("NULLIF", &[], &[Alike], Alike),
    // Text
    takes("ASCII", &[], &[Text], Whole),
    takes("BIT_LENGTH", &[], &[Bytes], Whole),
    takes("CHAR_LENGTH", &[], &[Text], Whole),
    takes("CHARACTER_LENGTH", &[], &[Text], Whole),
    takes("CONCAT", &[], &[Text], Text),
    takes("CONCAT_WS", &[], &[Text], Text),
    takes("ELT", &[Whole], &[Text], Text),
    takes("FIELD", &[], &[Alike], Whole),
    takes("FIND_IN_SET", &[], &[Text], Whole),
    takes("INSERT", &[Text, Whole, Whole], &[Text], Text),
    takes("INSTR", &[], &[Text], Whole),
    takes("LCASE", &[], &[Text], Text),
    takes("LEFT", &[Text], &[Whole], Text),
    takes("LENGTH", &[], &[Bytes], Whole),
    takes("LOCATE", &[Text, Text], &[Whole], Whole),
    takes("LOWER", &[], &[Text], Text),
    takes("LPAD", &[Text, Whole], &[Text], Text),
    takes("LTRIM", &[], &[Text], Text),
    takes("MID", &[Text], &[Whole], Text),
    takes("OCTET_LENGTH", &[], &[Bytes], Whole),
    takes("ORD", &[], &[Text], Whole),
    takes("QUOTE", &[], &[Text], Text),
    takes("REPEAT", &[Text], &[Whole], Text),
    takes("REPLACE", &[], &[Text], Text),
    takes("REVERSE", &[], &[Text], Text),
    takes("RIGHT", &[Text], &[Whole], Text),
    takes("RPAD", &[Text, Whole], &[Text], Text),
    takes("RTRIM", &[], &[Text], Text),
    takes("STRCMP", &[], &[Text], Whole),
    takes("SUBSTR", &[Text], &[Whole], Text),
    takes("SUBSTRING", &[Text], &[Whole], Text),
    takes("SUBSTRING_INDEX", &[Text, Text], &[Whole], Text),
    takes("TRIM", &[], &[Text], Text),
    takes("UCASE", &[], &[Text], Text),
    takes("UPPER", &[], &[Text], Text),
    // Numbers
    takes("ABS", &[], &[Alike], Alike),
    takes("BIN", &[], &[Whole], Text),
    takes("BIT_COUNT", &[], &[Whole], Whole),
    takes("CEIL", &[], &[Exact], Exact),
    takes("CEILING", &[], &[Exact], Exact),
    takes("CONV", &[Text], &[Whole], Text),
    takes("DEGREES", &[], &[Real], Real),
    takes("EXP", &[], &[Real], Real),
    takes("FLOOR", &[], &[Exact], Exact),
    takes("LN", &[], &[Real], Real),
    takes("LOG", &[], &[Real], Real),
    takes("LOG10", &[], &[Real], Real),
    takes("MOD", &[], &[Alike], Alike),
    takes("OCT", &[], &[Whole], Text),
    takes("POW", &[], &[Real], Real),
    takes("POWER", &[], &[Real], Real),
    takes("RADIANS", &[], &[Real], Real),
    takes("ROUND", &[Exact], &[Whole], Exact),
    takes("SIGN", &[], &[Exact], Whole),
    takes("SQRT", &[], &[Real], Real),
    takes("TRUNCATE", &[Exact], &[Whole], Exact),
    // Dates
    takes("ADDDATE", &[Moment], &[Whole], Moment),
    takes("DATE", &[], &[Moment], Day),
    takes("DATE_ADD", &[], &[Moment], Moment),
    takes("DATE_FORMAT", &[Moment], &[Text], Text),
    takes("DATE_SUB", &[], &[Moment], Moment),
    takes("DATEDIFF", &[], &[Moment], Whole),
    takes("DAY", &[], &[Moment], Whole),
    takes("DAYOFMONTH", &[], &[Moment], Whole),
    takes("DAYOFWEEK", &[], &[Moment], Whole),
    takes("DAYOFYEAR", &[], &[Moment], Whole),
    takes("FROM_DAYS", &[], &[Whole], Day),
    takes("HOUR", &[], &[Moment], Whole),
    takes("LAST_DAY", &[], &[Moment], Day),
    takes("MAKEDATE", &[], &[Whole], Day),
    takes("MICROSECOND", &[], &[Moment], Whole),
    takes("MINUTE", &[], &[Moment], Whole),
    takes("MONTH", &[], &[Moment], Whole),
    takes("QUARTER", &[], &[Moment], Whole),
    takes("SECOND", &[], &[Moment], Whole),
    takes("STR_TO_DATE", &[], &[Text], Moment),
    takes("SUBDATE", &[Moment], &[Whole], Moment),
    takes("TIMESTAMP", &[], &[Moment], Moment),
    takes("TIMESTAMPADD", &[Any, Whole], &[Moment], Moment),
    takes("TIMESTAMPDIFF", &[Any], &[Moment], Whole),
    takes("TO_DAYS", &[], &[Moment], Whole),
    takes("TO_SECONDS", &[], &[Moment], Whole),
    takes("WEEK", &[Moment], &[Whole], Whole),
    takes("WEEKDAY", &[], &[Moment], Whole),
    takes("WEEKOFYEAR", &[], &[Moment], Whole),
    takes("YEAR", &[], &[Moment], Whole),
    takes("YEARWEEK", &[Moment], &[Whole], Whole),
    // JSON
    takes("JSON_ARRAY", &[], &[Member], Document),
    takes("JSON_ARRAY_APPEND", &[Document], &[Text, Member], Document),
    takes("JSON_ARRAY_INSERT", &[Document], &[Text, Member], Document),
    takes("JSON_CONTAINS", &[Document, Document], &[Text], Whole),
    takes("JSON_CONTAINS_PATH", &[Document], &[Text], Whole),
    takes("JSON_DEPTH", &[], &[Document], Whole),
    takes("JSON_EXTRACT", &[Document], &[Text], Document),
    takes("JSON_INSERT", &[Document], &[Text, Member], Document),
    takes("JSON_KEYS", &[Document], &[Text], Document),
    takes("JSON_LENGTH", &[Document], &[Text], Whole),
    takes("JSON_MERGE_PATCH", &[], &[Document], Document),
    takes("JSON_MERGE_PRESERVE", &[], &[Document], Document),
    takes("JSON_OBJECT", &[], &[Text, Member], Document),
    takes("JSON_OVERLAPS", &[], &[Document], Whole),
    takes("JSON_QUOTE", &[], &[Text], Text),
    takes("JSON_REMOVE", &[Document], &[Text], Document),
    takes("JSON_REPLACE", &[Document], &[Text, Member], Document),
    takes("JSON_SEARCH", &[Document], &[Text], Document),
    takes("JSON_SET", &[Document], &[Text, Member], Document),
    takes("JSON_TYPE", &[], &[Document], Text),
    takes("JSON_UNQUOTE", &[], &[Text], Text),
    takes("JSON_VALID", &[], &[Text], Whole),
    // Bytes
    takes("BIN_TO_UUID", &[Bytes], &[Whole], Text),
    takes("CRC32", &[], &[Bytes], Whole),
    takes("FROM_BASE64", &[], &[Text], Bytes),
    takes("HEX", &[], &[Any], Text),
    takes("INET6_ATON", &[], &[Text], Bytes),
    takes("INET6_NTOA", &[], &[Bytes], Text),
    takes("INET_ATON", &[], &[Text], Whole),
    takes("INET_NTOA", &[], &[Whole], Text),
    takes("IS_IPV4", &[], &[Text], Whole),
    takes("IS_IPV6", &[], &[Text], Whole),
    takes("MD5", &[], &[Bytes], Text),
    takes("SHA", &[], &[Bytes], Text),
    takes("SHA1", &[], &[Bytes], Text),
    takes("SHA2", &[Bytes], &[Whole], Text),
    takes("TO_BASE64", &[], &[Bytes], Text),
    takes("UNHEX", &[], &[Text], Bytes),
    takes("UUID_TO_BIN", &[Text], &[Whole], Bytes),
];

impl Function {
    /// Returns true where the second argument sets how long the result becomes.
    pub fn grows(&self) -> bool {
        is_in(&["LPAD", "REPEAT", "RPAD"], self.name)
    }

    /// The shape of the argument at this place.
    pub fn argument(&self, at: usize) -> ArgumentShape {
        match self.first.get(at) {
            Some(shape) => *shape,
            None => self.further[(at - self.first.len()) % self.further.len()],
        }
    }
}

impl ArgumentShape {
    /// The type of this shape; none where it depends on others.
    pub fn kind(self) -> Option<Type> {
        Some(match self {
            Text => Type::TEXT,
            Bytes => Type::BYTES,
            Whole => Type::WHOLE,
            Exact => Type::EXACT,
            Real => Type::DOUBLE,
            Day => Type::Date,
            Moment => Type::MOMENT,
            Document => Type::Json,
            Member => Type::JsonValue,
            Alike | Any => return None,
        })
    }
}

/// Returns true for the name of a function over the rows of a SELECT whose answer does not depend on their order.
pub(super) fn is_aggregate(name: &str) -> bool {
    is_in(&["AVG", "COUNT", "MAX", "MIN", "SUM"], name)
}

/// The function of this name, if it may be called.
pub(super) fn find(name: &str) -> Option<&'static Function> {
    DETERMINISTIC.iter().find(|function| function.name.eq_ignore_ascii_case(name))
}

const CLOCK: &[&str] = &[
    "CURDATE",
    "CURRENT_DATE",
    "CURRENT_TIME",
    "CURRENT_TIMESTAMP",
    "CURTIME",
    "LOCALTIME",
    "LOCALTIMESTAMP",
    "NOW",
    "SYSDATE",
    "UNIX_TIMESTAMP",
    "UTC_DATE",
    "UTC_TIME",
    "UTC_TIMESTAMP",
];

const RANDOM: &[&str] =
    &["RAND", "RANDOM_BYTES", "SYS_GUID", "UUID", "UUID_SHORT", "UUID_V1", "UUID_V4", "UUID_V7"];

/// Names that MySQL answers about the session without parentheses.
const SESSION: &[&str] = &["CURRENT_ROLE", "CURRENT_USER"];

const UNITS: &[&str] =
    &["MICROSECOND", "SECOND", "MINUTE", "HOUR", "DAY", "WEEK", "MONTH", "QUARTER", "YEAR"];

/// Decides whether a function may be called, and how its arguments are read.
///
/// `is_bare`: it is called without arguments, and may read the clock then.
pub(super) fn judge(name: &str, is_bare: bool) -> Result<ArgumentKinds, Reason> {
    if is_bare && let Some(reason) = ambient(name) {
        return Err(reason);
    }
    if is_in(&["TIMESTAMPADD", "TIMESTAMPDIFF"], name) {
        return Ok(ArgumentKinds::UnitFirst);
    }
    if find(name).is_some() {
        return Ok(ArgumentKinds::Expressions);
    }
    if is_in(&["VALUES"], name) {
        return Ok(ArgumentKinds::OneColumn);
    }
    if let Some((shown, why, instead)) = instead::of(name) {
        return Err(Reason::OtherFunction { name: shown, why, instead });
    }
    Err(ambient(name).unwrap_or_else(|| Reason::Function { name: name.to_ascii_uppercase() }))
}

/// Why a name must not be used even without parentheses, where MySQL may call a function all the same.
pub(super) fn ambient(name: &str) -> Option<Reason> {
    let shown = name.to_ascii_uppercase();
    if is_in(CLOCK, name) {
        return Some(Reason::Clock { name: shown });
    }
    if is_in(RANDOM, name) {
        return Some(Reason::Random { name: shown });
    }
    is_in(SESSION, name).then_some(Reason::Function { name: shown })
}

/// Returns true for a unit of time.
pub(super) fn is_unit(word: &str) -> bool {
    is_in(UNITS, word)
}

fn is_in(list: &[&str], name: &str) -> bool {
    list.iter().any(|entry| entry.eq_ignore_ascii_case(name))
}
