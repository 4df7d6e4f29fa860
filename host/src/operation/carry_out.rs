//! Carries out commands: rows in the control schema, done by the host that writes for the projection.
//!
//! A command that a crash interrupted is found again and gone on with; what it did to each letter is done once, because
//! each letter is gone with its effect, or marked with the command under which it failed.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::commands::{Commands, INTERVAL, PATIENCE};
use super::letters;
use crate::failure::{Failure, Fault};
use crate::pipeline::giving;
use crate::pipeline::requests::LetterRequest;
use crate::readmodel::control::command::{ClearedUpTo, Command, CommandKind, CommandOutcome};
use crate::readmodel::control::snapshot::ControlSnapshot;
use crate::readmodel::lane::dead_letter::Selection;
use crate::readmodel::mysql::session::{Session, within};
use crate::retry::Backoff;
use crate::status::Status;

/// How often it is looked for letters, operations, and rows in results of comparisons, that are older than they may be.
const RETENTION_INTERVAL: Duration = Duration::from_mins(1);

/// Interval in which the reasons of waiting commands are recorded, while no lane runs.
const RECORD_INTERVAL: Duration = Duration::from_secs(2);

impl Commands {
    /// Carries them out. Ends by being dropped; after a stop it begins none.
    pub async fn carry_out_all(self) {
        tokio::join!(
            self.carry_out_switches(),
            self.carry_out_deployments(),
            self.carry_out_letters(),
            self.remove_unused_components(),
            self.report_take_up()
        );
    }

    /// Pausing and resuming wait for nothing else, and for no lane: what does not work is to be mended by them.
    async fn carry_out_switches(&self) {
        let mut kept = None;
        let mut looked: Option<Instant> = None;
        let mut cleared = ClearedUpTo::default();
        let mut backoff = Backoff::new();
        let mut wait = INTERVAL;
        loop {
            let clears = || looked.is_none_or(|looked| looked.elapsed() >= RETENTION_INTERVAL);
            self.rest_until(wait, &mut kept, |snapshot| clears() || snapshot.commands.switches > 0).await;
            let clears = clears();
            if clears {
                looked = Some(Instant::now());
            }
            let turn = self.carry_out_switch(&mut kept, clears.then_some(&mut cleared)).await;
            wait = self.wait_after(turn, &mut backoff);
        }
    }

    async fn carry_out_switch(
        &self,
        kept: &mut Option<Session>,
        clears: Option<&mut ClearedUpTo>,
    ) -> Result<(), Failure> {
        let mut session = self.servers.applier.kept_or_new(kept).await?;
        let projection = &self.settings.name;
        if let Some(cleared) = clears {
            let mut db = self.db(&mut session);
            within(PATIENCE, "clearing the samples of comparisons", db.clear_samples(cleared)).await?;
        }
        if let Some(command) = self.pending(&mut session, CommandKind::Switches).await?.into_iter().next() {
            tracing::info!(
                projection,
                command = command.id,
                request = command.request.told(),
                "carrying out a command"
            );
            let since = Instant::now();
            let mut db = self.db(&mut session);
            let switching = db.carry_out_switch(&command, &self.settings.owner);
            Status::counts_ended(&within(PATIENCE, "carrying a command out", switching).await?);
            self.traces(&command, since, None);
        }
        *kept = Some(session);
        Ok(())
    }

    /// Carries out commands about letters, through the lanes while they run here.
    async fn carry_out_letters(&self) {
        let mut kept = None;
        let mut run: Option<mpsc::Sender<LetterRequest>> = None;
        let mut digest = String::new();
        let (mut looked, mut recorded): (Option<Instant>, Option<Instant>) = (None, None);
        let mut backoff = Backoff::new();
        let mut wait = INTERVAL;
        loop {
            let is_old = |at: Option<Instant>, age| at.is_none_or(|at| at.elapsed() >= age);
            let begins = |first: &mpsc::Sender<LetterRequest>| {
                digest != self.digest() || !run.as_ref().is_some_and(|run| run.same_channel(first))
            };
            let is_due = |snapshot: &ControlSnapshot| match self.letter_queues.lanes().first() {
                Some(first) => {
                    snapshot.commands.letters > 0 || begins(first) || is_old(looked, RETENTION_INTERVAL)
                }
                None => run.is_some() || snapshot.commands.letters > 0 && is_old(recorded, RECORD_INTERVAL),
            };
            self.rest_until(wait, &mut kept, is_due).await;
            wait = INTERVAL;
            let lanes = self.letter_queues.lanes();
            let Some(first) = lanes.first() else {
                (kept, run) = (None, None);
                if is_old(recorded, RECORD_INTERVAL) {
                    recorded = Some(Instant::now());
                    if let Err(failure) = self.letters_wait().await {
                        let reason = failure.without_values();
                        tracing::debug!(projection = self.settings.name, "commands: {reason}; trying again");
                    }
                }
                continue;
            };
            let (now, begins) = (self.digest(), begins(first));
            let retention = is_old(looked, RETENTION_INTERVAL);
            match self.turn(&mut kept, &lanes, begins, begins || retention).await {
                Ok(()) => {
                    backoff = Backoff::new();
                    (run, digest) = (Some(first.clone()), now);
                    looked = if begins || retention { Some(Instant::now()) } else { looked };
                }
                Err(failure) => {
                    let reason = failure.without_values();
                    tracing::warn!(projection = self.settings.name, "commands: {reason}; trying again");
                    wait += backoff.next_wait();
                }
            }
        }
    }

    /// One look at what there is to do.
    async fn turn(
        &self,
        kept: &mut Option<Session>,
        lanes: &[mpsc::Sender<LetterRequest>],
        begins: bool,
        retention: bool,
    ) -> Result<(), Failure> {
        let mut session = self.servers.applier.kept_or_new(kept).await?;
        if begins {
            letters::go_on_with_interrupted(self, &mut session, lanes).await?;
            letters::give_up_again(self, &mut session, lanes).await?;
            letters::replay_after_deployment(self, &mut session).await?;
        }
        if retention {
            letters::erase_outdated(self, &mut session, lanes).await?;
            self.remove_outdated(&mut session).await?;
        }
        if let Some(command) = self.pending(&mut session, CommandKind::Letters).await?.into_iter().next() {
            self.carry_out(&mut session, lanes, &command).await?;
        }
        *kept = Some(session);
        Ok(())
    }

    /// The audit keeps operations no longer than the configuration says.
    async fn remove_outdated(&self, session: &mut Session) -> Result<(), Failure> {
        let (projection, days) = (&self.settings.name, self.settings.audit_retention_days);
        if days == 0 {
            return Ok(());
        }
        let mut db = self.db(session);
        let mut removed =
            within(PATIENCE, "removing outdated operations", db.remove_outdated_commands(days)).await?;
        removed += within(PATIENCE, "removing outdated operations", db.remove_outdated_changes(days)).await?;
        if removed > 0 {
            tracing::info!(
                projection,
                operations = removed,
                "removed operations from the audit that were over {days} days ago"
            );
        }
        Ok(())
    }

    async fn carry_out(
        &self,
        session: &mut Session,
        lanes: &[mpsc::Sender<LetterRequest>],
        command: &Command,
    ) -> Result<(), Failure> {
        let projection = &self.settings.name;
        tracing::info!(
            projection,
            command = command.id,
            request = command.request.told(),
            "carrying out a command"
        );
        let since = Instant::now();
        self.takes(session, command).await?;
        let mut stored = letters::StoredLetters { commands: self, session };
        let outcome = match giving::carry_out(&mut stored, lanes, command).await {
            Ok(outcome) => outcome,
            // The row stays as it is, for the next try or for the next host.
            Err(failure) if matches!(failure.fault(), Fault::Environment | Fault::Fenced) => {
                return Err(failure);
            }
            Err(failure) => CommandOutcome::Failed(failure.without_values()),
        };
        // Whoever waits for the command finds the numbers that it left.
        let mut db = self.db(session);
        let counted =
            within(PATIENCE, "counting dead letters", db.count_letters(&Selection::default())).await?;
        self.status.observed_letters(counted, None);
        tracing::info!(projection, command = command.id, "{}", outcome.told());
        self.traces(command, since, outcome.error());
        self.status.command_goes_on(command.id);
        self.finish(session, command.id, &outcome).await
    }
}
