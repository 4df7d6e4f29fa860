//! The values that fit a place in a statement: the types of columns, and of the parameters that meet them.
//!
//! Words only. `sql` finds them, and `sql::fit` makes a value fit.

use std::fmt;

/// The type of a column, of an argument or of a cast, as far as values are concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Type {
    Integer {
        bits: u32,
        unsigned: bool,
    },
    Bit {
        bits: u32,
    },
    Year,
    Decimal {
        digits: u32,
        /// Digits behind the point.
        scale: u32,
        unsigned: bool,
    },
    Double {
        /// The column keeps 32 bits.
        single: bool,
    },
    Text {
        characters: Option<u64>,
    },
    Bytes {
        bytes: Option<u64>,
    },
    /// A whole JSON document: text has to be JSON.
    Json,
    /// A value inside a JSON document: text is a JSON string.
    JsonValue,
    Date,
    DateTime {
        /// Digits of a second's fraction.
        digits: u32,
    },
    Enum(Vec<String>),
    Set(Vec<String>),
}

impl Type {
    /// Whole numbers of a count, a unit or a sum.
    pub const WHOLE: Self = Self::Integer { bits: 64, unsigned: false };
    /// Exact numbers of a calculation: as many digits as both servers have.
    pub const EXACT: Self = Self::Decimal { digits: 65, scale: 30, unsigned: false };
    pub const DOUBLE: Self = Self::Double { single: false };
    pub const TEXT: Self = Self::Text { characters: None };
    pub const BYTES: Self = Self::Bytes { bytes: None };
    pub const MOMENT: Self = Self::DateTime { digits: 6 };
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = |unsigned: bool| if unsigned { " UNSIGNED" } else { "" };
        match self {
            Self::Integer { bits, unsigned } => {
                let name = match bits {
                    8 => "TINYINT",
                    16 => "SMALLINT",
                    24 => "MEDIUMINT",
                    32 => "INT",
                    _ => "BIGINT",
                };
                write!(f, "{name}{}", sign(*unsigned))
            }
            Self::Bit { bits } => write!(f, "BIT({bits})"),
            Self::Year => f.write_str("YEAR"),
            Self::Decimal { digits, scale, unsigned } => {
                write!(f, "DECIMAL({digits},{scale}){}", sign(*unsigned))
            }
            Self::Double { single } => f.write_str(if *single { "FLOAT" } else { "DOUBLE" }),
            Self::Text { characters: None } => f.write_str("text"),
            Self::Text { characters: Some(most) } => write!(f, "text({most})"),
            Self::Bytes { bytes: None } => f.write_str("bytes"),
            Self::Bytes { bytes: Some(most) } => write!(f, "bytes({most})"),
            Self::Json => f.write_str("JSON"),
            Self::JsonValue => f.write_str("JSON value"),
            Self::Date => f.write_str("DATE"),
            Self::DateTime { digits: 0 } => f.write_str("DATETIME"),
            Self::DateTime { digits } => write!(f, "DATETIME({digits})"),
            Self::Enum(members) => write!(f, "ENUM of {}", members.len()),
            Self::Set(members) => write!(f, "SET of {}", members.len()),
        }
    }
}

/// A statement's use of a parameter's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It becomes the column's value: it has to be in the column's range.
    Stored,
    /// It is looked for: where the column could not hold it, nothing is found.
    Equal,
    /// It is a bound: a moment keeps its fraction, so that `at < ?` distinguishes two events of one second.
    Bound,
    /// It is an argument of a function or a part of a calculation.
    Argument,
}

/// One `?` of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// None: it stands alone, and the value keeps its own kind.
    pub kind: Option<Type>,
    pub role: Role,
    /// The column it meets, `table.column`.
    pub column: Option<String>,
    /// It is stored as it is in a column that is NOT NULL.
    pub required: bool,
}

impl Parameter {
    /// One of which nothing is known.
    pub const ALONE: Self = Self { kind: None, role: Role::Argument, column: None, required: false };
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.column, &self.kind) {
            (Some(column), Some(kind)) => write!(f, "{column} {kind}"),
            (None, Some(kind)) => write!(f, "{kind}"),
            (_, None) => f.write_str("of the value's own kind"),
        }
    }
}

/// A column of a declared table.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of the declaration, and none follows from another"
)]
pub struct Column {
    pub name: String,
    pub kind: Type,
    pub nullable: bool,
    /// It has a value where a row is made without one.
    pub has_default: bool,
    /// The server computes it from other columns: no statement writes it.
    pub generated: bool,
    /// A CHECK of the table reads it, or its type has bounds that the host does not judge by.
    pub checked: bool,
    /// The collation of its text, where it is not the host's own for utf8mb4.
    pub collation: Option<String>,
}

impl Column {
    /// Returns true where two texts are one only if they differ in nothing but blanks at their end.
    pub fn distinguishes_all_letters(&self) -> bool {
        self.collation.as_ref().is_none_or(|name| name.to_ascii_lowercase().ends_with("_bin"))
    }

    /// Returns true where any text has a place in its character set.
    pub fn takes_all_letters(&self) -> bool {
        self.collation.as_ref().is_none_or(|name| name.to_ascii_lowercase().starts_with("utf8mb4_"))
    }
}
