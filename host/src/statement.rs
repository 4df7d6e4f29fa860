//! The words for what goes out: declared tables and statements, and the operations a projector answers with.
//!
//! No I/O and no driver types. Whether SQL is allowed is decided in `sql`.

mod deployed;
mod groups;
mod parameter;
mod sent;
mod together;

pub use deployed::Deployed;
pub use groups::TableGroups;
pub use parameter::{Column, Parameter, Role, Type};
pub use sent::Sent;
pub use together::{Keyed, Merge, MultiRow, RowPart};

/// The value of one statement parameter.
#[derive(Debug, Clone)]
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

/// Values of one kind with one content are equal; not-a-number equals itself.
impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Boolean(left), Self::Boolean(right)) => left == right,
            (Self::Integer(left), Self::Integer(right)) => left == right,
            (Self::Number(left), Self::Number(right)) => {
                left.partial_cmp(right).map_or(left.is_nan() && right.is_nan(), std::cmp::Ordering::is_eq)
            }
            (Self::Decimal(left), Self::Decimal(right))
            | (Self::Text(left), Self::Text(right))
            | (Self::Json(left), Self::Json(right))
            | (Self::Timestamp(left), Self::Timestamp(right)) => left == right,
            (Self::Bytes(left), Self::Bytes(right)) => left == right,
            _ => false,
        }
    }
}

impl Value {
    /// The kind's name, as in the contract: it may be shown of a value where its content may not.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean(_) => "boolean",
            Self::Integer(_) => "integer",
            Self::Number(_) => "number",
            Self::Decimal(_) => "decimal",
            Self::Text(_) => "text",
            Self::Bytes(_) => "bytes",
            Self::Json(_) => "json",
            Self::Timestamp(_) => "timestamp",
        }
    }

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

/// One statement to run: an index into the manifest's statements, and its parameters, as the projector gave them or, once
/// they were judged, as they are sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation<V = Value> {
    pub statement: u32,
    pub parameters: Vec<V>,
}

/// An operation whose statement exists, and whose parameters are complete and fit it.
pub type FittedOperation = Operation<Sent>;

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

/// A component's description of itself, unchecked.
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
    /// Returns true where the projector takes events of this type.
    pub fn handles(&self, event_type: &str) -> bool {
        self.event_types.is_empty() || self.event_types.iter().any(|handled| handled == event_type)
    }
}

/// An upcaster's description of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpcasterManifest {
    pub name: String,
    pub version: String,
    /// Empty: every type.
    pub event_types: Vec<String>,
}

impl UpcasterManifest {
    /// Returns true where events of this type go through it.
    pub fn takes(&self, event_type: &str) -> bool {
        self.event_types.is_empty() || self.event_types.iter().any(|taken| taken == event_type)
    }
}

/// How texts are compared in a table whose author left it open: byte by byte, and, but in tables of older hosts, with the
/// blanks at their end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextOrder {
    MySql,
    MariaDb,
    /// As older hosts made tables: `a` is equal to `a` with blanks behind it.
    Padded,
}

impl TextOrder {
    /// The collation of a character set. Beside utf8mb4, MySQL has none without padding.
    pub fn collation(self, charset: &str) -> String {
        let charset = charset.to_ascii_lowercase();
        match (self, charset.as_str()) {
            (Self::MySql, "utf8mb4") => "utf8mb4_0900_bin".to_owned(),
            (Self::MariaDb, "utf8mb4") => "utf8mb4_nopad_bin".to_owned(),
            _ => format!("{charset}_bin"),
        }
    }
}

/// A table that passed the DDL check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    pub name: String,
    /// The parsed CREATE TABLE, rendered again as MySQL gets it.
    pub ddl: String,
    /// The same as MariaDB gets it.
    pub ddl_mariadb: String,
    /// The same as older hosts sent it to both.
    pub ddl_padded: String,
    /// Declared tables that this one's foreign keys point at.
    pub references: Vec<String>,
    /// The columns there, by table.
    pub referred: Vec<(String, String)>,
    pub columns: Vec<Column>,
    /// The primary key first.
    pub unique_keys: Vec<UniqueKey>,
    /// Its checks and foreign keys, under the names that the server gives those that have none.
    pub constraints: Vec<Constraint>,
    /// The collations that the host chose where a charset is named without one.
    pub assumed: Vec<String>,
    /// It has a key on an expression, which MariaDB does not have.
    pub has_expression_key: bool,
}

impl Table {
    /// What is sent to make it.
    pub fn ddl_for(&self, order: TextOrder) -> &str {
        match order {
            TextOrder::MySql => &self.ddl,
            TextOrder::MariaDb => &self.ddl_mariadb,
            TextOrder::Padded => &self.ddl_padded,
        }
    }

    /// The column of this name; MySQL does not tell `Id` from `id`.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name))
    }

    /// The columns of the primary key.
    pub fn key(&self) -> &[String] {
        self.unique_keys.first().map_or(&[], |key| &key.columns)
    }

    /// Returns true where two rows of different primary keys can be the same by another unique key.
    pub fn has_other_unique_key(&self) -> bool {
        let mut keys = self.unique_keys.iter();
        let Some(primary) = keys.next() else { return false };
        !primary.cut.is_empty() || keys.any(|key| !primary.columns.iter().all(|name| key.has_whole(name)))
    }

    /// Returns true where the key compares all of each of its columns.
    pub fn has_whole_key(&self) -> bool {
        self.unique_keys.first().is_some_and(|key| key.cut.is_empty())
    }

    /// Returns true where a column takes part in no key that no two rows share.
    pub fn is_beside_unique_keys(&self, name: &str) -> bool {
        !self.unique_keys.iter().flat_map(|key| &key.columns).any(|column| column.eq_ignore_ascii_case(name))
    }

    pub fn has_generated_columns(&self) -> bool {
        self.columns.iter().any(|column| column.generated)
    }
}

/// A key that no two rows share.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UniqueKey {
    pub columns: Vec<String>,
    /// Those of which only the beginning is compared (`name(10)`).
    pub cut: Vec<String>,
}

impl UniqueKey {
    /// Returns true where it compares all of this column.
    fn has_whole(&self, name: &str) -> bool {
        let is_it = |column: &String| column.eq_ignore_ascii_case(name);
        self.columns.iter().any(is_it) && !self.cut.iter().any(is_it)
    }
}

/// A check or foreign key of a table, by the name that other tables of a database must not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constraint {
    pub name: String,
    pub kind: ConstraintKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConstraintKind {
    Check,
    ForeignKey,
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
    pub parameters: Vec<Parameter>,
    /// The key columns in which an upsert proves that it changes the row it means, and no other with an equal value in
    /// another unique key.
    pub proves: Vec<String>,
    /// Columns, `table.column`, to which an upsert adds what it would insert, and which do not take any number.
    pub adds: Vec<String>,
    /// Set when rows of several runs may share one statement.
    pub multi_row: Option<MultiRow>,
    /// Set when it touches the one row that its parameters name, and whether two keys are one can be told from them.
    pub keyed: Option<Keyed>,
}

impl Statement {
    /// A note for authors about columns that an upsert adds to.
    fn note_of_sums(&self) -> Option<String> {
        (!self.adds.is_empty()).then(|| {
            let columns: Vec<String> = self.adds.iter().map(|column| format!("`{column}`")).collect();
            format!("statement `{}` adds a parameter to {}: {}", self.name, columns.join(", "), Self::SUMS)
        })
    }

    /// Why an upsert is refused though its sum would be right, and what to write.
    pub const SUMS: &str = "the servers judge the number that would be inserted, also where the row is there, so one \
        that is UNSIGNED or has a CHECK refuses -5 though 100 - 5 is right: let the column take it, write an UPDATE, or \
        insert the sum (INSERT INTO t (id, n) SELECT ?, COALESCE((SELECT o.n FROM t o WHERE o.id = ?), 0) + ? AS total ON DUPLICATE \
        KEY UPDATE n = VALUES(n))";
}

/// A manifest whose SQL passed the check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    pub tables: Vec<Table>,
    pub statements: Vec<Statement>,
    groups: TableGroups,
}

impl Schema {
    pub fn new(tables: Vec<Table>, statements: Vec<Statement>) -> Self {
        let groups = TableGroups::of(&tables, &statements);
        Self { tables, statements, groups }
    }

    /// Which statements may pass each other within a batch.
    pub fn groups(&self) -> &TableGroups {
        &self.groups
    }

    /// Notes for authors, in sentences.
    pub fn notes(&self) -> Vec<String> {
        let assumed = |table: &Table| {
            table
                .assumed
                .iter()
                .map(|collation| {
                    format!(
                        "table `{}`: CHARSET without COLLATE is taken for COLLATE {collation}{}, which tells `a` from `A` \
                         and `e` from `é`, in UNIQUE keys too: write the COLLATE that is meant",
                        table.name,
                        if collation == "utf8mb4_0900_bin" { " (utf8mb4_nopad_bin on MariaDB)" } else { "" }
                    )
                })
                .collect::<Vec<_>>()
        };
        let reads = |statement: &Statement| {
            (!statement.reads.is_empty()).then(|| {
                let tables: Vec<String> = statement.reads.iter().map(|table| format!("`{table}`")).collect();
                format!(
                    "statement `{}` reads {} besides the table that it writes: let it read only rows that events of the \
                     same aggregate wrote (rows of others may be older or newer), or use `ordering: stream`",
                    statement.name,
                    tables.join(", ")
                )
            })
        };
        let keys = |table: &Table| {
            table.has_expression_key.then(|| {
                format!(
                    "table `{}` has a key on an expression, which MariaDB does not have: a key on a generated column is \
                     the same, on both servers",
                    table.name
                )
            })
        };
        let of_statements = self
            .statements
            .iter()
            .flat_map(|statement| reads(statement).into_iter().chain(statement.note_of_sums()));
        let of_tables = self.tables.iter().flat_map(|table| assumed(table).into_iter().chain(keys(table)));
        of_tables.chain(of_statements).collect()
    }

    pub fn table_names(&self) -> Vec<String> {
        self.tables.iter().map(|table| table.name.clone()).collect()
    }
}
