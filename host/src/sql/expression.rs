//! The allow-list of expressions, walked node by node.
//!
//! It quotes the identifiers it passes, counts placeholders and collects what is wrong; it changes nothing else. A
//! kind of node that is not named here is refused, so a newer parser can't let a new one in.

mod call;

use sqlparser::ast::{BinaryOperator, Expr, Ident, UnaryOperator, Value};

use super::{
    function,
    name::{foreign_column, quote},
    refusal::{Reason, not_allowed},
};

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

/// A walk over the expressions of one declared text.
pub(super) struct Walk<'a> {
    /// The table whose columns may be named.
    pub table: &'a str,
    pub placeholders: usize,
    pub reasons: Vec<Reason>,
}

impl<'a> Walk<'a> {
    pub fn new(table: &'a str) -> Self {
        Self { table, placeholders: 0, reasons: Vec::new() }
    }

    pub fn refuse(&mut self, reason: Reason) {
        self.reasons.push(reason);
    }

    pub fn expression(&mut self, expr: &mut Expr, context: Context) {
        match expr {
            Expr::Identifier(column) => self.column(column, context),
            Expr::CompoundIdentifier(parts) => self.qualified_column(parts, context),
            Expr::Value(value) => self.literal(&value.value, context),
            Expr::Nested(inner)
            | Expr::IsNull(inner)
            | Expr::IsNotNull(inner)
            | Expr::IsTrue(inner)
            | Expr::IsNotTrue(inner)
            | Expr::IsFalse(inner)
            | Expr::IsNotFalse(inner)
            | Expr::IsUnknown(inner)
            | Expr::IsNotUnknown(inner) => self.expression(inner, context),
            Expr::BinaryOp { left, op, right } => {
                self.operator(op);
                self.all([&mut **left, &mut **right], context);
            }
            Expr::UnaryOp { op, expr } => {
                self.sign(*op, expr);
                self.expression(expr, context);
            }
            Expr::InList { expr, list, negated: _ } => {
                self.expression(expr, context);
                self.all(list, context);
            }
            Expr::Between { expr, negated: _, low, high } => {
                self.all([&mut **expr, &mut **low, &mut **high], context);
            }
            Expr::Like { negated: _, any: false, expr, pattern, escape_char } => {
                self.all([&mut **expr, &mut **pattern], context);
                self.all(escape_char.as_deref_mut(), context);
            }
            Expr::Case { case_token: _, end_token: _, operand, conditions, else_result } => {
                self.all(operand.as_deref_mut(), context);
                for branch in conditions {
                    self.all([&mut branch.condition, &mut branch.result], context);
                }
                self.all(else_result.as_deref_mut(), context);
            }
            Expr::Tuple(parts) => self.all(parts, context),
            Expr::Subquery(_)
            | Expr::InSubquery { .. }
            | Expr::Exists { .. }
            | Expr::AnyOp { .. }
            | Expr::AllOp { .. } => self.refuse(Reason::Subquery),
            call => self.call(call, context),
        }
    }

    fn all<'e>(&mut self, expressions: impl IntoIterator<Item = &'e mut Expr>, context: Context) {
        for expr in expressions {
            self.expression(expr, context);
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
            [owner, column] if owner.value == self.table => {
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

    fn literal(&mut self, value: &Value, context: Context) {
        match value {
            Value::Number(_, false) | Value::SingleQuotedString(_) | Value::Boolean(_) | Value::Null => {}
            Value::Placeholder(_) if context == Context::Check => {
                self.refuse(not_allowed("? in a table", "write the value"));
            }
            Value::Placeholder(text) if text == "?" => self.placeholders += 1,
            other => self.refuse(not_allowed(format_args!("literal `{other}`"), "pass it as a parameter")),
        }
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
