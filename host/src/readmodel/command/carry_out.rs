//! What commands change in the control schema, each in one transaction with the record that it is done: several hosts may
//! try it at once.

use sqlx::Connection;
use sqlx::mysql::MySqlConnection;

use super::{Command, Outcome, Request, finish, finish_in};
use crate::failure::Failure;
use crate::readmodel::control::Control;
use crate::readmodel::deployment::{self, Proposal};
use crate::readmodel::generation::{self, Change, Wanted};
use crate::readmodel::mysql_error::classify;
use crate::readmodel::overtake::{self, Way};
use crate::readmodel::pause;
use crate::readmodel::query::Run;
use crate::readmodel::session::Session;

/// Pauses or resumes, and records it as done, in one transaction: several hosts may try it at once.
pub async fn carry_out_switch(
    session: &mut Session,
    control: &Control,
    projection: &str,
    command: &Command,
) -> Result<(), Failure> {
    let failed = |error: sqlx::Error| classify("carrying a command out", &error);
    let mut transaction = session.connection.begin().await.map_err(failed)?;
    if !is_pending(&mut transaction, control, command.id).await? {
        return transaction.rollback().await.map_err(failed);
    }
    let by = &command.requested_by;
    let result = match &command.request {
        Request::Pause { why } => {
            pause::pause(&mut transaction, control, projection, by, why).await?;
            "paused; dead letters can still be replayed and discarded"
        }
        Request::Resume if pause::resume(&mut transaction, control, projection, by).await? => "resumed",
        _ => "nothing paused it: neither an operator nor its breaker",
    };
    done(&mut transaction, control, command.id, result).await?;
    transaction.commit().await.map_err(failed)
}

/// What came of a try to carry a command out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tried {
    /// It is done with, by this host or by another one, or goes on by itself.
    Over,
    /// It is to be tried again.
    Waits(String),
}

/// Puts a component in force, and records it as done, in one transaction: several hosts may try it at once. It waits for
/// nothing that is being built. `seen` is the deployment in force for which it was decided; a rollback without a proposal has
/// no component to go back to, but may take back what is not in force yet.
pub async fn carry_out_deployment(
    session: &mut Session,
    control: &Control,
    projection: &str,
    (command, seen): (&Command, Option<u64>),
    proposal: Option<Proposal<'_>>,
    told: &str,
) -> Result<Tried, Failure> {
    let failed = |error: sqlx::Error| classify("carrying a command out", &error);
    let mut transaction = session.connection.begin().await.map_err(failed)?;
    match overtake::clear(&mut transaction, control, projection, command, (seen, false)).await? {
        Way::Free => {
            let Some(proposal) = proposal else {
                transaction.rollback().await.map_err(failed)?;
                let outcome = Outcome::Failed(told.to_owned());
                return finish(session, control, command.id, &outcome).await.map(|()| Tried::Over);
            };
            deployment::deploy(&mut transaction, control, proposal).await?;
            done(&mut transaction, control, command.id, told).await?;
        }
        Way::Ends(outcome) => finish_in(&mut transaction, control, command.id, &outcome).await?,
        Way::Over => {}
        Way::Waits(what) => {
            transaction.rollback().await.map_err(failed)?;
            return Ok(Tried::Waits(what));
        }
    }
    transaction.commit().await.map_err(failed)?;
    Ok(Tried::Over)
}

/// What a command comes to that concerns generations.
#[derive(Debug, Clone)]
pub enum Act<'a> {
    Open(Wanted<'a>),
    Change { generation: u32, change: Change },
}

/// Begins or changes a generation, and records the command as done, in one transaction: several hosts may try it at once.
/// A command that waits for what its generation comes to stays as it is. `seen` is the deployment in force for which that was
/// decided, where it depends on one.
pub async fn carry_out_generation(
    session: &mut Session,
    control: &Control,
    projection: &str,
    (command, seen): (&Command, Option<u64>),
    act: Act<'_>,
    told: impl Fn(u32) -> String,
) -> Result<Tried, Failure> {
    let failed = |error: sqlx::Error| classify("carrying a command out", &error);
    let mut transaction = session.connection.begin().await.map_err(failed)?;
    let way = match command.request {
        Request::Deploy { .. } | Request::Rollback => {
            overtake::clear(&mut transaction, control, projection, command, (seen, true)).await?
        }
        _ if !is_pending(&mut transaction, control, command.id).await? => Way::Over,
        _ if seen.is_some() => overtake::still_in_force(&mut transaction, control, projection, seen).await?,
        _ => Way::Free,
    };
    let waits = matches!(&act, Act::Open(wanted) if wanted.command.is_some());
    match way {
        // Another host was faster.
        Way::Free if waits && generation::stands_for(&mut transaction, control, command.id).await? => {}
        Way::Free => {
            let number = match act {
                Act::Open(wanted) => generation::open(&mut transaction, control, wanted).await?,
                Act::Change { generation, change } => {
                    let changed =
                        generation::change(&mut transaction, control, projection, generation, change).await?;
                    changed.map(|()| generation)
                }
            };
            match number {
                Ok(_) if waits => {}
                Ok(number) => done(&mut transaction, control, command.id, &told(number)).await?,
                Err(why_not) => {
                    transaction.rollback().await.map_err(failed)?;
                    finish(session, control, command.id, &Outcome::Failed(why_not)).await?;
                    return Ok(Tried::Over);
                }
            }
        }
        Way::Ends(outcome) => finish_in(&mut transaction, control, command.id, &outcome).await?,
        Way::Over => {}
        Way::Waits(what) => {
            transaction.rollback().await.map_err(failed)?;
            return Ok(Tried::Waits(what));
        }
    }
    transaction.commit().await.map_err(failed)?;
    Ok(Tried::Over)
}

/// Locks a command, and says whether it is still to be done.
async fn is_pending(connection: &mut MySqlConnection, control: &Control, id: u64) -> Result<bool, Failure> {
    let lock = control.sql("SELECT 1 FROM laterna.command WHERE id = ? AND state = 'pending' FOR UPDATE");
    let found = sqlx::query(&lock).bind(id).first(connection).await;
    Ok(found.map_err(|error| classify("carrying a command out", &error))?.is_some())
}

/// Records that a command is done, in the transaction that does it.
async fn done(
    connection: &mut MySqlConnection,
    control: &Control,
    id: u64,
    result: &str,
) -> Result<(), Failure> {
    let sql = control.sql(
        "UPDATE laterna.command SET state = 'done', result = ?, finished_at = CURRENT_TIMESTAMP(6) WHERE id = ?",
    );
    let recorded = sqlx::query(&sql).bind(result).bind(id).run(connection).await;
    recorded.map_err(|error| classify("carrying a command out", &error))?;
    Ok(())
}
