//! The record of whether every lane works with what is deployed, by the host that writes: a deployment's row is there
//! before any lane has changed over.

use std::time::Duration;

use super::control_db::{ControlDb, LeaderDb, ProjectionDb};
use super::control_sql::{ControlRow, ControlSql};
use super::schema::Control;
use crate::failure::Failure;

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

impl ProjectionDb<'_> {
    /// How the deployment stands that is in force.
    pub async fn take_up_in_force(&mut self) -> Result<Option<TakeUp>, Failure> {
        let sql = read(self.control, "projection = ? AND state = 'deployed'");
        one(sql.bind(self.projection).first(self.connection()).await?)
    }
}

impl ControlDb<'_> {
    /// How a deployment stands.
    pub async fn take_up(&mut self, id: u64) -> Result<Option<TakeUp>, Failure> {
        let sql = read(self.control, "id = ?");
        one(sql.bind(id).first(self.connection()).await?)
    }
}

impl ProjectionDb<'_> {
    /// How the deployment stands that a command came to, whatever became of it since.
    pub async fn take_up_of_command(&mut self, command: u64) -> Result<Option<TakeUp>, Failure> {
        let sql = read(self.control, "projection = ? AND command = ? AND state <> 'refused'");
        one(sql.bind(self.projection).bind(command).first(self.connection()).await?)
    }
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

impl LeaderDb<'_> {
    /// Records that every lane works with a deployment, of the host that writes under this epoch. Gives it where a command asked for
    /// it and nobody recorded it before. After a failure the session must not be used again; it may be repeated.
    pub async fn record_taken_up(&mut self, id: u64) -> Result<Option<TakenUp>, Failure> {
        let mut transaction = self.begin("recording that the lanes took the deployment up").await?;
        let sql = transaction.statement(
            "recording that the lanes took the deployment up",
            "UPDATE laterna.deployment SET taken_up_at = CURRENT_TIMESTAMP(6), waits = NULL \
             WHERE id = ? AND state = 'deployed' AND taken_up_at IS NULL",
        );
        let recorded = sql.bind(id).run(&mut transaction).await?;
        let asked = transaction.statement(
            "reading how long the lanes took",
            "SELECT command, CAST(GREATEST(TIMESTAMPDIFF(MICROSECOND, deployed_at, taken_up_at), 0) AS UNSIGNED) \
             FROM laterna.deployment WHERE id = ? AND command IS NOT NULL AND taken_up_at IS NOT NULL",
        );
        let found = asked.bind(id).first(&mut transaction).await?;
        transaction.commit().await?;
        let Some(row) = found.filter(|_| recorded.rows_affected() > 0) else { return Ok(None) };
        Ok(Some(TakenUp { command: row.get(0)?, took: Duration::from_micros(row.get(1)?) }))
    }
}

impl ControlDb<'_> {
    /// Records why not every lane works with a deployment.
    pub async fn record_deployment_waits(&mut self, id: u64, reason: &str) -> Result<(), Failure> {
        let sql = self.statement(
            "recording what the deployment waits for",
            "UPDATE laterna.deployment SET waits = ? WHERE id = ? AND taken_up_at IS NULL",
        );
        sql.bind(reason).bind(id).run(self.connection()).await?;
        Ok(())
    }
}
