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
/// A table that tells a trial's schema from somebody's database of that name.
const MARK: &str = "laterna_made_this_schema";

pub struct Trial {
    session: Session,
    database: String,
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
        let mut session = connector.connect().await?;
        let asked = sqlx::query("SELECT COALESCE(GET_LOCK(?, 20), 0)").bind(TRIAL_SCHEMA);
        let locked = asked.row(&mut session.connection).await.and_then(|row| row.try_get::<i64, _>(0));
        if locked.map_err(|error| failed(&error))? != 1 {
            return Err(Failure::LostRace {
                what: format!(
                    "another test has been in `{TRIAL_SCHEMA}` for 20 s: try again when it is done"
                ),
            });
        }
        let mut trial = Self { session, database: connector.database().to_owned() };
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
        for sql in [
            format!("CREATE DATABASE {TRIAL_SCHEMA} CHARACTER SET utf8mb4"),
            format!("USE {TRIAL_SCHEMA}"),
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
        let sql = format!(
            "SELECT CONVERT(table_name USING utf8mb4) FROM information_schema.tables WHERE table_schema = '{TRIAL_SCHEMA}'"
        );
        let tables = text_rows(&mut self.session.connection, &sql).await.map_err(|error| failed(&error))?;
        let tables: Vec<String> = tables.into_iter().flatten().flatten().collect();
        if self.database == TRIAL_SCHEMA || !tables.is_empty() && !tables.iter().any(|table| table == MARK) {
            return Err(Failure::misconfigured(
                format!(
                    "there is a database `{TRIAL_SCHEMA}` that no test has made, and the test would drop it"
                ),
                "rename it, or give the test another server",
            ));
        }
        self.send(&format!("DROP DATABASE IF EXISTS {TRIAL_SCHEMA}")).await
    }

    async fn send(&mut self, sql: &str) -> Result<(), Failure> {
        send(&mut self.session.connection, sql).await.map_err(|error| failed(&error))?;
        Ok(())
    }
}

fn failed(error: &sqlx::Error) -> Failure {
    classify(&format!("trying the tables in `{TRIAL_SCHEMA}`"), error)
}
