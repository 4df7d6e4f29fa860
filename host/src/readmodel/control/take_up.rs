//! The record of whether every lane works with what is deployed, by the host that writes: a deployment's row is there
//! before any lane has changed over.

use std::time::Duration;

use super::control_sql::{ControlRow, ControlSql};
use super::lease;
use super::schema::Control;
use crate::failure::Failure;
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
    one(sql.bind(projection).first(&mut session.connection).await?)
}

/// How a deployment stands.
pub async fn find(session: &mut Session, control: &Control, id: u64) -> Result<Option<TakeUp>, Failure> {
    let sql = read(control, "id = ?");
    one(sql.bind(id).first(&mut session.connection).await?)
}

/// How the deployment stands that a command came to, whatever became of it since.
pub async fn of_command(
    session: &mut Session,
    control: &Control,
    (projection, command): (&str, u64),
) -> Result<Option<TakeUp>, Failure> {
    let sql = read(control, "projection = ? AND command = ? AND state <> 'refused'");
    one(sql.bind(projection).bind(command).first(&mut session.connection).await?)
}

fn read(control: &Control, condition: &str) -> ControlSql<'static> {
    control.statement(
        "reading how far the deployment is",
        format!(
            "SELECT id, digest, CAST(taken_up_at IS NOT NULL AS SIGNED), waits, \
         IF(state = 'taken-back', COALESCE(reason, ''), NULL) FROM laterna.deployment WHERE {condition} \
         ORDER BY id DESC LIMIT 1"
        ),
    )
}

fn one(found: Option<ControlRow>) -> Result<Option<TakeUp>, Failure> {
    let Some(row) = found else { return Ok(None) };
    Ok(Some(TakeUp {
        id: row.get(0)?,
        digest: row.get(1)?,
        is_whole: row.is(2)?,
        waits: row.get(3)?,
        taken_back: row.get(4)?,
    }))
}

/// A deployment that a command asked for and that every lane works with now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TakenUp {
    pub command: u64,
    /// The time since it was in force, by MySQL's clock.
    pub took: Duration,
}

/// Records that every lane works with a deployment, of the host that writes under this epoch. Gives it where a command asked for
/// it and nobody recorded it before. After a failure the session must not be used again; it may be repeated.
pub async fn record_whole(
    session: &mut Session,
    control: &Control,
    (projection, epoch): (&str, u64),
    id: u64,
) -> Result<Option<TakenUp>, Failure> {
    let mut transaction = session.begin("recording that the lanes took the deployment up").await?;
    lease::prove(&mut transaction, control, projection, epoch).await?;
    let sql = control.statement(
        "recording that the lanes took the deployment up",
        "UPDATE laterna.deployment SET taken_up_at = CURRENT_TIMESTAMP(6), waits = NULL \
         WHERE id = ? AND state = 'deployed' AND taken_up_at IS NULL",
    );
    let recorded = sql.bind(id).run(&mut transaction).await?;
    let asked = control.statement(
        "reading how long the lanes took",
        "SELECT command, CAST(GREATEST(TIMESTAMPDIFF(MICROSECOND, deployed_at, taken_up_at), 0) AS UNSIGNED) \
         FROM laterna.deployment WHERE id = ? AND command IS NOT NULL AND taken_up_at IS NOT NULL",
    );
    let found = asked.bind(id).first(&mut transaction).await?;
    transaction.commit().await?;
    let Some(row) = found.filter(|_| recorded.rows_affected() > 0) else { return Ok(None) };
    Ok(Some(TakenUp { command: row.get(0)?, took: Duration::from_micros(row.get(1)?) }))
}

/// Records why not every lane works with a deployment.
pub async fn record_wait(
    session: &mut Session,
    control: &Control,
    id: u64,
    reason: &str,
) -> Result<(), Failure> {
    let sql = control.statement(
        "recording what the deployment waits for",
        "UPDATE laterna.deployment SET waits = ? WHERE id = ? AND taken_up_at IS NULL",
    );
    sql.bind(reason).bind(id).run(&mut session.connection).await?;
    Ok(())
}
