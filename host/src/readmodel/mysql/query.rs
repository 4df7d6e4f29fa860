//! Running queries on one connection, with futures that are boxed once: sqlx's own generic ones cannot be proven
//! to be `Send` inside tasks that borrow.
//!
//! Each is bounded, so that nothing waits without end for a server that is gone without a word. Most have a tighter
//! limit around them.

use std::cell::Cell;
use std::io;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::mysql::{MySqlArguments, MySqlConnection, MySqlQueryResult, MySqlRow};
use sqlx::query::Query;
use sqlx::{Executor, MySql, Row};
use tokio::task_local;

type Result<T> = std::result::Result<T, sqlx::Error>;

/// How long one statement may take. A connection in which it took longer is lost.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);

task_local! {
    /// The answers of the server that were waited for within [`counting`].
    static ROUND_TRIPS: Cell<u32>;
}

/// Does some work, and counts the answers of the server that it waits for, one after the other. A statement that a session
/// prepares first takes one more, which is not counted.
pub async fn counting<T>(work: impl Future<Output = T>) -> (T, u32) {
    let counted = async {
        let done = work.await;
        (done, ROUND_TRIPS.with(Cell::get))
    };
    ROUND_TRIPS.scope(Cell::new(0), counted).await
}

/// How many answers were waited for so far within [`counting`]; 0 where nobody counts.
pub fn counted() -> u32 {
    ROUND_TRIPS.try_with(Cell::get).unwrap_or_default()
}

fn count() {
    // Where nobody counts, nothing is counted.
    let _ = ROUND_TRIPS.try_with(|trips| trips.set(trips.get() + 1));
}

/// Runs a prepared query.
pub trait RunQuery<'q> {
    fn run(self, connection: &'q mut MySqlConnection) -> BoxFuture<'q, Result<MySqlQueryResult>>;
    /// Runs a statement without a limit of its own: whatever it is part of has one.
    fn run_unbounded(self, connection: &'q mut MySqlConnection) -> BoxFuture<'q, Result<MySqlQueryResult>>;
    fn rows(self, connection: &'q mut MySqlConnection) -> BoxFuture<'q, Result<Vec<MySqlRow>>>;
    /// The only row.
    fn row(self, connection: &'q mut MySqlConnection) -> BoxFuture<'q, Result<MySqlRow>>;
    /// The first row, if any.
    fn first(self, connection: &'q mut MySqlConnection) -> BoxFuture<'q, Result<Option<MySqlRow>>>;
}

impl<'q> RunQuery<'q> for Query<'q, MySql, MySqlArguments> {
    fn run(self, connection: &'q mut MySqlConnection) -> BoxFuture<'q, Result<MySqlQueryResult>> {
        bounded(connection.execute(self))
    }

    fn run_unbounded(self, connection: &'q mut MySqlConnection) -> BoxFuture<'q, Result<MySqlQueryResult>> {
        count();
        connection.execute(self)
    }

    fn rows(self, connection: &'q mut MySqlConnection) -> BoxFuture<'q, Result<Vec<MySqlRow>>> {
        bounded(connection.fetch_all(self))
    }

    fn row(self, connection: &'q mut MySqlConnection) -> BoxFuture<'q, Result<MySqlRow>> {
        bounded(connection.fetch_one(self))
    }

    fn first(self, connection: &'q mut MySqlConnection) -> BoxFuture<'q, Result<Option<MySqlRow>>> {
        bounded(connection.fetch_optional(self))
    }
}

/// Sends text that cannot be prepared: transaction control, DDL, session settings. Only the host's own text.
pub fn send<'q>(
    connection: &'q mut MySqlConnection,
    text: &'q str,
) -> BoxFuture<'q, Result<MySqlQueryResult>> {
    bounded(connection.execute(text))
}

/// The rows of such a text, each cell as text or NULL. Every column must be one of text or bytes.
pub fn text_rows<'q>(
    connection: &'q mut MySqlConnection,
    text: &'q str,
) -> BoxFuture<'q, Result<Vec<Vec<Option<String>>>>> {
    let asked = connection.fetch_all(text);
    bounded(Box::pin(async move { asked.await?.iter().map(cells).collect() }))
}

fn cells(row: &MySqlRow) -> Result<Vec<Option<String>>> {
    let cell = |at| {
        // The driver takes a text of a binary collation for bytes.
        let bytes: Option<Vec<u8>> = row.try_get_unchecked(at)?;
        Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    };
    (0..row.len()).map(cell).collect()
}

fn bounded<'q, T: 'q>(asked: BoxFuture<'q, Result<T>>) -> BoxFuture<'q, Result<T>> {
    count();
    Box::pin(async move {
        let silence = |_| {
            let seconds = STATEMENT_TIMEOUT.as_secs();
            Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {seconds} s")).into())
        };
        tokio::time::timeout(STATEMENT_TIMEOUT, asked).await.unwrap_or_else(silence)
    })
}
