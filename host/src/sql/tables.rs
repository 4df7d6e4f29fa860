//! The declared tables that statements and expressions are checked against.

use crate::statement::Table;

/// The declared tables: their names, and what is known of those that are right.
#[derive(Clone, Copy)]
pub(super) struct DeclaredTables<'a> {
    pub names: &'a [&'a str],
    pub right: &'a [Table],
}

impl DeclaredTables<'_> {
    pub const NONE: Self = Self { names: &[], right: &[] };
}
