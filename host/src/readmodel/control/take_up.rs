//! The record of whether every lane works with what is deployed, by the host that writes: a deployment's row is there
//! before any lane has changed over.

use sqlx::mysql::MySqlRow;
use sqlx::{Connection, Row};

use super::lease;
use super::schema::Control;
use crate::failure::Failure;
use crate::readmodel::mysql::error::classify;
use crate::readmodel::mysql::query::RunQuery;
use crate::readmodel::mysql::session::Session;

/// The first version of the control schema whose hosts record it.
pub const SINCE: u32 = 8;

/// How far a deployment has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakeUp {
    pub id: u64,
    pub digest: String,
    /// Every lane of the live generation works with it.
    pub is_whole: bool,
    /// Until then, the reason that the host that writes has recorded.
    pub waits: Option<String>,
    /// It was taken back, and why.
    pub taken_back: Option<String>,
}

/// How the deployment stands that is in force.
pub async fn in_force(
    session: &mut Session,
    control: &Control,
    projection: &str,
) -> Result<Option<TakeUp>, Failure> {
    let sql = read(control, "projection = ? AND state = 'deployed'");
    let found = sqlx::query(&sql).bind(projection).first(&mut session.connection).await;
    one(found)
}

/// How a deployment stands.
pub async fn find(session: &mut Session, control: &Control, id: u64) -> Result<Option<TakeUp>, Failure> {
    let sql = read(control, "id = ?");
    one(sqlx::query(&sql).bind(id).first(&mut session.connection).await)
}

/// How the deployment stands that a command came to, whatever became of it since.
pub async fn of_command(
    session: &mut Session,
    control: &Control,
    (projection, command): (&str, u64),
) -> Result<Option<TakeUp>, Failure> {
    let sql = read(control, "projection = ? AND command = ? AND state <> 'refused'");
    one(sqlx::query(&sql).bind(projection).bind(command).first(&mut session.connection).await)
}

fn read(control: &Control, condition: &str) -> String {
    control.sql(&format!(
        "SELECT id, digest, CAST(taken_up_at IS NOT NULL AS SIGNED), waits, \
         IF(state = 'taken-back', COALESCE(reason, ''), NULL) FROM laterna.deployment WHERE {condition} \
         ORDER BY id DESC LIMIT 1"
    ))
}

fn one(found: Result<Option<MySqlRow>, sqlx::Error>) -> Result<Option<TakeUp>, Failure> {
    let failed = |error: sqlx::Error| classify("reading how far the deployment is", &error);
    let Some(row) = found.map_err(failed)? else { return Ok(None) };
    Ok(Some(TakeUp {
        id: row.try_get(0).map_err(failed)?,
        digest: row.try_get(1).map_err(failed)?,
        is_whole: row.try_get::<i64, _>(2).map_err(failed)? != 0,
        waits: row.try_get(3).map_err(failed)?,
        taken_back: row.try_get(4).map_err(failed)?,
    }))
}

/// Records that every lane works with a deployment, of the host that writes under this epoch. After a failure the session
/// must not be used again; it may be repeated.
pub async fn record_whole(
    session: &mut Session,
    control: &Control,
    (projection, epoch): (&str, u64),
    id: u64,
) -> Result<(), Failure> {
    let failed = |error: sqlx::Error| classify("recording that the lanes took the deployment up", &error);
    let mut transaction = session.connection.begin().await.map_err(failed)?;
    lease::prove(&mut transaction, control, projection, epoch).await?;
    let sql = control.sql(
        "UPDATE laterna.deployment SET taken_up_at = CURRENT_TIMESTAMP(6), waits = NULL \
         WHERE id = ? AND state = 'deployed' AND taken_up_at IS NULL",
    );
    sqlx::query(&sql).bind(id).run(&mut transaction).await.map_err(failed)?;
    transaction.commit().await.map_err(failed)
}

/// Records why not every lane works with a deployment.
pub async fn record_wait(
    session: &mut Session,
    control: &Control,
    id: u64,
    reason: &str,
) -> Result<(), Failure> {
    let sql = control.sql("UPDATE laterna.deployment SET waits = ? WHERE id = ? AND taken_up_at IS NULL");
    let recorded = sqlx::query(&sql).bind(reason).bind(id).run(&mut session.connection).await;
    recorded.map_err(|error| classify("recording what the deployment waits for", &error))?;
    Ok(())
}
