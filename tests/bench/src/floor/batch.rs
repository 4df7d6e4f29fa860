//! What the floor sends in one transaction: the rows of each statement, many to a statement, folded where only the last or
//! the sum for a key is worth sending.

use std::collections::HashMap;

use anyhow::Context;
use bson::DateTime;
use sqlx::Arguments;
use sqlx::mysql::{MySqlArguments, MySqlConnection};
use sqlx::types::time::{OffsetDateTime, PrimitiveDateTime};

/// Rows of one statement; few sizes, so that prepared statements stay few.
const ROW_COUNTS: [usize; 5] = [500, 100, 20, 5, 1];

/// What a batch does with several rows of one key, which is the first column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fold {
    /// All are sent.
    Each,
    /// The last one is sent.
    Last,
    /// The last one is sent, with the sum of this column.
    Sum(usize),
}

/// A statement that takes any number of rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    head: String,
    row: &'static str,
    tail: String,
    columns: usize,
    fold: Fold,
}

impl Statement {
    pub fn new(head: &str, row: &'static str, tail: &str, fold: Fold) -> Self {
        let columns = row.matches('?').count();
        Self { head: head.to_owned(), row, tail: tail.to_owned(), columns, fold }
    }

    fn sql(&self, rows: usize) -> String {
        format!("{} {} {}", self.head, vec![self.row; rows].join(","), self.tail)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Number(i64),
    Text(String),
    Time(PrimitiveDateTime),
}

impl Value {
    pub fn time(time: Option<DateTime>) -> anyhow::Result<Self> {
        let milliseconds = time.context("the event has no time")?.timestamp_millis();
        let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(milliseconds) * 1_000_000)?;
        Ok(Self::Time(PrimitiveDateTime::new(moment.date(), moment.time())))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// The rows of one statement, one behind the other.
struct Buffer {
    statement: Statement,
    /// The texts for each number of rows.
    texts: [String; ROW_COUNTS.len()],
    values: Vec<Value>,
    /// Which row a key has, where rows are folded.
    places: HashMap<String, usize>,
}

pub struct Batch(Vec<Buffer>);

impl Batch {
    pub fn new(statements: Vec<Statement>) -> Self {
        let buffer = |statement: Statement| Buffer {
            texts: ROW_COUNTS.map(|count| statement.sql(count)),
            statement,
            values: Vec::new(),
            places: HashMap::new(),
        };
        Self(statements.into_iter().map(buffer).collect())
    }

    /// How many rows would be sent.
    #[cfg(test)]
    pub fn rows(&self) -> usize {
        self.0.iter().map(|buffer| buffer.values.len() / buffer.statement.columns).sum()
    }

    /// Adds a row of the statement with this number.
    pub fn add<const COLUMNS: usize>(&mut self, statement: usize, row: [Value; COLUMNS]) {
        let buffer = &mut self.0[statement];
        debug_assert_eq!(COLUMNS, buffer.statement.columns);
        let Some(place) = buffer.place(&row[0]) else {
            buffer.values.extend(row);
            return;
        };
        let kept = &mut buffer.values[place * COLUMNS..(place + 1) * COLUMNS];
        for (column, (kept, new)) in kept.iter_mut().zip(row).enumerate() {
            match (&mut *kept, &new, buffer.statement.fold) {
                (Value::Number(sum), Value::Number(more), Fold::Sum(summed)) if summed == column => {
                    *sum += more;
                }
                _ => *kept = new,
            }
        }
    }

    /// Sends everything, statement by statement, and is empty afterwards.
    pub async fn send(&mut self, connection: &mut MySqlConnection) -> anyhow::Result<()> {
        for Buffer { statement, texts, values, places } in &mut self.0 {
            let mut rest = &values[..];
            while !rest.is_empty() {
                let rows = rest.len() / statement.columns;
                let size = ROW_COUNTS.iter().position(|count| *count <= rows).unwrap_or(ROW_COUNTS.len() - 1);
                let (now, later) = rest.split_at(ROW_COUNTS[size] * statement.columns);
                sqlx::query_with(&texts[size], arguments(now)?).execute(&mut *connection).await?;
                rest = later;
            }
            values.clear();
            places.clear();
        }
        Ok(())
    }
}

impl Buffer {
    /// The row that this key has already; none where it has none yet, or each is sent.
    fn place(&mut self, key: &Value) -> Option<usize> {
        let (Value::Text(key), true) = (key, self.statement.fold != Fold::Each) else { return None };
        if let Some(place) = self.places.get(key) {
            return Some(*place);
        }
        self.places.insert(key.clone(), self.values.len() / self.statement.columns);
        None
    }
}

fn arguments(values: &[Value]) -> anyhow::Result<MySqlArguments> {
    let mut arguments = MySqlArguments::default();
    arguments.reserve(values.len(), values.len() * 14);
    for value in values {
        let added = match value {
            Value::Number(number) => arguments.add(number),
            Value::Text(text) => arguments.add(text),
            Value::Time(time) => arguments.add(time),
        };
        added.map_err(|error| anyhow::anyhow!("a value cannot be sent: {error}"))?;
    }
    Ok(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(fold: Fold) -> Vec<Value> {
        let mut batch =
            Batch::new(vec![Statement::new("INSERT INTO t (k, n, s) VALUES", "(?,?,?)", "", fold)]);
        for (key, n, s) in [("a", 1, 1), ("b", 10, 1), ("a", 2, 2)] {
            batch.add(0, [Value::from(key), Value::Number(n), Value::Number(s)]);
        }
        batch.0[0].values.clone()
    }

    #[test]
    fn rows_of_one_key_are_sent_one_by_one_or_as_the_last_or_as_the_sum() {
        let row = |key: &str, n, s| [Value::from(key), Value::Number(n), Value::Number(s)];
        assert_eq!(batch(Fold::Each), [row("a", 1, 1), row("b", 10, 1), row("a", 2, 2)].concat());
        assert_eq!(batch(Fold::Last), [row("a", 2, 2), row("b", 10, 1)].concat());
        assert_eq!(batch(Fold::Sum(1)), [row("a", 3, 2), row("b", 10, 1)].concat());
    }
}
