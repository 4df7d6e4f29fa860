//! The words for what goes out: declared tables and statements, and the operations a projector answers with.
//!
//! No I/O and no driver types. Whether SQL is allowed is decided in `sql`.

/// The value of one statement parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Boolean(bool),
    Integer(i64),
    Number(f64),
    /// An exact number as text.
    Decimal(String),
    Text(String),
    Bytes(Vec<u8>),
    /// JSON text.
    Json(String),
    /// RFC 3339 with an offset.
    Timestamp(String),
}

impl Value {
    /// About how many bytes this value is on its way to MySQL.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Null | Self::Boolean(_) => 1,
            Self::Integer(_) | Self::Number(_) => 8,
            Self::Decimal(text) | Self::Text(text) | Self::Json(text) | Self::Timestamp(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
        }
    }
}

/// One statement to run: an index into the manifest's statements, and its parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    pub statement: u32,
    pub parameters: Vec<Value>,
}

/// In what order a projector needs its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ordering {
    /// Commit order within each aggregate.
    Aggregate,
    /// Commit order over all aggregates: one lane.
    Stream,
}

/// A table as a projector declares it, unchecked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableDeclaration {
    pub name: String,
    pub ddl: String,
}

/// A statement as a projector declares it, unchecked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementDeclaration {
    pub name: String,
    pub sql: String,
}

/// What a component says about itself, unchecked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    pub name: String,
    pub version: String,
    /// Empty: every type.
    pub event_types: Vec<String>,
    pub ordering: Ordering,
    pub commutative: bool,
    pub tables: Vec<TableDeclaration>,
    pub statements: Vec<StatementDeclaration>,
}

impl Manifest {
    /// Whether the projector takes events of this type.
    pub fn handles(&self, event_type: &str) -> bool {
        self.event_types.is_empty() || self.event_types.iter().any(|handled| handled == event_type)
    }
}

/// What an upcaster says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpcasterManifest {
    pub name: String,
    pub version: String,
    /// Empty: every type.
    pub event_types: Vec<String>,
}

impl UpcasterManifest {
    /// Whether events of this type go through it.
    pub fn takes(&self, event_type: &str) -> bool {
        self.event_types.is_empty() || self.event_types.iter().any(|taken| taken == event_type)
    }
}

/// A table that passed the DDL check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    pub name: String,
    /// The parsed CREATE TABLE, rendered again.
    pub ddl: String,
    /// Declared tables that this one's foreign keys point at.
    pub references: Vec<String>,
}

/// A statement that passed the SQL check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    pub name: String,
    /// The parsed statement, rendered again: this text is sent, not the declared one.
    pub sql: String,
    /// The declared table it writes.
    pub table: String,
    /// Declared tables it reads besides the one it writes.
    pub reads: Vec<String>,
    pub parameters: usize,
    /// Set when rows of several runs may share one statement.
    pub multi_row: Option<MultiRow>,
}

/// How an `INSERT ... VALUES (row) tail`, with all its parameters in the row, is written for several rows:
/// `head`, then `row` as often as there are rows, separated by commas, then `tail`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MultiRow {
    pub head: String,
    pub row: String,
    pub tail: String,
}

/// A manifest whose SQL passed the check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    pub tables: Vec<Table>,
    pub statements: Vec<Statement>,
}

impl Schema {
    pub fn table_names(&self) -> Vec<String> {
        self.tables.iter().map(|table| table.name.clone()).collect()
    }
}
