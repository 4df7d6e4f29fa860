//! The projections' own tables: rehearsed in a scratch schema, created from checked DDL, statements prepared.
//!
//! DDL commits whatever is open, so nothing here runs in a transaction, and all of it on the DDL account.

mod collation;
mod existing;
pub mod rehearsal;
pub mod trial;
pub mod scratch_lanes;

use sqlx::Row;

use super::control::constraint;
use super::mysql::error::classify;
use super::mysql::query::{RunQuery, send};
use super::mysql::session::Session;
use crate::failure::Failure;
use crate::readmodel::control::control_db::ProjectionDb;
use crate::statement::{Schema, Table, TextOrder};

pub use collation::text_order_of;

/// Refuses tables that have rows although no projection has filled them: history fills empty tables only.
pub async fn are_empty(session: &mut Session, schema: &Schema) -> Result<(), Failure> {
    for table in &schema.tables {
        if exists(session, &table.name).await? && !is_empty(session, &table.name).await? {
            return Err(Failure::misconfigured(
                format!(
                    "the table `{}` has rows, and belongs to no projection (one that is forgotten leaves its rows); a \
                     projection begins with empty tables",
                    table.name
                ),
                format!(
                    "empty it (TRUNCATE TABLE `{}`), or give the projector another table name",
                    table.name
                ),
            ));
        }
    }
    Ok(())
}

impl ProjectionDb<'_> {
    /// Creates the tables that do not exist, and their witness. Those that exist must be empty.
    pub async fn create_missing_tables(&mut self, schema: &Schema, order: TextOrder) -> Result<(), Failure> {
        are_empty(self.session, schema).await?;
        create_absent(self.session, schema, order).await?;
        self.create_witness().await
    }
}

/// Creates the tables that do not exist.
pub async fn create_absent(session: &mut Session, schema: &Schema, order: TextOrder) -> Result<(), Failure> {
    for table in &schema.tables {
        if !exists(session, &table.name).await? {
            create(session, table, order).await?;
        }
    }
    Ok(())
}

/// Prepares every statement on the tables as they are, so that a missing table, column or privilege shows now.
pub async fn prepare(session: &mut Session, schema: &Schema) -> Result<(), Failure> {
    for (index, statement) in schema.statements.iter().enumerate() {
        let doing = || format!("preparing statement {index} `{}`", statement.name);
        let prepared = sqlx::Executor::prepare(&mut session.connection, &statement.sql).await;
        let prepared = prepared.map_err(|error| classify(&doing(), &error))?;
        let parameters = match sqlx::Statement::parameters(&prepared) {
            Some(sqlx::Either::Right(count)) => count,
            _ => statement.parameters.len(),
        };
        if parameters != statement.parameters.len() {
            return Err(Failure::Bug {
                what: format!(
                    "{}: MySQL counts {parameters} parameters, the check counted {}",
                    doing(),
                    statement.parameters.len()
                ),
            });
        }
    }
    Ok(())
}

async fn create(session: &mut Session, table: &Table, order: TextOrder) -> Result<(), Failure> {
    let doing = format!("creating the table `{}`", table.name);
    match send(&mut session.connection, table.ddl_for(order)).await {
        Ok(_) => Ok(()),
        Err(error) => Err(constraint::refused(session, table, &doing, &error).await),
    }
}

async fn exists(session: &mut Session, table: &str) -> Result<bool, Failure> {
    let found = sqlx::query(
        "SELECT 1 FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = ?",
    )
    .bind(table)
    .first(&mut session.connection)
    .await;
    Ok(found.map_err(|error| classify("looking for the read model's tables", &error))?.is_some())
}

async fn is_empty(session: &mut Session, table: &str) -> Result<bool, Failure> {
    let sql = format!("SELECT EXISTS (SELECT 1 FROM `{table}`)");
    let row = sqlx::query(&sql).row(&mut session.connection).await;
    let failed = |error: sqlx::Error| classify("looking for rows in the read model's tables", &error);
    Ok(row.map_err(failed)?.try_get::<i64, _>(0).map_err(failed)? == 0)
}
