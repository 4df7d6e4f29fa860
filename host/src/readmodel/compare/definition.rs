//! The definitions of two tables: their columns and primary keys, as the server has them, and the part that can be
//! compared.
//!
//! Read from the server, not from the declaration: a live table may be older than the component in force, or altered by
//! hand.

use super::{ReadView, report};
use crate::failure::Failure;
use crate::readmodel::mysql::literal::quoted;

/// How a column's values are compared, written and ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnKind {
    Whole,
    Bits,
    Decimal,
    Float,
    /// DATE and DATETIME.
    Moment,
    Text,
    /// With its members, each quoted as the server quotes it, in their order.
    Enum(Vec<String>),
    Set,
    Bytes,
    Json,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComparedColumn {
    pub name: String,
    pub kind: ColumnKind,
    /// The type as a declaration writes it, without the display width of integers.
    declared: String,
    pub charset: Option<String>,
    collation: Option<String>,
    is_nullable: bool,
    /// How many bytes a value has, at most.
    pub bytes_max: u64,
    /// The two sides have other character sets: bytes alone prove nothing.
    pub recoded: bool,
}

impl ComparedColumn {
    pub fn report(&self) -> report::ReportColumn {
        let kind = match self.kind {
            ColumnKind::Whole | ColumnKind::Bits | ColumnKind::Decimal | ColumnKind::Float => {
                report::ValueKind::Number
            }
            ColumnKind::Moment => report::ValueKind::Time,
            ColumnKind::Text | ColumnKind::Enum(_) | ColumnKind::Set => report::ValueKind::Text,
            ColumnKind::Bytes => report::ValueKind::Binary,
            ColumnKind::Json => report::ValueKind::Json,
        };
        report::ReportColumn { name: self.name.clone(), kind }
    }

    /// The type with all that belongs to it.
    fn whole_type(&self) -> String {
        let collation = self.collation.as_ref().map(|name| format!(" COLLATE {name}")).unwrap_or_default();
        let null = if self.is_nullable { "" } else { " NOT NULL" };
        format!("{}{collation}{null}", self.declared)
    }

    /// Returns true where values of both types are written in the same way.
    fn is_comparable(&self, other: &Self) -> bool {
        match (&self.kind, &other.kind) {
            (ColumnKind::Enum(_), ColumnKind::Enum(_)) => true,
            // The text of these follows from their scale.
            (ColumnKind::Decimal | ColumnKind::Moment, _) => self.declared == other.declared,
            (mine, theirs) => mine == theirs,
        }
    }
}

/// One part of a primary key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrimaryKeyPart {
    pub column: ComparedColumn,
    pub descends: bool,
    /// Only the beginning of the column is in the key.
    pub is_prefix: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    columns: Vec<ComparedColumn>,
    key: Vec<PrimaryKeyPart>,
}

impl Definition {
    /// Nothing when there is no such table.
    pub async fn read(view: &mut ReadView, schema: &str, table: &str) -> Result<Option<Self>, Failure> {
        let doing = format!("reading the columns of `{table}`");
        let place = format!("table_schema = {} AND table_name = {}", text(schema), text(table));
        let sql = format!(
            "SELECT CAST(column_name AS CHAR), CAST(data_type AS CHAR), CAST(column_type AS CHAR), \
             CAST(character_set_name AS CHAR), CAST(collation_name AS CHAR), CAST(is_nullable AS CHAR), \
             CAST(character_octet_length AS CHAR) FROM information_schema.columns WHERE {place} \
             ORDER BY ordinal_position"
        );
        let columns: Vec<ComparedColumn> = view.ask(&doing, &sql).await?.into_iter().map(column).collect();
        let sql = format!(
            "SELECT CAST(column_name AS CHAR), CAST(collation AS CHAR), CAST(sub_part AS CHAR) \
             FROM information_schema.statistics WHERE {place} AND index_name = 'PRIMARY' ORDER BY seq_in_index"
        );
        let mut key = Vec::new();
        for part in view.ask(&doing, &sql).await? {
            let Ok([Some(name), direction, prefix]) = <[_; 3]>::try_from(part) else { continue };
            let Some(column) = columns.iter().find(|column| column.name == name) else { continue };
            key.push(PrimaryKeyPart {
                column: column.clone(),
                descends: direction.as_deref() == Some("D"),
                is_prefix: prefix.is_some(),
            });
        }
        Ok((!columns.is_empty()).then_some(Self { columns, key }))
    }
}

/// About how many rows these tables of a schema have.
pub async fn rows_about(view: &mut ReadView, schema: &str, tables: &[&str]) -> Result<u64, Failure> {
    let names: Vec<String> = tables.iter().map(|name| text(name)).collect();
    let sql = format!(
        "SELECT CAST(table_rows AS CHAR) FROM information_schema.tables WHERE table_schema = {} \
         AND table_name IN ({})",
        text(schema),
        names.join(", ")
    );
    let rows = view.ask("estimating how many rows there are", &sql).await?;
    Ok(rows.iter().flatten().flatten().filter_map(|rows| rows.parse::<u64>().ok()).sum())
}

fn text(text: &str) -> String {
    quoted(text)
}

fn column(cells: Vec<Option<String>>) -> ComparedColumn {
    let mut cells = cells.into_iter();
    let mut next = || cells.next().flatten();
    let name = next().unwrap_or_default();
    let (data_type, column_type) = (next().unwrap_or_default(), next().unwrap_or_default());
    let (charset, collation) = (next(), next());
    let is_nullable = next().as_deref() == Some("YES");
    let bytes_max = next().and_then(|bytes| bytes.parse().ok()).unwrap_or(0);
    let kind = kind(&data_type, &column_type, charset.is_some());
    let declared = without_width(&kind, column_type);
    ComparedColumn { name, kind, declared, charset, collation, is_nullable, bytes_max, recoded: false }
}

fn kind(data_type: &str, column_type: &str, has_charset: bool) -> ColumnKind {
    match data_type {
        "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "year" => ColumnKind::Whole,
        "bit" => ColumnKind::Bits,
        "decimal" => ColumnKind::Decimal,
        "float" | "double" => ColumnKind::Float,
        "date" | "datetime" | "timestamp" | "time" => ColumnKind::Moment,
        "json" => ColumnKind::Json,
        "enum" => ColumnKind::Enum(members(column_type)),
        "set" => ColumnKind::Set,
        _ if has_charset => ColumnKind::Text,
        _ => ColumnKind::Bytes,
    }
}

/// The display width of an integer depends on the server's age, and does not matter.
fn without_width(kind: &ColumnKind, column_type: String) -> String {
    match (kind, column_type.find('('), column_type.find(')')) {
        (ColumnKind::Whole, Some(open), Some(close)) if open < close => {
            [&column_type[..open], &column_type[close + 1..]].concat()
        }
        _ => column_type,
    }
}

/// The members of `enum('a','it''s')`, quoted.
fn members(column_type: &str) -> Vec<String> {
    let list = column_type.strip_prefix("enum(").and_then(|rest| rest.strip_suffix(')')).unwrap_or_default();
    let mut members = vec![String::new()];
    let (mut is_open, mut is_escaped) = (false, false);
    for character in list.chars() {
        match character {
            // A quote inside stands twice: it ends one and begins the next at once.
            '\'' if !is_escaped => is_open = !is_open,
            ',' if !is_open => {
                members.push(String::new());
                continue;
            }
            _ => {}
        }
        is_escaped = character == '\\' && !is_escaped;
        members.last_mut().expect("there is one").push(character);
    }
    members
}

/// The comparable columns of two tables, and how the tables themselves differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComparedTables {
    pub key: Vec<PrimaryKeyPart>,
    pub columns: Vec<ComparedColumn>,
    pub differences: Vec<String>,
}

impl ComparedTables {
    /// Rows can only be matched by a primary key that both sides have; otherwise returns why not.
    pub fn new(live: Option<Definition>, rebuilt: Option<Definition>) -> Result<Self, String> {
        let live = live.ok_or("there is no such live table")?;
        let rebuilt = rebuilt.ok_or("there is no such rebuilt table")?;
        if live.key.is_empty() || live.key != rebuilt.key {
            return Err(format!(
                "the primary keys differ: live {}, rebuilt {}",
                described(&live.key),
                described(&rebuilt.key)
            ));
        }
        let (mut columns, mut differences) = (Vec::new(), Vec::new());
        for column in &live.columns {
            let name = &column.name;
            let Some(other) = rebuilt.columns.iter().find(|other| other.name == *name) else {
                differences.push(format!("column `{name}` is live only; it is not compared"));
                continue;
            };
            let is_comparable = column.is_comparable(other);
            let (mine, theirs) = (column.whole_type(), other.whole_type());
            if mine != theirs {
                let but = if is_comparable { "" } else { "; it is not compared" };
                differences.push(format!("column `{name}` is live {mine}, rebuilt {theirs}{but}"));
            }
            if is_comparable {
                let recoded = column.charset != other.charset;
                let bytes_max = column.bytes_max.max(other.bytes_max);
                columns.push(ComparedColumn { bytes_max, recoded, ..column.clone() });
            }
        }
        for column in &rebuilt.columns {
            if !live.columns.iter().any(|other| other.name == column.name) {
                differences.push(format!("column `{}` is rebuilt only; it is not compared", column.name));
            }
        }
        Ok(Self { key: live.key, columns, differences })
    }
}

fn described(key: &[PrimaryKeyPart]) -> String {
    if key.is_empty() {
        return "none".to_owned();
    }
    let part = |part: &PrimaryKeyPart| {
        let prefix = if part.is_prefix { ", its beginning" } else { "" };
        let order = if part.descends { " DESC" } else { "" };
        format!("`{}`{order} {}{prefix}", part.column.name, part.column.whole_type())
    };
    let parts: Vec<String> = key.iter().map(part).collect();
    format!("({})", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_members_of_an_enum_are_told_apart_whatever_is_in_them() {
        let check = |declared: &str, expected: &[&str]| assert_eq!(members(declared), expected, "{declared}");
        check("enum('a')", &["'a'"]);
        check("enum('a','b c','')", &["'a'", "'b c'", "''"]);
        check("enum('it''s','a,b','''','),(')", &["'it''s'", "'a,b'", "''''", "'),('"]);
        check(r"enum('a\\','\'','b')", &[r"'a\\'", r"'\''", "'b'"]);
    }

    #[test]
    fn how_wide_an_integer_is_shown_is_no_difference() {
        let check = |kind, declared: &str, expected: &str| {
            assert_eq!(without_width(&kind, declared.to_owned()), expected);
        };
        check(ColumnKind::Whole, "bigint(20) unsigned", "bigint unsigned");
        check(ColumnKind::Whole, "int", "int");
        check(ColumnKind::Decimal, "decimal(20,4)", "decimal(20,4)");
        check(ColumnKind::Text, "varchar(20)", "varchar(20)");
    }
}
