//! The control schema: the host's own tables, created and migrated by the host.
//!
//! Migrations only add, so that two versions of the host can stand beside each other during a take-over.

mod steps;
mod whole;

use sqlx::Row;

use crate::failure::{Failure, RESTORE_TOGETHER};
use crate::fingerprint::Seed;
use crate::readmodel::mysql::error::{classify, number};
use crate::readmodel::mysql::grant::{TABLES as FOR_TABLES, grant};
use crate::readmodel::mysql::query::{RunQuery, send};
use crate::readmodel::mysql::session::Session;

use steps::STEPS;

pub use steps::VERSION;

/// The control schema by its configured name. SQL is written for the name `laterna` and adapted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    schema: String,
}

impl Control {
    /// The name was checked by the configuration: lower-case letters, digits and underscores.
    pub fn new(schema: &str) -> Self {
        Self { schema: schema.to_owned() }
    }

    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// The schema in which tables are rehearsed: created and dropped each time.
    pub fn scratch(&self) -> String {
        format!("{}_scratch", self.schema)
    }

    /// The statement with `laterna.` replaced by the configured schema.
    pub fn sql(&self, text: &str) -> String {
        text.replace("laterna.", &format!("{}.", self.schema))
    }

    /// Creates and adds what is missing. Several hosts may do so at once: what is there already is no error.
    pub async fn migrate(&self, session: &mut Session) -> Result<(), Failure> {
        self.migrate_to(VERSION, session).await
    }

    /// Migrates as a host whose version of the control schema is this one.
    pub async fn migrate_to(&self, version: u32, session: &mut Session) -> Result<(), Failure> {
        let doing = format!("creating the control schema `{}`", self.schema);
        let account = session.account.clone();
        let failed = |error: sqlx::Error| match classify(&doing, &error) {
            Failure::AccessDenied { code, message } => {
                let grant = grant(&FOR_TABLES.join(", "), &self.schema, &account);
                Failure::AccessDenied { code, message: format!("{message}; as an administrator: {grant}") }
            }
            failure => failure,
        };
        let found = self.version(session).await?.unwrap_or_default();
        // A newer host's tables serve this one too: migrations only add.
        if found >= version {
            return Ok(());
        }
        let exists = sqlx::query("SELECT 1 FROM information_schema.schemata WHERE schema_name = ?")
            .bind(&self.schema)
            .first(&mut session.connection)
            .await
            .map_err(failed)?;
        if exists.is_none() {
            let create = format!("CREATE DATABASE IF NOT EXISTS {} CHARACTER SET utf8mb4", self.schema);
            send(&mut session.connection, create.as_str()).await.map_err(failed)?;
        }
        let is_new = found == 0 && self.create(version, session).await.map_err(failed)?;
        if !is_new {
            self.go_through(&STEPS[found as usize..version as usize], session).await.map_err(failed)?;
        }
        let mark = self.sql("INSERT IGNORE INTO laterna.version (version) VALUES (?)");
        sqlx::query(&mark).bind(version).run(&mut session.connection).await.map_err(failed)?;
        Ok(())
    }

    /// Adds what is missing, step by step.
    async fn go_through(
        &self,
        steps: &'static [&'static [&'static str]],
        session: &mut Session,
    ) -> Result<(), sqlx::Error> {
        for step in steps {
            for statement in *step {
                match send(&mut session.connection, self.sql(statement).as_str()).await {
                    Err(error) if !is_there_already(&error) => return Err(error),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Creates the tables of a version at once. Returns false where one is there already: an older host may have made it, or
    /// make it just now, so that step by step what is missing is added.
    async fn create(&self, version: u32, session: &mut Session) -> Result<bool, sqlx::Error> {
        let whole = whole::whole(&STEPS[..version as usize]);
        // Later versions change tables, so a change of the first one is tried: an account that may not do so is found now.
        for statement in [STEPS[0][0], "ALTER TABLE laterna.version COMMENT = ''"] {
            send(&mut session.connection, self.sql(statement).as_str()).await?;
        }
        for statement in &whole[1..] {
            match send(&mut session.connection, self.sql(statement).as_str()).await {
                Err(error) if number(&error) == Some(TABLE_EXISTS) => return Ok(false),
                sent => sent?,
            };
        }
        Ok(true)
    }

    /// The tables of the newest version, each with the name of its first column.
    pub fn tables() -> impl Iterator<Item = (&'static str, &'static str)> {
        STEPS.iter().copied().flatten().filter_map(|statement| {
            let created = statement.strip_prefix("CREATE TABLE IF NOT EXISTS ")?.strip_prefix("laterna.")?;
            let (name, columns) = created.split_once('(')?;
            Some((name.trim(), columns.split_whitespace().next()?))
        })
    }

    /// The key of this installation's hashes.
    pub async fn seed(&self, session: &mut Session) -> Result<Seed, Failure> {
        let failed = |error: sqlx::Error| classify("reading the installation's seed", &error);
        let sql = self.sql("SELECT seed FROM laterna.installation WHERE id = 1");
        let row = sqlx::query(&sql).first(&mut session.connection).await.map_err(failed)?;
        let seed: Option<Vec<u8>> = row.map(|row| row.try_get(0)).transpose().map_err(failed)?;
        let seed = seed.and_then(|bytes| bytes.try_into().ok()).map(Seed::new);
        seed.ok_or_else(|| {
            let table = format!("`{}`.`installation`", self.schema);
            Failure::misconfigured(
                format!("the row of {table} is gone, which has the key of the installation's hashes"),
                RESTORE_TOGETHER,
            )
        })
    }

    /// The version of the control schema, where there is one.
    pub async fn version(&self, session: &mut Session) -> Result<Option<u32>, Failure> {
        let doing = "reading the control schema's version";
        let sql = self.sql("SELECT MAX(version) FROM laterna.version");
        match sqlx::query(&sql).row(&mut session.connection).await {
            Ok(row) => row.try_get(0).map_err(|error| classify(doing, &error)),
            Err(error) => match classify(doing, &error) {
                // An account without any privilege on a schema is denied access whether or not it exists.
                Failure::SchemaMismatch { .. } | Failure::AccessDenied { code: 1044 | 1142, .. } => Ok(None),
                failure => Err(failure),
            },
        }
    }
}

/// The error of a server that has the table.
const TABLE_EXISTS: u16 = 1050;

/// Returns true where a table, column or key is there already: another host was faster, or an earlier try came so far.
fn is_there_already(error: &sqlx::Error) -> bool {
    matches!(number(error), Some(TABLE_EXISTS | 1060 | 1061))
}
