//! The allow-list of expressions, walked node by node.
//!
//! It quotes the identifiers it passes, gives each placeholder its type and collects what is wrong; it changes nothing
//! else. A kind of node that is not named here is refused, so a newer parser can't let a new one in.

mod bare;
mod kind;
mod call;
mod select;

use sqlparser::ast::{BinaryOperator, Expr, Ident, UnaryOperator, Value};

use super::function;
use super::name::{foreign_column, quote};
use super::refusal::{Reason, not_allowed};
use super::tables::DeclaredTables;
use crate::statement::{Column, Parameter, Role, Table, Type};

pub(super) use select::is_at_most_one;

const COMPUTE: &str = "compute it in the projector and pass it as a parameter";

/// Where an expression stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Context {
    /// In the VALUES of an INSERT, where no row exists yet.
    Row,
    /// In SET or WHERE.
    Condition,
    /// In ON DUPLICATE KEY UPDATE.
    OnDuplicate,
    /// In a CHECK of a table.
    Check,
}

/// The type that an expression has to have where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Want {
    One(Parameter),
    /// `(a, b)`, part by part.
    Row(Vec<Want>),
}

impl Want {
    /// Nothing.
    pub const ALONE: Self = Self::One(Parameter::ALONE);

    /// An argument of this type.
    pub fn argument(kind: Option<Type>) -> Self {
        Self::One(Parameter { kind, ..Parameter::ALONE })
    }

    /// The value of a column.
    pub fn stored(table: &str, column: &Column) -> Self {
        Self::One(Parameter {
            kind: Some(column.kind.clone()),
            role: Role::Stored,
            column: Some(format!("{table}.{}", column.name)),
            required: !column.nullable,
        })
    }

    fn kind(&self) -> Option<&Type> {
        match self {
            Self::One(parameter) => parameter.kind.as_ref(),
            Self::Row(_) => None,
        }
    }

    /// The type of something that is only a part of the expression, which may be NULL.
    fn within(&self) -> Self {
        match self {
            Self::One(parameter) => Self::One(Parameter { required: false, ..parameter.clone() }),
            Self::Row(_) => Self::ALONE,
        }
    }
}

/// A table whose columns may be named.
#[derive(Clone)]
pub(super) struct NamedTable<'a> {
    /// Its alias, or its own name.
    pub name: String,
    pub table: String,
    /// The table's columns; none in its own DDL, or where that is wrong.
    pub columns: Option<&'a Table>,
}

/// A walk over the expressions of one declared text.
pub(super) struct Walk<'a> {
    /// The table that is written.
    pub table: &'a str,
    /// The table's columns; none in its own DDL, or where that is wrong.
    pub columns: Option<&'a Table>,
    pub tables: DeclaredTables<'a>,
    /// The tables whose columns may be named, those of the innermost query last.
    pub sources: Vec<NamedTable<'a>>,
    /// The name of the new row in ON DUPLICATE KEY UPDATE.
    pub row_alias: Option<String>,
    /// The tables that are read besides the one that is written.
    pub reads: Vec<String>,
    /// The written table may be read: where a server keeps what it read before it writes.
    pub may_read_own: bool,
    /// The written table is read by a query of its own.
    pub reads_own: bool,
    pub parameters: Vec<Parameter>,
    pub reasons: Vec<Reason>,
    /// In how many queries the walk is.
    selects: usize,
    /// By how much the functions around may have made a text longer.
    growth: u64,
}

impl<'a> Walk<'a> {
    pub fn new(table: &'a str, tables: DeclaredTables<'a>) -> Self {
        let columns = tables.right.iter().find(|one| one.name == table);
        Self {
            table,
            columns,
            tables,
            sources: vec![NamedTable { name: table.to_owned(), table: table.to_owned(), columns }],
            row_alias: None,
            reads: Vec::new(),
            may_read_own: false,
            reads_own: false,
            parameters: Vec::new(),
            reasons: Vec::new(),
            selects: 0,
            growth: 1,
        }
    }

    pub fn refuse(&mut self, reason: Reason) {
        self.reasons.push(reason);
    }

    /// The type that a value of a column of the written table has to have.
    pub fn stored(&self, column: &str) -> Want {
        let known = self.columns.and_then(|table| table.column(column));
        known.map_or(Want::ALONE, |column| Want::stored(self.table, column))
    }

    /// The type that a value has to have for a column that a statement writes.
    pub fn written(&mut self, column: &str) -> Want {
        let known = self.columns.and_then(|table| table.column(column));
        if known.is_some_and(|column| column.generated) {
            let remedy = "the server computes it from other columns: leave it out";
            self.refuse(not_allowed(format_args!("a value for the generated column `{column}`"), remedy));
        }
        self.stored(column)
    }

    pub fn expression(&mut self, expr: &mut Expr, context: Context, want: &Want) {
        match expr {
            Expr::Identifier(column) => self.column(column, context),
            Expr::CompoundIdentifier(parts) => self.qualified_column(parts, context),
            Expr::Value(value) => self.literal(&value.value, context, want),
            Expr::Nested(inner) => self.expression(inner, context, want),
            Expr::IsNull(inner)
            | Expr::IsNotNull(inner)
            | Expr::IsTrue(inner)
            | Expr::IsNotTrue(inner)
            | Expr::IsFalse(inner)
            | Expr::IsNotFalse(inner)
            | Expr::IsUnknown(inner)
            | Expr::IsNotUnknown(inner) => self.expression(inner, context, &Want::ALONE),
            Expr::BinaryOp { left, op, right } => {
                self.operator(op);
                let (on_left, on_right) = self.operands(left, op, right, want);
                self.expression(left, context, &on_left);
                self.expression(right, context, &on_right);
            }
            Expr::UnaryOp { op, expr } => {
                self.sign(*op, expr);
                let want = Self::operand(*op, want);
                self.expression(expr, context, &want);
            }
            Expr::InList { expr, list, negated: _ } => {
                let (of_expr, of_list) =
                    (self.compared_with(&*list, Role::Equal), self.compared(expr, Role::Equal));
                self.expression(expr, context, &of_expr);
                self.all(list, context, &of_list);
            }
            Expr::Between { expr, negated: _, low, high } => {
                let bounds = self.compared(expr, Role::Bound);
                let of_expr = self.compared_with([&**low, &**high], Role::Bound);
                self.expression(expr, context, &of_expr);
                self.all([&mut **low, &mut **high], context, &bounds);
            }
            Expr::Like { negated: _, any: false, expr, pattern, escape_char } => {
                let text = Want::argument(Some(Type::TEXT));
                self.all([&mut **expr, &mut **pattern], context, &text);
                self.all(escape_char.as_deref_mut(), context, &text);
            }
            Expr::Case { .. } => self.case(expr, context, want),
            Expr::Tuple(parts) => match want {
                Want::Row(wants) if wants.len() == parts.len() => {
                    for (part, want) in parts.iter_mut().zip(wants) {
                        self.expression(part, context, want);
                    }
                }
                _ => self.all(parts, context, &Want::ALONE),
            },
            Expr::Subquery(query) => self.subquery(query, context, std::slice::from_ref(want)),
            Expr::Exists { subquery, negated: _ } => self.subquery(subquery, context, &[]),
            Expr::InSubquery { expr, subquery, negated: _ } => {
                let want = self.compared(expr, Role::Equal);
                self.expression(expr, context, &Want::ALONE);
                self.subquery(subquery, context, std::slice::from_ref(&want));
            }
            Expr::AnyOp { .. } | Expr::AllOp { .. } => self.refuse(Reason::Subquery),
            call => self.call(call, context, want),
        }
    }

    fn case(&mut self, expr: &mut Expr, context: Context, want: &Want) {
        let Expr::Case { case_token: _, end_token: _, operand, conditions, else_result } = expr else {
            return;
        };
        let results = conditions.iter().map(|branch| &branch.result).chain(else_result.as_deref());
        let alike = self.alike(results, want);
        let of_conditions =
            operand.as_deref().map_or(Want::ALONE, |operand| self.compared(operand, Role::Equal));
        let of_operand = self.compared_with(conditions.iter().map(|branch| &branch.condition), Role::Equal);
        self.all(operand.as_deref_mut(), context, &of_operand);
        for branch in conditions {
            self.expression(&mut branch.condition, context, &of_conditions);
            self.expression(&mut branch.result, context, &alike);
        }
        self.all(else_result.as_deref_mut(), context, &alike);
    }

    fn all<'e>(
        &mut self,
        expressions: impl IntoIterator<Item = &'e mut Expr>,
        context: Context,
        want: &Want,
    ) {
        for expr in expressions {
            self.expression(expr, context, want);
        }
    }

    fn column(&mut self, column: &mut Ident, context: Context) {
        if column.quote_style.is_none() {
            if let Some(reason) = function::ambient(&column.value) {
                return self.refuse(reason);
            }
            if column.value.eq_ignore_ascii_case("DEFAULT") {
                return self.refuse(not_allowed("DEFAULT", "leave the column out, or write the value"));
            }
        }
        if context == Context::Row {
            let remedy = "a new row has no columns to read yet: pass the value as a parameter";
            return self.refuse(not_allowed(format_args!("column `{}` in VALUES", column.value), remedy));
        }
        quote(column);
    }

    fn qualified_column(&mut self, parts: &mut [Ident], context: Context) {
        match parts {
            [owner, column]
                if self.sources.iter().any(|source| source.name == owner.value)
                    || context == Context::OnDuplicate && self.row_alias.as_ref() == Some(&owner.value) =>
            {
                quote(owner);
                // A keyword after the dot is a name: MySQL reads it so as well.
                quote(column);
                self.column(column, context);
            }
            parts => {
                let shown: Vec<&str> = parts.iter().map(|part| part.value.as_str()).collect();
                self.refuse(foreign_column(&shown.join(".")));
            }
        }
    }

    fn literal(&mut self, value: &Value, context: Context, want: &Want) {
        match value {
            Value::Number(_, false) | Value::SingleQuotedString(_) | Value::Boolean(_) | Value::Null => {}
            Value::Placeholder(_) if context == Context::Check => {
                self.refuse(not_allowed("? in a table", "write the value"));
            }
            Value::Placeholder(text) if text == "?" => self.placeholder(want),
            other => self.refuse(not_allowed(format_args!("literal `{other}`"), "pass it as a parameter")),
        }
    }

    fn placeholder(&mut self, want: &Want) {
        let parameter = match want {
            Want::One(parameter) => parameter.clone(),
            Want::Row(_) => Parameter::ALONE,
        };
        if parameter.kind == Some(Type::JsonValue) {
            // Servers differ in whether an expression around it keeps it JSON.
            let what = "? within an expression that becomes a JSON value";
            self.refuse(not_allowed(what, "write ? alone as the argument of the JSON function"));
        }
        self.parameters.push(parameter);
    }

    #[expect(clippy::match_same_arms, reason = "one line for each family")]
    fn operator(&mut self, operator: &BinaryOperator) {
        use BinaryOperator as Op;
        match operator {
            Op::Plus | Op::Minus | Op::Multiply | Op::Divide | Op::Modulo | Op::MyIntegerDivide => {}
            Op::Eq | Op::NotEq | Op::Spaceship | Op::Gt | Op::GtEq | Op::Lt | Op::LtEq => {}
            Op::And | Op::Or | Op::Xor => {}
            Op::BitwiseAnd | Op::BitwiseOr | Op::BitwiseXor => {}
            Op::PGBitwiseShiftLeft | Op::PGBitwiseShiftRight => {}
            other => self.refuse(not_allowed(format_args!("operator `{other}`"), COMPUTE)),
        }
    }

    fn sign(&mut self, operator: UnaryOperator, operand: &Expr) {
        match operator {
            UnaryOperator::Plus | UnaryOperator::Not | UnaryOperator::BitwiseNot => {}
            UnaryOperator::Minus => {
                if matches!(operand, Expr::UnaryOp { op: UnaryOperator::Minus, .. }) {
                    self.refuse(not_allowed("a double minus", "MySQL may read a comment: use parentheses"));
                }
            }
            other => self.refuse(not_allowed(format_args!("operator `{other}`"), COMPUTE)),
        }
    }
}
