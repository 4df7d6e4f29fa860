//! Why a declared table or statement is refused: one clear line with what to do about it.
//!
//! Words only. Which rule a text breaks is decided by the checks.

use std::fmt;

use super::{STATEMENTS_MAX, TABLES_MAX, TEXT_BYTES_MAX};

/// Characters of declared text that a message repeats.
const EXCERPT_MAX: usize = 80;

/// One thing that is wrong with a manifest's SQL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {reason}")]
pub struct SqlRefusal {
    pub place: SqlPlace,
    pub reason: Reason,
}

/// Where in the manifest it is. Indexes count from 0, as in an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SqlPlace {
    Manifest,
    Table { index: usize, name: String },
    Statement { index: usize, name: String },
}

/// The reason of a refusal, and the way out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    #[error("it declares no table: declare at least one")]
    NoTables,
    #[error("it declares no statement: declare at least one")]
    NoStatements,
    #[error("it declares {found} tables, more than {TABLES_MAX}: split the projector")]
    TooManyTables { found: usize },
    #[error(
        "it declares {found} statements, more than {STATEMENTS_MAX}: share statements through parameters"
    )]
    TooManyStatements { found: usize },
    #[error("the name is taken by number {first} already: rename one of them")]
    Duplicate { first: usize },
    #[error("the name must match [a-z][a-z0-9_]{{0,47}} and not start with `laterna_`: rename the table")]
    TableName,
    #[error("the name must have 1 to 64 characters, none of them a control character: rename the statement")]
    StatementName,

    #[error("the text has {bytes} bytes, more than {TEXT_BYTES_MAX}: split it, or pass values as parameters")]
    TooLong { bytes: usize },
    #[error("the text has a comment, and MySQL runs some comments as code: remove it")]
    Comment,
    #[error(
        "the text has a comment that MySQL runs, with `{inside}` in it: take that out of `/*!` and `*/`, and it is checked \
         like the rest; leave it out only if the table can do without it"
    )]
    RunComment { inside: String },
    #[error("the text holds several statements: declare each of them by itself")]
    SeveralStatements,
    #[error("`{found}` is not allowed: {remedy}")]
    Token { found: String, remedy: &'static str },
    #[error("an expression is nested or chained too deeply: compute it in the projector")]
    TooDeep,
    #[error("it is not valid SQL for MySQL, or of a form that is not supported here: {message}")]
    Unparsable { message: String },
    #[error("`{form}` is valid for MySQL, and not supported here: {remedy}")]
    Unsupported { form: String, remedy: &'static str },
    #[error("from `{declared}` on, it would be sent as `{read}`: write it that way")]
    Rewritten { declared: String, read: String },
    #[error("the host cannot write it back as the same statement ({detail}): write it more simply")]
    Unfaithful { detail: String },

    #[error("`{found}` is not one of {expected}")]
    Kind { found: String, expected: &'static str },
    #[error("{what} is not allowed: {remedy}")]
    NotAllowed { what: String, remedy: &'static str },
    #[error(
        "column `{column}` is NOT NULL and has no default, so every INSERT without it fails: give it a value"
    )]
    NoValue { column: String },
    #[error("there is no column `{column}` in {tables}{meant}: correct the name, or declare the column")]
    NoColumn { column: String, tables: String, meant: String },
    #[error("it has no WHERE and would touch every row: add one")]
    NoWhere,
    #[error("it has a subquery: read the event instead, or write the rows one statement at a time")]
    Subquery,
    #[error("table `{table}` is not declared: declare it, or correct the name (names are compared exactly)")]
    UndeclaredTable { table: String },
    #[error(
        "{name} reads the clock, so replaying the event would give another row: use the event's occurred-at"
    )]
    Clock { name: String },
    #[error("{name} is random, so replaying the event would give another row: derive it from the event's id")]
    Random { name: String },
    #[error(
        "function {name} is not allowed: compute the value in the projector and pass it as a parameter; or, if it comes from \
         a column, use functions that are allowed (docs/writing-a-projector.md lists them)"
    )]
    Function { name: String },
    #[error("function {name} is not allowed, because {why}: write {instead}")]
    OtherFunction { name: &'static str, why: &'static str, instead: &'static str },

    #[error("the CREATE TABLE names `{found}`: let both names be the same")]
    OtherName { found: String },
    #[error("it has no primary key: declare one, made of columns that come from the event")]
    NoPrimaryKey,
    #[error("its foreign key points at `{table}`, which is declared later: declare `{table}` first")]
    ReferenceOrder { table: String },
}

impl SqlPlace {
    pub(super) fn table(index: usize, name: &str) -> Self {
        Self::Table { index, name: excerpt(name) }
    }

    pub(super) fn statement(index: usize, name: &str) -> Self {
        Self::Statement { index, name: excerpt(name) }
    }
}

impl fmt::Display for SqlPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manifest => f.write_str("manifest"),
            Self::Table { index, name } => write!(f, "table {index} `{name}`"),
            Self::Statement { index, name } => write!(f, "statement {index} `{name}`"),
        }
    }
}

/// `what` is not on a list, and this is the way out.
pub(super) fn not_allowed(what: impl fmt::Display, remedy: &'static str) -> Reason {
    Reason::NotAllowed { what: excerpt(&what.to_string()), remedy }
}

/// The beginning of a declared text, fit for one line of a message.
pub(super) fn excerpt(text: &str) -> String {
    let flat = |character: char| if character.is_control() { ' ' } else { character };
    let mut characters = text.chars().map(flat);
    let mut excerpt: String = characters.by_ref().take(EXCERPT_MAX).collect();
    if characters.next().is_some() {
        excerpt.push('…');
    }
    excerpt
}

/// A reason for each clause that is there.
pub(super) fn refused<const N: usize>(clauses: [(bool, &'static str, &'static str); N]) -> Vec<Reason> {
    let present = clauses.into_iter().filter(|(is_present, ..)| *is_present);
    present.map(|(_, what, remedy)| not_allowed(what, remedy)).collect()
}
