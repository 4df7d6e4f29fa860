//! The rows that a statement may read besides those it writes: subqueries and SELECTs of declared tables.
//!
//! Whatever could answer differently for the same rows is refused: a LIMIT without an order by a key, columns beside a
//! sum, locking reads, other schemas.

use sqlparser::ast::{
    Distinct, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Ident, Join,
    JoinConstraint, JoinOperator, LimitClause, OrderBy, OrderByExpr, OrderByKind, Query, Select,
    SelectFlavor, SelectItem, SetExpr, TableAlias, TableFactor, TableWithJoins, Value,
};

use super::bare::{Bare, columns};
use super::{Context, NamedTable, Walk, Want};
use crate::sql::name::{declared_table, plain_table, quote};
use crate::sql::refusal::{Reason, not_allowed};
use crate::statement::Type;

const PLAIN: &str = "write SELECT columns FROM tables WHERE condition";

/// The properties of a query's rows.
pub(in crate::sql) struct SelectedRows {
    /// They come in one order only, or there is one at most.
    pub is_ordered: bool,
}

impl Walk<'_> {
    /// Checks a query that stands in an expression. Where no row exists yet, it sees its own tables only.
    pub(super) fn subquery(&mut self, query: &mut Query, context: Context, wants: &[Want]) {
        if context == Context::Check {
            return self.refuse(Reason::Subquery);
        }
        let outer = if context == Context::Row { std::mem::take(&mut self.sources) } else { Vec::new() };
        self.query(query, wants);
        if context == Context::Row {
            self.sources = outer;
        }
    }

    /// Checks a query whose columns are wanted like this, one by one.
    pub(in crate::sql) fn query(&mut self, query: &mut Query, wants: &[Want]) -> SelectedRows {
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
        } = query;
        let others = [
            fetch.is_some(),
            for_clause.is_some(),
            settings.is_some(),
            format_clause.is_some(),
            !pipe_operators.is_empty(),
        ];
        self.refuse_all([
            (with.is_some(), "WITH", PLAIN),
            (
                !locks.is_empty(),
                "a locking read",
                "remove FOR UPDATE or FOR SHARE: a batch is one transaction",
            ),
            (others.contains(&true), "this form of SELECT", PLAIN),
        ]);
        let SetExpr::Select(select) = body.as_mut() else {
            self.refuse(not_allowed("UNION, TABLE or VALUES as a query", PLAIN));
            return SelectedRows { is_ordered: false };
        };
        let visible = self.sources.len();
        self.selects += 1;
        let mut rows = self.select(select, wants);
        let order = order_by.as_mut().map(|order| self.order(order)).unwrap_or_default();
        rows.is_ordered |= self.orders_all(select, &order, visible);
        if let Some(limit) = limit_clause {
            self.limit(limit, rows.is_ordered);
        }
        self.selects -= 1;
        self.sources.truncate(visible);
        rows
    }

    fn select(&mut self, select: &mut Select, wants: &[Want]) -> SelectedRows {
        let is_plain = matches!(select.distinct, None | Some(Distinct::Distinct))
            && select.select_modifiers.is_none()
            && select.optimizer_hints.is_empty()
            && select.top.is_none()
            && select.exclude.is_none()
            && select.into.is_none()
            && select.lateral_views.is_empty()
            && select.prewhere.is_none()
            && select.connect_by.is_empty()
            && select.cluster_by.is_empty()
            && select.distribute_by.is_empty()
            && select.sort_by.is_empty()
            && select.named_window.is_empty()
            && select.qualify.is_none()
            && select.value_table_mode.is_none()
            && select.flavor == SelectFlavor::Standard;
        if !is_plain {
            self.refuse(not_allowed("this form of SELECT", PLAIN));
        }
        let visible = self.sources.len();
        // Tables come first, so that what stands before FROM knows their columns; parameters keep the text's order.
        let before = self.parameters.len();
        let mut conditions = Vec::new();
        for from in &mut select.from {
            conditions.extend(self.tables_of(from, PLAIN));
        }
        let in_from = self.parameters.split_off(before);
        self.projection(&mut select.projection, wants);
        self.parameters.extend(in_from);
        if let Some(condition) = &mut select.selection {
            self.expression(condition, Context::Condition, &Want::ALONE);
            conditions.push(condition.clone());
        }
        let groups = self.groups(&mut select.group_by);
        if let Some(having) = &mut select.having {
            self.expression(having, Context::Condition, &Want::ALONE);
        }
        let is_total = self.judge_groups(select, &groups);
        let is_one = match &self.sources[visible..] {
            [one] => is_at_most_one(one, &self.sources, &conditions, true),
            sources => sources.is_empty(),
        };
        SelectedRows { is_ordered: is_one || is_total }
    }

    fn projection(&mut self, items: &mut [SelectItem], wants: &[Want]) {
        for (at, item) in items.iter_mut().enumerate() {
            let want = wants.get(at).unwrap_or(&Want::ALONE);
            match item {
                SelectItem::UnnamedExpr(expr) => self.expression(expr, Context::Condition, want),
                SelectItem::ExprWithAlias { expr, alias } => {
                    quote(alias);
                    self.expression(expr, Context::Condition, want);
                }
                _ => self
                    .refuse(not_allowed("* in a SELECT", "write the columns out; in EXISTS, write SELECT 1")),
            }
        }
    }

    /// The tables of FROM, or of a joined UPDATE or DELETE, are visible from here on. Answers with what joins them.
    pub(in crate::sql) fn tables_of(&mut self, from: &mut TableWithJoins, form: &'static str) -> Vec<Expr> {
        let TableWithJoins { relation, joins } = from;
        self.source(relation, form);
        let mut conditions = Vec::new();
        for Join { relation, global, join_operator } in joins {
            self.source(relation, form);
            let constraint = match join_operator {
                JoinOperator::Join(constraint)
                | JoinOperator::Inner(constraint)
                | JoinOperator::Left(constraint)
                | JoinOperator::LeftOuter(constraint)
                    if !*global =>
                {
                    constraint
                }
                _ => {
                    self.refuse(not_allowed(
                        "this kind of join",
                        "write JOIN table ON condition, or LEFT JOIN",
                    ));
                    continue;
                }
            };
            match constraint {
                JoinConstraint::On(condition) => {
                    self.expression(condition, Context::Condition, &Want::ALONE);
                    conditions.push(condition.clone());
                }
                _ => self.refuse(not_allowed("a join without ON", "write JOIN table ON condition")),
            }
        }
        conditions
    }

    /// One declared table, perhaps under another name.
    fn source(&mut self, relation: &mut TableFactor, form: &'static str) {
        let (name, alias) = match plain_table(relation, form) {
            Ok(parts) => parts,
            Err(reasons) => return self.reasons.extend(reasons),
        };
        let table = match declared_table(name, self.tables.names) {
            Ok(table) => table,
            Err(reason) => return self.refuse(reason),
        };
        let name = match alias {
            None => table.clone(),
            Some(TableAlias { explicit: _, name, columns, at }) => {
                if !columns.is_empty() || at.is_some() {
                    self.refuse(not_allowed("names of columns behind an alias", "write the alias alone"));
                }
                quote(name);
                name.value.clone()
            }
        };
        let columns = self.tables.right.iter().find(|one| one.name == table);
        if table == self.table {
            self.reads_own = true;
            if !self.may_read_own {
                let what = format!("reading `{table}` while it is written");
                self.refuse(not_allowed(what, "MySQL cannot do it: read other tables, or INSERT ... SELECT"));
            }
        } else if !self.reads.contains(&table) {
            self.reads.push(table.clone());
        }
        self.sources.push(NamedTable { name, table, columns });
    }

    fn groups(&mut self, group_by: &mut GroupByExpr) -> Vec<String> {
        let expressions = match group_by {
            GroupByExpr::Expressions(expressions, modifiers) if modifiers.is_empty() => expressions,
            _ => {
                self.refuse(not_allowed("this form of GROUP BY", "write GROUP BY columns"));
                return Vec::new();
            }
        };
        let mut groups = Vec::new();
        for group in expressions {
            if !matches!(group, Expr::Identifier(_) | Expr::CompoundIdentifier(_)) {
                self.refuse(not_allowed(format_args!("GROUP BY {group}"), "write GROUP BY columns"));
            }
            self.expression(group, Context::Condition, &Want::ALONE);
            groups.push(group.to_string());
        }
        groups
    }

    /// Beside sums there may be only what the groups are made of: of the rest, any row's could be taken. Whether there is
    /// one row, for all of them.
    fn judge_groups(&mut self, select: &Select, groups: &[String]) -> bool {
        let items = select.projection.iter().filter_map(|item| match item {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
            _ => None,
        });
        let expressions: Vec<&Expr> = items.chain(&select.having).collect();
        let looked: Vec<Bare> = expressions.iter().map(|expr| Bare::of(expr, self.tables)).collect();
        let has_sums = looked.iter().any(|bare| bare.sums);
        if !has_sums && groups.is_empty() {
            return false;
        }
        for bare in &looked {
            if let Some(column) = bare.columns.iter().find(|column| !groups.contains(column)) {
                let remedy =
                    "any row of a group could give it: name it in GROUP BY, or take MIN or MAX of it";
                self.refuse(not_allowed(format_args!("{column} beside GROUP BY or a sum"), remedy));
            }
        }
        groups.is_empty()
    }

    fn order(&mut self, order: &mut OrderBy) -> Vec<String> {
        let OrderBy { kind: OrderByKind::Expressions(parts), interpolate: None } = order else {
            self.refuse(not_allowed("this form of ORDER BY", "write ORDER BY columns"));
            return Vec::new();
        };
        let mut columns = Vec::new();
        for OrderByExpr { expr, options, with_fill } in parts {
            if options.nulls_first.is_some() || with_fill.is_some() {
                self.refuse(not_allowed("this form of ORDER BY", "write ORDER BY columns"));
            }
            self.expression(expr, Context::Condition, &Want::ALONE);
            columns.push(expr.to_string());
        }
        columns
    }

    /// Returns true where an order distinguishes all rows: by the groups, or by the primary key of the only table.
    fn orders_all(&self, select: &Select, order: &[String], visible: usize) -> bool {
        let is_there = |column: &String| order.contains(column);
        if let GroupByExpr::Expressions(groups, _) = &select.group_by
            && !groups.is_empty()
        {
            return groups.iter().map(ToString::to_string).all(|group| is_there(&group));
        }
        match &self.sources[visible..] {
            [NamedTable { name, columns: Some(table), .. }] => table
                .key()
                .iter()
                .all(|column| is_there(&format!("`{column}`")) || is_there(&format!("`{name}`.`{column}`"))),
            _ => false,
        }
    }

    fn limit(&mut self, limit: &LimitClause, is_ordered: bool) {
        let is_number = |expr: &Expr| matches!(expr, Expr::Value(value) if matches!(value.value, Value::Number(_, false)));
        match limit {
            LimitClause::LimitOffset { limit: Some(count), offset: None, limit_by }
                if limit_by.is_empty() && is_number(count) => {}
            _ => self.refuse(not_allowed("this form of LIMIT", "write LIMIT and a number")),
        }
        if !is_ordered {
            let remedy = "which rows it takes is not determined: add ORDER BY the primary key";
            self.refuse(not_allowed("LIMIT", remedy));
        }
    }

    /// A sum over rows; only in a SELECT.
    pub(super) fn aggregate(&mut self, call: &mut Function, context: Context) {
        let FunctionArguments::List(list) = &mut call.args else {
            return self.refuse(not_allowed("a call without arguments", "call it with plain arguments"));
        };
        let is_plain = call.over.is_none()
            && call.filter.is_none()
            && call.null_treatment.is_none()
            && call.within_group.is_empty()
            && call.parameters == FunctionArguments::None
            && !call.uses_odbc_syntax
            && list.clauses.is_empty();
        match list.args.as_mut_slice() {
            [FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))] if is_plain => {
                self.expression(expr, context, &Want::ALONE);
            }
            [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)]
                if is_plain && list.duplicate_treatment.is_none() => {}
            _ => self.refuse(not_allowed("this form of a sum", "write COUNT(*), or SUM(column)")),
        }
    }

    fn refuse_all<const N: usize>(&mut self, clauses: [(bool, &'static str, &'static str); N]) {
        for (is_present, what, remedy) in clauses {
            if is_present {
                self.refuse(not_allowed(what, remedy));
            }
        }
    }
}

/// Returns true where conditions name every column of a table's primary key, each with a value of its own that only one
/// value of the column equals.
///
/// Among others, a column alone could be another table's. `sources` are all that the conditions may name.
pub(in crate::sql) fn is_at_most_one(
    source: &NamedTable<'_>,
    sources: &[NamedTable<'_>],
    conditions: &[Expr],
    is_alone: bool,
) -> bool {
    let Some(table) = source.columns.filter(|table| table.has_whole_key()) else { return false };
    let mut found = Vec::new();
    for condition in conditions {
        equalities(condition, source, is_alone, &mut found);
    }
    let is_found = |column: &String| {
        let is_text = table.column(column).is_some_and(|column| matches!(column.kind, Type::Text { .. }));
        found.iter().any(|(name, other)| {
            name.eq_ignore_ascii_case(column) && !(is_text && is_compared_as_another_type(other, sources))
        })
    };
    !table.key().is_empty() && table.key().iter().all(is_found)
}

/// Returns true for a number or a moment: compared with one, a text is read as one first, and `5`, `05` and `5.0` are equal.
fn is_compared_as_another_type(other: &Expr, sources: &[NamedTable<'_>]) -> bool {
    use sqlparser::ast::BinaryOperator as Op;
    match other {
        Expr::Nested(inner) | Expr::UnaryOp { expr: inner, .. } => {
            is_compared_as_another_type(inner, sources)
        }
        Expr::Value(value) => matches!(value.value, Value::Number(..) | Value::Boolean(_)),
        Expr::BinaryOp { op: Op::Plus | Op::Minus | Op::Multiply | Op::Divide | Op::Modulo, .. } => true,
        Expr::CompoundIdentifier(parts) => {
            let [owner, name] = parts.as_slice() else { return false };
            let owner = sources.iter().find(|source| source.name == owner.value);
            let column = owner.and_then(|owner| owner.columns?.column(&name.value));
            column.is_some_and(|column| {
                matches!(
                    column.kind,
                    Type::Integer { .. }
                        | Type::Decimal { .. }
                        | Type::Double { .. }
                        | Type::Bit { .. }
                        | Type::Year
                        | Type::Date
                        | Type::DateTime { .. }
                )
            })
        }
        _ => false,
    }
}

/// The columns of a table that a condition equates with something outside of it, each with that.
fn equalities<'e>(
    condition: &'e Expr,
    source: &NamedTable<'_>,
    is_alone: bool,
    found: &mut Vec<(String, &'e Expr)>,
) {
    use sqlparser::ast::BinaryOperator as Op;
    match condition {
        Expr::Nested(inner) => equalities(inner, source, is_alone, found),
        Expr::BinaryOp { left, op: Op::And, right } => {
            equalities(left, source, is_alone, found);
            equalities(right, source, is_alone, found);
        }
        Expr::BinaryOp { left, op: Op::Eq, right } => {
            for (column, other) in [(left, right), (right, left)] {
                let name = match column.as_ref() {
                    Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                        [owner, name] if owner.value == source.name => Some(name),
                        _ => None,
                    },
                    Expr::Identifier(name) if is_alone => Some(name),
                    _ => None,
                };
                let is_outside = columns(other).iter().all(|column| match column {
                    Expr::CompoundIdentifier(parts) => parts[0].value != source.name,
                    _ => false,
                });
                match name {
                    Some(Ident { value, .. }) if is_outside => found.push((value.clone(), other.as_ref())),
                    _ => {}
                }
            }
        }
        _ => {}
    }
}
