//! The columns of a declared table: types and attributes by allow-list.

use sqlparser::ast::{
    CharacterLength, ColumnDef, ColumnOption, ColumnOptionDef, DataType, EnumMember, Expr, GeneratedAs,
    ObjectName, UnaryOperator, Value,
};

use crate::sql::expression::{Context, Walk, Want};
use crate::sql::function;
use crate::sql::name::{plain, quote};
use crate::sql::refusal::{Reason, not_allowed};

const COMPUTE: &str = "compute the value in the projector";

pub(super) fn check(column: &mut ColumnDef, walk: &mut Walk) {
    let ColumnDef { name, data_type, options } = column;
    quote(name);
    let is_list = matches!(data_type, DataType::Enum(..) | DataType::Set(_));
    let is_name = |value: &Expr| matches!(value, Expr::Value(value) if matches!(value.value, Value::SingleQuotedString(_) | Value::Null));
    let is_time = matches!(data_type, DataType::Date | DataType::Datetime(_));
    for ColumnOptionDef { option, .. } in options.iter() {
        match option {
            ColumnOption::Default(value) if is_time && is_no_day(value) => {
                let what = format!("DEFAULT {value} of column {name}");
                let remedy = "no day has a month or a number of 0, and the host's sessions take none (NO_ZERO_DATE): leave the \
                              DEFAULT out, and let the column be NULL";
                walk.refuse(not_allowed(what, remedy));
            }
            ColumnOption::Default(value) if is_list && !is_name(value) => {
                let what = format!("DEFAULT {value} of column {name}");
                walk.refuse(not_allowed(
                    what,
                    "servers take it for a place in the list: write the member in quotes",
                ));
            }
            _ => {}
        }
    }
    if let Some(remedy) = type_remedy(data_type) {
        walk.refuse(not_allowed(format_args!("type {data_type} of column {name}"), remedy));
    }
    let has = |wanted: fn(&ColumnOption) -> bool| options.iter().any(|option| wanted(&option.option));
    if has(|option| matches!(option, ColumnOption::Generated { .. })) {
        if has(|option| matches!(option, ColumnOption::NotNull)) {
            let remedy = "MariaDB does not have it: leave NOT NULL out, or write CHECK (column IS NOT NULL)";
            walk.refuse(not_allowed(format_args!("NOT NULL of the generated column {name}"), remedy));
        }
        if has(|option| matches!(option, ColumnOption::PrimaryKey(_))) {
            walk.refuse(generated_key(&name.value));
        }
    }
    for ColumnOptionDef { name: constraint, option } in options {
        match constraint {
            Some(constraint) if matches!(option, ColumnOption::Check(_)) => quote(constraint),
            Some(_) => walk.refuse(not_allowed("a name for this attribute", "leave the name out")),
            None => {}
        }
        check_attribute(option, walk);
    }
}

/// Why no generated column is in a primary key.
pub(super) fn generated_key(name: &str) -> Reason {
    let remedy = "the event has to name the row: take the key from the event";
    not_allowed(format_args!("the generated column `{name}` in the primary key"), remedy)
}

fn check_attribute(attribute: &mut ColumnOption, walk: &mut Walk) {
    match attribute {
        ColumnOption::Null | ColumnOption::NotNull | ColumnOption::Comment(_) => {}
        ColumnOption::Default(value) => walk.reasons.extend(check_default(value).err()),
        ColumnOption::PrimaryKey(key) => {
            if !key.index_options.is_empty() || key.characteristics.is_some() {
                walk.refuse(not_allowed("this form of PRIMARY KEY", "write PRIMARY KEY alone"));
            }
        }
        ColumnOption::Unique(key) => {
            if !key.index_options.is_empty() || key.characteristics.is_some() {
                walk.refuse(not_allowed("this form of UNIQUE", "write UNIQUE alone"));
            }
        }
        ColumnOption::Check(check) => {
            if check.no_inherit {
                walk.refuse(not_allowed("this form of CHECK", "write CHECK (condition) alone"));
            }
            walk.expression(&mut check.expr, Context::Check, &Want::ALONE);
        }
        ColumnOption::CharacterSet(word) | ColumnOption::Collation(word) => check_word(word, walk),
        ColumnOption::ForeignKey(_) => {
            let remedy =
                "some servers ignore it there: write FOREIGN KEY (...) REFERENCES as a line of its own";
            walk.refuse(not_allowed("REFERENCES in a column", remedy));
        }
        ColumnOption::OnUpdate(_) => walk.refuse(not_allowed("ON UPDATE", COMPUTE)),
        ColumnOption::Generated {
            generated_as: GeneratedAs::Always | GeneratedAs::ExpStored,
            sequence_options: None,
            generation_expr: Some(expr),
            generation_expr_mode: _,
            generated_keyword: _,
        } => walk.expression(expr, Context::Check, &Want::ALONE),
        ColumnOption::Generated { .. } => {
            walk.refuse(not_allowed(
                "this form of a generated column",
                "write AS (expression) STORED, or VIRTUAL",
            ));
        }
        ColumnOption::DialectSpecific(tokens) => {
            let words: Vec<String> = tokens.iter().map(ToString::to_string).collect();
            let remedy = "a rebuilt table would get other numbers: take the key from the event";
            walk.refuse(not_allowed(words.join(" "), remedy));
        }
        other => walk.refuse(not_allowed(format_args!("`{other}`"), "leave it out")),
    }
}

/// Returns true for a date without a month or a day, as `0000-00-00` is.
fn is_no_day(value: &Expr) -> bool {
    let Expr::Value(literal) = value else { return false };
    let (Value::SingleQuotedString(text) | Value::Number(text, false)) = &literal.value else { return false };
    let is_zero = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte == b'0');
    let day = text.split([' ', 'T']).next().unwrap_or_default();
    let mut parts = day.split(|character: char| !character.is_ascii_digit());
    match (parts.next(), parts.next(), parts.next()) {
        (Some(_), Some(month), Some(day)) => is_zero(month) || is_zero(day),
        _ => is_zero(day),
    }
}

/// A literal, perhaps with a sign.
fn check_default(value: &Expr) -> Result<(), Reason> {
    let unsigned = match value {
        Expr::UnaryOp { op: UnaryOperator::Minus | UnaryOperator::Plus, expr } => {
            if !matches!(expr.as_ref(), Expr::Value(value) if matches!(value.value, Value::Number(_, false)))
            {
                return Err(not_allowed(format_args!("DEFAULT {value}"), "write a literal, or nothing"));
            }
            return Ok(());
        }
        unsigned => unsigned,
    };
    let reason = match unsigned {
        Expr::Value(literal) => match &literal.value {
            Value::Number(_, false) | Value::SingleQuotedString(_) | Value::Boolean(_) | Value::Null => None,
            _ => Some(not_allowed(format_args!("DEFAULT {value}"), "write a literal, or nothing")),
        },
        Expr::Function(call) => function::ambient(&call.name.to_string()),
        Expr::Identifier(word) => function::ambient(&word.value),
        _ => None,
    };
    match (unsigned, reason) {
        (Expr::Value(_), None) => Ok(()),
        (_, Some(reason)) => Err(reason),
        (_, None) => Err(not_allowed(format_args!("DEFAULT {value}"), "write a literal, or nothing")),
    }
}

fn check_word(word: &ObjectName, walk: &mut Walk) {
    if plain(word).is_none() {
        walk.refuse(not_allowed(format_args!("`{word}`"), "write charsets and collations as plain words"));
    }
}

/// The remedy for a type that is not on the list.
#[expect(clippy::match_same_arms, reason = "one line for each family")]
fn type_remedy(data_type: &DataType) -> Option<&'static str> {
    use DataType as T;
    let is_allowed = match data_type {
        T::TinyInt(_) | T::SmallInt(_) | T::MediumInt(_) | T::Int(_) | T::Integer(_) | T::BigInt(_) => true,
        T::TinyIntUnsigned(_) | T::SmallIntUnsigned(_) | T::MediumIntUnsigned(_) => true,
        T::IntUnsigned(_) | T::IntegerUnsigned(_) | T::BigIntUnsigned(_) => true,
        T::Decimal(_) | T::DecimalUnsigned(_) | T::Dec(_) | T::DecUnsigned(_) | T::Numeric(_) => true,
        T::Float(_) | T::FloatUnsigned(_) | T::Double(_) | T::DoubleUnsigned(_) => true,
        T::DoublePrecision | T::DoublePrecisionUnsigned => true,
        T::Bool | T::Boolean | T::Bit(_) => true,
        T::Char(length) | T::Character(length) | T::Varchar(length) => is_plain_length(length.as_ref()),
        T::CharVarying(length) | T::CharacterVarying(length) => is_plain_length(length.as_ref()),
        T::TinyText | T::Text | T::MediumText | T::LongText => true,
        T::Binary(_) | T::Varbinary(_) | T::TinyBlob | T::Blob(_) | T::MediumBlob | T::LongBlob => true,
        T::JSON | T::Date | T::Datetime(_) | T::Set(_) => true,
        T::Enum(members, None) => members.iter().all(|member| matches!(member, EnumMember::Name(_))),
        T::Custom(name, modifiers) => modifiers.is_empty() && name.to_string().eq_ignore_ascii_case("YEAR"),
        _ => false,
    };
    if is_allowed {
        return None;
    }
    Some(match data_type {
        T::Timestamp(..) => {
            "its behaviour depends on server settings (automatic values, time zone, 2038): use DATETIME(6) in UTC"
        }
        T::Time(..) => "MySQL turns a TIME into a date by adding today's: use DATETIME, an integer or text",
        T::Custom(name, _) if name.to_string().eq_ignore_ascii_case("SERIAL") => {
            "it is AUTO_INCREMENT, and a rebuilt table would get other numbers: take the key from the event"
        }
        T::Uuid => "only MariaDB has it: write CHAR(36) CHARACTER SET ascii, or BINARY(16) with UUID_TO_BIN",
        T::Custom(name, _) => of_a_server(&name.to_string()),
        _ => "use a number, text, binary, JSON, DATE, DATETIME, YEAR, BIT, ENUM or SET type",
    })
}

/// The remedy for a type that not every server has, or that no value can be given for.
fn of_a_server(name: &str) -> &'static str {
    match name.to_ascii_uppercase().as_str() {
        "INET4" | "INET6" => "only MariaDB has it: write VARBINARY(16) with INET6_ATON(?), or text",
        "GEOMETRY" | "POINT" | "LINESTRING" | "POLYGON" | "MULTIPOINT" | "MULTILINESTRING"
        | "MULTIPOLYGON" | "GEOMETRYCOLLECTION" => {
            "no value of an event is one: keep longitude and latitude as DECIMAL, or the shape as JSON"
        }
        "VECTOR" => "the servers keep it differently: use JSON or VARBINARY",
        _ => "use a number, text, binary, JSON, DATE, DATETIME, YEAR, BIT, ENUM or SET type",
    }
}

fn is_plain_length(length: Option<&CharacterLength>) -> bool {
    matches!(length, None | Some(CharacterLength::IntegerLength { length: _, unit: None }))
}
