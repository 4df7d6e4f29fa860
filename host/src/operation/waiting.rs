//! The reasons for which commands wait: in the command's row and in the status, once in the log, and for a bounded
//! time.

use std::time::Duration;

use super::commands::{Commands, PATIENCE};
use crate::failure::Failure;
use crate::readmodel::control::command::{self, Command, CommandKind, CommandOutcome, WaitingCommand};
use crate::readmodel::mysql::session::{Session, within};

impl Commands {
    /// A command cannot be carried out just now. After an hour of that it is given up.
    pub(super) async fn waits(
        &self,
        session: &mut Session,
        command: &Command,
        reason: &str,
    ) -> Result<(), Failure> {
        let waited = Duration::from_secs(self.note(session, command, reason).await?);
        let Some(reason) = command::bound(waited, reason) else { return Ok(()) };
        tracing::error!(projection = self.settings.name, command = command.id, "a command is {reason}");
        let finished = self.finish(session, command.id, &CommandOutcome::Failed(reason)).await;
        self.status.command_goes_on(command.id);
        finished
    }

    /// Records what a command waits for, and returns for how many seconds it has.
    pub(super) async fn note(
        &self,
        session: &mut Session,
        command: &Command,
        reason: &str,
    ) -> Result<u64, Failure> {
        let request = command.request.told();
        let waiting =
            WaitingCommand { id: command.id, request: request.clone(), reason: Some(reason.to_owned()) };
        if self.status.command_waits(&waiting) {
            tracing::warn!(
                projection = self.settings.name,
                command = command.id,
                request,
                "a command waits: {reason}"
            );
        }
        let mut db = self.db(session);
        within(PATIENCE, "recording what a command waits for", db.command_waits(command.id, reason)).await
    }

    /// A command that waited goes on, or is over.
    pub(super) async fn goes_on(&self, session: &mut Session, command: u64) -> Result<(), Failure> {
        if !self.status.command_goes_on(command) {
            return Ok(());
        }
        let mut db = self.db(session);
        within(PATIENCE, "recording that a command goes on", db.command_goes_on(command)).await
    }

    /// Commands about letters wait for lanes that cannot run, and this host is the one whose lanes they are.
    pub(super) async fn letters_wait(&self) -> Result<(), Failure> {
        let Some(obstacle) = self.status.keeps_lanes() else { return Ok(()) };
        let reason = obstacle.without_values();
        let mut session = self.servers.applier.connect().await?;
        for command in self.pending(&mut session, CommandKind::Letters).await? {
            self.waits(&mut session, &command, &reason).await?;
        }
        Ok(())
    }
}
