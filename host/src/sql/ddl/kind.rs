//! The values that a column takes: from the parsed type to the words of `statement`.
//!
//! Only types that passed the check come here; any other is taken for text.

use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryLength, CharacterLength, ColumnDef, ColumnOption, CreateTable, DataType, EnumMember,
    ExactNumberInfo, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, IndexColumn,
    ObjectNamePart, SqlOption, TableConstraint, Value, visit_expressions,
};

use crate::sql::name::plain;
use crate::statement::{Column, Type, UniqueKey};

/// Has no characters: what is text elsewhere is bytes in it.
const BYTES: &str = "binary";

/// The columns of a table, in order; `options` are those that are written.
pub(super) fn columns(table: &CreateTable, options: &[SqlOption]) -> Vec<Column> {
    let primary = unique_keys(table).into_iter().next().unwrap_or_default().columns;
    let bytes_by_default = options.iter().any(|option| match option {
        SqlOption::KeyValue { key, value: Expr::Identifier(word) } => {
            key.value.contains("CHAR") && word.value.eq_ignore_ascii_case(BYTES)
        }
        _ => false,
    });
    let read = read_by_checks(table);
    let of_table = collation_of(options);
    let column = |column: &ColumnDef| {
        let has =
            |wanted: fn(&ColumnOption) -> bool| column.options.iter().any(|option| wanted(&option.option));
        let is_null = |option: &ColumnOption| matches!(option, ColumnOption::Default(Expr::Value(value)) if value.value == Value::Null);
        let is_required = has(|option| matches!(option, ColumnOption::NotNull))
            || primary.iter().any(|name| name.eq_ignore_ascii_case(&column.name.value));
        let has_default = has(|option| matches!(option, ColumnOption::Default(_))) && !has(is_null);
        let charset = column.options.iter().find_map(|option| match &option.option {
            ColumnOption::CharacterSet(name) => plain(name),
            _ => None,
        });
        let collation = column.options.iter().find_map(|option| match &option.option {
            ColumnOption::Collation(name) => plain(name).map(str::to_owned),
            _ => None,
        });
        // A charset without a collation gets the binary one, whatever the table's is.
        let of_charset = charset.map(|charset| format!("{charset}_bin"));
        let is_bytes = charset.map_or(bytes_by_default, |name| name.eq_ignore_ascii_case(BYTES));
        Column {
            name: column.name.value.clone(),
            kind: as_bytes(of(&column.data_type), is_bytes),
            nullable: !is_required,
            has_default: has_default || !is_required,
            generated: has(|option| matches!(option, ColumnOption::Generated { .. })),
            checked: is_bounded(&column.data_type)
                || read.iter().any(|name| name.eq_ignore_ascii_case(&column.name.value)),
            collation: collation.or(of_charset).or_else(|| of_table.clone()),
        }
    };
    table.columns.iter().map(column).collect()
}

/// The collation of a table's texts, where it is not the host's own for utf8mb4.
fn collation_of(options: &[SqlOption]) -> Option<String> {
    let word = |wanted: &str| {
        options.iter().find_map(|option| match option {
            SqlOption::KeyValue { key, value: Expr::Identifier(word) } if key.value.contains(wanted) => {
                Some(word.value.clone())
            }
            _ => None,
        })
    };
    word("COLLATE").or_else(|| {
        let charset = word("CHAR").filter(|charset| !charset.eq_ignore_ascii_case("utf8mb4"));
        charset.map(|charset| format!("{charset}_bin"))
    })
}

/// The columns that enforced checks read.
fn read_by_checks(table: &CreateTable) -> Vec<String> {
    let of_columns = table.columns.iter().flat_map(|column| &column.options);
    let of_columns = of_columns.filter_map(|option| match &option.option {
        ColumnOption::Check(check) => Some(check),
        _ => None,
    });
    let of_table = table.constraints.iter().filter_map(|constraint| match constraint {
        TableConstraint::Check(check) => Some(check),
        _ => None,
    });
    let mut read = Vec::new();
    for check in of_columns.chain(of_table).filter(|check| check.enforced != Some(false)) {
        let _ = visit_expressions(&*check.expr, |expr| {
            match expr {
                Expr::Identifier(column) => read.push(column.value.clone()),
                // With the table's name before it.
                Expr::CompoundIdentifier(parts) => {
                    read.extend(parts.last().map(|column| column.value.clone()));
                }
                _ => {}
            }
            ControlFlow::<()>::Continue(())
        });
    }
    read
}

/// The primary key, then each unique key.
pub(super) fn unique_keys(table: &CreateTable) -> Vec<UniqueKey> {
    let (mut primary, mut unique) = (Vec::new(), Vec::new());
    for column in &table.columns {
        let own = || UniqueKey { columns: vec![column.name.value.clone()], cut: Vec::new() };
        for option in &column.options {
            match option.option {
                ColumnOption::PrimaryKey(_) => primary.push(own()),
                ColumnOption::Unique(_) => unique.push(own()),
                _ => {}
            }
        }
    }
    for constraint in &table.constraints {
        match constraint {
            TableConstraint::PrimaryKey(key) => primary.push(key_of(&key.columns)),
            TableConstraint::Unique(key) => unique.push(key_of(&key.columns)),
            _ => {}
        }
    }
    primary.into_iter().chain(unique).collect()
}

fn key_of(parts: &[IndexColumn]) -> UniqueKey {
    let columns = parts.iter().filter_map(|part| name(&part.column.expr)).collect();
    let is_cut = |part: &&IndexColumn| matches!(part.column.expr, Expr::Function(_));
    let cut = parts.iter().filter(is_cut).filter_map(|part| name(&part.column.expr)).collect();
    UniqueKey { columns, cut }
}

/// The column of a key part, which may have the length of a prefix.
fn name(part: &Expr) -> Option<String> {
    match part {
        Expr::Identifier(column) => Some(column.value.clone()),
        Expr::Function(Function { name, args: FunctionArguments::List(list), .. })
            if matches!(
                list.args.as_slice(),
                [FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(_)))]
            ) =>
        {
            match name.0.as_slice() {
                [ObjectNamePart::Identifier(column)] => Some(column.value.clone()),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Returns true for a double that is not negative, or has so many digits only: whether a value is one, the server finds out.
fn is_bounded(data_type: &DataType) -> bool {
    use DataType as T;
    let sized = |size: &ExactNumberInfo| matches!(size, ExactNumberInfo::PrecisionAndScale(..));
    match data_type {
        T::Float(size) | T::Double(size) => sized(size),
        T::FloatUnsigned(_) | T::DoubleUnsigned(_) | T::DoublePrecisionUnsigned => true,
        _ => false,
    }
}

fn as_bytes(kind: Type, is_bytes: bool) -> Type {
    match kind {
        Type::Text { characters } if is_bytes => Type::Bytes { bytes: characters },
        kind => kind,
    }
}

#[expect(clippy::match_same_arms, reason = "one line for each family")]
fn of(data_type: &DataType) -> Type {
    use DataType as T;
    let integer = |bits, unsigned| Type::Integer { bits, unsigned };
    match data_type {
        T::Bool | T::Boolean | T::TinyInt(_) => integer(8, false),
        T::TinyIntUnsigned(_) => integer(8, true),
        T::SmallInt(_) => integer(16, false),
        T::SmallIntUnsigned(_) => integer(16, true),
        T::MediumInt(_) => integer(24, false),
        T::MediumIntUnsigned(_) => integer(24, true),
        T::Int(_) | T::Integer(_) => integer(32, false),
        T::IntUnsigned(_) | T::IntegerUnsigned(_) => integer(32, true),
        T::BigInt(_) => integer(64, false),
        T::BigIntUnsigned(_) => integer(64, true),
        T::Decimal(size) | T::Dec(size) | T::Numeric(size) => decimal(*size, false),
        T::DecimalUnsigned(size) | T::DecUnsigned(size) => decimal(*size, true),
        T::Float(ExactNumberInfo::Precision(bits)) if *bits > 24 => Type::DOUBLE,
        T::Float(_) | T::FloatUnsigned(_) => Type::Double { single: true },
        T::Double(_) | T::DoubleUnsigned(_) => Type::DOUBLE,
        T::DoublePrecision | T::DoublePrecisionUnsigned => Type::DOUBLE,
        T::Bit(bits) => Type::Bit { bits: bits.and_then(|bits| u32::try_from(bits).ok()).unwrap_or(1) },
        T::Char(length) | T::Character(length) => text(*length, Some(1)),
        T::Varchar(length) | T::CharVarying(length) | T::CharacterVarying(length) => text(*length, None),
        T::Binary(bytes) => Type::Bytes { bytes: Some(bytes.unwrap_or(1)) },
        T::Varbinary(Some(BinaryLength::IntegerLength { length })) => Type::Bytes { bytes: Some(*length) },
        T::Varbinary(_) => Type::BYTES,
        T::TinyBlob | T::Blob(_) | T::MediumBlob | T::LongBlob => Type::BYTES,
        T::JSON => Type::Json,
        T::Date => Type::Date,
        T::Datetime(digits) => {
            Type::DateTime { digits: digits.and_then(|digits| u32::try_from(digits).ok()).unwrap_or(0) }
        }
        T::Enum(members, _) => Type::Enum(members.iter().filter_map(member).collect()),
        T::Set(members) => Type::Set(members.iter().map(|text| unquoted(text)).collect()),
        T::Custom(..) => Type::Year,
        _ => Type::TEXT,
    }
}

fn decimal(size: ExactNumberInfo, unsigned: bool) -> Type {
    let (digits, scale) = match size {
        ExactNumberInfo::None => (10, 0),
        ExactNumberInfo::Precision(digits) => (digits, 0),
        ExactNumberInfo::PrecisionAndScale(digits, scale) => (digits, u64::try_from(scale).unwrap_or(0)),
    };
    let number = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    Type::Decimal { digits: number(digits), scale: number(scale), unsigned }
}

fn text(length: Option<CharacterLength>, unless: Option<u64>) -> Type {
    match length {
        Some(CharacterLength::IntegerLength { length, .. }) => Type::Text { characters: Some(length) },
        _ => Type::Text { characters: unless },
    }
}

fn member(member: &EnumMember) -> Option<String> {
    match member {
        EnumMember::Name(text) => Some(unquoted(text)),
        EnumMember::NamedValue(..) => None,
    }
}

/// A member as the server keeps it: literals keep their doubled quotes, and a member no spaces at its end.
fn unquoted(literal: &str) -> String {
    literal.replace("''", "'").trim_end_matches(' ').to_owned()
}
