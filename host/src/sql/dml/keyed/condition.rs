//! Conditions that name rows by columns and parameters alone.

use std::ops::ControlFlow;

use sqlparser::ast::{BinaryOperator, Expr, Value, Visit, visit_expressions};

use crate::statement::Table;

/// A column that is equal to a parameter.
pub(super) struct NamedColumn {
    pub column: String,
    /// As it is written, perhaps behind its table.
    pub written: String,
}

/// The columns of a condition `a = ? AND b = ?`, in its order; none where it is anything else.
pub(super) fn named(condition: &Expr) -> Option<Vec<NamedColumn>> {
    let mut names: Vec<NamedColumn> = Vec::new();
    collect(condition, &mut names)?;
    let is_double = |at: usize, name: &NamedColumn| {
        names[..at].iter().any(|other| other.column.eq_ignore_ascii_case(&name.column))
    };
    let is_clear = !names.iter().enumerate().any(|(at, name)| is_double(at, name));
    is_clear.then_some(names)
}

fn collect(condition: &Expr, names: &mut Vec<NamedColumn>) -> Option<()> {
    match condition {
        Expr::Nested(inner) => collect(inner, names),
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            collect(left, names)?;
            collect(right, names)
        }
        Expr::BinaryOp { left, op: BinaryOperator::Eq, right } => {
            let column = match (left.as_ref(), right.as_ref()) {
                (column, value) | (value, column) if is_placeholder(value) && !is_placeholder(column) => {
                    column
                }
                _ => return None,
            };
            names.push(NamedColumn { column: column_of(column)?, written: column.to_string() });
            Some(())
        }
        _ => None,
    }
}

/// The name of a column, perhaps behind its table.
pub(super) fn column_of(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Identifier(name) => Some(name.value.clone()),
        Expr::CompoundIdentifier(parts) => parts.last().map(|name| name.value.clone()),
        _ => None,
    }
}

/// The parameters of a table's primary key, where the names are just its columns: `first` is the first name's.
pub(super) fn names_row(names: &[NamedColumn], table: &Table, first: usize) -> Option<Vec<usize>> {
    let place = |column: &String| {
        let at = names.iter().position(|name| name.column.eq_ignore_ascii_case(column))?;
        Some(first + at)
    };
    let key: Vec<usize> = table.key().iter().map(place).collect::<Option<_>>()?;
    (key.len() == names.len()).then_some(key)
}

/// The columns for the left of IN, and a row for its right.
pub(super) fn list(names: &[NamedColumn]) -> (String, String) {
    let columns: Vec<&str> = names.iter().map(|name| name.written.as_str()).collect();
    match columns.as_slice() {
        [column] => ((*column).to_owned(), "?".to_owned()),
        columns => (format!("({})", columns.join(",")), format!("({})", vec!["?"; columns.len()].join(","))),
    }
}

pub(super) fn is_placeholder(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(value) if matches!(value.value, Value::Placeholder(_)))
}

/// How many parameters stand in there.
pub(super) fn placeholders(tree: &[impl Visit]) -> usize {
    let mut count = 0;
    for part in tree {
        let _ = visit_expressions(part, |expr| {
            count += usize::from(is_placeholder(expr));
            ControlFlow::<()>::Continue(())
        });
    }
    count
}
