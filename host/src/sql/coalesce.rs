//! Joins operations of a batch into statements of many rows, and folds those that change one row into one. `sql::dml` says
//! for which statements that is the same.
//!
//! Pure, and it decides nothing about errors: a batch that fails is redone by its caller, in smaller pieces.
//!
//! Why the result is the same as running the operations one by one: tables are put in groups such that whatever a
//! statement touches, cascades and reads included, lies in the group of its table. Operations of different groups
//! touch no row in common, so they may pass each other: neither sees or breaks what the other does. Within a group
//! no operation passes another, unless the group is one table whose rows have nothing to do with each other, and both
//! operations name their rows, by keys that surely differ. A multi-row INSERT or REPLACE takes its rows in order, each with
//! its own duplicate-key handling, as single ones would (`sql` lets no row that may be joined read a table). An UPDATE of
//! several rows has one operation for each. So the state is the same, and a batch fails exactly when it would have failed.

mod key;

use std::{borrow::Cow, collections::HashMap};

use foldhash::fast::RandomState;

use crate::statement::{FittedOperation, Keyed, Schema, Sent, Statement};
use key::Key;

/// Placeholders that one MySQL statement may have.
pub const PARAMETERS_MAX: usize = 65_535;
/// Rows of one statement. Few sizes, so that prepared statements stay few.
pub const ROW_COUNTS: [usize; 10] = [512, 256, 128, 64, 32, 16, 8, 4, 2, 1];

/// Rows for one statement, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct RowRun<'a> {
    /// An index into the schema's statements.
    pub statement: usize,
    /// The parameters of each row. More than one row only where the statement has a `multi_row`.
    pub rows: Vec<Cow<'a, [Sent]>>,
    /// The kinds of those parameters that stand alone, which are the same in each row, and where NULL stands.
    pub kinds: String,
}

/// Joins operations where that changes nothing.
pub fn coalesce<'a>(
    schema: &Schema,
    operations: impl IntoIterator<Item = &'a FittedOperation>,
) -> Vec<RowRun<'a>> {
    let group = |has_free_rows: &bool| Group { has_free_rows: *has_free_rows, ..Group::default() };
    let groups = schema.groups().free_rows().iter().map(group).collect();
    let mut joined = Joined { schema, groups, runs: Vec::new() };
    for operation in operations {
        joined.add(operation);
    }
    let runs = joined.runs.into_iter().map(|run| {
        let rows = run.rows.into_iter().flatten().collect();
        RowRun { statement: run.statement, rows, kinds: run.kinds }
    });
    runs.filter(|run: &RowRun<'_>| !run.rows.is_empty()).collect()
}

/// The operations one by one, each as a run of its own.
pub fn apart<'a>(
    schema: &Schema,
    operations: impl IntoIterator<Item = &'a FittedOperation>,
) -> Vec<RowRun<'a>> {
    let run = |operation: &'a FittedOperation| {
        let statement = operation.statement as usize;
        let kinds = kinds(&schema.statements[statement], &operation.parameters);
        RowRun { statement, rows: vec![Cow::Borrowed(operation.parameters.as_slice())], kinds }
    };
    operations.into_iter().map(run).collect()
}

/// A run in the making.
struct GrowingRun<'a> {
    statement: usize,
    /// None: what it did is undone by a later one.
    rows: Vec<Option<Cow<'a, [Sent]>>>,
    kinds: String,
    /// Others may join it.
    is_open: bool,
}

/// The runs of a group of tables.
#[derive(Default)]
struct Group<'a> {
    /// It is one table, and each row has nothing to do with the others.
    has_free_rows: bool,
    /// The last run of all.
    last: Option<usize>,
    /// The runs that an operation may still join: one for each statement and its kinds.
    open: Vec<usize>,
    /// Where a row was touched last, of those that operations on other rows may pass.
    touched: HashMap<Key<'a>, TouchedAt, RandomState>,
}

#[derive(Clone, Copy)]
struct TouchedAt {
    run: usize,
    row: usize,
}

struct Joined<'s, 'a> {
    schema: &'s Schema,
    groups: Vec<Group<'a>>,
    runs: Vec<GrowingRun<'a>>,
}

impl<'a> Joined<'_, 'a> {
    fn add(&mut self, operation: &'a FittedOperation) {
        let (schema, index) = (self.schema, operation.statement as usize);
        let statement = &schema.statements[index];
        let values = operation.parameters.as_slice();
        let kinds = kinds(statement, values);
        let key = statement.keyed.as_ref().and_then(|keyed| key::of(statement, keyed, values));
        let of_statement = schema.groups().of_statement(index);
        let group = &self.groups[of_statement];
        let before = key.as_ref().and_then(|key| group.touched.get(key)).copied();
        let is_free = group.has_free_rows && key.is_some();
        if is_free
            && let (Some(before), Some(keyed)) = (before, &statement.keyed)
            && self.try_fold(index, keyed, before, &kinds, values)
        {
            return;
        }
        let is_joinable = statement.multi_row.as_ref().is_some_and(|rows| {
            (key.is_some() || !rows.is_apart) && (rows.takes_null || !values.iter().any(Sent::is_null))
        });
        let is_apart = statement.multi_row.as_ref().is_some_and(|rows| rows.is_apart);
        let group = &self.groups[of_statement];
        let earliest = if is_free { before.map(|place| place.run) } else { group.last };
        let joined = group.open.iter().copied().find(|run| {
            let run = &self.runs[*run];
            run.is_open && run.statement == index && run.kinds == kinds
        });
        let joined = joined.filter(|run| {
            is_joinable
                && earliest.is_none_or(|earliest| *run >= earliest)
                && !(is_apart && before.is_some_and(|place| place.run == *run))
        });
        let row = Some(Cow::Borrowed(values));
        let run = joined.unwrap_or(self.runs.len());
        if joined.is_none() {
            self.runs.push(GrowingRun { statement: index, rows: Vec::new(), kinds, is_open: is_joinable });
        }
        self.runs[run].rows.push(row);
        self.note(index, run, key, is_free, joined.is_none());
    }

    /// Notes where an operation went, for those behind it.
    fn note(&mut self, statement: usize, run: usize, key: Option<Key<'a>>, is_free: bool, is_new: bool) {
        let group = &mut self.groups[self.schema.groups().of_statement(statement)];
        if !is_free && (is_new || group.has_free_rows) {
            // Nothing passes it.
            group.touched.clear();
            group.open.clear();
            group.open.push(run);
        } else if is_new {
            let runs = &self.runs;
            let is_same =
                |other: &usize| runs[*other].statement == statement && runs[*other].kinds == runs[run].kinds;
            group.open.retain(|other| !is_same(other));
            group.open.push(run);
        }
        if is_new {
            group.last = Some(run);
        }
        if let Some(key) = key {
            group.touched.insert(key, TouchedAt { run, row: self.runs[run].rows.len() - 1 });
        }
    }

    /// Folds an operation into the one before it on the same row, or takes that one away where nothing is left of it.
    /// Returns true where nothing is left to do.
    fn try_fold(
        &mut self,
        index: usize,
        keyed: &Keyed,
        before: TouchedAt,
        kinds: &str,
        values: &'a [Sent],
    ) -> bool {
        let run = &mut self.runs[before.run];
        let other = &self.schema.statements[run.statement];
        let place = &mut run.rows[before.row];
        let (Some(row), Some(other_keyed)) = (place.as_deref(), &other.keyed) else { return false };
        let is_same = keyed.key.iter().zip(&other_keyed.key).all(|(mine, its)| values[*mine] == row[*its]);
        if !is_same {
            return false;
        }
        if run.statement == index && run.kinds == kinds {
            let merged = keyed
                .merges
                .as_deref()
                .and_then(|merges| key::merged(&other.parameters, merges, row, values));
            if let Some(merged) = merged {
                *place = Some(merged);
                return true;
            }
        }
        let statement = &self.schema.statements[index];
        if keyed.erases && other_keyed.is_harmless && key::is_kept(statement, keyed, values) {
            *place = None;
        }
        false
    }
}

/// The kinds of the values that keep their own, a letter each. A statement is prepared once for each of these, because
/// MySQL keeps the kinds that it was given with a prepared statement and reads later values as those. Of an UPDATE's, too,
/// where NULL stands: a CASE takes its type from all of its values.
fn kinds(statement: &Statement, values: &[Sent]) -> String {
    let letter = |value: &Sent| match value {
        value if value.is_null() => 'z',
        Sent::Integer(_) | Sent::Unsigned(_) => 'i',
        Sent::Double(_) => 'n',
        Sent::Decimal(_) => 'd',
        Sent::Text(_) => 't',
        Sent::Bytes(_) => 'b',
        Sent::Date(_) | Sent::Moment(_) => 'm',
    };
    let is_apart = statement.multi_row.as_ref().is_some_and(|rows| rows.is_apart);
    if is_apart && values.iter().any(Sent::is_null) {
        return values.iter().map(|value| if value.is_null() { 'z' } else { 'v' }).collect();
    }
    let alone = statement.parameters.iter().zip(values).filter(|(parameter, _)| parameter.kind.is_none());
    alone.map(|(_, value)| letter(value)).collect()
}

/// Cuts a statement's rows into pieces.
pub fn pieces<'r, R>(statement: &Statement, rows: &'r [R], rows_max: usize) -> Vec<&'r [R]> {
    let (placeholders, most) = match &statement.multi_row {
        Some(multi_row) => (multi_row.placeholders(), multi_row.rows_max),
        None => (statement.parameters.len(), 1),
    };
    split(rows, placeholders, rows_max.min(most), PARAMETERS_MAX)
}

/// The values of some rows, in the order and as often as the statement for them has placeholders.
pub fn in_order<'r, R: AsRef<[V]>, V>(statement: &Statement, rows: &'r [R]) -> Vec<&'r V> {
    match &statement.multi_row {
        Some(multi_row) if rows.len() > 1 => {
            let mut values = Vec::with_capacity(rows.len() * multi_row.placeholders());
            for part in &multi_row.parts {
                for row in rows {
                    values.extend(part.parameters().iter().map(|at| &row.as_ref()[*at]));
                }
            }
            values
        }
        _ => rows.iter().flat_map(AsRef::as_ref).collect(),
    }
}

/// Cuts rows of so many parameters into pieces of a few fixed row counts, the largest first.
pub fn split<R>(rows: &[R], parameters: usize, rows_max: usize, parameters_max: usize) -> Vec<&[R]> {
    let most = rows_max.min(parameters_max / parameters.max(1));
    let mut pieces = Vec::new();
    let mut rest = rows;
    while !rest.is_empty() {
        let most = most.min(rest.len());
        let count = ROW_COUNTS.into_iter().find(|count| *count <= most).unwrap_or(1);
        let (piece, after) = rest.split_at(count);
        pieces.push(piece);
        rest = after;
    }
    pieces
}

/// The text of a statement for this many rows, and for these kinds of its parameters.
pub fn render<'s>(statement: &'s Statement, rows: usize, kinds: &str) -> Cow<'s, str> {
    let text = match &statement.multi_row {
        Some(multi_row) if rows > 1 => Cow::Owned(multi_row.text(rows)),
        _ => Cow::Borrowed(statement.sql.as_str()),
    };
    if kinds.is_empty() { text } else { format!("{text} /* {kinds} */").into() }
}

#[cfg(test)]
mod tests;
