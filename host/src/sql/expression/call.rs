//! The calls among the expressions: functions, and the casts, intervals and the like that have a node of their own.
//!
//! Part of the same walk. Which functions there are to call stands in `function`.

use sqlparser::ast::{
    CastKind, CeilFloorKind, DataType, DateTimeField, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArguments, Ident, Interval, ObjectName, ObjectNamePart, TimezoneInfo, TypedString, Value,
};

use super::{COMPUTE, Context, Walk, Want, kind};
use crate::sql::function::{self, ArgumentKinds, ArgumentShape};
use crate::sql::name::plain;
use crate::sql::refusal::{Reason, excerpt, not_allowed};
use crate::statement::{Parameter, Type};

/// By how much the functions of a statement may make a text longer, one within the other.
const GROWTH_MAX: u64 = 65_535;

impl Walk<'_> {
    /// Everything that looks like a function, some of which have a node of their own.
    pub(super) fn call(&mut self, expr: &mut Expr, context: Context, want: &Want) {
        let of = |kind: Type| Want::argument(Some(kind));
        match expr {
            Expr::Function(function) => self.function(function, context, want),
            Expr::Cast { kind: CastKind::Cast, expr, data_type, format: None } => {
                self.cast_type(data_type);
                let growth = self.growth;
                if let DataType::Binary(Some(bytes)) = data_type {
                    self.grow_by(Some(*bytes));
                }
                self.expression(expr, context, &Want::argument(kind::cast(data_type)));
                self.growth = growth;
            }
            Expr::Convert { is_try: false, expr, data_type, charset, target_before_value: false, styles }
                if styles.is_empty() =>
            {
                self.conversion(data_type.as_ref(), charset.as_ref());
                let growth = self.growth;
                if let Some(DataType::Binary(Some(bytes))) = data_type {
                    self.grow_by(Some(*bytes));
                }
                let kind = data_type.as_ref().map_or(Some(Type::TEXT), kind::cast);
                self.expression(expr, context, &Want::argument(kind));
                self.growth = growth;
            }
            Expr::Extract { field, syntax: _, expr } => {
                self.unit(field);
                self.expression(expr, context, &of(Type::MOMENT));
            }
            Expr::Interval(interval) => self.interval(interval, context),
            Expr::TypedString(TypedString { data_type, value, uses_odbc_syntax: false }) => {
                self.day_or_moment(data_type, &value.value);
            }
            Expr::Ceil { expr, field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) }
            | Expr::Floor { expr, field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) } => {
                self.expression(expr, context, &of(Type::EXACT));
            }
            Expr::Position { expr, r#in } => {
                self.all([&mut **expr, &mut **r#in], context, &of(Type::TEXT));
            }
            Expr::Substring { expr, substring_from, substring_for, special: _, shorthand: _ } => {
                self.expression(expr, context, &of(Type::TEXT));
                self.all(substring_from.as_deref_mut(), context, &of(Type::WHOLE));
                self.all(substring_for.as_deref_mut(), context, &of(Type::WHOLE));
            }
            Expr::Trim { trim_where: _, trim_what, expr, trim_characters: None } => {
                self.all(trim_what.as_deref_mut(), context, &of(Type::TEXT));
                self.expression(expr, context, &of(Type::TEXT));
            }
            Expr::Collate { expr, collation } => {
                if plain(collation).is_none() {
                    self.refuse(not_allowed(
                        format_args!("`{collation}`"),
                        "write the collation as a plain word",
                    ));
                }
                self.expression(expr, context, &of(Type::TEXT));
            }
            Expr::RLike { .. } => {
                let remedy = "MySQL and MariaDB read patterns differently, and one event's text can keep one busy for \
                              ever: write LIKE, or let the projector do it with the event's text";
                self.refuse(not_allowed("REGEXP", remedy));
            }
            Expr::MemberOf(_) => {
                let remedy = "MariaDB does not have it: write JSON_CONTAINS(document, ?)";
                self.refuse(not_allowed("MEMBER OF", remedy));
            }
            unknown => self.refuse(not_allowed(format_args!("`{unknown}`"), COMPUTE)),
        }
    }

    fn function(&mut self, function: &mut Function, context: Context, want: &Want) {
        let Function { name, uses_odbc_syntax, parameters, args, within_group, filter, null_treatment, over } =
            function;
        let [ObjectNamePart::Identifier(Ident { value, quote_style: None, .. })] = name.0.as_slice() else {
            return self.refuse(Reason::Function { name: excerpt(&name.to_string()) });
        };
        if self.selects > 0 && function::is_aggregate(value) {
            return self.aggregate(function, context);
        }
        let name = value.clone();
        let is_bare = matches!(&*args, FunctionArguments::List(list) if list.args.is_empty());
        let arguments = match function::judge(&name, is_bare) {
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
                    ArgumentKinds::Expressions => self.arguments(&name, &mut list.args, 0, context, want),
                    ArgumentKinds::UnitFirst => self.unit_first(&name, &mut list.args, context),
                    ArgumentKinds::OneColumn => self.inserted_value(&mut list.args, context),
                }
            }
            FunctionArguments::Subquery(_) => self.refuse(Reason::Subquery),
            _ => self.refuse(not_allowed(format_args!("`{function}`"), "call it with plain arguments")),
        }
    }

    /// The arguments from the one at `first` on.
    fn arguments(
        &mut self,
        name: &str,
        arguments: &mut [FunctionArg],
        first: usize,
        context: Context,
        want: &Want,
    ) {
        let Some(function) = function::find(name) else { return };
        let literals: Vec<Option<String>> = arguments.iter().map(written_out).collect();
        if let Some(reason) = function::demand(name, &literals, context == Context::Check) {
            return self.refuse(reason);
        }
        let growth = self.growth;
        if function.grows() {
            self.grow(arguments.get(1));
        }
        let alike = {
            let one = |(at, argument): (usize, &FunctionArg)| match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))
                    if function.argument(at) == ArgumentShape::Alike =>
                {
                    Some(expr.clone())
                }
                _ => None,
            };
            let alike: Vec<Expr> = arguments.iter().enumerate().filter_map(one).collect();
            // The argument's type is the result's only where the function's list has it so.
            let want = if function.gives == ArgumentShape::Alike { want.clone() } else { Want::ALONE };
            self.alike(&alike, &want)
        };
        let makes_bytes = matches!(want.kind(), Some(Type::Bytes { .. }));
        for (at, argument) in arguments.iter_mut().enumerate().skip(first) {
            let want = match function.argument(at) {
                ArgumentShape::Alike => alike.clone(),
                // Bytes that are put together for a column of bytes.
                ArgumentShape::Text if function.gives == ArgumentShape::Text && makes_bytes => {
                    Want::argument(Some(Type::BYTES))
                }
                shape => Want::argument(shape.kind()),
            };
            match argument {
                // Alone, it is written as JSON: see `settle`.
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))
                    if is_placeholder(expr)
                        && function.argument(at) == ArgumentShape::Member
                        && context != Context::Check =>
                {
                    self.parameters.push(Parameter { kind: Some(Type::JsonValue), ..Parameter::ALONE });
                }
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => self.expression(expr, context, &want),
                other => {
                    self.refuse(not_allowed(format_args!("argument `{other}`"), "write plain arguments"));
                }
            }
        }
        self.growth = growth;
    }

    /// How much longer the function makes its text has to be known: a parameter could make it as long as it likes.
    fn grow(&mut self, count: Option<&FunctionArg>) {
        let number = match count {
            Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value)))) => match &value.value {
                Value::Number(digits, false) => digits.parse::<u64>().ok(),
                _ => None,
            },
            _ => None,
        };
        self.grow_by(number);
    }

    fn grow_by(&mut self, times: Option<u64>) {
        self.growth = self.growth.saturating_mul(times.unwrap_or(u64::MAX).max(1));
        if self.growth > GROWTH_MAX {
            let remedy = "write the number out, 65535 at most for all that stand in one another";
            self.refuse(not_allowed("a length or count that is not bounded", remedy));
        }
    }

    /// The unit is a keyword and stays unquoted.
    fn unit_first(&mut self, name: &str, arguments: &mut [FunctionArg], context: Context) {
        match arguments {
            [FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Identifier(unit))), ..]
                if unit.quote_style.is_none() && function::is_unit(&unit.value) =>
            {
                self.arguments(name, arguments, 1, context, &Want::ALONE);
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
                self.expression(column, context, &Want::ALONE);
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
        self.expression(value, context, &Want::argument(Some(Type::WHOLE)));
    }

    /// `DATE '2026-01-31'` or `TIMESTAMP '2026-01-31 12:00:00'`, without an offset.
    fn day_or_moment(&mut self, data_type: &DataType, value: &Value) {
        let form = match data_type {
            DataType::Date => "dddd-dd-dd",
            DataType::Timestamp(None, TimezoneInfo::None) => "dddd-dd-dd dd:dd:dd",
            _ => "",
        };
        let fits = |text: &str| {
            let of_form =
                |(byte, form): (u8, u8)| if form == b'd' { byte.is_ascii_digit() } else { byte == form };
            text.len() == form.len() && text.bytes().zip(form.bytes()).all(of_form)
        };
        if !matches!(value, Value::SingleQuotedString(text) if fits(text)) || form.is_empty() {
            let remedy = "write DATE 'YYYY-MM-DD' or TIMESTAMP 'YYYY-MM-DD HH:MM:SS', in UTC";
            self.refuse(not_allowed(format_args!("`{data_type} {value}`"), remedy));
        }
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
            other if other.to_string().to_ascii_uppercase().ends_with(" ARRAY") => {
                let remedy = "only MySQL has keys on the elements of an array: leave the key out, and write a row for each \
                              element into a table of their own";
                self.refuse(not_allowed(format_args!("a cast to {other}"), remedy));
            }
            other => {
                let remedy =
                    "cast to CHAR, BINARY, SIGNED, UNSIGNED, DECIMAL, DOUBLE, DATE, DATETIME or JSON";
                self.refuse(not_allowed(format_args!("a cast to {other}"), remedy));
            }
        }
    }
}

/// The text or number that an argument is written as.
fn written_out(argument: &FunctionArg) -> Option<String> {
    match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value))) => match &value.value {
            Value::SingleQuotedString(text) => Some(text.clone()),
            Value::Number(digits, false) => Some(digits.clone()),
            _ => None,
        },
        _ => None,
    }
}

fn is_placeholder(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(value) if matches!(value.value, Value::Placeholder(_)))
}
