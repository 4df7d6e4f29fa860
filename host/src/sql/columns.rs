//! Columns that statements name and no table has: found before any server is asked.
//!
//! A name is refused only where it can be none: a column is looked for in every table that its statement names, wherever
//! that stands, and among the names that a SELECT gives. What is ambiguous is left to the server.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Assignment, AssignmentTarget, Expr, Ident, ObjectName, OnInsert, Query, SelectItem, SetExpr, Statement,
    TableFactor, Visit, Visitor,
};

use super::parse;
use super::refusal::{Reason, SqlPlace, SqlRefusal, excerpt};
use crate::statement::{Schema, Table};
use crate::text::alike;

/// Returns the refusals of statements that name a column which is in none of their tables.
pub fn unknown_columns(schema: &Schema) -> Vec<SqlRefusal> {
    let statements = schema.statements.iter().enumerate();
    let refusals = statements.flat_map(|(index, statement)| {
        let mut named = Mentions { schema, tables: Vec::new(), given: Vec::new(), columns: Vec::new() };
        named.add_table(&statement.table, &statement.table);
        if let Ok(declared) = parse::parse(&statement.sql) {
            named.columns.extend(written(&declared.statement, &statement.table));
            let _ = declared.statement.visit(&mut named);
        }
        let mut reasons: Vec<Reason> =
            named.columns.iter().filter_map(|column| named.unknown(column)).collect();
        reasons.dedup();
        let place = SqlPlace::statement(index, &statement.name);
        reasons.into_iter().map(move |reason| SqlRefusal { place: place.clone(), reason })
    });
    refusals.collect()
}

/// A column as a statement names it.
struct MentionedColumn {
    owner: Option<String>,
    name: String,
}

/// The names in a statement.
struct Mentions<'a> {
    schema: &'a Schema,
    /// Each table under the name that it has in the statement.
    tables: Vec<(String, &'a Table)>,
    /// The names that SELECTs give.
    given: Vec<String>,
    columns: Vec<MentionedColumn>,
}

impl Mentions<'_> {
    fn add_table(&mut self, name: &str, table: &str) {
        let known = self.schema.tables.iter().find(|known| known.name == table);
        self.tables.extend(known.map(|table| (name.to_owned(), table)));
    }

    /// Why the column can be none.
    fn unknown(&self, MentionedColumn { owner, name }: &MentionedColumn) -> Option<Reason> {
        let is_owner = |table: &str| owner.as_ref().is_none_or(|owner| owner == table);
        let tables: Vec<&Table> =
            self.tables.iter().filter(|(name, _)| is_owner(name)).map(|(_, table)| *table).collect();
        let is_given = owner.is_none() && self.given.iter().any(|given| given.eq_ignore_ascii_case(name));
        // How servers compare other letters is theirs to know.
        if tables.is_empty()
            || is_given
            || !name.is_ascii()
            || tables.iter().any(|table| table.column(name).is_some())
        {
            return None;
        }
        Some(no_column(name, &tables))
    }
}

/// The column of the tables that is meant by a name which none of them has, if one is like it.
pub(super) fn meant<'t>(name: &str, tables: &[&'t Table]) -> Option<&'t str> {
    alike(name, tables.iter().flat_map(|table| &table.columns).map(|column| column.name.as_str()))
}

/// The refusal of a name that is no column of these tables.
pub(super) fn no_column(name: &str, tables: &[&Table]) -> Reason {
    let mut all: Vec<String> = tables.iter().map(|table| format!("`{}`", table.name)).collect();
    all.dedup();
    Reason::NoColumn {
        column: excerpt(name),
        tables: all.join(", "),
        meant: meant(name, tables).map(|column| format!(" (is `{column}` meant?)")).unwrap_or_default(),
    }
}

impl Visitor for Mentions<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        if let SetExpr::Select(select) = query.body.as_ref() {
            let given = select.projection.iter().filter_map(|item| match item {
                SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.clone()),
                _ => None,
            });
            self.given.extend(given);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, alias, .. } = factor
            && let Some(table) = last(name)
        {
            let named = alias.as_ref().map_or(table, |alias| &alias.name);
            self.add_table(&named.value, &table.value);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        // Every column is quoted in what is sent; words that are none are not.
        match expr {
            Expr::Identifier(name) if name.quote_style.is_some() => {
                self.columns.push(MentionedColumn { owner: None, name: name.value.clone() });
            }
            Expr::CompoundIdentifier(parts) => {
                if let [owner, name] = parts.as_slice() {
                    let owner = Some(owner.value.clone());
                    self.columns.push(MentionedColumn { owner, name: name.value.clone() });
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn last(name: &ObjectName) -> Option<&Ident> {
    name.0.last().and_then(|part| part.as_ident())
}

/// The columns that a statement writes; those without a table's name are of the table that is written.
fn written(statement: &Statement, table: &str) -> Vec<MentionedColumn> {
    let (columns, assignments): (&[ObjectName], &[Assignment]) = match statement {
        Statement::Insert(insert) => match &insert.on {
            Some(OnInsert::DuplicateKeyUpdate(assignments)) => (&insert.columns, assignments),
            _ => (&insert.columns, &[]),
        },
        Statement::Update(update) => (&[], &update.assignments),
        _ => (&[], &[]),
    };
    let assigned = assignments.iter().filter_map(|assignment| match &assignment.target {
        AssignmentTarget::ColumnName(name) => Some(name),
        AssignmentTarget::Tuple(_) => None,
    });
    let named = columns.iter().chain(assigned).filter_map(|name| {
        let owner = match name.0.as_slice() {
            [owner, _] => owner.as_ident().map(|owner| owner.value.clone()),
            _ => Some(table.to_owned()),
        };
        Some(MentionedColumn { owner, name: last(name)?.value.clone() })
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::{Manifest, Ordering, StatementDeclaration, TableDeclaration};

    const TABLES: [(&str, &str); 2] = [
        ("orders", "CREATE TABLE orders (id INT PRIMARY KEY, total INT, name VARCHAR(9))"),
        (
            "order_lines",
            "CREATE TABLE order_lines (order_id INT, nr INT, qty INT, PRIMARY KEY (order_id, nr))",
        ),
    ];

    fn told(sql: &str) -> Vec<String> {
        let manifest = Manifest {
            name: "a".into(),
            version: "1".into(),
            event_types: Vec::new(),
            ordering: Ordering::Aggregate,
            commutative: false,
            tables: TABLES.map(|(name, ddl)| TableDeclaration { name: name.into(), ddl: ddl.into() }).into(),
            statements: vec![StatementDeclaration { name: "it".into(), sql: sql.into() }],
        };
        let schema = crate::sql::check(&manifest).unwrap_or_else(|refused| panic!("{sql}: {refused:?}"));
        unknown_columns(&schema).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_column_that_no_table_has_is_told_with_the_one_that_is_meant() {
        for (sql, says) in [
            (
                "UPDATE orders SET totla = totla + ? WHERE id = ?",
                "no column `totla` in `orders` (is `total` meant?): correct the name",
            ),
            ("DELETE FROM orders WHERE customer = ?", "no column `customer` in `orders`: correct the name"),
            ("INSERT INTO orders (id, colour) VALUES (?, ?)", "no column `colour` in `orders`:"),
            (
                "INSERT INTO orders (id) VALUES (?) ON DUPLICATE KEY UPDATE qty = 1",
                "no column `qty` in `orders`:",
            ),
            (
                "INSERT INTO orders (id, total) VALUES (?, ?) AS n ON DUPLICATE KEY UPDATE total = n.totl",
                "`totl`",
            ),
            (
                "UPDATE orders o JOIN order_lines l ON l.order_id = o.id AND l.nr = 1 SET o.qty = l.qty WHERE o.id = ?",
                "no column `qty` in `orders`",
            ),
            (
                "UPDATE orders SET total = (SELECT SUM(l.qtty) FROM order_lines l WHERE l.order_id = ?) WHERE id = ?",
                "no column `qtty` in `order_lines` (is `qty` meant?)",
            ),
            (
                "INSERT INTO orders (id, total) SELECT order_id, SUM(amount) FROM order_lines GROUP BY order_id",
                "no column `amount` in `orders`, `order_lines`:",
            ),
        ] {
            let told = told(sql);
            assert!(told.len() == 1 && told[0].contains(says), "{sql}: {told:?}");
            assert!(told[0].starts_with("statement 0 `it`: "), "{told:?}");
        }
    }

    #[test]
    fn what_may_be_a_column_is_left_alone() {
        for sql in [
            "UPDATE orders SET TOTAL = Total + ? WHERE ID = ?",
            "INSERT INTO orders (id, total) VALUES (?, ?) AS new ON DUPLICATE KEY UPDATE total = orders.total + new.total",
            "INSERT INTO orders (id, total) SELECT ?, COALESCE((SELECT o.total FROM orders o WHERE o.id = ?), 0) + ? AS sum_of \
             ON DUPLICATE KEY UPDATE total = VALUES(total)",
            "UPDATE orders SET total = TIMESTAMPDIFF(HOUR, ?, ?) WHERE id = ? AND name LIKE 'x' COLLATE utf8mb4_bin",
            "DELETE l FROM order_lines l JOIN orders o ON o.id = l.order_id WHERE o.name = ? AND qty IN (1, 2)",
            "DELETE FROM orders WHERE id IN (SELECT order_id FROM order_lines WHERE qty > total)",
        ] {
            assert_eq!(told(sql), Vec::<String>::new(), "{sql}");
        }
    }
}
