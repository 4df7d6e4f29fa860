//! The changes that commands make in the control schema, each in one transaction with the record that it is done:
//! several hosts may try it at once.

use super::decide::{Act, Step, Tried, decide};
use super::{Command, CommandOutcome, EndedCommands, Request};
use crate::failure::Failure;
use crate::readmodel::control::control_db::ProjectionDb;
use crate::readmodel::control::deployment;

impl ProjectionDb<'_> {
    /// Pauses or resumes, and records it as done, in one transaction: several hosts may try it at once.
    pub async fn carry_out_switch(
        &mut self,
        command: &Command,
        host: &str,
    ) -> Result<EndedCommands, Failure> {
        let mut transaction = self.begin("carrying a command out").await?;
        if !transaction.lock_pending_command(command.id).await? {
            let ended = EndedCommands::none(transaction.projection);
            transaction.rollback().await?;
            return Ok(ended);
        }
        let by = &command.requested_by;
        let result = match &command.request {
            Request::Pause { why } => {
                transaction.pause(by, why).await?;
                "paused; dead letters can still be replayed and discarded"
            }
            Request::Resume if transaction.resume(by).await? => "resumed",
            _ => "nothing paused it: neither an operator nor its breaker",
        };
        let done = CommandOutcome::Done(result.to_owned());
        let ended = transaction.finish_command(command.id, &done, Some(host)).await?;
        transaction.commit().await?;
        Ok(ended)
    }

    /// Carries out a command about components and generations, and records it as done, in one transaction: several hosts may try
    /// it at once. `seen` is the deployment in force for which it was decided what is to be done, where it depends on one.
    pub async fn carry_out(
        &mut self,
        command: &Command,
        host: &str,
        seen: Option<u64>,
        act: Act<'_>,
        result: impl Fn(u32) -> String,
    ) -> Result<(Tried, EndedCommands), Failure> {
        let mut transaction = self.begin("carrying a command out").await?;
        // A number is taken first: two that begin at once wait for each other here.
        let number = match &act {
            Act::Open(_) => transaction.new_generation_number().await?,
            Act::Change { generation, .. } => *generation,
            Act::Deploy(_) => 0,
        };
        let control = transaction.control;
        let rows = transaction.lock_rows(command).await?;
        let decided = decide(command, seen, &act, &result(number), &rows);
        let mut ended = EndedCommands::none(transaction.projection);
        if decided.steps.is_empty() {
            transaction.rollback().await?;
            return Ok((decided.tried, ended));
        }
        for step in decided.steps {
            match (step, &act) {
                (Step::Finish(id, outcome), _) => {
                    let own = (id == command.id).then_some(host);
                    ended.add(transaction.finish_command(id, &outcome, own).await?);
                }
                (Step::GiveUp(numbers, why), _) => {
                    transaction.give_up_generations(&numbers, &why).await?;
                }
                (Step::Set(changed), _) => {
                    transaction.set_generation(&changed).await?;
                }
                (Step::Open, Act::Open(wanted)) => {
                    transaction.insert_generation(number, wanted).await?;
                }
                (Step::Deploy, Act::Deploy(Some(proposal))) => {
                    deployment::deploy(&mut transaction, control, *proposal).await?;
                }
                // What is decided fits what is to be done.
                (Step::Open | Step::Deploy, _) => {}
            }
        }
        transaction.commit().await?;
        Ok((decided.tried, ended))
    }
}
