//! Names in declared SQL: what a table or statement may be called, and how identifiers are written.
//!
//! Every identifier is written in backticks, so that MySQL can never read one as a keyword or as a function without
//! parentheses (`UTC_TIMESTAMP`), whatever the parser took it for.

use sqlparser::ast::{Ident, ObjectName, ObjectNamePart, TableAlias, TableFactor};

use super::refusal::{Reason, excerpt, not_allowed, refused};

/// The host's own tables begin with this.
const HOST_PREFIX: &str = "laterna_";
const TABLE_BYTES_MAX: usize = 48;
const STATEMENT_CHARACTERS_MAX: usize = 64;

/// Lower case only: whether MySQL distinguishes `Orders` from `orders` depends on the server's file system.
pub(super) fn check_table(name: &str) -> Result<(), Reason> {
    let mut bytes = name.bytes();
    let allowed = bytes.next().is_some_and(|byte| byte.is_ascii_lowercase())
        && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        && name.len() <= TABLE_BYTES_MAX
        && !name.starts_with(HOST_PREFIX);
    if allowed { Ok(()) } else { Err(Reason::TableName) }
}

pub(super) fn check_statement(name: &str) -> Result<(), Reason> {
    let characters = name.chars().count();
    let allowed = (1..=STATEMENT_CHARACTERS_MAX).contains(&characters) && !name.chars().any(char::is_control);
    if allowed { Ok(()) } else { Err(Reason::StatementName) }
}

/// Puts an identifier in backticks.
pub(super) fn quote(ident: &mut Ident) {
    ident.quote_style = Some('`');
}

/// The declared table that `name` means, quoted from here on.
pub(super) fn declared_table(name: &mut ObjectName, tables: &[&str]) -> Result<String, Reason> {
    match name.0.as_mut_slice() {
        [ObjectNamePart::Identifier(ident)] if tables.contains(&ident.value.as_str()) => {
            quote(ident);
            Ok(ident.value.clone())
        }
        [ObjectNamePart::Identifier(ident)] => Err(Reason::UndeclaredTable { table: excerpt(&ident.value) }),
        _ => Err(not_allowed(
            format_args!("a schema name (`{name}`)"),
            "name the table alone, the host chooses the schema",
        )),
    }
}

/// A column of `table`, alone or as `table.column`, quoted from here on. Answers with its name.
pub(super) fn quote_column(name: &mut ObjectName, table: &str) -> Result<String, Reason> {
    match name.0.as_mut_slice() {
        [ObjectNamePart::Identifier(column)] => {
            quote(column);
            Ok(column.value.clone())
        }
        [ObjectNamePart::Identifier(owner), ObjectNamePart::Identifier(column)] if owner.value == table => {
            quote(owner);
            quote(column);
            Ok(column.value.clone())
        }
        _ => Err(foreign_column(&name)),
    }
}

pub(super) fn foreign_column(name: &dyn std::fmt::Display) -> Reason {
    not_allowed(format_args!("column `{name}`"), "a statement sees only the columns of the table it writes")
}

/// The name of a charset or collation: a plain word, which cannot be quoted.
pub(super) fn plain(name: &ObjectName) -> Option<&str> {
    match name.0.as_slice() {
        [ObjectNamePart::Identifier(ident)] if ident.quote_style.is_none() => Some(&ident.value),
        _ => None,
    }
}

/// The name and alias of a table, where nothing else may stand.
pub(super) fn plain_table<'t>(
    relation: &'t mut TableFactor,
    form: &'static str,
) -> Result<(&'t mut ObjectName, &'t mut Option<TableAlias>), Vec<Reason>> {
    let TableFactor::Table {
        name,
        alias,
        args,
        with_hints,
        version,
        with_ordinality,
        partitions,
        json_path,
        sample,
        index_hints,
    } = relation
    else {
        return Err(vec![not_allowed(format_args!("`{relation}`"), form)]);
    };
    let tricks = [args.is_some(), version.is_some(), *with_ordinality, json_path.is_some(), sample.is_some()];
    let reasons = refused([
        (!partitions.is_empty(), "PARTITION", "name the rows in WHERE"),
        (!with_hints.is_empty() || !index_hints.is_empty(), "a hint", "remove it"),
        (tricks.contains(&true), "anything after the table's name", "write the table's name alone"),
    ]);
    if reasons.is_empty() { Ok((name, alias)) } else { Err(reasons) }
}
