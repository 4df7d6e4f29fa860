//! The columns of an expression that stand outside of sums, and whether there are sums over the rows of its SELECT.
//!
//! A subquery has rows of its own: its columns and its sums are not those of the SELECT around it.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, Function, ObjectNamePart, Query, SetExpr, TableFactor, Value, VisitMut, VisitorMut,
};

use crate::sql::function;
use crate::sql::tables::DeclaredTables;

pub(super) struct Bare<'a> {
    pub columns: Vec<String>,
    pub sums: bool,
    tables: DeclaredTables<'a>,
    /// The tables of each query around, as it names them, and by their own names.
    within: Vec<Vec<(String, String)>>,
}

impl<'a> Bare<'a> {
    pub fn of(expr: &Expr, tables: DeclaredTables<'a>) -> Self {
        let mut bare = Self { columns: Vec::new(), sums: false, tables, within: Vec::new() };
        let _ = expr.clone().visit(&mut bare);
        bare
    }

    /// Returns true for a column of a table that a subquery of the expression reads.
    fn is_within(&self, column: &Expr) -> bool {
        let mut sources = self.within.iter().flatten();
        match column {
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [owner, _] => sources.any(|(name, _)| *name == owner.value),
                _ => false,
            },
            Expr::Identifier(column) => sources.any(|(_, table)| {
                let known = self.tables.right.iter().find(|one| one.name == *table);
                known.is_some_and(|table| table.column(&column.value).is_some())
            }),
            _ => false,
        }
    }

    /// A sum in a subquery that names columns from around it alone is one of the query around it.
    fn is_of_a_subquery(&self, sum: &Function) -> bool {
        if self.within.is_empty() {
            return false;
        }
        let columns = columns(&Expr::Function(sum.clone()));
        columns.is_empty() || columns.iter().any(|column| self.is_within(column))
    }
}

impl VisitorMut for Bare<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let mut sources = Vec::new();
        if let SetExpr::Select(select) = query.body.as_ref() {
            for from in &select.from {
                let joined = from.joins.iter().map(|join| &join.relation);
                sources.extend(std::iter::once(&from.relation).chain(joined).filter_map(named));
            }
        }
        self.within.push(sources);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.within.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) if !self.is_within(expr) => {
                self.columns.push(expr.to_string());
            }
            Expr::Function(call) if function::is_aggregate(&call.name.to_string()) => {
                self.sums |= !self.is_of_a_subquery(call);
                if self.within.is_empty() {
                    *expr = Expr::value(Value::Null);
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// A table as its query names it, and by its own name.
fn named(relation: &TableFactor) -> Option<(String, String)> {
    let TableFactor::Table { name, alias, .. } = relation else { return None };
    let [ObjectNamePart::Identifier(table)] = name.0.as_slice() else { return None };
    let alias = alias.as_ref().map_or(&table.value, |alias| &alias.name.value);
    Some((alias.clone(), table.value.clone()))
}

/// All columns that an expression names, wherever they stand in it.
pub(super) fn columns(expr: &Expr) -> Vec<Expr> {
    struct NamesOf(Vec<Expr>);
    impl VisitorMut for NamesOf {
        type Break = ();

        fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            if matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_)) {
                self.0.push(expr.clone());
            }
            ControlFlow::Continue(())
        }
    }
    let mut all = NamesOf(Vec::new());
    let _ = expr.clone().visit(&mut all);
    all.0
}
