//! The keys and checks of a declared table.

use sqlparser::ast::{
    CheckConstraint, ColumnOption, ConstraintCharacteristics, CreateTable, Expr, ForeignKeyConstraint,
    FullTextOrSpatialConstraint, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident,
    IndexColumn, IndexConstraint, IndexOption, IndexType, NullsDistinctOption, ObjectNamePart, OrderByExpr,
    PrimaryKeyConstraint, ReferentialAction, TableConstraint, UniqueConstraint, Value,
};

use crate::sql::expression::{Context, Walk, Want};
use crate::sql::name::quote;
use crate::sql::refusal::not_allowed;

/// Checks one constraint. A foreign key answers with the table it points at.
pub(super) fn check(constraint: &mut TableConstraint, walk: &mut Walk) -> Option<String> {
    match constraint {
        TableConstraint::PrimaryKey(key) => {
            let PrimaryKeyConstraint {
                name,
                index_name,
                index_type,
                columns,
                include,
                index_options,
                characteristics,
            } = key;
            quote_all([name, index_name]);
            check_index(index_type.as_ref(), columns, index_options, walk);
            check_bare(include, characteristics.as_ref(), walk);
        }
        TableConstraint::Unique(key) => {
            let UniqueConstraint {
                name,
                index_name,
                index_type_display: _,
                index_type,
                columns,
                include,
                index_options,
                characteristics,
                nulls_distinct,
            } = key;
            quote_all([name, index_name]);
            check_index(index_type.as_ref(), columns, index_options, walk);
            check_bare(include, characteristics.as_ref(), walk);
            if *nulls_distinct != NullsDistinctOption::None {
                walk.refuse(not_allowed("NULLS DISTINCT", "leave it out"));
            }
        }
        TableConstraint::Index(key) => {
            let IndexConstraint { display_as_key: _, name, index_type, columns, index_options } = key;
            quote_all([name]);
            check_index(index_type.as_ref(), columns, index_options, walk);
        }
        TableConstraint::FulltextOrSpatial(key) => {
            let FullTextOrSpatialConstraint { fulltext, index_type_display: _, opt_index_name, columns } =
                key;
            quote_all([opt_index_name]);
            check_index(None, columns, &[], walk);
            if !*fulltext {
                walk.refuse(not_allowed("a SPATIAL key", "spatial types are not supported: remove it"));
            }
        }
        TableConstraint::Check(check) => check_condition(check, walk),
        TableConstraint::ForeignKey(key) => return check_foreign_key(key, walk),
        TableConstraint::PrimaryKeyUsingIndex(_)
        | TableConstraint::UniqueUsingIndex(_)
        | TableConstraint::Exclude(_) => {
            walk.refuse(not_allowed(format_args!("`{constraint}`"), "leave it out"));
        }
    }
    None
}

fn check_condition(check: &mut CheckConstraint, walk: &mut Walk) {
    let CheckConstraint { name, expr, no_inherit, enforced } = check;
    quote_all([name]);
    walk.expression(expr, Context::Check, &Want::ALONE);
    // Whether it is enforced, `without_idle_checks` asks.
    let _ = enforced;
    if *no_inherit {
        walk.refuse(not_allowed("this form of CHECK", "write CHECK (condition) alone"));
    }
}

fn check_foreign_key(key: &mut ForeignKeyConstraint, walk: &mut Walk) -> Option<String> {
    let ForeignKeyConstraint {
        name,
        index_name,
        columns,
        foreign_table,
        referred_columns,
        on_delete,
        on_update,
        match_kind,
        characteristics,
    } = key;
    quote_all([name, index_name]);
    columns.iter_mut().chain(referred_columns.iter_mut()).for_each(quote);
    if [&*on_delete, &*on_update].contains(&&Some(ReferentialAction::SetDefault)) {
        walk.refuse(not_allowed("SET DEFAULT", "InnoDB does not do it: use SET NULL or CASCADE"));
    }
    if match_kind.is_some() || characteristics.is_some() {
        walk.refuse(not_allowed("MATCH or DEFERRABLE", "MySQL ignores or refuses it: leave it out"));
    }
    if referred_columns.is_empty() {
        walk.refuse(not_allowed(
            "a foreign key without referenced columns",
            "write REFERENCES table (columns)",
        ));
    }
    if let [ObjectNamePart::Identifier(table)] = foreign_table.0.as_mut_slice() {
        quote(table);
        return Some(table.value.clone());
    }
    let what = format!("a foreign key to `{foreign_table}`");
    walk.refuse(not_allowed(what, "point at a table of the same projector, without a schema name"));
    None
}

fn check_index(
    kind: Option<&IndexType>,
    columns: &mut [IndexColumn],
    options: &[IndexOption],
    walk: &mut Walk,
) {
    let is_btree = |kind: &IndexType| matches!(kind, IndexType::BTree);
    let is_plain = kind.is_none_or(is_btree)
        && options.iter().all(|option| match option {
            IndexOption::Using(kind) => is_btree(kind),
            IndexOption::Comment(_) => true,
        });
    if !is_plain {
        walk.refuse(not_allowed("USING", "InnoDB has BTREE only: leave it out"));
    }
    for column in columns {
        check_index_column(column, walk);
    }
}

/// A column, perhaps with the length of a prefix, perhaps with a direction.
fn check_index_column(column: &mut IndexColumn, walk: &mut Walk) {
    let IndexColumn { column: OrderByExpr { expr, options, with_fill }, operator_class } = column;
    let is_plain = options.nulls_first.is_none() && with_fill.is_none() && operator_class.is_none();
    let name = match expr {
        Expr::Identifier(name) => Some(name),
        Expr::Function(prefix) => prefixed_column(prefix),
        _ => None,
    };
    match name {
        Some(name) if is_plain => quote(name),
        _ => {
            if let Expr::Nested(inner) = expr
                && is_plain
            {
                return walk.expression(inner, Context::Check, &Want::ALONE);
            }
            let remedy = "write a key on an expression as ((expression)), which MySQL has, or index a generated column, \
                          which both servers have";
            walk.refuse(not_allowed(format_args!("key part `{column}`"), remedy));
        }
    }
}

/// Returns true where a key is on an expression.
pub(super) fn has_expression(constraints: &[TableConstraint]) -> bool {
    let is_expression = |column: &IndexColumn| matches!(column.column.expr, Expr::Nested(_));
    constraints.iter().any(|constraint| match constraint {
        TableConstraint::Unique(key) => key.columns.iter().any(is_expression),
        TableConstraint::Index(key) => key.columns.iter().any(is_expression),
        _ => false,
    })
}

/// Leaves out the checks that nothing enforces, and the word of those that are: MariaDB has neither.
pub(super) fn without_idle_checks(table: &mut CreateTable) {
    let is_idle = |check: &CheckConstraint| check.enforced == Some(false);
    table
        .constraints
        .retain(|constraint| !matches!(constraint, TableConstraint::Check(check) if is_idle(check)));
    for constraint in &mut table.constraints {
        if let TableConstraint::Check(check) = constraint {
            check.enforced = None;
        }
    }
    for column in &mut table.columns {
        column
            .options
            .retain(|option| !matches!(&option.option, ColumnOption::Check(check) if is_idle(check)));
        for option in &mut column.options {
            if let ColumnOption::Check(check) = &mut option.option {
                check.enforced = None;
            }
        }
    }
}

/// `column(10)`, which the parser takes for a call.
fn prefixed_column(prefix: &mut Function) -> Option<&mut Ident> {
    let is_length = |argument: &FunctionArg| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value))) => {
            matches!(value.value, Value::Number(_, false))
        }
        _ => false,
    };
    let FunctionArguments::List(list) = &prefix.args else { return None };
    let is_plain = prefix.parameters == FunctionArguments::None
        && list.duplicate_treatment.is_none()
        && list.clauses.is_empty()
        && matches!(list.args.as_slice(), [length] if is_length(length))
        && prefix.over.is_none()
        && prefix.filter.is_none()
        && prefix.null_treatment.is_none()
        && prefix.within_group.is_empty()
        && !prefix.uses_odbc_syntax;
    match prefix.name.0.as_mut_slice() {
        [ObjectNamePart::Identifier(name)] if is_plain => Some(name),
        _ => None,
    }
}

fn check_bare(include: &[Ident], characteristics: Option<&ConstraintCharacteristics>, walk: &mut Walk) {
    if !include.is_empty() || characteristics.is_some() {
        walk.refuse(not_allowed("INCLUDE or DEFERRABLE", "MySQL has no such keys: leave it out"));
    }
}

fn quote_all<const N: usize>(names: [&mut Option<Ident>; N]) {
    names.into_iter().flatten().for_each(quote);
}
