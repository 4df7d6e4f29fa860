//! The end of a command: the only place where a row that is pending is ended, and where whoever asked for that learns whether it
//! was them who ended it.

use sqlx::mysql::MySqlConnection;

use super::CommandOutcome;
use crate::failure::Failure;
use crate::readmodel::control::control_db::{ProjectionDb, ProjectionTransaction};
use crate::readmodel::control::schema::Control;

/// How a command ended, as it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandEnd {
    Done,
    Failed,
    /// It was ended before it was done.
    Cancelled,
}

impl CommandEnd {
    pub const ALL: [Self; 3] = [Self::Done, Self::Failed, Self::Cancelled];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// As it is stored: a command that was cancelled failed.
    fn state(self) -> &'static str {
        if self == Self::Done { "done" } else { "failed" }
    }
}

/// The commands of a projection that whoever holds this has ended, and nobody else did: none where another host was faster.
/// Handed on once the change is committed, so that each command is counted once.
#[must_use = "commands are counted by whoever ended them: give this to `Status::counts_ended`"]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndedCommands {
    projection: String,
    ends: Vec<CommandEnd>,
}

impl EndedCommands {
    /// None so far.
    pub(super) fn none(projection: &str) -> Self {
        Self { projection: projection.to_owned(), ends: vec![] }
    }

    /// Adds those of another change in the same transaction.
    pub(super) fn add(&mut self, others: Self) {
        self.ends.extend(others.ends);
    }

    pub fn projection(&self) -> &str {
        &self.projection
    }

    /// How many ended so.
    pub fn count(&self, end: CommandEnd) -> u64 {
        self.ends.iter().filter(|one| **one == end).count() as u64
    }
}

impl ProjectionDb<'_> {
    /// Records how a command ended, unless that is recorded already, and that this host carried it out.
    pub async fn finish_command(
        &mut self,
        id: u64,
        outcome: &CommandOutcome,
        host: &str,
    ) -> Result<EndedCommands, Failure> {
        let (control, projection) = (self.control, self.projection);
        finish(self.connection(), control, projection, id, outcome, Some(host)).await
    }
}

impl ProjectionTransaction<'_> {
    /// The same in a transaction. A command that another one ends is carried out by no host.
    pub(super) async fn finish_command(
        &mut self,
        id: u64,
        outcome: &CommandOutcome,
        host: Option<&str>,
    ) -> Result<EndedCommands, Failure> {
        let (control, projection) = (self.control, self.projection);
        finish(self, control, projection, id, outcome, host).await
    }

    /// Records that a command is cancelled, also one that has begun a generation and is done with that: what it came to, e.g. the
    /// report of a comparison, stays. One that was over ends no second time. The row is locked.
    pub(super) async fn cancel_locked(
        &mut self,
        id: u64,
        by: &str,
        result: &str,
        is_pending: bool,
    ) -> Result<EndedCommands, Failure> {
        let sql = self.statement("cancelling a command", "UPDATE laterna.command SET \
             result = IF(state = 'done' AND result IS NOT NULL, CONCAT(result, '; ', ?), ?), state = 'failed', \
             cancelled_by = ?, cancelled_at = CURRENT_TIMESTAMP(6), finished_at = CURRENT_TIMESTAMP(6), \
             waits = NULL, waits_since = NULL WHERE id = ?",
        );
        sql.bind(result).bind(result).bind(by).bind(id).run(self).await?;
        let ends = if is_pending { vec![CommandEnd::Cancelled] } else { vec![] };
        Ok(EndedCommands { projection: self.projection.to_owned(), ends })
    }
}

/// What the statement gives back of a command whose end somebody had asked for.
const CANCELLED: u64 = 2;

async fn finish(
    connection: &mut MySqlConnection,
    control: &Control,
    projection: &str,
    id: u64,
    outcome: &CommandOutcome,
    host: Option<&str>,
) -> Result<EndedCommands, Failure> {
    let mut ended = EndedCommands::none(projection);
    let (end, result) = match outcome {
        CommandOutcome::Pending(_) | CommandOutcome::Waits(_) => return Ok(ended),
        CommandOutcome::Done(result) => (CommandEnd::Done, result),
        CommandOutcome::Failed(reason) => (CommandEnd::Failed, reason),
    };
    // Whether it was cancelled is told with the answer: a second look might fail where the row has ended.
    let sql = control.statement(
        "recording a command's result",
        format!(
            "UPDATE laterna.command SET state = ?, result = ?, carried_out_by = COALESCE(?, carried_out_by), \
             finished_at = CURRENT_TIMESTAMP(6), waits = NULL, waits_since = NULL \
             WHERE id = ? AND state = 'pending' AND LAST_INSERT_ID(IF(cancelled_by IS NULL, 1, {CANCELLED})) > 0"
        ),
    );
    let done = sql.bind(end.state()).bind(result).bind(host).bind(id).run(connection).await?;
    if done.rows_affected() == 1 {
        let is_cancelled = end == CommandEnd::Failed && done.last_insert_id() == CANCELLED;
        ended.ends.push(if is_cancelled { CommandEnd::Cancelled } else { end });
    }
    Ok(ended)
}
