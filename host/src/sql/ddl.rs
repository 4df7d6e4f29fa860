//! The check of declared tables: each one plain CREATE TABLE of InnoDB with a primary key, and nothing in it that
//! could make a rebuilt table differ from the one it replaces.

mod column;
mod constraint;
mod key;
mod kind;
mod option;

use sqlparser::ast::{
    self, ColumnOption, CreateTable, CreateTableOptions, TableConstraint,
    helpers::stmt_create_table::CreateTableBuilder,
};

use super::expression::Walk;
use super::name::{self, quote};
use super::parse::{self, Declared, Extent};
use super::refusal::{Reason, excerpt, not_allowed};
use super::tables::DeclaredTables;
use crate::statement::{Table, TableDeclaration, TextOrder};
use option::Options;

const EXPECTED: &str = "CREATE TABLE";

/// Checks the table at `index` of the declared `names`. It sees all that is wrong unless the text can't be read.
pub(super) fn check(
    declaration: &TableDeclaration,
    names: &[&str],
    index: usize,
) -> Result<Table, Vec<Reason>> {
    let mut reasons: Vec<Reason> = name::check_table(&declaration.name).err().into_iter().collect();
    let declared = match parse::parse(&declaration.ddl) {
        Ok(declared) => declared,
        Err(reason) => {
            reasons.push(reason);
            return Err(reasons);
        }
    };
    let ast::Statement::CreateTable(mut table) = declared.statement.clone() else {
        let found = declared.statement.to_string();
        let found = excerpt(found.split('(').next().unwrap_or_default());
        reasons.push(Reason::Kind { found, expected: EXPECTED });
        return Err(reasons);
    };
    let mut walk = Walk::new(&declaration.name, DeclaredTables::NONE);
    walk.reasons = reasons;
    walk.reasons.extend(clauses(&table));
    walk.reasons.extend(own_name(&mut table, &declaration.name).err());
    let references = check_body(&mut table, &mut walk);
    walk.reasons.extend(references.iter().filter_map(|reference| order(reference, names, index).err()));
    let options = option::check(&table.table_options);
    walk.reasons.extend(options.as_ref().err().cloned().unwrap_or_default());
    match options {
        Ok(options) if walk.reasons.is_empty() => {
            let (columns, unique_keys) = (kind::columns(&table, &options.written), kind::unique_keys(&table));
            let has_expression_key = key::has_expression(&table.constraints);
            let constraints = constraint::all(&table, &declaration.name);
            let referred = constraint::referred(&table);
            let rendered =
                |order| write(&declared, table.clone(), &options, order).map_err(|reason| vec![reason]);
            let (ddl, assumed) = rendered(TextOrder::MySql)?;
            let (ddl_mariadb, _) = rendered(TextOrder::MariaDb)?;
            let (ddl_padded, _) = rendered(TextOrder::Padded)?;
            Ok(Table {
                name: declaration.name.clone(),
                ddl,
                ddl_mariadb,
                ddl_padded,
                references,
                referred,
                columns,
                unique_keys,
                constraints,
                assumed,
                has_expression_key,
            })
        }
        _ => Err(walk.reasons),
    }
}

/// Checks columns and keys, and answers with the tables that foreign keys point at.
fn check_body(table: &mut CreateTable, walk: &mut Walk) -> Vec<String> {
    for column in &mut table.columns {
        column::check(column, walk);
    }
    let mut references: Vec<String> =
        table.constraints.iter_mut().filter_map(|constraint| key::check(constraint, walk)).collect();
    references.sort();
    references.dedup();
    let of_key = table.constraints.iter().filter_map(|constraint| match constraint {
        TableConstraint::PrimaryKey(key) => Some(key.columns.iter().map(|part| part.column.expr.to_string())),
        _ => None,
    });
    for part in of_key.flatten() {
        let name = part.trim_matches('`');
        let is_generated =
            |option: &ast::ColumnOptionDef| matches!(option.option, ColumnOption::Generated { .. });
        let mut columns = table.columns.iter().filter(|column| column.name.value.eq_ignore_ascii_case(name));
        if columns.any(|column| column.options.iter().any(is_generated)) {
            walk.refuse(column::generated_key(name));
        }
    }
    if !has_primary_key(table) {
        walk.refuse(Reason::NoPrimaryKey);
    }
    references
}

/// A reason for each clause besides the name, columns, keys and options of a table.
fn clauses(table: &CreateTable) -> Vec<Reason> {
    let plain = CreateTableBuilder::new(table.name.clone())
        .columns(table.columns.clone())
        .constraints(table.constraints.clone())
        .table_options(table.table_options.clone())
        .build();
    if plain == *table {
        return Vec::new();
    }
    let known = [
        (table.if_not_exists, "IF NOT EXISTS", "the host creates the table in an empty schema: remove it"),
        (table.or_replace, "OR REPLACE", "the host drops tables itself: remove it"),
        (table.temporary, "TEMPORARY", "a read model has to last: remove it"),
        (table.query.is_some(), "a SELECT", "tables are filled from events only"),
        (table.like.is_some() || table.clone.is_some(), "LIKE", "write the columns out"),
        (table.partition_by.is_some(), "PARTITION BY", "remove it"),
    ];
    let found: Vec<Reason> = known
        .into_iter()
        .filter(|(is_present, ..)| *is_present)
        .map(|(_, what, remedy)| not_allowed(what, remedy))
        .collect();
    if found.is_empty() {
        vec![not_allowed("this form of CREATE TABLE", "write columns, keys and table options only")]
    } else {
        found
    }
}

fn own_name(table: &mut CreateTable, declared: &str) -> Result<(), Reason> {
    match table.name.0.as_mut_slice() {
        [ast::ObjectNamePart::Identifier(ident)] if ident.value == declared => {
            quote(ident);
            Ok(())
        }
        _ => Err(Reason::OtherName { found: excerpt(&table.name.to_string()) }),
    }
}

fn has_primary_key(table: &CreateTable) -> bool {
    let inline = |option: &ast::ColumnOptionDef| matches!(option.option, ColumnOption::PrimaryKey(_));
    table.columns.iter().any(|column| column.options.iter().any(inline))
        || table.constraints.iter().any(|constraint| matches!(constraint, TableConstraint::PrimaryKey(_)))
}

/// Tables are created in declared order, so a foreign key can point at itself and backwards only.
fn order(reference: &str, names: &[&str], index: usize) -> Result<(), Reason> {
    match names.iter().position(|name| *name == reference) {
        Some(at) if at <= index => Ok(()),
        Some(_) => Err(Reason::ReferenceOrder { table: reference.into() }),
        None => Err(Reason::UndeclaredTable { table: excerpt(reference) }),
    }
}

/// The text that is sent, and the collations that were chosen for it.
fn write(
    declared: &Declared,
    mut table: CreateTable,
    options: &Options,
    order: TextOrder,
) -> Result<(String, Vec<String>), Reason> {
    table.table_options = CreateTableOptions::None;
    declared.expect_same(&ast::Statement::CreateTable(table.clone()), Extent::Beginning)?;
    key::without_idle_checks(&mut table);
    let (written, of_table) = options.settled(order);
    let of_columns = table.columns.iter_mut().filter_map(|column| option::settle_column(column, order));
    let mut assumed: Vec<String> = of_columns.chain(of_table).collect();
    assumed.sort();
    assumed.dedup();
    table.table_options = CreateTableOptions::Plain(written);
    Ok((parse::write(&ast::Statement::CreateTable(table))?, assumed))
}
