//! The SQL that compares: how a value is written so that equal means equal, how it is shown, and how the rows between two
//! keys are named.
//!
//! Keys go on as literals, with the bytes in hexadecimal and their character set, so that no conversion of a connection
//! comes between. A range over several columns is written out with AND and OR: neither server uses its index for
//! `(a, b) > (1, 2)`.

use super::definition::{ColumnKind, ComparedColumn, PrimaryKeyPart};
use crate::readmodel::mysql::literal::identifier;

/// Up to so many bytes, a value is hashed with its row; a longer one is hashed by itself before.
const INLINE_BYTES_MAX: u64 = 1024;

/// How long a row's text may become for its hash: far below the smallest packet that MySQL accepts rows in. Beyond the
/// packet a text would silently be NULL.
const ROW_BYTES_MAX: u64 = 256 << 10;

/// The bytes of a number or a date as text, about.
const SCALAR_BYTES: u64 = 80;

/// A column of the table `alias`.
fn named(alias: &str, column: &ComparedColumn) -> String {
    format!("{alias}.{}", identifier(&column.name))
}

/// A value's own text, in which values that differ are never the same.
fn exact(alias: &str, column: &ComparedColumn) -> String {
    let name = named(alias, column);
    match column.kind {
        ColumnKind::Bits => format!("{name} + 0"),
        // As a double: a FLOAT's own text has six digits. To multiply keeps the sign of a zero.
        ColumnKind::Float => format!("CONCAT({name} * 1E0)"),
        ColumnKind::Text | ColumnKind::Enum(_) | ColumnKind::Set if column.recoded => {
            format!("CONVERT({name} USING utf8mb4)")
        }
        _ => name,
    }
}

/// How the values of a table's columns are compared: a NULL is a dash, which no other value is.
#[derive(Debug)]
pub struct Encoding {
    /// For each column, whether it is hashed by itself.
    hashed: Vec<bool>,
}

impl Encoding {
    pub fn new(columns: &[ComparedColumn], packet_bytes_max: usize) -> Self {
        let mut room = ROW_BYTES_MAX.min(packet_bytes_max as u64 / 2);
        let mut is_hashed = |column: &ComparedColumn| {
            let bytes = match column.kind {
                ColumnKind::Json => return true,
                ColumnKind::Text | ColumnKind::Enum(_) | ColumnKind::Set | ColumnKind::Bytes => {
                    column.bytes_max
                }
                _ => SCALAR_BYTES,
            };
            let is_hashed = column.recoded || bytes > INLINE_BYTES_MAX || bytes > room;
            room = room.saturating_sub(if is_hashed { SCALAR_BYTES } else { bytes + 8 });
            is_hashed
        };
        Self { hashed: columns.iter().map(&mut is_hashed).collect() }
    }

    /// One column's value as bytes.
    fn value(&self, alias: &str, columns: &[ComparedColumn], at: usize) -> String {
        let column = &columns[at];
        let exact = exact(alias, column);
        match column.kind {
            _ if self.hashed[at] => format!("IFNULL(SHA2({exact}, 256), '-')"),
            ColumnKind::Text | ColumnKind::Enum(_) | ColumnKind::Set | ColumnKind::Bytes => {
                format!("IFNULL(CONCAT(LENGTH({exact}), ':', CAST({exact} AS BINARY)), '-')")
            }
            _ => format!("CAST(IFNULL({exact}, '-') AS BINARY)"),
        }
    }

    /// A row as one number.
    pub fn hash(&self, alias: &str, columns: &[ComparedColumn]) -> String {
        let values: Vec<String> = (0..columns.len()).map(|at| self.value(alias, columns, at)).collect();
        let row = values.join(", ',', ");
        format!("CAST(CONV(LEFT(SHA2(CONCAT({row}, ','), 256), 16), 16, 10) AS UNSIGNED)")
    }

    /// The SQL condition that a column is the same on both sides.
    pub fn is_same(&self, columns: &[ComparedColumn], at: usize) -> String {
        format!("{} = {}", self.value("l", columns, at), self.value("r", columns, at))
    }

    /// The SQL condition that the whole row is the same on both sides.
    pub fn are_same(&self, columns: &[ComparedColumn]) -> String {
        let columns: Vec<String> = (0..columns.len()).map(|at| self.is_same(columns, at)).collect();
        columns.join(" AND ")
    }
}

/// A value for people: a long one is cut, and shows its length and hash.
pub fn shown(alias: &str, column: &ComparedColumn, characters: usize) -> String {
    let name = named(alias, column);
    let text = match column.kind {
        ColumnKind::Text | ColumnKind::Enum(_) | ColumnKind::Set | ColumnKind::Json => {
            format!("CONVERT({name} USING utf8mb4)")
        }
        ColumnKind::Bytes => {
            let bytes = characters / 2;
            return format!(
                "IF(LENGTH({name}) > {bytes}, CONCAT('0x', LOWER(HEX(LEFT({name}, {bytes}))), '… (', LENGTH({name}), \
                 ' bytes, SHA-256 ', LEFT(SHA2({name}, 256), 8), ')'), CONCAT('0x', LOWER(HEX({name}))))"
            );
        }
        ColumnKind::Float => return exact(alias, column),
        _ => return format!("CAST({} AS CHAR)", exact(alias, column)),
    };
    format!(
        "IF(CHAR_LENGTH({text}) > {characters}, CONCAT(LEFT({text}, {characters}), '… (', CHAR_LENGTH({text}), \
         ' characters, SHA-256 ', LEFT(SHA2({text}, 256), 8), ')'), {text})"
    )
}

/// A place in a table: what the parts of a primary key are there, as [`place`] gave them.
pub type KeyPlace = Vec<String>;

/// The columns that locate a row.
pub fn place(key: &[PrimaryKeyPart]) -> String {
    let token = |part: &PrimaryKeyPart| {
        let exact = exact("t", &part.column);
        match part.column.kind {
            ColumnKind::Text | ColumnKind::Bytes => format!("HEX({exact})"),
            ColumnKind::Enum(_) | ColumnKind::Set => format!("CAST({exact} + 0 AS CHAR)"),
            _ => format!("CAST({exact} AS CHAR)"),
        }
    };
    key.iter().map(token).collect::<Vec<_>>().join(", ")
}

/// The order of the primary key, for the rows of one chunk or to use its index.
pub fn order(alias: &str, key: &[PrimaryKeyPart]) -> String {
    let part = |part: &PrimaryKeyPart| {
        let direction = if part.descends { " DESC" } else { "" };
        format!("{}{direction}", named(alias, &part.column))
    };
    key.iter().map(part).collect::<Vec<_>>().join(", ")
}

/// The SQL condition that the keys of two rows are equal, as the primary key sees it.
pub fn is_same_key(key: &[PrimaryKeyPart]) -> String {
    let part = |part: &PrimaryKeyPart| format!("{} = {}", named("l", &part.column), named("r", &part.column));
    key.iter().map(part).collect::<Vec<_>>().join(" AND ")
}

/// The rows behind `lower`, up to and with `upper`.
pub fn between(
    alias: &str,
    key: &[PrimaryKeyPart],
    lower: Option<&KeyPlace>,
    upper: Option<&KeyPlace>,
) -> String {
    let lower = lower.map(|place| beyond(alias, key, place, true));
    let upper = upper.map(|place| beyond(alias, key, place, false));
    match (lower, upper) {
        (None, None) => "TRUE".to_owned(),
        (Some(one), None) | (None, Some(one)) => one,
        (Some(lower), Some(upper)) => format!("{lower} AND {upper}"),
    }
}

/// `a > 1 OR (a = 1 AND b > 2)`; towards the beginning with the place itself.
fn beyond(alias: &str, key: &[PrimaryKeyPart], place: &KeyPlace, forwards: bool) -> String {
    let mut ways = Vec::new();
    let mut equal = Vec::new();
    for (at, (part, token)) in key.iter().zip(place).enumerate() {
        let with_itself = !forwards && at + 1 == key.len();
        let way = further(alias, part, token, forwards != part.descends, with_itself);
        let all: Vec<&str> = equal.iter().map(String::as_str).chain([way.as_str()]).collect();
        ways.push(format!("({})", all.join(" AND ")));
        equal.push(equals(alias, part, token));
    }
    format!("({})", ways.join(" OR "))
}

fn equals(alias: &str, part: &PrimaryKeyPart, token: &str) -> String {
    let name = named(alias, &part.column);
    match &part.column.kind {
        ColumnKind::Set => format!("{name} + 0 = {token}"),
        _ => format!("{name} = {}", value(part, token)),
    }
}

fn further(alias: &str, part: &PrimaryKeyPart, token: &str, greater: bool, with_itself: bool) -> String {
    let name = named(alias, &part.column);
    let sign = match (greater, with_itself) {
        (true, false) => ">",
        (true, true) => ">=",
        (false, false) => "<",
        (false, true) => "<=",
    };
    match &part.column.kind {
        // By its number, as the index has it. Only a list of members uses the index.
        ColumnKind::Enum(members) => {
            let at: usize = token.parse().unwrap_or(0);
            let at = at.min(members.len());
            let some = match (greater, with_itself) {
                (true, false) => &members[at..],
                (true, true) => &members[at.saturating_sub(1)..],
                (false, false) => &members[..at.saturating_sub(1)],
                (false, true) => &members[..at],
            };
            if some.is_empty() { "FALSE".to_owned() } else { format!("{name} IN ({})", some.join(", ")) }
        }
        ColumnKind::Set => format!("{name} + 0 {sign} {token}"),
        _ => format!("{name} {sign} {}", value(part, token)),
    }
}

/// A literal of the column's own type and character set.
fn value(part: &PrimaryKeyPart, token: &str) -> String {
    match &part.column.kind {
        ColumnKind::Text => {
            let charset = part.column.charset.as_deref().unwrap_or("utf8mb4");
            format!("_{charset} x'{token}'")
        }
        ColumnKind::Bytes => format!("x'{token}'"),
        ColumnKind::Moment => format!("'{token}'"),
        // Without an exponent it would be a decimal.
        ColumnKind::Float if !token.contains(['e', 'E']) => format!("{token}E0"),
        ColumnKind::Enum(members) => {
            let at = token.parse::<usize>().unwrap_or(0);
            members.get(at.saturating_sub(1)).cloned().unwrap_or_else(|| "''".to_owned())
        }
        _ => token.to_owned(),
    }
}
