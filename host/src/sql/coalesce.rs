//! Joins INSERT and REPLACE operations of a batch into statements of many rows. `sql::dml` says which statements may be joined; an
//! UPDATE or DELETE is sent alone.
//!
//! Pure, and it decides nothing about errors: a batch that fails is redone by its caller, in smaller pieces.
//!
//! Why the result is the same as running the operations one by one: tables are put in groups such that whatever a
//! statement touches, cascades and reads included, lies in the group of its table. Operations of different groups
//! touch no row in common, so they may pass each other: neither sees or breaks what the other does. Within a group
//! no operation passes another. A multi-row INSERT or REPLACE takes its rows in order, each with its own
//! duplicate-key handling, as single ones would (`sql` lets no row that may be joined read a table). So the state is the same, and a
//! batch fails exactly when it would have failed.

use std::{borrow::Cow, collections::HashMap};

use crate::statement::{Operation, Parameter, Schema, Statement, Value};

/// Placeholders that one MySQL statement may have.
pub const PARAMETERS_MAX: usize = 65_535;
/// Rows of one statement. Few sizes, so that prepared statements stay few.
pub const ROW_COUNTS: [usize; 10] = [512, 256, 128, 64, 32, 16, 8, 4, 2, 1];

/// Rows for one statement, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct RowRun<'a> {
    /// An index into the schema's statements.
    pub statement: usize,
    /// The parameters of each row. More than one row only where the statement has a `multi_row`.
    pub rows: Vec<&'a [Value]>,
    /// The kinds of those parameters that stand alone, which are the same in each row.
    pub kinds: String,
}

/// Joins operations where that changes nothing. They have been checked against the schema: the statements exist and
/// the parameters are complete.
pub fn coalesce<'a>(schema: &Schema, operations: impl IntoIterator<Item = &'a Operation>) -> Vec<RowRun<'a>> {
    let groups = groups(schema);
    let mut runs: Vec<RowRun<'a>> = Vec::new();
    // The last run of each group: the only one that an operation of the group may still join.
    let mut last: Vec<Option<usize>> = vec![None; schema.tables.len()];
    for operation in operations {
        let statement = operation.statement as usize;
        let group = groups[statement];
        let declared = &schema.statements[statement];
        let kinds = kinds(&declared.parameters, &operation.parameters);
        let joins = last[group]
            .map(|run| &mut runs[run])
            .filter(|run| run.statement == statement && declared.multi_row.is_some() && run.kinds == kinds);
        if let Some(run) = joins {
            run.rows.push(&operation.parameters);
        } else {
            last[group] = Some(runs.len());
            runs.push(RowRun { statement, rows: vec![&operation.parameters], kinds });
        }
    }
    runs
}

/// The kinds of the values that keep their own, a letter each. A statement is prepared once for each of these, because
/// MySQL keeps the kinds that it was given with a prepared statement and reads later values as those.
fn kinds(parameters: &[Parameter], values: &[Value]) -> String {
    let letter = |value: &Value| match value {
        Value::Null => 'z',
        Value::Boolean(_) | Value::Integer(_) => 'i',
        Value::Number(_) => 'n',
        Value::Decimal(_) => 'd',
        Value::Text(_) | Value::Json(_) => 't',
        Value::Bytes(_) => 'b',
        Value::Timestamp(_) => 'm',
    };
    let alone = parameters.iter().zip(values).filter(|(parameter, _)| parameter.kind.is_none());
    alone.map(|(_, value)| letter(value)).collect()
}

/// Cuts rows of so many parameters into pieces of a few fixed row counts, the largest first.
pub fn split<R>(rows: &[R], parameters: usize, rows_max: usize, parameters_max: usize) -> Vec<&[R]> {
    let most = rows_max.min(parameters_max / parameters.max(1));
    let mut pieces = Vec::new();
    let mut rest = rows;
    while !rest.is_empty() {
        let most = most.min(rest.len());
        let count = ROW_COUNTS.into_iter().find(|count| *count <= most).unwrap_or(1);
        let (piece, after) = rest.split_at(count);
        pieces.push(piece);
        rest = after;
    }
    pieces
}

/// The text of a statement for this many rows, and for these kinds of the parameters that stand alone.
pub fn render<'s>(statement: &'s Statement, rows: usize, kinds: &str) -> Cow<'s, str> {
    let text = repeated(statement, rows);
    if kinds.is_empty() { text } else { format!("{text} /* {kinds} */").into() }
}

fn repeated(statement: &Statement, rows: usize) -> Cow<'_, str> {
    if rows == 1 {
        return Cow::Borrowed(&statement.sql);
    }
    let multi_row =
        statement.multi_row.as_ref().expect("only runs of multi-row statements have more than one row");
    let bytes = multi_row.head.len() + rows * (multi_row.row.len() + 1) + multi_row.tail.len();
    let mut text = String::with_capacity(bytes);
    text.push_str(&multi_row.head);
    for row in 0..rows {
        if row > 0 {
            text.push(',');
        }
        text.push_str(&multi_row.row);
    }
    text.push_str(&multi_row.tail);
    Cow::Owned(text)
}

/// The group of each statement: tables that foreign keys tie, over however many steps, and tables that one statement
/// names together, are one group.
fn groups(schema: &Schema) -> Vec<usize> {
    let index: HashMap<&str, usize> =
        schema.tables.iter().enumerate().map(|(index, table)| (table.name.as_str(), index)).collect();
    let mut group: Vec<usize> = (0..schema.tables.len()).collect();
    let mut tie = |left: &str, right: &str| {
        let (left, right) = (group[index[left]], group[index[right]]);
        group.iter_mut().filter(|group| **group == right).for_each(|group| *group = left);
    };
    for table in &schema.tables {
        table.references.iter().for_each(|other| tie(&table.name, other));
    }
    for statement in &schema.statements {
        statement.reads.iter().for_each(|other| tie(&statement.table, other));
    }
    schema.statements.iter().map(|statement| group[index[statement.table.as_str()]]).collect()
}

#[cfg(test)]
mod tests;
