//! Running queries on one connection, with futures that are boxed once: sqlx's own generic ones cannot be proven
//! to be `Send` inside tasks that borrow.

use futures_util::future::BoxFuture;
use sqlx::mysql::{MySqlArguments, MySqlConnection, MySqlQueryResult, MySqlRow};
use sqlx::query::Query;
use sqlx::{Executor, MySql};

type Result<T> = std::result::Result<T, sqlx::Error>;

/// Runs a prepared query.
pub trait Run<'q> {
    fn run(self, connection: &'q mut MySqlConnection) -> BoxFuture<'q, Result<MySqlQueryResult>>;
    fn rows(self, connection: &'q mut MySqlConnection) -> BoxFuture<'q, Result<Vec<MySqlRow>>>;
    /// The only row.
    fn row(self, connection: &'q mut MySqlConnection) -> BoxFuture<'q, Result<MySqlRow>>;
    /// The first row, if any.
    fn first(self, connection: &'q mut MySqlConnection) -> BoxFuture<'q, Result<Option<MySqlRow>>>;
}

impl<'q> Run<'q> for Query<'q, MySql, MySqlArguments> {
    fn run(self, connection: &'q mut MySqlConnection) -> BoxFuture<'q, Result<MySqlQueryResult>> {
        connection.execute(self)
    }

    fn rows(self, connection: &'q mut MySqlConnection) -> BoxFuture<'q, Result<Vec<MySqlRow>>> {
        connection.fetch_all(self)
    }

    fn row(self, connection: &'q mut MySqlConnection) -> BoxFuture<'q, Result<MySqlRow>> {
        connection.fetch_one(self)
    }

    fn first(self, connection: &'q mut MySqlConnection) -> BoxFuture<'q, Result<Option<MySqlRow>>> {
        connection.fetch_optional(self)
    }
}

/// Sends text that cannot be prepared: transaction control, DDL, session settings. Only the host's own text.
pub fn send<'q>(
    connection: &'q mut MySqlConnection,
    text: &'q str,
) -> BoxFuture<'q, Result<MySqlQueryResult>> {
    connection.execute(text)
}
