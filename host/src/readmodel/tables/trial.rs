//! A trial: the tables in a scratch schema, statements that are run on them, and the rows that come of it, for authors.

use sqlx::Row;

use super::{create, prepare};
use crate::failure::Failure;
use crate::readmodel::mysql::error::{classify, classify_statement};
use crate::readmodel::mysql::query::{RunQuery, send, text_rows};
use crate::readmodel::mysql::session::{Connector, Session};
use crate::statement::Schema;

/// The schema of every trial. It goes with the trial, or with the next one if that was killed.
pub const TRIAL_SCHEMA: &str = "laterna_test_rows";
/// How long another trial in the same schema is waited for, in seconds.
const PATIENCE: u32 = 20;
/// A table that tells a trial's schema from somebody's database of that name.
const MARK: &str = "laterna_made_this_schema";

pub struct Trial {
    session: Session,
    database: String,
    schema: &'static str,
}

/// A statement with its values written out.
pub struct TrialStatement {
    pub name: String,
    pub sql: String,
}

/// The rows of a table, in the order of its primary key, each cell as text or NULL.
pub struct TableRows {
    pub table: String,
    pub columns: Vec<String>,
    pub rows: Vec<Vec<Option<String>>>,
}

impl Trial {
    /// Makes the tables, and prepares every statement on them.
    pub async fn begin(connector: &Connector, schema: &Schema) -> Result<Self, Failure> {
        Self::begin_in(TRIAL_SCHEMA, PATIENCE, connector, schema).await
    }

    /// The same in a schema of this name, when others have left it within so many seconds.
    pub(super) async fn begin_in(
        name: &'static str,
        patience: u32,
        connector: &Connector,
        schema: &Schema,
    ) -> Result<Self, Failure> {
        let mut session = connector.connect().await?;
        let asked = sqlx::query("SELECT COALESCE(GET_LOCK(?, ?), 0)").bind(name).bind(patience);
        let locked = asked.row(&mut session.connection).await.and_then(|row| row.try_get::<i64, _>(0));
        if locked.map_err(|error| failed(&error))? != 1 {
            return Err(Failure::LostRace {
                what: format!(
                    "another test has been in `{name}` for {patience} s: try again when it is done"
                ),
            });
        }
        let mut trial = Self { session, database: connector.database().to_owned(), schema: name };
        trial.clear().await?;
        match trial.make(schema).await {
            Ok(()) => Ok(trial),
            Err(failure) => {
                trial.clear().await?;
                Err(failure)
            }
        }
    }

    async fn make(&mut self, schema: &Schema) -> Result<(), Failure> {
        let name = self.schema;
        for sql in [
            format!("CREATE DATABASE {name} CHARACTER SET utf8mb4"),
            format!("USE {name}"),
            format!("CREATE TABLE {MARK} (id INT PRIMARY KEY)"),
        ] {
            self.send(&sql).await?;
        }
        let order = self.session.text_order();
        for table in &schema.tables {
            create(&mut self.session, table, order).await?;
        }
        prepare(&mut self.session, schema).await
    }

    /// Runs the statements of an event in a transaction. What the server refuses leaves nothing behind.
    pub async fn apply(&mut self, statements: &[TrialStatement]) -> Result<(), Failure> {
        self.run(statements, "COMMIT").await
    }

    /// Runs the statements of an event in a transaction that is rolled back.
    pub async fn try_out(&mut self, statements: &[TrialStatement]) -> Result<(), Failure> {
        self.run(statements, "ROLLBACK").await
    }

    async fn run(&mut self, statements: &[TrialStatement], end: &str) -> Result<(), Failure> {
        self.send("START TRANSACTION").await?;
        for TrialStatement { name, sql } in statements {
            if let Err(error) = send(&mut self.session.connection, sql).await {
                self.send("ROLLBACK").await?;
                return Err(classify_statement(name, self.session.is_mariadb(), &error));
            }
        }
        self.send(end).await
    }

    /// The rows of every table, in the order in which the tables are declared.
    pub async fn rows(&mut self, schema: &Schema) -> Result<Vec<TableRows>, Failure> {
        let mut all = Vec::new();
        for table in &schema.tables {
            let columns = self.columns(&table.name, "").await?;
            let key = self.columns(&table.name, "AND column_key = 'PRI'").await?;
            let quoted: Vec<String> = key.iter().map(|column| format!("`{column}`")).collect();
            let sql = format!("SELECT * FROM `{}` ORDER BY {}", table.name, quoted.join(", "));
            let rows = text_rows(&mut self.session.connection, &sql).await.map_err(|error| failed(&error))?;
            all.push(TableRows { table: table.name.clone(), columns, rows });
        }
        Ok(all)
    }

    async fn columns(&mut self, table: &str, which: &str) -> Result<Vec<String>, Failure> {
        let sql = format!(
            "SELECT CONVERT(column_name USING utf8mb4) FROM information_schema.columns WHERE table_schema = DATABASE() \
             AND table_name = '{table}' {which} ORDER BY ordinal_position"
        );
        let rows = text_rows(&mut self.session.connection, &sql).await.map_err(|error| failed(&error))?;
        Ok(rows.into_iter().flatten().flatten().collect())
    }

    /// Drops the schema, unless it is somebody else's.
    pub async fn clear(&mut self) -> Result<(), Failure> {
        self.clear_schema(self.schema).await
    }

    /// Drops this schema, unless it has not the mark of a trial's.
    pub(super) async fn clear_schema(&mut self, schema: &str) -> Result<(), Failure> {
        let sql = format!(
            "SELECT CONVERT(table_name USING utf8mb4) FROM information_schema.tables WHERE table_schema = '{schema}'"
        );
        let tables = text_rows(&mut self.session.connection, &sql).await.map_err(|error| failed(&error))?;
        let tables: Vec<String> = tables.into_iter().flatten().flatten().collect();
        if self.database == schema || !tables.is_empty() && !tables.iter().any(|table| table == MARK) {
            return Err(Failure::misconfigured(
                format!("there is a database `{schema}` that no test has made, and the test would drop it"),
                "rename it, or give the test another server",
            ));
        }
        self.send(&format!("DROP DATABASE IF EXISTS {schema}")).await
    }

    /// The same tables, empty.
    pub(super) async fn again(&mut self, schema: &Schema) -> Result<(), Failure> {
        self.clear().await?;
        self.make(schema).await
    }

    /// Makes another schema of the trial.
    pub(super) async fn make_schema(&mut self, schema: &str) -> Result<(), Failure> {
        self.clear_schema(schema).await?;
        self.send(&format!("CREATE DATABASE {schema} CHARACTER SET utf8mb4")).await?;
        self.send(&format!("CREATE TABLE {schema}.{MARK} (id INT PRIMARY KEY)")).await
    }

    pub(super) fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    async fn send(&mut self, sql: &str) -> Result<(), Failure> {
        send(&mut self.session.connection, sql).await.map_err(|error| failed(&error))?;
        Ok(())
    }
}

fn failed(error: &sqlx::Error) -> Failure {
    classify(&format!("trying the tables in `{TRIAL_SCHEMA}`"), error)
}
