//! What two operations of one statement on one row come to, where they are as one.
//!
//! The first must leave nothing that the second does not replace or add to, and no server may refuse it: its refusal would
//! be lost. So what is replaced is of a type whose values the host judges wholly, and sums are of exact numbers.

use sqlparser::ast::{AssignmentTarget, BinaryOperator, Expr, FunctionArguments, Insert, OnInsert};

use super::condition::{column_of, is_placeholder};
use super::{is_literal, last};
use crate::statement::{Column, Merge, Table, Type};

/// Bytes of a row that fit InnoDB's page in every row format.
const ROW_BYTES_MAX: u64 = 8000;
/// Bytes of a long value that stay in the row, in the format that keeps most.
const VALUE_BYTES_MAX: u64 = 788;

/// What an assignment makes of a column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Assigned {
    /// A parameter as it is.
    Given,
    /// What it was, and a parameter more or less.
    Added,
    /// The same every time.
    Constant,
    /// Something of the row's own columns.
    Computed,
}

/// What becomes of an UPDATE's parameters, and whether nothing refuses it. Its key's parameters are the last ones.
pub(super) fn updated(
    assigned: &[(String, Assigned)],
    keys: usize,
    table: &Table,
) -> (Option<Vec<Merge>>, bool) {
    let is_foreseen = is_foreseen(table);
    let merge = |(name, assigned): &(String, Assigned)| {
        let column = table.column(name)?;
        match assigned {
            Assigned::Constant => Some(None),
            Assigned::Given => is_judged(column).then_some(Some(Merge::Last)),
            Assigned::Added => sum(column).map(Some),
            Assigned::Computed => None,
        }
    };
    let merges: Option<Vec<Option<Merge>>> = assigned.iter().map(merge).collect();
    let is_double = (1..assigned.len())
        .any(|at| assigned[..at].iter().any(|(name, _)| name.eq_ignore_ascii_case(&assigned[at].0)));
    let Some(merges) = merges.filter(|_| is_foreseen && !is_double) else { return (None, false) };
    let is_harmless = merges.iter().all(|merge| *merge == Some(Merge::Last));
    let of_key = std::iter::repeat_n(Merge::Last, keys);
    (Some(merges.into_iter().flatten().chain(of_key).collect()), is_harmless)
}

/// What becomes of an upsert's or a REPLACE's parameters.
pub(super) fn inserted(
    insert: &Insert,
    columns: &[String],
    row: &[Expr],
    table: &Table,
) -> Option<Vec<Merge>> {
    let on = match &insert.on {
        Some(OnInsert::DuplicateKeyUpdate(assignments)) => Some(assignments),
        None if insert.replace_into => None,
        _ => return None,
    };
    if !is_foreseen(table) || table.has_other_unique_key() {
        return None;
    }
    let is_key = |name: &str| table.key().iter().any(|key| key.eq_ignore_ascii_case(name));
    let mut merges = Vec::new();
    for (name, value) in columns.iter().zip(row) {
        let column = table.column(name)?;
        let merge = match on.filter(|_| !is_key(name)) {
            None => Merge::Last,
            Some(assignments) => {
                let mut of_column = assignments.iter().filter(|one| match &one.target {
                    AssignmentTarget::ColumnName(target) => {
                        last(target).is_some_and(|it| it.eq_ignore_ascii_case(name))
                    }
                    AssignmentTarget::Tuple(_) => true,
                });
                let only = of_column.next().filter(|_| of_column.next().is_none())?;
                on_duplicate(&only.value, column)?
            }
        };
        if is_placeholder(value) {
            if merge == Merge::Last && !is_key(name) && !is_judged(column) {
                return None;
            }
            merges.push(merge);
        } else if merge != Merge::Last || !is_literal(value) {
            return None;
        }
    }
    // A column that is set but not inserted would show how often.
    let inserted = columns.iter().filter(|name| !is_key(name)).count();
    (on.is_none_or(|assignments| assignments.len() == inserted)).then_some(merges)
}

/// The columns that an upsert sets.
pub(super) fn assigned(insert: &Insert) -> Vec<String> {
    let Some(OnInsert::DuplicateKeyUpdate(assignments)) = &insert.on else { return Vec::new() };
    let targets = assignments.iter().filter_map(|one| match &one.target {
        AssignmentTarget::ColumnName(target) => last(target),
        AssignmentTarget::Tuple(_) => None,
    });
    targets.collect()
}

/// Returns true where no server refuses a row of these values: all are given, and each replaces what was there.
pub(super) fn is_harmless(merges: Option<&[Merge]>, row: &[Expr]) -> bool {
    let replaces = |merges: &[Merge]| merges.iter().all(|merge| *merge == Merge::Last);
    merges.is_some_and(replaces) && row.iter().all(is_placeholder)
}

/// `VALUES(column)`, or the column and that.
fn on_duplicate(value: &Expr, column: &Column) -> Option<Merge> {
    let is_own = |expr: &Expr| column_of(expr).is_some_and(|name| name.eq_ignore_ascii_case(&column.name));
    let is_new = |expr: &Expr| match expr {
        Expr::Function(call) if call.name.to_string().eq_ignore_ascii_case("VALUES") => match &call.args {
            FunctionArguments::List(list) => match list.args.as_slice() {
                [one] => one.to_string().trim_matches('`').eq_ignore_ascii_case(&column.name),
                _ => false,
            },
            _ => false,
        },
        _ => false,
    };
    match value {
        value if is_new(value) => Some(Merge::Last),
        Expr::BinaryOp { left, op: BinaryOperator::Plus, right } if is_own(left) && is_new(right) => {
            sum(column)
        }
        _ => None,
    }
}

/// A sum of exact numbers. With equal signs it passes the column's bounds in the middle only if it does in the end.
fn sum(column: &Column) -> Option<Merge> {
    match column.kind {
        Type::Integer { .. } => Some(Merge::Sum { scale: 0 }),
        Type::Decimal { scale, .. } => Some(Merge::Sum { scale }),
        _ => None,
    }
}

/// Returns true where a row is refused for nothing but its values, one by one: no check, generated column or foreign key
/// sees what stands in between, and it fits a page.
fn is_foreseen(table: &Table) -> bool {
    let bytes = |column: &Column| match &column.kind {
        Type::Text { characters: Some(most) } => (most * 4).min(VALUE_BYTES_MAX) + 2,
        Type::Bytes { bytes: Some(most) } => (*most).min(VALUE_BYTES_MAX) + 2,
        Type::Text { .. } | Type::Bytes { .. } | Type::Json | Type::JsonValue => VALUE_BYTES_MAX,
        Type::Decimal { digits, .. } => u64::from(digits / 2) + 4,
        _ => 9,
    };
    !table.has_generated_columns()
        && !table.columns.iter().any(|column| column.checked)
        && table.references.is_empty()
        && table.columns.iter().map(bytes).sum::<u64>() <= ROW_BYTES_MAX
}

/// Returns true where a value that fits by the host's judgement fits by every server's.
fn is_judged(column: &Column) -> bool {
    if column.checked {
        return false;
    }
    match column.kind {
        Type::Text { characters } => characters.is_some() && column.takes_all_letters(),
        Type::Bytes { bytes } => bytes.is_some(),
        Type::Json | Type::JsonValue => false,
        Type::Enum(_) | Type::Set(_) => column.takes_all_letters(),
        _ => true,
    }
}
