//! The check of INSERT and REPLACE, and how such a statement is written for several rows.

use sqlparser::ast::{
    Expr, Insert, ObjectName, ObjectNamePart, OnInsert, Parens, Query, SetExpr, TableObject, Values,
};

use super::{Finding, assign, finish, sum};
use crate::sql::columns;
use crate::sql::expression::{Context, Walk, Want};
use crate::sql::name::{declared_table, quote, quote_column};
use crate::sql::refusal::{Reason, not_allowed, refused};
use crate::sql::tables::DeclaredTables;
use crate::statement::{MultiRow, RowPart};

const ONLY_VALUES: &str = "write INSERT INTO table (columns) VALUES (values)";

pub(super) fn check(insert: &mut Insert, tables: DeclaredTables) -> Result<Finding, Vec<Reason>> {
    let mut reasons = clauses(insert);
    let table = match &mut insert.table {
        TableObject::TableName(name) => declared_table(name, tables.names),
        TableObject::TableFunction(_) | TableObject::TableQuery(_) => {
            Err(not_allowed("anything but a table's name after INTO", ONLY_VALUES))
        }
    };
    let table = table.unwrap_or_else(|reason| {
        reasons.push(reason);
        String::new()
    });
    let mut walk = Walk::new(&table, tables);
    let mut columns = Vec::new();
    for column in &mut insert.columns {
        match quote_column(column, &table) {
            Ok(column) => columns.push(walk.written(&column)),
            Err(reason) => walk.refuse(reason),
        }
    }
    every_value_is_there(insert, &mut walk);
    let is_upsert = insert.replace_into || insert.on.is_some();
    let rows = match insert.source.as_deref_mut() {
        Some(source) if matches!(source.body.as_ref(), SetExpr::Values(_)) => match rows(source) {
            Ok(rows) => check_rows(rows, &columns, &mut walk),
            Err(reason) => {
                walk.refuse(reason);
                0
            }
        },
        Some(query) => {
            check_query(query, &columns, is_upsert, &mut walk);
            0
        }
        None => 0,
    };
    walk.row_alias = row_alias(insert, &table, &mut walk.reasons);
    let in_rows = walk.parameters.len();
    if let Some(OnInsert::DuplicateKeyUpdate(assignments)) = &mut insert.on {
        assign(assignments, &mut walk, Context::OnDuplicate);
    }
    // A row that is read could be one that this very statement writes.
    let is_repeatable =
        rows == 1 && walk.parameters.len() == in_rows && walk.reads.is_empty() && !walk.reads_own;
    let finding = finish(table.clone(), walk, reasons)?;
    let known = tables.right.iter().find(|one| one.name == table);
    let adds = known.map_or_else(Vec::new, |table| sum::refusing(insert, table));
    Ok(Finding { adds, is_repeatable, ..finding })
}

/// A row that lacks a value which has to be there is refused every time, even where it would only change one.
fn every_value_is_there(insert: &Insert, walk: &mut Walk) {
    if !insert.assignments.is_empty() || insert.columns.is_empty() {
        return;
    }
    let named: Vec<String> = insert.columns.iter().filter_map(last_name).collect();
    let Some(table) = walk.columns else { return };
    // One that is written wrong is told as that, and not as one that is missing.
    let wrong = named.iter().filter(|name| name.is_ascii() && table.column(name).is_none());
    let mut meant = Vec::new();
    for name in wrong {
        let Some(column) = columns::meant(name, &[table]) else { continue };
        walk.refuse(columns::no_column(name, &[table]));
        meant.push(column);
    }
    for column in table.columns.iter().filter(|column| !column.nullable && !column.has_default) {
        let is_named = named.iter().any(|name| name.eq_ignore_ascii_case(&column.name));
        if !is_named && !meant.contains(&column.name.as_str()) {
            walk.refuse(Reason::NoValue { column: column.name.clone() });
        }
    }
}

fn last_name(name: &ObjectName) -> Option<String> {
    name.0.last().and_then(|part| part.as_ident()).map(|ident| ident.value.clone())
}

/// Rows that are read from other tables. Where they may meet rows that are there, their order counts.
fn check_query(query: &mut Query, columns: &[Want], is_upsert: bool, walk: &mut Walk) {
    let written = std::mem::take(&mut walk.sources);
    walk.may_read_own = true;
    let is_ordered = walk.query(query, columns).is_ordered;
    walk.may_read_own = false;
    walk.sources = written;
    if let SetExpr::Select(select) = query.body.as_ref()
        && select.projection.len() != columns.len()
    {
        walk.refuse(not_allowed("a SELECT of more or fewer columns than are inserted", ONLY_VALUES));
    }
    if is_upsert && !is_ordered {
        let remedy = "the last of them counts: add ORDER BY the primary key, or take one row";
        walk.refuse(not_allowed("an upsert of rows in any order", remedy));
    }
}

/// The name of the new row, which is written as `VALUES(column)`: MariaDB has no such names.
fn row_alias(insert: &mut Insert, table: &str, reasons: &mut Vec<Reason>) -> Option<String> {
    let alias = insert.insert_alias.as_mut()?;
    let is_values = insert.source.as_deref().is_some_and(|source| matches!(*source.body, SetExpr::Values(_)));
    match alias.row_alias.0.as_mut_slice() {
        [ObjectNamePart::Identifier(name)]
            if alias.col_aliases.as_ref().is_none_or(Vec::is_empty)
                && is_values
                && name.value != table
                && insert.on.is_some() =>
        {
            quote(name);
            Some(name.value.clone())
        }
        _ => {
            let remedy = "write VALUES (...) AS new ON DUPLICATE KEY UPDATE column = new.column";
            reasons.push(not_allowed("this alias of the new row", remedy));
            None
        }
    }
}

/// Answers with how many rows there are.
fn check_rows(rows: &mut [Parens<Vec<Expr>>], columns: &[Want], walk: &mut Walk) -> usize {
    for row in rows.iter_mut() {
        if row.content.len() != columns.len() && !columns.is_empty() {
            walk.refuse(not_allowed("a row with more or fewer values than columns", ONLY_VALUES));
        }
        for (at, value) in row.content.iter_mut().enumerate() {
            walk.expression(value, Context::Row, columns.get(at).unwrap_or(&Want::ALONE));
        }
    }
    rows.len()
}

/// A reason for each clause that may not be there.
fn clauses(insert: &Insert) -> Vec<Reason> {
    let Insert {
        insert_token: _,
        optimizer_hints,
        or,
        ignore,
        into: _,
        table: _,
        table_alias,
        columns,
        overwrite,
        source,
        assignments,
        partitioned,
        after_columns,
        has_table_keyword,
        on,
        returning,
        output,
        replace_into,
        priority,
        insert_alias: _,
        settings,
        format_clause,
        multi_table_insert_type,
        multi_table_into_clauses,
        multi_table_when_clauses,
        multi_table_else_clause,
    } = insert;
    let on_conflict = matches!(on, Some(OnInsert::OnConflict(_)));
    let foreign = [
        or.is_some(),
        *overwrite,
        !after_columns.is_empty(),
        *has_table_keyword,
        settings.is_some(),
        format_clause.is_some(),
        multi_table_insert_type.is_some(),
        !multi_table_into_clauses.is_empty(),
        !multi_table_when_clauses.is_empty(),
        multi_table_else_clause.is_some(),
        on_conflict,
    ];
    refused([
        (!optimizer_hints.is_empty(), "a hint", "remove it"),
        (*ignore, "IGNORE", "it hides errors: use ON DUPLICATE KEY UPDATE"),
        (priority.is_some(), "a priority", "remove it"),
        (table_alias.is_some(), "an alias of the table", "write the table's name alone"),
        (columns.is_empty() && assignments.is_empty(), "an INSERT without a list of columns", ONLY_VALUES),
        (!assignments.is_empty(), "SET in an INSERT", ONLY_VALUES),
        (source.is_none() && assignments.is_empty(), "an INSERT without VALUES", ONLY_VALUES),
        (partitioned.is_some(), "PARTITION", ONLY_VALUES),
        (returning.is_some() || output.is_some(), "RETURNING", "nothing reads what a statement returns"),
        (*replace_into && on.is_some(), "ON DUPLICATE KEY UPDATE of a REPLACE", "use INSERT"),
        (foreign.contains(&true), "this form of INSERT", ONLY_VALUES),
    ])
}

/// The rows of a plain VALUES.
fn rows(source: &mut Query) -> Result<&mut [Parens<Vec<Expr>>], Reason> {
    let Query {
        with,
        body,
        order_by,
        limit_clause,
        fetch,
        locks,
        for_clause,
        settings,
        format_clause,
        pipe_operators,
    } = source;
    let is_bare = with.is_none()
        && order_by.is_none()
        && limit_clause.is_none()
        && fetch.is_none()
        && locks.is_empty()
        && for_clause.is_none()
        && settings.is_none()
        && format_clause.is_none()
        && pipe_operators.is_empty();
    match body.as_mut() {
        SetExpr::Values(Values { explicit_row: false, value_keyword: false, rows }) if is_bare => Ok(rows),
        SetExpr::Values(_) => Err(not_allowed("this form of VALUES", ONLY_VALUES)),
        _ => Err(Reason::Subquery),
    }
}

/// The parts, from a tree that passed and has all its parameters in its row.
pub(super) fn multi_row(insert: &Insert, parameters: usize) -> Option<MultiRow> {
    let SetExpr::Values(Values { rows, .. }) = insert.source.as_deref()?.body.as_ref() else {
        return None;
    };
    let verb = if insert.replace_into { "REPLACE" } else { "INSERT" };
    let into = if insert.into { " INTO" } else { "" };
    let columns = join(insert.columns.iter().map(ObjectName::to_string));
    let row = join(rows.first()?.iter().map(Expr::to_string));
    let head = format!("{verb}{into} {} ({columns}) VALUES ", insert.table);
    let rows = RowPart::Rows { row: format!("({row})"), between: ",", parameters: (0..parameters).collect() };
    let tail = insert.on.as_ref().map(|on| RowPart::Text(on.to_string()));
    let parts = [RowPart::Text(head), rows].into_iter().chain(tail).collect();
    Some(MultiRow { parts, rows_max: usize::MAX, is_apart: false, takes_null: true })
}

fn join(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}
