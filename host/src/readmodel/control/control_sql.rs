//! Statements on the control schema. Each says what it is for, and whatever fails of it is a [`Failure`] that says so.

use std::borrow::Cow;

use sqlx::mysql::{MySqlArguments, MySqlConnection, MySqlQueryResult, MySqlRow};
use sqlx::query::Query;
use sqlx::{ColumnIndex, Decode, Encode, MySql, Row, Type};

use super::schema::Control;
use crate::failure::Failure;
use crate::readmodel::mysql::error::classify;
use crate::readmodel::mysql::query::RunQuery;

/// A statement, with the name of the control schema in it.
pub struct ControlSql<'a> {
    doing: &'static str,
    sql: Cow<'a, str>,
}

/// A statement with its parameters.
pub struct ControlQuery<'q> {
    doing: &'static str,
    query: Query<'q, MySql, MySqlArguments>,
}

/// A row of an answer.
pub struct ControlRow {
    doing: &'static str,
    row: MySqlRow,
}

impl Control {
    /// A statement whose text is written for the name `laterna`; `doing` begins the message of whatever fails.
    pub fn statement<'a>(&self, doing: &'static str, text: impl Into<Cow<'a, str>>) -> ControlSql<'a> {
        let text = text.into();
        let sql = if self.schema() == "laterna" { text } else { Cow::Owned(self.sql(&text)) };
        ControlSql { doing, sql }
    }
}

impl<'a> ControlSql<'a> {
    /// A statement on the server's own tables.
    pub fn of_the_server(doing: &'static str, sql: &'a str) -> Self {
        Self { doing, sql: Cow::Borrowed(sql) }
    }
}

impl ControlSql<'_> {
    fn query(&self) -> ControlQuery<'_> {
        ControlQuery { doing: self.doing, query: sqlx::query(&self.sql) }
    }

    /// Binds the first parameter.
    pub fn bind<'q, T: Encode<'q, MySql> + Type<MySql> + Send + 'q>(&'q self, value: T) -> ControlQuery<'q> {
        self.query().bind(value)
    }

    /// Binds the same value to every parameter.
    pub fn bind_each<'q>(&'q self, value: &'q str) -> ControlQuery<'q> {
        (0..self.sql.matches('?').count()).fold(self.query(), |query, _| query.bind(value))
    }

    pub async fn rows(&self, connection: &mut MySqlConnection) -> Result<Vec<ControlRow>, Failure> {
        self.query().rows(connection).await
    }
}

impl<'q> ControlQuery<'q> {
    /// A query whose text was built piece by piece.
    pub fn built(doing: &'static str, query: Query<'q, MySql, MySqlArguments>) -> Self {
        Self { doing, query }
    }

    #[must_use]
    pub fn bind<T: Encode<'q, MySql> + Type<MySql> + Send + 'q>(self, value: T) -> Self {
        Self { query: self.query.bind(value), ..self }
    }

    pub async fn run(self, connection: &'q mut MySqlConnection) -> Result<MySqlQueryResult, Failure> {
        self.query.run(connection).await.map_err(|error| classify(self.doing, &error))
    }

    pub async fn rows(self, connection: &'q mut MySqlConnection) -> Result<Vec<ControlRow>, Failure> {
        let rows = self.query.rows(connection).await.map_err(|error| classify(self.doing, &error))?;
        Ok(rows.into_iter().map(|row| ControlRow { doing: self.doing, row }).collect())
    }

    /// The only row.
    pub async fn row(self, connection: &'q mut MySqlConnection) -> Result<ControlRow, Failure> {
        let row = self.query.row(connection).await.map_err(|error| classify(self.doing, &error))?;
        Ok(ControlRow { doing: self.doing, row })
    }

    /// The first row, if any.
    pub async fn first(self, connection: &'q mut MySqlConnection) -> Result<Option<ControlRow>, Failure> {
        let row = self.query.first(connection).await.map_err(|error| classify(self.doing, &error))?;
        Ok(row.map(|row| ControlRow { doing: self.doing, row }))
    }
}

impl ControlRow {
    /// The value of a column, by its place or its name.
    pub fn get<'r, T: Decode<'r, MySql> + Type<MySql>>(
        &'r self,
        column: impl ColumnIndex<MySqlRow>,
    ) -> Result<T, Failure> {
        self.row.try_get(column).map_err(|error| classify(self.doing, &error))
    }

    /// A condition, as `CAST(... AS SIGNED)` gives it.
    pub fn is(&self, column: impl ColumnIndex<MySqlRow>) -> Result<bool, Failure> {
        Ok(self.get::<i64>(column)? != 0)
    }
}
