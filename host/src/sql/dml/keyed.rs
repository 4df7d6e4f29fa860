//! How several operations of one statement become one: an INSERT of several rows, an UPDATE or DELETE of several keys, and
//! what two operations on one row come to.
//!
//! It says so only where it is proven for every row that the table may have; whatever it does not know is sent alone.

mod condition;
mod fold;
mod update;

use sqlparser::ast::{self, Delete, Expr, FromTable, Insert, ObjectName, SetExpr, Values};

use super::{Finding, insert};
use crate::sql::tables::DeclaredTables;
use crate::statement::{Keyed, Merge, MultiRow, RowPart, Table, Type};
use condition::{named, names_row, placeholders};

/// Keys of one DELETE: more could be so large a part of a small table that a server reads all of it, and waits for rows
/// of other lanes.
const DELETED_MAX: usize = 64;

/// What several operations of a statement may become.
pub(super) struct Together {
    pub multi_row: Option<MultiRow>,
    pub keyed: Option<Keyed>,
}

impl Together {
    const NOTHING: Self = Self { multi_row: None, keyed: None };
}

/// Finds out from a tree that passed and is settled.
pub(super) fn together(statement: &ast::Statement, finding: &Finding, tables: DeclaredTables) -> Together {
    let Some(table) = tables.right.iter().find(|table| table.name == finding.table) else {
        return Together::NOTHING;
    };
    match statement {
        ast::Statement::Insert(statement) if finding.is_repeatable => Together {
            multi_row: insert::multi_row(statement, finding.parameters.len()),
            keyed: inserted(statement, table),
        },
        ast::Statement::Update(statement) if !finding.reads_others => {
            update::together(statement, table, tables).unwrap_or(Together::NOTHING)
        }
        ast::Statement::Delete(statement) if !finding.reads_others => {
            deleted(statement, table, tables).unwrap_or(Together::NOTHING)
        }
        _ => Together::NOTHING,
    }
}

/// Returns true where foreign keys point at a table; of certain columns, where they are given.
fn is_referred(table: &Table, column: Option<&str>, tables: DeclaredTables) -> bool {
    let mut referred = tables.right.iter().flat_map(|other| &other.referred);
    referred.any(|(owner, name)| {
        *owner == table.name && column.is_none_or(|column| name.eq_ignore_ascii_case(column))
    })
}

/// Returns true where two keys of a table can be told apart without asking the server.
fn has_plain_key(table: &Table) -> bool {
    let is_plain = |name: &String| {
        table.column(name).is_some_and(|column| match column.kind {
            Type::Integer { .. } | Type::Bytes { .. } => true,
            Type::Text { .. } => column.distinguishes_all_letters(),
            _ => false,
        })
    };
    !table.key().is_empty() && table.has_whole_key() && table.key().iter().all(is_plain)
}

/// A DELETE of rows that parameters name. One refused over rows that point at it could pass after another one.
fn deleted(delete: &Delete, table: &Table, tables: DeclaredTables) -> Option<Together> {
    let FromTable::WithFromKeyword(from) = &delete.from else { return None };
    let [from] = from.as_slice() else { return None };
    if !from.joins.is_empty() || is_referred(table, None, tables) {
        return None;
    }
    let names = named(delete.selection.as_ref()?)?;
    let is_comparable = |name: &String| {
        table.column(name).is_some_and(|column| {
            matches!(
                column.kind,
                Type::Integer { .. }
                    | Type::Decimal { .. }
                    | Type::Text { .. }
                    | Type::Bytes { .. }
                    | Type::Date
                    | Type::DateTime { .. }
            )
        })
    };
    if !names.iter().map(|name| &name.column).all(is_comparable) {
        return None;
    }
    let parameters: Vec<usize> = (0..names.len()).collect();
    let (columns, row) = condition::list(&names);
    let parts = vec![
        RowPart::Text(format!("DELETE FROM {} WHERE {columns} IN (", from.relation)),
        RowPart::Rows { row, between: ",", parameters },
        RowPart::Text(")".to_owned()),
    ];
    let keyed = names_row(&names, table, 0).filter(|_| has_plain_key(table)).map(|key| {
        let merges = Some(vec![Merge::Last; key.len()]);
        Keyed { key, merges, erases: true, is_harmless: true }
    });
    let multi_row = MultiRow { parts, rows_max: DELETED_MAX, is_apart: false, takes_null: false };
    Some(Together { multi_row: Some(multi_row), keyed })
}

/// What is known of an INSERT of one row whose key is given.
fn inserted(insert: &Insert, table: &Table) -> Option<Keyed> {
    let SetExpr::Values(Values { rows, .. }) = insert.source.as_deref()?.body.as_ref() else { return None };
    let row = &rows.first()?.content;
    let columns: Vec<String> = insert.columns.iter().filter_map(last).collect();
    let place = |name: &String| {
        let at = columns.iter().position(|column| column.eq_ignore_ascii_case(name))?;
        condition::is_placeholder(row.get(at)?).then(|| placeholders(&row[..at]))
    };
    let key: Vec<usize> = table.key().iter().map(place).collect::<Option<_>>()?;
    let moves = |name: &String| table.key().iter().any(|column| column.eq_ignore_ascii_case(name));
    if !has_plain_key(table) || fold::assigned(insert).iter().any(moves) {
        return None;
    }
    let merges = fold::inserted(insert, &columns, row, table);
    let is_harmless = fold::is_harmless(merges.as_deref(), row);
    Some(Keyed { key, merges, erases: false, is_harmless })
}

/// The column that a name ends with.
fn last(name: &ObjectName) -> Option<String> {
    name.0.last().and_then(|part| part.as_ident()).map(|ident| ident.value.clone())
}

/// A literal, perhaps with a sign.
fn is_literal(expr: &Expr) -> bool {
    match expr {
        Expr::Value(_) => !condition::is_placeholder(expr),
        Expr::UnaryOp { op: ast::UnaryOperator::Minus | ast::UnaryOperator::Plus, expr } => is_literal(expr),
        _ => false,
    }
}
