//! The changes that commands make in the control schema, each in one transaction with the record that it is done:
//! several hosts may try it at once.

use sqlx::mysql::MySqlConnection;

use super::decide::{Act, Step, Tried, decide};
use super::{Command, Request, finish_in, overtake};
use crate::failure::Failure;
use crate::readmodel::control::schema::Control;
use crate::readmodel::control::{deployment, generation, pause};
use crate::readmodel::mysql::session::Session;

/// Pauses or resumes, and records it as done, in one transaction: several hosts may try it at once.
pub async fn carry_out_switch(
    session: &mut Session,
    control: &Control,
    projection: &str,
    command: &Command,
) -> Result<(), Failure> {
    let mut transaction = session.begin("carrying a command out").await?;
    if !overtake::is_pending(&mut transaction, control, command.id).await? {
        return transaction.rollback().await;
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
    transaction.commit().await
}

/// Carries out a command about components and generations, and records it as done, in one transaction: several hosts may try
/// it at once. `seen` is the deployment in force for which it was decided what is to be done, where it depends on one.
pub async fn carry_out(
    session: &mut Session,
    control: &Control,
    projection: &str,
    (command, seen): (&Command, Option<u64>),
    act: Act<'_>,
    result: impl Fn(u32) -> String,
) -> Result<Tried, Failure> {
    let mut transaction = session.begin("carrying a command out").await?;
    // A number is taken first: two that begin at once wait for each other here.
    let number = match &act {
        Act::Open(_) => generation::new_number(&mut transaction, control, projection).await?,
        Act::Change { generation, .. } => *generation,
        Act::Deploy(_) => 0,
    };
    let rows = overtake::lock(&mut transaction, control, projection, command).await?;
    let decided = decide((command, seen), &act, &result(number), &rows);
    if decided.steps.is_empty() {
        transaction.rollback().await?;
        return Ok(decided.tried);
    }
    for step in decided.steps {
        match (step, &act) {
            (Step::Finish(id, outcome), _) => finish_in(&mut transaction, control, id, &outcome).await?,
            (Step::GiveUp(numbers, why), _) => {
                generation::give_up(&mut transaction, control, projection, (&numbers, &why)).await?;
            }
            (Step::Set(changed), _) => {
                generation::set(&mut transaction, control, projection, &changed).await?;
            }
            (Step::Open, Act::Open(wanted)) => {
                generation::insert(&mut transaction, control, (number, wanted)).await?;
            }
            (Step::Deploy, Act::Deploy(Some(proposal))) => {
                deployment::deploy(&mut transaction, control, *proposal).await?;
            }
            // What is decided fits what is to be done.
            (Step::Open | Step::Deploy, _) => {}
        }
    }
    transaction.commit().await?;
    Ok(decided.tried)
}

/// Records that a command is done, in the transaction that does it.
async fn done(
    connection: &mut MySqlConnection,
    control: &Control,
    id: u64,
    result: &str,
) -> Result<(), Failure> {
    let sql = control.statement(
        "carrying a command out",
        "UPDATE laterna.command SET state = 'done', result = ?, finished_at = CURRENT_TIMESTAMP(6) WHERE id = ?",
    );
    sql.bind(result).bind(id).run(connection).await?;
    Ok(())
}
