//! Which functions a statement may call: those whose answer depends on their arguments alone.
//!
//! Lists only. A function that reads the clock, the session, the server, a file or another table is not here, nor
//! one whose answer follows the session's time zone or locale, nor one that gives a TIME: MySQL turns a TIME into a
//! date by adding today's. Some servers lack some of these (MySQL 9.7 has no MD5): preparing the statement tells.

use super::refusal::Reason;

/// How the arguments of an allowed function are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arguments {
    Expressions,
    /// The first one is a unit of time.
    UnitFirst,
    /// `VALUES(column)`, in ON DUPLICATE KEY UPDATE only.
    OneColumn,
}

const DETERMINISTIC: &[&str] = &[
    // Choice
    "COALESCE",
    "GREATEST",
    "IF",
    "IFNULL",
    "ISNULL",
    "LEAST",
    "NULLIF",
    // Text
    "CHAR_LENGTH",
    "CHARACTER_LENGTH",
    "CONCAT",
    "CONCAT_WS",
    "FIELD",
    "FIND_IN_SET",
    "INSTR",
    "LEFT",
    "LENGTH",
    "LOCATE",
    "LOWER",
    "LPAD",
    "LTRIM",
    "REPEAT",
    "REPLACE",
    "REVERSE",
    "RIGHT",
    "RPAD",
    "RTRIM",
    "SUBSTR",
    "SUBSTRING",
    "SUBSTRING_INDEX",
    "TRIM",
    "UPPER",
    // Numbers
    "ABS",
    "CEIL",
    "CEILING",
    "FLOOR",
    "MOD",
    "ROUND",
    "SIGN",
    "TRUNCATE",
    // Dates
    "DATE",
    "DATE_ADD",
    "DATE_SUB",
    "DATEDIFF",
    "DAY",
    "DAYOFMONTH",
    "DAYOFWEEK",
    "DAYOFYEAR",
    "FROM_DAYS",
    "HOUR",
    "LAST_DAY",
    "MICROSECOND",
    "MINUTE",
    "MONTH",
    "QUARTER",
    "SECOND",
    "TO_DAYS",
    "WEEKDAY",
    "WEEKOFYEAR",
    "YEAR",
    // JSON
    "JSON_ARRAY",
    "JSON_ARRAY_APPEND",
    "JSON_ARRAY_INSERT",
    "JSON_CONTAINS",
    "JSON_CONTAINS_PATH",
    "JSON_EXTRACT",
    "JSON_INSERT",
    "JSON_KEYS",
    "JSON_LENGTH",
    "JSON_MERGE_PATCH",
    "JSON_MERGE_PRESERVE",
    "JSON_OBJECT",
    "JSON_QUOTE",
    "JSON_REMOVE",
    "JSON_REPLACE",
    "JSON_SEARCH",
    "JSON_SET",
    "JSON_TYPE",
    "JSON_UNQUOTE",
    "JSON_VALID",
    // Bytes
    "BIN_TO_UUID",
    "CRC32",
    "FROM_BASE64",
    "HEX",
    "MD5",
    "SHA",
    "SHA1",
    "SHA2",
    "TO_BASE64",
    "UNHEX",
    "UUID_TO_BIN",
];

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

/// What MySQL answers about the session without being asked with parentheses.
const SESSION: &[&str] = &["CURRENT_ROLE", "CURRENT_USER"];

const UNITS: &[&str] =
    &["MICROSECOND", "SECOND", "MINUTE", "HOUR", "DAY", "WEEK", "MONTH", "QUARTER", "YEAR"];

/// Whether a function may be called, and how its arguments are read.
pub(super) fn judge(name: &str) -> Result<Arguments, Reason> {
    if is_in(DETERMINISTIC, name) {
        return Ok(Arguments::Expressions);
    }
    if is_in(&["TIMESTAMPADD", "TIMESTAMPDIFF"], name) {
        return Ok(Arguments::UnitFirst);
    }
    if is_in(&["VALUES"], name) {
        return Ok(Arguments::OneColumn);
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

/// Whether the word is a unit of time.
pub(super) fn is_unit(word: &str) -> bool {
    is_in(UNITS, word)
}

fn is_in(list: &[&str], name: &str) -> bool {
    list.iter().any(|entry| entry.eq_ignore_ascii_case(name))
}
