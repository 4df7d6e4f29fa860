//! Random tables and statements by key, on real servers: a batch that is joined and folded leaves the rows that its entries
//! leave one by one, and the same entries are refused.

mod schema;
mod scripted;
mod values;

use laterna::readmodel::mysql::bind::bind;
use laterna::readmodel::mysql::session::{Connector, Session};
use laterna::sql::coalesce::{self, RowRun};
use laterna::sql::fit::judge;
use laterna::statement::{FittedOperation, Schema};
use rand::Rng;
use rand::rngs::StdRng;
use sqlx::mysql::MySqlConnection;
use sqlx::{Executor, Row};

use crate::support::{Options, World, random};

/// Schemas at least and at most, and batches for each.
const SCHEMAS: usize = 24;
const SCHEMAS_MAX: usize = 4 * SCHEMAS;
const BATCHES: usize = 6;

/// What was seen, so that the test cannot pass over nothing.
#[derive(Debug, Default)]
struct Seen {
    updates_joined: usize,
    deletes_joined: usize,
    folded: usize,
    refused: usize,
    passed: usize,
}

struct Table<'a> {
    schema: &'a Schema,
    /// A query of all rows of all tables.
    look: String,
}

async fn run(connection: &mut MySqlConnection, schema: &Schema, runs: &[RowRun<'_>]) -> bool {
    for run in runs {
        let statement = &schema.statements[run.statement];
        for piece in coalesce::pieces(statement, &run.rows, 512) {
            let sql = coalesce::render(statement, piece.len(), &run.kinds);
            let query = coalesce::in_order(statement, piece).into_iter().fold(sqlx::query(&sql), bind);
            if let Err(error) = connection.execute(query).await {
                let text = error.to_string();
                assert!(error.as_database_error().is_some(), "{sql}: {text}");
                assert!(!text.contains("1064") && !text.contains("syntax"), "{sql}: {text}");
                return false;
            }
        }
    }
    true
}

async fn send(connection: &mut MySqlConnection, sql: &str) {
    connection.execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

impl Table<'_> {
    async fn rows(&self, connection: &mut MySqlConnection) -> Vec<String> {
        let rows = connection.fetch_all(self.look.as_str()).await.expect("the tables are there");
        rows.iter().map(|row| String::from_utf8_lossy(row.get_unchecked(0)).into_owned()).collect()
    }

    /// Commits a batch, after both ways came to the same.
    async fn compare(
        &self,
        connection: &mut MySqlConnection,
        batch: &[Vec<FittedOperation>],
        seen: &mut Seen,
        told: impl Fn() -> String,
    ) {
        send(connection, "BEGIN").await;
        let refused = self.one_by_one(connection, batch).await;
        let expected = self.rows(connection).await;
        send(connection, "ROLLBACK").await;
        send(connection, "BEGIN").await;
        let found = self.in_halves(connection, batch, seen).await;
        assert_eq!(found, refused, "refused together, and one by one: {}", told());
        assert_eq!(self.rows(connection).await, expected, "{}", told());
        // As the batch is committed: what is not refused, all at once.
        send(connection, "ROLLBACK").await;
        send(connection, "BEGIN").await;
        let kept = batch.iter().enumerate().filter(|(at, _)| !refused.contains(at));
        let runs = coalesce::coalesce(self.schema, kept.flat_map(|(_, entry)| entry));
        let is_taken = run(connection, self.schema, &runs).await;
        assert!(is_taken, "what passes one by one passes together: {}", told());
        assert_eq!(self.rows(connection).await, expected, "{}", told());
        send(connection, "COMMIT").await;
        seen.refused += refused.len();
        seen.passed += batch.len() - refused.len();
    }

    /// Each entry by itself, behind a savepoint, operation by operation.
    async fn one_by_one(
        &self,
        connection: &mut MySqlConnection,
        entries: &[Vec<FittedOperation>],
    ) -> Vec<usize> {
        let mut refused = Vec::new();
        for (at, entry) in entries.iter().enumerate() {
            send(connection, "SAVEPOINT one").await;
            if !run(connection, self.schema, &coalesce::apart(self.schema, entry)).await {
                send(connection, "ROLLBACK TO SAVEPOINT one").await;
                refused.push(at);
            }
        }
        refused
    }

    /// The way of a lane: halves, joined, until an entry stands alone.
    async fn in_halves(
        &self,
        connection: &mut MySqlConnection,
        entries: &[Vec<FittedOperation>],
        seen: &mut Seen,
    ) -> Vec<usize> {
        let (mut refused, mut ranges) = (Vec::new(), Vec::with_capacity(2));
        ranges.push(0..entries.len());
        while let Some(range) = ranges.pop() {
            let operations = entries[range.clone()].iter().flatten();
            let runs = if range.len() == 1 {
                coalesce::apart(self.schema, operations)
            } else {
                coalesce::coalesce(self.schema, operations)
            };
            seen.count(self.schema, &runs, entries[range.clone()].iter().flatten().count());
            send(connection, "SAVEPOINT half").await;
            if !run(connection, self.schema, &runs).await {
                send(connection, "ROLLBACK TO SAVEPOINT half").await;
                if range.len() == 1 {
                    refused.push(range.start);
                } else {
                    let middle = range.start + range.len() / 2;
                    ranges.extend([middle..range.end, range.start..middle]);
                }
            }
        }
        refused
    }
}

impl Seen {
    fn is_enough(&self) -> bool {
        let Self { updates_joined, deletes_joined, folded, refused, passed } = self;
        [updates_joined, deletes_joined, folded, refused, passed].iter().all(|count| **count > 20)
    }

    fn count(&mut self, schema: &Schema, runs: &[RowRun<'_>], operations: usize) {
        let rows: usize = runs.iter().map(|run| run.rows.len()).sum();
        self.folded += operations - rows;
        for run in runs.iter().filter(|run| run.rows.len() > 1) {
            let sql = &schema.statements[run.statement].sql;
            self.updates_joined += usize::from(sql.starts_with("UPDATE"));
            self.deletes_joined += usize::from(sql.starts_with("DELETE"));
        }
    }
}

fn entries(made: &schema::Made, schema: &Schema, rng: &mut StdRng) -> Vec<Vec<FittedOperation>> {
    let count = rng.random_range(1..24);
    let mut last = None;
    let mut entry = |rng: &mut StdRng| {
        let mut operations = Vec::new();
        for _ in 0..rng.random_range(1..4) {
            let one = values::operation(made, schema, last.as_ref(), rng);
            if let Ok(fitted) = judge(schema, vec![one.clone()]) {
                last = Some(one);
                operations.extend(fitted);
            }
        }
        operations
    };
    (0..count).map(|_| entry(rng)).collect()
}

async fn keyed_statements_do_the_same_together(test: &str, options: Options, is_mysql: bool) {
    let mut rng = random(test);
    let world = World::new("recorder", options).await;
    let connector = Connector::new("mysql.url", &world.url().into()).expect("a URL");
    let mut session: Session = connector.connect().await.expect("it connects");
    let order = session.text_order();
    let connection = &mut session.connection;
    let mut seen = Seen::default();
    for number in 0..SCHEMAS_MAX {
        if number >= SCHEMAS && seen.is_enough() {
            break;
        }
        let made = schema::make(number, &mut rng, is_mysql);
        let schema = made.checked();
        for table in &schema.tables {
            send(connection, table.ddl_for(order)).await;
        }
        let table = Table { schema: &schema, look: made.look() };
        for _ in 0..BATCHES {
            let batch = entries(&made, &schema, &mut rng);
            table.compare(connection, &batch, &mut seen, || made.tell(&batch)).await;
        }
        for table in schema.tables.iter().rev() {
            send(connection, &format!("DROP TABLE `{}`", table.name)).await;
        }
    }
    scripted::each_does_the_same(connection, order).await;
    assert!(seen.is_enough(), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_by_key_do_together_what_they_do_one_by_one_on_mysql() {
    keyed_statements_do_the_same_together("keyed on MySQL", Options::mysql(), true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_by_key_do_together_what_they_do_one_by_one_on_mariadb() {
    keyed_statements_do_the_same_together("keyed on MariaDB", Options::mariadb(), false).await;
}
