//! Commands: an operator's wishes, rows in the control schema until the projection's host has done them.

use serde::{Deserialize, Serialize};
use sqlx::Row;

use super::control::Control;
use super::dead_letter::Selection;
use super::mysql_error::classify;
use super::query::Run;
use super::session::Session;
use crate::failure::Failure;

/// What an operator wants of a projection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
pub enum Request {
    /// Try the heads of the selected letters again; what they held back follows.
    Replay { letters: Selection },
    /// Give the heads of the selected letters up; what they held back follows.
    Discard { letters: Selection, why: String },
}

/// A stored command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    pub id: u64,
    pub request: Request,
    pub requested_by: String,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Pending,
    Done(String),
    Failed(String),
}

/// Writes a command down; it is carried out by whichever host writes for the projection.
pub async fn submit(
    session: &mut Session,
    control: &Control,
    projection: &str,
    request: &Request,
    requested_by: &str,
) -> Result<u64, Failure> {
    let text = serde_json::to_string(request).expect("a request holds only text and numbers");
    let sql = control.sql("INSERT INTO laterna.command (projection, request, requested_by) VALUES (?, ?, ?)");
    let inserted = sqlx::query(&sql)
        .bind(projection)
        .bind(text)
        .bind(requested_by)
        .run(&mut session.connection)
        .await
        .map_err(|error| classify("writing a command", &error))?;
    Ok(inserted.last_insert_id())
}

/// The oldest command that is not done. One that this version cannot read is failed here.
pub async fn next(
    session: &mut Session,
    control: &Control,
    projection: &str,
) -> Result<Option<Command>, Failure> {
    let failed = |error: sqlx::Error| classify("reading commands", &error);
    let sql = control.sql(
        "SELECT id, request, requested_by FROM laterna.command WHERE projection = ? AND state = 'pending' \
         ORDER BY id LIMIT 1",
    );
    let row = sqlx::query(&sql).bind(projection).first(&mut session.connection).await.map_err(failed)?;
    let Some(row) = row else { return Ok(None) };
    let id = row.try_get(0).map_err(failed)?;
    let text: String = row.try_get(1).map_err(failed)?;
    match serde_json::from_str(&text) {
        Ok(request) => Ok(Some(Command { id, request, requested_by: row.try_get(2).map_err(failed)? })),
        Err(error) => {
            let reason = format!("this version of the host does not know the command: {error}");
            finish(session, control, id, &Outcome::Failed(reason)).await?;
            Ok(None)
        }
    }
}

/// Records how a command ended.
pub async fn finish(
    session: &mut Session,
    control: &Control,
    id: u64,
    outcome: &Outcome,
) -> Result<(), Failure> {
    let (state, result) = match outcome {
        Outcome::Pending => return Ok(()),
        Outcome::Done(result) => ("done", result),
        Outcome::Failed(reason) => ("failed", reason),
    };
    let sql = control.sql(
        "UPDATE laterna.command SET state = ?, result = ?, finished_at = CURRENT_TIMESTAMP(6) WHERE id = ?",
    );
    sqlx::query(&sql)
        .bind(state)
        .bind(result)
        .bind(id)
        .run(&mut session.connection)
        .await
        .map_err(|error| classify("recording a command's result", &error))?;
    Ok(())
}

/// How a command stands.
pub async fn outcome(session: &mut Session, control: &Control, id: u64) -> Result<Outcome, Failure> {
    let failed = |error: sqlx::Error| classify("reading a command's result", &error);
    let sql = control.sql("SELECT state, COALESCE(result, '') FROM laterna.command WHERE id = ?");
    let row = sqlx::query(&sql).bind(id).row(&mut session.connection).await.map_err(failed)?;
    let (state, result): (String, String) =
        (row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?);
    Ok(match state.as_str() {
        "done" => Outcome::Done(result),
        "failed" => Outcome::Failed(result),
        _ => Outcome::Pending,
    })
}
