//! The calls among the expressions: functions, and the casts, intervals and the like that have a node of their own.
//!
//! Part of the same walk. Which functions there are to call stands in `function`.

use sqlparser::ast::{
    CastKind, CeilFloorKind, DataType, DateTimeField, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArguments, Ident, Interval, ObjectName, ObjectNamePart,
};

use super::{COMPUTE, Context, Walk};
use crate::sql::{
    function::{self, Arguments},
    name::plain,
    refusal::{Reason, excerpt, not_allowed},
};

impl Walk<'_> {
    /// Everything that looks like a function, some of which have a node of their own.
    pub(super) fn call(&mut self, expr: &mut Expr, context: Context) {
        match expr {
            Expr::Function(function) => self.function(function, context),
            Expr::Cast { kind: CastKind::Cast, expr, data_type, format: None } => {
                self.cast_type(data_type);
                self.expression(expr, context);
            }
            Expr::Convert { is_try: false, expr, data_type, charset, target_before_value: false, styles }
                if styles.is_empty() =>
            {
                self.conversion(data_type.as_ref(), charset.as_ref());
                self.expression(expr, context);
            }
            Expr::Extract { field, syntax: _, expr } => {
                self.unit(field);
                self.expression(expr, context);
            }
            Expr::Interval(interval) => self.interval(interval, context),
            Expr::Ceil { expr, field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) }
            | Expr::Floor { expr, field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) } => {
                self.expression(expr, context);
            }
            Expr::Position { expr, r#in } => self.all([&mut **expr, &mut **r#in], context),
            Expr::Substring { expr, substring_from, substring_for, special: _, shorthand: _ } => {
                self.expression(expr, context);
                self.all(substring_from.as_deref_mut(), context);
                self.all(substring_for.as_deref_mut(), context);
            }
            Expr::Trim { trim_where: _, trim_what, expr, trim_characters: None } => {
                self.all(trim_what.as_deref_mut(), context);
                self.expression(expr, context);
            }
            unknown => self.refuse(not_allowed(format_args!("`{unknown}`"), COMPUTE)),
        }
    }

    fn function(&mut self, function: &mut Function, context: Context) {
        let Function { name, uses_odbc_syntax, parameters, args, within_group, filter, null_treatment, over } =
            function;
        let [ObjectNamePart::Identifier(Ident { value, quote_style: None, .. })] = name.0.as_slice() else {
            return self.refuse(Reason::Function { name: excerpt(&name.to_string()) });
        };
        let arguments = match function::judge(value) {
            Ok(arguments) => arguments,
            Err(reason) => return self.refuse(reason),
        };
        let is_plain = !*uses_odbc_syntax
            && *parameters == FunctionArguments::None
            && within_group.is_empty()
            && filter.is_none()
            && null_treatment.is_none()
            && over.is_none();
        match args {
            FunctionArguments::List(list)
                if is_plain && list.duplicate_treatment.is_none() && list.clauses.is_empty() =>
            {
                match arguments {
                    Arguments::Expressions => self.arguments(&mut list.args, context),
                    Arguments::UnitFirst => self.unit_first(&mut list.args, context),
                    Arguments::OneColumn => self.inserted_value(&mut list.args, context),
                }
            }
            FunctionArguments::Subquery(_) => self.refuse(Reason::Subquery),
            _ => self.refuse(not_allowed(format_args!("`{function}`"), "call it with plain arguments")),
        }
    }

    fn arguments(&mut self, arguments: &mut [FunctionArg], context: Context) {
        for argument in arguments {
            match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => self.expression(expr, context),
                other => {
                    self.refuse(not_allowed(format_args!("argument `{other}`"), "write plain arguments"));
                }
            }
        }
    }

    /// The unit is a keyword and stays unquoted.
    fn unit_first(&mut self, arguments: &mut [FunctionArg], context: Context) {
        match arguments {
            [FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Identifier(unit))), rest @ ..]
                if unit.quote_style.is_none() && function::is_unit(&unit.value) =>
            {
                self.arguments(rest, context);
            }
            _ => self.refuse(not_allowed("this unit of time", "use MICROSECOND to YEAR, without compounds")),
        }
    }

    fn inserted_value(&mut self, arguments: &mut [FunctionArg], context: Context) {
        match arguments {
            [FunctionArg::Unnamed(FunctionArgExpr::Expr(column))]
                if context == Context::OnDuplicate
                    && matches!(column, Expr::Identifier(_) | Expr::CompoundIdentifier(_)) =>
            {
                self.expression(column, context);
            }
            _ => {
                let remedy = "it is for VALUES(column) in ON DUPLICATE KEY UPDATE";
                self.refuse(not_allowed("VALUES() here", remedy));
            }
        }
    }

    fn interval(&mut self, interval: &mut Interval, context: Context) {
        let Interval { value, leading_field, leading_precision, last_field, fractional_seconds_precision } =
            interval;
        match leading_field {
            Some(field) if last_field.is_none() => self.unit(field),
            _ => self.refuse(not_allowed("this interval", "write INTERVAL value UNIT")),
        }
        if leading_precision.is_some() || fractional_seconds_precision.is_some() {
            self.refuse(not_allowed("a precision of an interval", "leave it out"));
        }
        self.expression(value, context);
    }

    fn unit(&mut self, field: &DateTimeField) {
        if !function::is_unit(&field.to_string()) {
            self.refuse(not_allowed(
                format_args!("unit `{field}`"),
                "use MICROSECOND to YEAR, without compounds",
            ));
        }
    }

    fn conversion(&mut self, data_type: Option<&DataType>, charset: Option<&ObjectName>) {
        match (data_type, charset) {
            (Some(data_type), None) => self.cast_type(data_type),
            (None, Some(charset)) if plain(charset).is_some() => {}
            _ => self.refuse(not_allowed(
                "this CONVERT",
                "write CONVERT(value, type) or CONVERT(value USING charset)",
            )),
        }
    }

    #[expect(clippy::match_same_arms, reason = "one line for each family")]
    fn cast_type(&mut self, data_type: &DataType) {
        match data_type {
            DataType::Char(_) | DataType::Binary(_) => {}
            DataType::Signed | DataType::SignedInteger | DataType::Unsigned | DataType::UnsignedInteger => {}
            DataType::Decimal(_) | DataType::Double(_) => {}
            DataType::Date | DataType::Datetime(_) | DataType::JSON => {}
            other => {
                let remedy =
                    "cast to CHAR, BINARY, SIGNED, UNSIGNED, DECIMAL, DOUBLE, DATE, DATETIME or JSON";
                self.refuse(not_allowed(format_args!("a cast to {other}"), remedy));
            }
        }
    }
}
