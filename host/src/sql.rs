//! The SQL that a projector may use: it is read, checked against an allow-list and written anew.
//!
//! Pure: no I/O, no database, no events. It must never let a text through that it does not fully understand: whatever
//! is not on a list is refused, and what is sent to MySQL is the checked tree, never the declared text.

pub mod coalesce;
pub mod fit;
mod fill;
mod refusal;
mod function;
mod name;
mod tables;
mod expression;
mod token;
mod unsupported;
mod parse;
mod columns;
mod ddl;
mod dml;
mod named_rows;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use crate::statement::{Manifest, Schema, Statement, Table};
use tables::DeclaredTables;

pub use columns::unknown_columns;
pub use fill::fill;
pub use named_rows::{NamedRows, named_rows};
pub use refusal::{Reason, SqlPlace, SqlRefusal};

/// Tables one projector may declare.
pub const TABLES_MAX: usize = 64;
/// Statements one projector may declare.
pub const STATEMENTS_MAX: usize = 256;
/// Bytes of one declared text.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;

/// Checks every table and statement of a manifest, and reports everything that is wrong at once.
pub fn check(manifest: &Manifest) -> Result<Schema, Vec<SqlRefusal>> {
    let refusals = sizes(manifest);
    if !refusals.is_empty() {
        return Err(refusals);
    }
    let names: Vec<&str> = manifest.tables.iter().map(|table| table.name.as_str()).collect();
    let (tables, mut refusals) = tables(manifest, &names);
    let (statements, wrong) = statements(manifest, DeclaredTables { names: &names, right: &tables });
    refusals.extend(wrong);
    if refusals.is_empty() { Ok(Schema::new(tables, statements)) } else { Err(refusals) }
}

fn sizes(manifest: &Manifest) -> Vec<SqlRefusal> {
    let mut reasons = Vec::new();
    if manifest.tables.is_empty() {
        reasons.push(Reason::NoTables);
    }
    if manifest.statements.is_empty() {
        reasons.push(Reason::NoStatements);
    }
    if manifest.tables.len() > TABLES_MAX {
        reasons.push(Reason::TooManyTables { found: manifest.tables.len() });
    }
    if manifest.statements.len() > STATEMENTS_MAX {
        reasons.push(Reason::TooManyStatements { found: manifest.statements.len() });
    }
    reasons.into_iter().map(|reason| SqlRefusal { place: SqlPlace::Manifest, reason }).collect()
}

/// The tables in their declared order, which is the order in which they can be created.
fn tables(manifest: &Manifest, names: &[&str]) -> (Vec<Table>, Vec<SqlRefusal>) {
    let (mut tables, mut refusals) = (Vec::new(), Vec::new());
    let mut seen = HashMap::new();
    for (index, declaration) in manifest.tables.iter().enumerate() {
        let mut refuse =
            |reason| refusals.push(SqlRefusal { place: SqlPlace::table(index, &declaration.name), reason });
        if let Some(first) = seen.insert(declaration.name.as_str(), index) {
            refuse(Reason::Duplicate { first });
        }
        match ddl::check(declaration, names, index) {
            Ok(table) => tables.push(table),
            Err(reasons) => reasons.into_iter().for_each(refuse),
        }
    }
    (tables, refusals)
}

fn statements(manifest: &Manifest, tables: DeclaredTables) -> (Vec<Statement>, Vec<SqlRefusal>) {
    let (mut statements, mut refusals) = (Vec::new(), Vec::new());
    let mut seen = HashMap::new();
    for (index, declaration) in manifest.statements.iter().enumerate() {
        let mut refuse = |reason| {
            refusals.push(SqlRefusal { place: SqlPlace::statement(index, &declaration.name), reason });
        };
        if let Some(first) = seen.insert(declaration.name.as_str(), index) {
            refuse(Reason::Duplicate { first });
        }
        if let Err(reason) = name::check_statement(&declaration.name) {
            refuse(reason);
        }
        match dml::check(declaration, tables) {
            Ok(statement) => statements.push(statement),
            Err(reasons) => reasons.into_iter().for_each(refuse),
        }
    }
    (statements, refusals)
}
