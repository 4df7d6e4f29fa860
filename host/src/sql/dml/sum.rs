//! Upserts that add a parameter to a column that does not take any number.
//!
//! The servers judge the row that would be inserted before they look whether one is there. It refuses nothing: where
//! only positive numbers come, such a statement is right.

use std::ops::ControlFlow;

use sqlparser::ast::{
    AssignmentTarget, BinaryOperator, Expr, FunctionArguments, Insert, OnInsert, SetExpr, Value,
    visit_expressions,
};

use crate::statement::{Column, Table, Type};

/// The columns, `table.column`, that an upsert adds a parameter to, and that are UNSIGNED or read by a CHECK.
pub(super) fn refusing(insert: &Insert, table: &Table) -> Vec<String> {
    let Some(OnInsert::DuplicateKeyUpdate(assignments)) = &insert.on else { return Vec::new() };
    let mut found = Vec::new();
    for assignment in assignments {
        let AssignmentTarget::ColumnName(target) = &assignment.target else { continue };
        let name = target.0.last().and_then(|part| part.as_ident()).map(|ident| ident.value.as_str());
        let Some(column) = name.and_then(|name| table.column(name)) else { continue };
        if !takes_any_number(column)
            && is_given(insert, &column.name)
            && adds(&assignment.value, &column.name, insert)
        {
            found.push(format!("{}.{}", table.name, column.name));
        }
    }
    found
}

fn takes_any_number(column: &Column) -> bool {
    let is_unsigned =
        matches!(column.kind, Type::Integer { unsigned: true, .. } | Type::Decimal { unsigned: true, .. });
    !is_unsigned && !column.checked
}

/// Returns true where the row that would be inserted has a parameter in this column.
fn is_given(insert: &Insert, column: &str) -> bool {
    let is_column = |name: &sqlparser::ast::ObjectName| {
        name.0
            .last()
            .and_then(|part| part.as_ident())
            .is_some_and(|name| name.value.eq_ignore_ascii_case(column))
    };
    let Some(at) = insert.columns.iter().position(is_column) else { return false };
    let Some(SetExpr::Values(values)) = insert.source.as_deref().map(|source| source.body.as_ref()) else {
        return false;
    };
    let is_parameter =
        |expr: &Expr| matches!(expr, Expr::Value(value) if matches!(value.value, Value::Placeholder(_)));
    values.rows.iter().any(|row| row.content.get(at).is_some_and(is_parameter))
}

/// Returns true for a sum of which the value that would be inserted is a part.
fn adds(value: &Expr, column: &str, insert: &Insert) -> bool {
    let alias = insert.insert_alias.as_ref().map(|alias| alias.row_alias.to_string());
    let is_new = |expr: &Expr| match expr {
        Expr::Function(call) if call.name.to_string().eq_ignore_ascii_case("VALUES") => match &call.args {
            FunctionArguments::List(list) => {
                list.args.iter().any(|argument| ends_with(&argument.to_string(), column))
            }
            _ => false,
        },
        Expr::CompoundIdentifier(parts) => match parts.as_slice() {
            [owner, name] => {
                alias.as_ref().is_some_and(|alias| alias.trim_matches('`') == owner.value)
                    && name.value.eq_ignore_ascii_case(column)
            }
            _ => false,
        },
        _ => false,
    };
    let has_new = |expr: &Expr| visit(expr, &is_new);
    let is_sum = |expr: &Expr| match expr {
        Expr::BinaryOp { left, op: BinaryOperator::Plus, right } => has_new(left) != has_new(right),
        _ => false,
    };
    visit(value, &is_sum)
}

/// Returns true where the name, perhaps behind its table and in backticks, is the column's.
fn ends_with(name: &str, column: &str) -> bool {
    name.rsplit('.').next().is_some_and(|last| last.trim_matches('`').eq_ignore_ascii_case(column))
}

fn visit(expr: &Expr, wanted: &dyn Fn(&Expr) -> bool) -> bool {
    let found = visit_expressions(expr, |inner| {
        if wanted(inner) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    found.is_break()
}
