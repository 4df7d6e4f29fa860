//! The projections' own tables: rehearsed in a scratch schema, created from checked DDL, statements prepared.
//!
//! DDL commits whatever is open, so nothing here runs in a transaction, and all of it on the DDL account.

use sqlx::Row;

use super::control::constraint;
use super::control::schema::Control;
use super::lane::witness;
use super::mysql::error::classify;
use super::mysql::query::{RunQuery, send};
use super::mysql::session::Session;
use crate::failure::Failure;
use crate::statement::{Schema, Table};

/// Creates the tables in a scratch schema, prepares every statement on them, and drops the schema again: what is
/// wrong shows before anything is touched. `session` is one of the DDL account.
pub async fn rehearse(
    session: &mut Session,
    control: &Control,
    database: &str,
    schema: &Schema,
) -> Result<(), Failure> {
    let scratch = control.scratch();
    let doing = format!("rehearsing the tables in `{scratch}`");
    let failed = |error: sqlx::Error| classify(&doing, &error);
    let asked = sqlx::query("SELECT COALESCE(GET_LOCK(?, 20), 0)").bind(&scratch);
    let locked: i64 = asked.row(&mut session.connection).await.map_err(failed)?.try_get(0).map_err(failed)?;
    if locked != 1 {
        return Err(Failure::CannotWrite {
            code: 0,
            message: format!("{doing}: another host has been at it for 20 s"),
        });
    }
    for sql in [
        format!("DROP DATABASE IF EXISTS {scratch}"),
        format!("CREATE DATABASE {scratch} CHARACTER SET utf8mb4"),
        format!("USE {scratch}"),
    ] {
        execute(session, &doing, &sql).await?;
    }
    let rehearsed = rehearse_here(session, schema).await;
    execute(session, &doing, &format!("DROP DATABASE IF EXISTS {scratch}")).await?;
    execute(session, &doing, &format!("USE `{database}`")).await?;
    let released = sqlx::query("SELECT RELEASE_LOCK(?)").bind(&scratch).row(&mut session.connection).await;
    released.map_err(|error| classify(&doing, &error))?;
    rehearsed
}

async fn rehearse_here(session: &mut Session, schema: &Schema) -> Result<(), Failure> {
    for table in &schema.tables {
        create(session, table).await?;
    }
    prepare(session, schema).await
}

/// Creates the tables that do not exist, and their witness. Those that exist must be empty: history fills empty tables only.
pub async fn create_missing(
    session: &mut Session,
    control: &Control,
    projection: &str,
    schema: &Schema,
) -> Result<(), Failure> {
    for table in &schema.tables {
        if !exists(session, &table.name).await? {
            create(session, table).await?;
        } else if !is_empty(session, &table.name).await? {
            return Err(Failure::Misconfigured {
                reason: format!(
                    "the table `{}` has rows, but no projection has ever filled it; history fills empty tables only: \
                     empty it, or give the projector another table name",
                    table.name
                ),
            });
        }
    }
    witness::create(session, control, projection).await
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
            return Err(Failure::Misconfigured {
                reason: format!(
                    "{}: MySQL counts {parameters} parameters, the check counted {}; report this",
                    doing(),
                    statement.parameters.len()
                ),
            });
        }
    }
    Ok(())
}

async fn create(session: &mut Session, table: &Table) -> Result<(), Failure> {
    let doing = format!("creating the table `{}`", table.name);
    match send(&mut session.connection, &table.ddl).await {
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

async fn execute(session: &mut Session, doing: &str, sql: &str) -> Result<(), Failure> {
    send(&mut session.connection, sql).await.map_err(|error| classify(doing, &error))?;
    Ok(())
}
