//! The type of an expression, and the type that it gives to the parameters beside it.
//!
//! It changes nothing and refuses nothing. Where a type is not known, the parameter keeps the kind of its value.

use sqlparser::ast::{
    BinaryOperator as Op, DataType, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, TypedString,
    UnaryOperator, Value,
};

use super::{Walk, Want};
use crate::sql::function::{self, ArgumentShape};
use crate::statement::{Parameter, Role, Type};

impl Walk<'_> {
    /// The types that the operands of an operator have to have.
    pub(super) fn operands(&self, left: &Expr, operator: &Op, right: &Expr, want: &Want) -> (Want, Want) {
        match operator {
            Op::Eq | Op::NotEq | Op::Spaceship => {
                (self.compared(right, Role::Equal), self.compared(left, Role::Equal))
            }
            Op::Gt | Op::GtEq | Op::Lt | Op::LtEq => {
                (self.compared(right, Role::Bound), self.compared(left, Role::Bound))
            }
            Op::Plus | Op::Minus | Op::Multiply | Op::Divide | Op::Modulo | Op::MyIntegerDivide => {
                (self.calculated(operator, right, want), self.calculated(operator, left, want))
            }
            Op::BitwiseAnd
            | Op::BitwiseOr
            | Op::BitwiseXor
            | Op::PGBitwiseShiftLeft
            | Op::PGBitwiseShiftRight => {
                (Want::argument(Some(Type::WHOLE)), Want::argument(Some(Type::WHOLE)))
            }
            _ => (Want::ALONE, Want::ALONE),
        }
    }

    /// The type that the operand of a sign has to have.
    pub(super) fn operand(operator: UnaryOperator, want: &Want) -> Want {
        match operator {
            UnaryOperator::BitwiseNot => Want::argument(Some(Type::WHOLE)),
            UnaryOperator::Plus | UnaryOperator::Minus => {
                Want::argument(Some(want.kind().and_then(number).unwrap_or(Type::EXACT)))
            }
            _ => Want::ALONE,
        }
    }

    /// The type of a value in a calculation with another operand: a number as exact as that, and as what the result is
    /// for.
    fn calculated(&self, operator: &Op, other: &Expr, want: &Want) -> Want {
        if matches!(other, Expr::Interval(_)) {
            return Want::argument(Some(Type::MOMENT));
        }
        let Some(other) = self.kind(other) else {
            return Want::argument(want.kind().and_then(number));
        };
        let Some(mut kind) = number(&other) else { return Want::ALONE };
        if kind == Type::WHOLE && matches!(operator, Op::Multiply | Op::Divide) {
            kind = Type::EXACT;
        }
        if let Some(wanted) = want.kind().and_then(number)
            && kind == Type::WHOLE
        {
            kind = wanted;
        }
        Want::argument(Some(kind))
    }

    /// The type of a value that is compared with this expression.
    pub(super) fn compared(&self, other: &Expr, role: Role) -> Want {
        match other {
            Expr::Tuple(parts) => Want::Row(parts.iter().map(|part| self.compared(part, role)).collect()),
            Expr::Nested(inner) => self.compared(inner, role),
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) => {
                let column = self.column_of(other);
                Want::One(Parameter { role, ..column.unwrap_or(Parameter::ALONE) })
            }
            other => Want::One(Parameter { kind: self.kind(other), role, ..Parameter::ALONE }),
        }
    }

    /// The type of a value that is compared with one of these expressions.
    pub(super) fn compared_with<'e>(&self, others: impl IntoIterator<Item = &'e Expr>, role: Role) -> Want {
        let mut wants = others.into_iter().map(|other| self.compared(other, role));
        let is_known = |want: &Want| match want {
            Want::One(parameter) => parameter.kind.is_some(),
            Want::Row(_) => true,
        };
        wants.find(is_known).unwrap_or(Want::ALONE)
    }

    /// The type of a value that is given in the place of one of these, where that is wanted.
    pub(super) fn alike<'e>(&self, others: impl IntoIterator<Item = &'e Expr>, want: &Want) -> Want {
        if want.kind().is_some() {
            return want.within();
        }
        let columns = |other| match self.column_of(other) {
            Some(column) => Some(column),
            None => self.kind(other).map(|kind| Parameter { kind: Some(kind), ..Parameter::ALONE }),
        };
        let found = others.into_iter().find_map(columns);
        found.map_or(Want::ALONE, |known| Want::One(Parameter { required: false, ..known }))
    }

    /// The column that an expression is.
    fn column_of(&self, expr: &Expr) -> Option<Parameter> {
        let (table, column) = match expr {
            Expr::Identifier(name) => {
                let known = self.sources.iter().rev().filter_map(|source| source.columns);
                known.into_iter().find_map(|table| Some((table, table.column(&name.value)?)))?
            }
            Expr::CompoundIdentifier(parts) => {
                let [owner, name] = parts.as_slice() else { return None };
                let table = match self.sources.iter().rev().find(|source| source.name == owner.value) {
                    Some(source) => source.columns?,
                    None => self.columns?,
                };
                (table, table.column(&name.value)?)
            }
            _ => return None,
        };
        match Want::stored(&table.name, column) {
            Want::One(column) => Some(Parameter { role: Role::Argument, required: false, ..column }),
            Want::Row(_) => None,
        }
    }

    /// The type of an expression, as far as its text shows it.
    fn kind(&self, expr: &Expr) -> Option<Type> {
        match expr {
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) => self.column_of(expr)?.kind,
            Expr::Value(value) => literal(&value.value),
            Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => self.kind(inner),
            Expr::UnaryOp { op: UnaryOperator::Plus | UnaryOperator::Minus, expr } => self.kind(expr),
            Expr::BinaryOp { left, op, right } => self.result(left, op, right),
            Expr::Case { conditions, else_result, .. } => {
                let results = conditions.iter().map(|branch| &branch.result).chain(else_result.as_deref());
                results.into_iter().find_map(|result| self.kind(result))
            }
            Expr::Cast { data_type, .. } | Expr::Convert { data_type: Some(data_type), .. } => {
                cast(data_type)
            }
            Expr::TypedString(TypedString { data_type: DataType::Date, .. }) => Some(Type::Date),
            Expr::TypedString(_) => Some(Type::MOMENT),
            Expr::Convert { .. } | Expr::Substring { .. } | Expr::Trim { .. } => Some(Type::TEXT),
            Expr::Extract { .. } | Expr::Position { .. } => Some(Type::WHOLE),
            Expr::Ceil { .. } | Expr::Floor { .. } => Some(Type::EXACT),
            Expr::Function(call) => {
                let name = call.name.to_string();
                if name.eq_ignore_ascii_case("VALUES") {
                    return arguments(&call.args).next().and_then(|column| self.kind(column));
                }
                if function::is_aggregate(&name) {
                    let of = arguments(&call.args).next().and_then(|one| self.kind(one));
                    return match (name.to_ascii_uppercase().as_str(), of) {
                        ("COUNT", _) => Some(Type::WHOLE),
                        ("SUM" | "AVG", Some(of)) => {
                            number(&of).map(|of| if of == Type::DOUBLE { of } else { Type::EXACT })
                        }
                        (_, of) => of,
                    };
                }
                let function = function::find(&name)?;
                function.gives.kind().or_else(|| {
                    let alike = |(at, _): &(usize, &Expr)| function.argument(*at) == ArgumentShape::Alike;
                    arguments(&call.args).enumerate().filter(alike).find_map(|(_, one)| self.kind(one))
                })
            }
            _ => None,
        }
    }

    fn result(&self, left: &Expr, operator: &Op, right: &Expr) -> Option<Type> {
        let numbers = || match (self.kind(left), self.kind(right)) {
            (Some(left), Some(right)) => Some((number(&left)?, number(&right)?)),
            (Some(known), None) | (None, Some(known)) => number(&known).map(|known| (known.clone(), known)),
            (None, None) => None,
        };
        match operator {
            Op::Plus | Op::Minus
                if matches!(left, Expr::Interval(_)) || matches!(right, Expr::Interval(_)) =>
            {
                Some(Type::MOMENT)
            }
            Op::Plus | Op::Minus | Op::Multiply | Op::Modulo | Op::Divide => {
                let (left, right) = numbers()?;
                let exact = if *operator == Op::Divide { Type::EXACT } else { Type::WHOLE };
                let widest =
                    [Type::DOUBLE, Type::EXACT].into_iter().find(|kind| *kind == left || *kind == right);
                Some(widest.unwrap_or(exact))
            }
            _ => Some(Type::WHOLE),
        }
    }
}

fn arguments(arguments: &FunctionArguments) -> impl Iterator<Item = &Expr> {
    let list = match arguments {
        FunctionArguments::List(list) => list.args.as_slice(),
        _ => &[],
    };
    list.iter().filter_map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
        _ => None,
    })
}

fn literal(value: &Value) -> Option<Type> {
    match value {
        Value::Number(digits, _) if digits.contains(['e', 'E']) => Some(Type::DOUBLE),
        Value::Number(digits, _) if digits.contains('.') => Some(Type::EXACT),
        Value::Number(..) | Value::Boolean(_) => Some(Type::WHOLE),
        Value::SingleQuotedString(_) => Some(Type::TEXT),
        _ => None,
    }
}

/// The number that calculations with such a type are made of.
fn number(kind: &Type) -> Option<Type> {
    match kind {
        Type::Integer { .. } | Type::Bit { .. } | Type::Year => Some(Type::WHOLE),
        Type::Decimal { .. } => Some(Type::EXACT),
        Type::Double { .. } => Some(Type::DOUBLE),
        _ => None,
    }
}

/// The type of a value that is cast: a number keeps its digits, which the cast rounds; a moment is cut, which servers
/// do differently.
pub(super) fn cast(data_type: &DataType) -> Option<Type> {
    match data_type {
        DataType::Char(_) => Some(Type::TEXT),
        DataType::Binary(_) => Some(Type::BYTES),
        DataType::Signed | DataType::SignedInteger => Some(Type::WHOLE),
        DataType::Unsigned | DataType::UnsignedInteger => Some(Type::Integer { bits: 64, unsigned: true }),
        DataType::Decimal(_) => Some(Type::EXACT),
        DataType::Double(_) => Some(Type::DOUBLE),
        DataType::Date => Some(Type::Date),
        DataType::Datetime(digits) => {
            Some(Type::DateTime { digits: digits.and_then(|digits| u32::try_from(digits).ok()).unwrap_or(0) })
        }
        DataType::JSON => Some(Type::Json),
        _ => None,
    }
}
