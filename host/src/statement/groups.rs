//! Which statements of a schema may pass each other within a batch, as far as the schema alone says so.
//!
//! Words only. `sql::coalesce` acts on them.

use std::collections::HashMap;

use super::{Statement, Table};

/// The groups of a schema's tables: whatever a statement touches, cascades and reads included, lies in the group of its table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableGroups {
    /// For each group, whether it is one table whose rows have nothing to do with each other.
    free_rows: Vec<bool>,
    /// The group of each statement.
    of_statement: Vec<usize>,
}

impl TableGroups {
    /// Tables that foreign keys tie, over however many steps, and tables that one statement names together, are one group.
    /// Whatever is not declared is tied to all else that is not.
    pub(super) fn of(tables: &[Table], statements: &[Statement]) -> Self {
        let index: HashMap<&str, usize> =
            tables.iter().enumerate().map(|(index, table)| (table.name.as_str(), index)).collect();
        let at = |name: &str| index.get(name).copied().unwrap_or(tables.len());
        let mut group: Vec<usize> = (0..=tables.len()).collect();
        let mut tie = |left: &str, right: &str| {
            let (left, right) = (group[at(left)], group[at(right)]);
            group.iter_mut().filter(|group| **group == right).for_each(|group| *group = left);
        };
        for table in tables {
            table.references.iter().for_each(|other| tie(&table.name, other));
        }
        for statement in statements {
            statement.reads.iter().for_each(|other| tie(&statement.table, other));
        }
        let has_free_rows = |number: usize| {
            let mut members = group.iter().enumerate().filter(|(_, group)| **group == number);
            let only = members.next().filter(|_| members.next().is_none());
            only.and_then(|(at, _)| tables.get(at))
                .is_some_and(|table| table.references.is_empty() && !table.has_other_unique_key())
        };
        Self {
            free_rows: (0..group.len()).map(has_free_rows).collect(),
            of_statement: statements.iter().map(|statement| group[at(&statement.table)]).collect(),
        }
    }

    /// For each group, whether it is one table whose rows have nothing to do with each other.
    pub fn free_rows(&self) -> &[bool] {
        &self.free_rows
    }

    /// The group of a statement, by the statement's index.
    pub fn of_statement(&self, statement: usize) -> usize {
        self.of_statement[statement]
    }
}
