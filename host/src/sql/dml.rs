//! The check of declared statements: INSERT, REPLACE, UPDATE and DELETE, each of one declared table, which may read
//! others.
//!
//! Clauses are taken apart field by field, so that a clause a newer parser learns breaks the build here instead of
//! passing unseen. Whether its columns exist is looked at afterwards ([`super::unknown_columns`]).

mod settle;
mod sum;
mod insert;
mod keyed;

use sqlparser::ast::{
    self, Assignment, AssignmentTarget, Delete, FromTable, TableFactor, TableWithJoins, Update,
};

use super::expression::{Context, Walk, Want, is_at_most_one};
use super::name::{declared_table, plain_table, quote_column};
use super::parse::{self, Declared, Extent};
use super::refusal::{Reason, excerpt, not_allowed, refused};
use super::tables::DeclaredTables;
use crate::statement::{MultiRow, Parameter, Statement, StatementDeclaration};
use keyed::Together;

const EXPECTED: &str = "INSERT, REPLACE, UPDATE and DELETE";
const ONE_TABLE: &str = "a statement writes one table";
const DELETE_JOINED: &str = "write DELETE a FROM table a JOIN table b ON condition WHERE condition";
const JOINED: &str = "write UPDATE table a JOIN table b ON condition SET a.column = value WHERE condition";

/// The findings about one statement.
struct Finding {
    table: String,
    parameters: Vec<Parameter>,
    /// Declared tables that it reads besides that.
    reads: Vec<String>,
    /// Columns to which an upsert adds what it would insert, and which do not take any number.
    adds: Vec<String>,
    /// Its row may be repeated.
    is_repeatable: bool,
    /// It reads rows besides those that it writes.
    reads_others: bool,
}

/// Checks one statement. It sees all that is wrong unless the text can't be read at all.
pub(super) fn check(
    declaration: &StatementDeclaration,
    tables: DeclaredTables,
) -> Result<Statement, Vec<Reason>> {
    let mut declared = parse::parse(&declaration.sql).map_err(|reason| vec![reason])?;
    let finding = check_tree(&mut declared.statement, tables)?;
    let (sql, proves) = write(&mut declared, &finding, tables)?;
    let Together { multi_row, keyed } = keyed::together(&declared.statement, &finding, tables);
    let reads = |multi_row: &MultiRow| parse::parse(&multi_row.text(2)).is_ok();
    let is_insert = matches!(declared.statement, ast::Statement::Insert(_));
    if let Some(multi_row) = multi_row.as_ref().filter(|_| is_insert)
        && !(parse::equal_texts(&sql, &multi_row.text(1)) && reads(multi_row))
    {
        return Err(vec![Reason::Unfaithful { detail: "its row can't be repeated".into() }]);
    }
    let multi_row = multi_row.filter(reads);
    Ok(Statement {
        name: declaration.name.clone(),
        sql,
        table: finding.table,
        reads: finding.reads,
        parameters: finding.parameters,
        proves,
        adds: finding.adds,
        multi_row,
        keyed,
    })
}

fn check_tree(statement: &mut ast::Statement, tables: DeclaredTables) -> Result<Finding, Vec<Reason>> {
    match statement {
        ast::Statement::Insert(statement) => insert::check(statement, tables),
        ast::Statement::Update(statement) => check_update(statement, tables),
        ast::Statement::Delete(statement) => check_delete(statement, tables),
        other => {
            let found = excerpt(other.to_string().split(' ').next().unwrap_or_default());
            Err(vec![Reason::Kind { found, expected: EXPECTED }])
        }
    }
}

/// The text that is sent, and what it proves.
fn write(
    declared: &mut Declared,
    finding: &Finding,
    tables: DeclaredTables,
) -> Result<(String, Vec<String>), Vec<Reason>> {
    declared.expect_same(&declared.statement, Extent::All).map_err(|reason| vec![reason])?;
    let table = tables.right.iter().find(|table| table.name == finding.table);
    let proves = settle::settle(&mut declared.statement, table)?;
    let sql = parse::write(&declared.statement).map_err(|reason| vec![reason])?;
    Ok((sql, proves))
}

fn check_update(update: &mut Update, tables: DeclaredTables) -> Result<Finding, Vec<Reason>> {
    let Update {
        update_token: _,
        optimizer_hints,
        table,
        assignments,
        from,
        selection,
        returning,
        output,
        or,
        order_by,
        limit,
    } = update;
    let mut reasons = refused([
        (!optimizer_hints.is_empty(), "a hint", "remove it"),
        (from.is_some(), "FROM", ONE_TABLE),
        (returning.is_some(), "RETURNING", "nothing reads what a statement returns"),
        (output.is_some(), "OUTPUT", "nothing reads what a statement returns"),
        (or.is_some(), "OR", "write UPDATE table SET"),
        (!order_by.is_empty(), "ORDER BY", "name the rows in WHERE"),
        (limit.is_some(), "LIMIT", "which rows it takes is not determined: name them in WHERE"),
    ]);
    let is_joined = !table.joins.is_empty();
    let name = written_table(table, is_joined, tables, &mut reasons);
    let mut walk = Walk::new(&name, tables);
    let mut conditions = if is_joined { join(table, &mut walk, JOINED) } else { Vec::new() };
    if is_joined {
        let owner = walk.sources.first().map(|source| source.name.clone()).unwrap_or_default();
        assign_joined(assignments, &mut walk, &owner);
    } else {
        assign(assignments, &mut walk, Context::Condition);
    }
    restrict(selection.as_mut(), &mut walk);
    conditions.extend(selection.clone());
    // Of several rows that fit one row, any could be taken.
    for source in walk.sources.iter().skip(1) {
        if !is_at_most_one(source, &walk.sources, &conditions, false) {
            let what = format!("a join with any number of rows of `{}`", source.table);
            walk.reasons.push(not_allowed(
                what,
                "which of them counts is not determined: join by its primary key, in the key's own type",
            ));
        }
    }
    finish(name.clone(), walk, reasons)
}

/// The table that is written, which comes first where others are joined.
fn written_table(
    from: &mut TableWithJoins,
    is_joined: bool,
    tables: DeclaredTables,
    reasons: &mut Vec<Reason>,
) -> String {
    if !is_joined {
        return only_table(from, tables, reasons);
    }
    let named = match &mut from.relation {
        TableFactor::Table { name, .. } => declared_table(&mut name.clone(), tables.names),
        relation => Err(not_allowed(format_args!("`{relation}`"), JOINED)),
    };
    named.unwrap_or_else(|reason| {
        reasons.push(reason);
        String::new()
    })
}

/// Makes the tables of a joined statement visible, the written one first, and answers with what joins them.
fn join(from: &mut TableWithJoins, walk: &mut Walk, form: &'static str) -> Vec<ast::Expr> {
    walk.sources.clear();
    walk.may_read_own = true;
    let conditions = walk.tables_of(from, form);
    walk.may_read_own = false;
    // The first one is the one that is written.
    walk.reads_own = walk.sources.iter().skip(1).any(|source| source.table == walk.table);
    if walk.reads_own {
        walk.refuse(not_allowed("a join of the table with itself", "read other tables only"));
    }
    conditions
}

/// With several tables, a column alone could be another table's.
fn assign_joined(assignments: &mut [Assignment], walk: &mut Walk, owner: &str) {
    for Assignment { target, value } in assignments {
        let column = match target {
            AssignmentTarget::ColumnName(name) if name.0.len() == 2 => quote_column(name, owner),
            _ => Err(not_allowed(
                format_args!("SET {target}"),
                "write the written table's name before the column",
            )),
        };
        let want = match column {
            Ok(column) => walk.written(&column),
            Err(reason) => {
                walk.refuse(reason);
                Want::ALONE
            }
        };
        walk.expression(value, Context::Condition, &want);
    }
}

fn check_delete(delete: &mut Delete, tables: DeclaredTables) -> Result<Finding, Vec<Reason>> {
    let Delete {
        delete_token: _,
        optimizer_hints,
        tables: several,
        from,
        using,
        selection,
        returning,
        output,
        order_by,
        limit,
    } = delete;
    let is_joined =
        matches!(&*from, FromTable::WithFromKeyword(from) if from.len() == 1 && !from[0].joins.is_empty());
    let mut reasons = refused([
        (!optimizer_hints.is_empty(), "a hint", "remove it"),
        (
            !several.is_empty() && !is_joined,
            "a word between DELETE and FROM",
            "write DELETE FROM table WHERE",
        ),
        (is_joined && several.len() != 1, "a joined DELETE without one table to delete from", DELETE_JOINED),
        (using.is_some(), "USING", ONE_TABLE),
        (returning.is_some(), "RETURNING", "nothing reads what a statement returns"),
        (output.is_some(), "OUTPUT", "nothing reads what a statement returns"),
        (!order_by.is_empty(), "ORDER BY", "name the rows in WHERE"),
        (limit.is_some(), "LIMIT", "which rows it takes is not determined: name them in WHERE"),
    ]);
    let FromTable::WithFromKeyword(from) = from else {
        reasons.push(not_allowed("this list of tables", "write DELETE FROM table WHERE"));
        return Err(reasons);
    };
    let [from] = from.as_mut_slice() else {
        reasons.push(not_allowed("this list of tables", "write DELETE FROM table WHERE"));
        return Err(reasons);
    };
    let table = written_table(from, is_joined, tables, &mut reasons);
    let mut walk = Walk::new(&table, tables);
    if is_joined {
        join(from, &mut walk, DELETE_JOINED);
        let owner = walk.sources.first().map(|source| source.name.clone()).unwrap_or_default();
        for name in several {
            match name.0.as_mut_slice() {
                [ast::ObjectNamePart::Identifier(ident)] if ident.value == owner => super::name::quote(ident),
                _ => walk.refuse(not_allowed(format_args!("DELETE {name}"), DELETE_JOINED)),
            }
        }
    }
    restrict(selection.as_mut(), &mut walk);
    finish(table.clone(), walk, reasons)
}

/// The declared table, where nothing but a table's name may stand. Empty when it is refused.
fn only_table(from: &mut TableWithJoins, tables: DeclaredTables, reasons: &mut Vec<Reason>) -> String {
    let TableWithJoins { relation, joins } = from;
    reasons.extend(refused([(!joins.is_empty(), "a join", ONE_TABLE)]));
    let named = plain_table(relation, ONE_TABLE).and_then(|(name, alias)| {
        if alias.is_some() {
            let remedy = "write the table's name alone";
            return Err(vec![not_allowed("an alias or a modifier of the table", remedy)]);
        }
        declared_table(name, tables.names).map_err(|reason| vec![reason])
    });
    named.unwrap_or_else(|more| {
        reasons.extend(more);
        String::new()
    })
}

fn assign(assignments: &mut [Assignment], walk: &mut Walk, context: Context) {
    for Assignment { target, value } in assignments {
        let assigned = match target {
            AssignmentTarget::ColumnName(column) => quote_column(column, walk.table),
            AssignmentTarget::Tuple(_) => {
                Err(not_allowed("a list of columns in SET", "write one column = value after the other"))
            }
        };
        let want = match assigned {
            Ok(column) => walk.written(&column),
            Err(reason) => {
                walk.refuse(reason);
                Want::ALONE
            }
        };
        walk.expression(value, context, &want);
    }
}

fn restrict(selection: Option<&mut ast::Expr>, walk: &mut Walk) {
    match selection {
        Some(condition) => walk.expression(condition, Context::Condition, &Want::ALONE),
        None => walk.refuse(Reason::NoWhere),
    }
}

fn finish(table: String, walk: Walk, mut reasons: Vec<Reason>) -> Result<Finding, Vec<Reason>> {
    reasons.extend(walk.reasons);
    if reasons.is_empty() {
        Ok(Finding {
            table,
            parameters: walk.parameters,
            reads_others: walk.reads_own || !walk.reads.is_empty(),
            reads: walk.reads,
            adds: Vec::new(),
            is_repeatable: false,
        })
    } else {
        Err(reasons)
    }
}
