//! UPDATE of rows by their primary key: the statement for several of them, and what two of one row come to.
//!
//! Each parameter becomes a CASE over the keys. Keys differ, so each row is changed by one operation, in a way that no other
//! row has a part in: the columns that are written are in no unique key, and nothing points at them.

use sqlparser::ast::{Assignment, AssignmentTarget, BinaryOperator, Expr, Update};

use super::condition::{self, NamedColumn, column_of, is_placeholder, named, names_row, placeholders};
use super::fold::{self, Assigned};
use super::{Together, has_plain_key, is_literal, is_referred, last};
use crate::sql::tables::DeclaredTables;
use crate::statement::{Keyed, MultiRow, RowPart, Table, Type};

/// Rows of one UPDATE: a CASE is read from its beginning for each row.
const UPDATED_MAX: usize = 64;

pub(super) fn together(update: &Update, table: &Table, tables: DeclaredTables) -> Option<Together> {
    let is_whole = update.table.joins.is_empty() && !table.references.contains(&table.name);
    if !is_whole || !has_plain_key(table) {
        return None;
    }
    let before = placeholders(&update.assignments);
    let names = named(update.selection.as_ref()?)?;
    let key = names_row(&names, table, before)?;
    let mut assigned = Vec::new();
    for assignment in &update.assignments {
        assigned.push(of(assignment, table, tables)?);
    }
    let case = Case { names: &names, key: (before..before + names.len()).collect() };
    let mut parts = Parts::default();
    parts.text(&format!("UPDATE {} FORCE INDEX (PRIMARY) SET ", update.table.relation));
    let mut parameter = 0;
    for (at, (assignment, (_, assigned))) in update.assignments.iter().zip(&assigned).enumerate() {
        parts.text(if at == 0 { "" } else { ", " });
        parts.text(&format!("{} = ", assignment.target));
        match (assigned, &assignment.value) {
            (Assigned::Added, Expr::BinaryOp { left, op, .. }) => {
                parts.text(&format!("{left} {op} "));
                case.write(parameter, &mut parts);
                parameter += 1;
            }
            (Assigned::Given, _) => {
                case.write(parameter, &mut parts);
                parameter += 1;
            }
            (_, value) => parts.text(&value.to_string()),
        }
    }
    let (columns, row) = condition::list(&names);
    parts.text(&format!(" WHERE {columns} IN ("));
    parts.rows(row, ",", case.key.clone());
    parts.text(")");
    let (merges, is_harmless) = fold::updated(&assigned, names.len(), table);
    Some(Together {
        multi_row: Some(MultiRow {
            parts: parts.parts,
            rows_max: UPDATED_MAX,
            is_apart: true,
            takes_null: true,
        }),
        keyed: Some(Keyed { key, merges, erases: false, is_harmless }),
    })
}

/// The column of an assignment and what becomes of it; none where another row may have a part in that.
fn of(assignment: &Assignment, table: &Table, tables: DeclaredTables) -> Option<(String, Assigned)> {
    let AssignmentTarget::ColumnName(target) = &assignment.target else { return None };
    let name = last(target)?;
    let column = table.column(&name)?;
    // Of which columns a generated one is made is not known.
    let may_be_in_key =
        table.has_expression_key || table.has_other_unique_key() && table.has_generated_columns();
    if may_be_in_key || !table.is_beside_unique_keys(&name) || is_referred(table, Some(&name), tables) {
        return None;
    }
    let is_own = |expr: &Expr| column_of(expr).is_some_and(|other| other.eq_ignore_ascii_case(&name));
    let is_exact = matches!(column.kind, Type::Integer { .. } | Type::Decimal { .. });
    let assigned = match &assignment.value {
        value if is_placeholder(value) => Assigned::Given,
        Expr::BinaryOp { left, op: BinaryOperator::Plus | BinaryOperator::Minus, right }
            if is_exact && is_own(left) && is_placeholder(right) =>
        {
            Assigned::Added
        }
        value if is_literal(value) => Assigned::Constant,
        value if placeholders(std::slice::from_ref(value)) == 0 => Assigned::Computed,
        _ => return None,
    };
    Some((name, assigned))
}

/// The choice of a value by the row's key.
struct Case<'a> {
    names: &'a [NamedColumn],
    /// The parameters of the names.
    key: Vec<usize>,
}

impl Case<'_> {
    fn write(&self, parameter: usize, parts: &mut Parts) {
        let row = if let [one] = self.names {
            parts.text(&format!("CASE {}", one.written));
            " WHEN ? THEN ?".to_owned()
        } else {
            parts.text("CASE");
            let equal: Vec<String> = self.names.iter().map(|name| format!("{} = ?", name.written)).collect();
            format!(" WHEN {} THEN ?", equal.join(" AND "))
        };
        parts.rows(row, "", self.key.iter().copied().chain([parameter]).collect());
        parts.text(" END");
    }
}

/// Parts of a statement in the making.
#[derive(Default)]
struct Parts {
    parts: Vec<RowPart>,
}

impl Parts {
    fn text(&mut self, more: &str) {
        match self.parts.last_mut() {
            Some(RowPart::Text(text)) => text.push_str(more),
            _ => self.parts.push(RowPart::Text(more.to_owned())),
        }
    }

    fn rows(&mut self, row: String, between: &'static str, parameters: Vec<usize>) {
        self.parts.push(RowPart::Rows { row, between, parameters });
    }
}
