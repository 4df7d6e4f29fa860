//! The names of a table's checks and foreign keys, which may have to be the only ones of their database.

use sqlparser::ast::{ColumnOption, CreateTable, Ident, TableConstraint};

use crate::statement::{Constraint, ConstraintKind};

/// All checks and foreign keys; those without a name get the one that the server makes of the table's.
pub(super) fn all(table: &CreateTable, name: &str) -> Vec<Constraint> {
    let of_columns = table.columns.iter().flat_map(|column| &column.options);
    let of_columns = of_columns.filter_map(|option| match &option.option {
        ColumnOption::Check(check) => {
            Some((ConstraintKind::Check, option.name.as_ref().or(check.name.as_ref())))
        }
        _ => None,
    });
    let of_table = table.constraints.iter().filter_map(|constraint| match constraint {
        TableConstraint::Check(check) => Some((ConstraintKind::Check, check.name.as_ref())),
        TableConstraint::ForeignKey(key) => Some((ConstraintKind::ForeignKey, key.name.as_ref())),
        _ => None,
    });
    let (mut checks, mut keys) = (0, 0);
    let mut named = |(kind, given): (ConstraintKind, Option<&Ident>)| {
        let (count, infix) = match kind {
            ConstraintKind::Check => (&mut checks, "chk"),
            ConstraintKind::ForeignKey => (&mut keys, "ibfk"),
        };
        let name = given.map_or_else(
            || {
                *count += 1;
                format!("{name}_{infix}_{count}")
            },
            |given| given.value.clone(),
        );
        Constraint { name, kind }
    };
    of_columns.chain(of_table).map(&mut named).collect()
}

/// The columns that foreign keys point at, by table.
pub(super) fn referred(table: &CreateTable) -> Vec<(String, String)> {
    let keys = table.constraints.iter().filter_map(|constraint| match constraint {
        TableConstraint::ForeignKey(key) => Some(key),
        _ => None,
    });
    let columns = keys.flat_map(|key| {
        let table = key.foreign_table.0.last().and_then(|part| part.as_ident());
        let table = table.map(|name| name.value.clone()).unwrap_or_default();
        key.referred_columns.iter().map(move |column| (table.clone(), column.value.clone()))
    });
    columns.collect()
}
