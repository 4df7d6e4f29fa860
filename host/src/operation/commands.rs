//! The commands of one projection on this host: what carrying them out works with.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::component::registry::Versions;
use crate::failure::Failure;
use crate::pipeline::requests::LetterQueues;
use crate::readmodel::control::command::{
    Command, CommandKind, CommandOutcome, CommandsToDo, EndedCommands, Tried,
};
use crate::readmodel::control::control_db::ProjectionDb;
use crate::readmodel::control::poller::ControlFeed;
use crate::readmodel::control::snapshot::ControlSnapshot;
use crate::readmodel::mysql::session::{Session, within};
use crate::retry::Backoff;
use crate::servers::Servers;
use crate::status::{OperationSpan, Status};
use crate::supervisor::settings::Settings;

/// How long to wait between two turns that carry commands out.
pub(super) const INTERVAL: Duration = Duration::from_millis(300);

/// How long MySQL may take to answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// The longest time for one look, which is small and waits for nothing: a stop waits for it.
pub(super) const LOOK: Duration = Duration::from_secs(5);

/// The commands of one projection.
#[derive(Clone)]
pub struct Commands {
    pub servers: Servers,
    pub settings: Settings,
    pub versions: Arc<Versions>,
    pub letter_queues: LetterQueues,
    pub status: Arc<Status>,
    /// How the control schema says that the projection stands.
    pub feed: ControlFeed,
    pub stop: CancellationToken,
}

impl Commands {
    /// The component that the lanes work with now.
    pub(super) fn digest(&self) -> String {
        self.versions.desired.get().current.digest().to_owned()
    }

    /// Has a span made of what was carried out just now.
    pub(super) fn traces(&self, command: &Command, since: Instant, error: Option<&str>) {
        let operation = OperationSpan { id: command.id, took: since.elapsed(), error };
        self.status.traces().operation(&self.settings.name, command.request.word(), operation);
    }

    /// The commands of a kind that are not done, oldest first. Those that this version cannot read fail here.
    pub(super) async fn pending(
        &self,
        session: &mut Session,
        kind: CommandKind,
    ) -> Result<Vec<Command>, Failure> {
        let mut db = self.db(session);
        let asked = within(LOOK, "reading commands", db.pending_commands(kind)).await?;
        let CommandsToDo { commands, unreadable } = asked;
        for (id, outcome) in unreadable {
            self.finish(session, id, &outcome).await?;
        }
        Ok(commands)
    }

    /// Records that this host carries a command out.
    pub(super) async fn takes(&self, session: &mut Session, command: &Command) -> Result<(), Failure> {
        let mut db = self.db(session);
        let taking = db.host_takes_command(command.id, &self.settings.owner);
        within(PATIENCE, "recording who carries a command out", taking).await
    }

    /// Records how a command ended, unless that is recorded already, and counts it where it was not.
    pub(super) async fn finish(
        &self,
        session: &mut Session,
        id: u64,
        outcome: &CommandOutcome,
    ) -> Result<(), Failure> {
        let mut db = self.db(session);
        let finishing = db.finish_command(id, outcome, &self.settings.owner);
        Status::counts_ended(&within(PATIENCE, "recording a command's result", finishing).await?);
        Ok(())
    }

    /// The projection's rows in a session.
    pub(super) fn db<'a>(&'a self, session: &'a mut Session) -> ProjectionDb<'a> {
        self.servers.control.of(session, &self.settings.name)
    }

    /// How long to wait after a turn: longer with each that failed in a row.
    pub(super) fn wait_after(&self, turn: Result<(), Failure>, backoff: &mut Backoff) -> Duration {
        match turn {
            Ok(()) => {
                *backoff = Backoff::new();
                INTERVAL
            }
            Err(failure) => {
                let reason = failure.without_values();
                tracing::debug!(projection = self.settings.name, "commands: {reason}; trying again");
                INTERVAL + backoff.next_wait()
            }
        }
    }

    /// Waits, for ever when a stop was asked for.
    pub(super) async fn rest(&self, wait: Duration) {
        tokio::time::sleep(wait).await;
        if self.stop.is_cancelled() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits so long at least, and then until there is something to do, without a session.
    pub(super) async fn rest_until(
        &self,
        wait: Duration,
        kept: &mut Option<Session>,
        is_due: impl Fn(&ControlSnapshot) -> bool,
    ) {
        self.rest(wait).await;
        let mut feed = self.feed.clone();
        while !feed.poll().snapshot.is_some_and(|snapshot| is_due(&snapshot)) {
            *kept = None;
            // It may also become due by this host's lanes, or by its clock.
            let _ = tokio::time::timeout(INTERVAL, feed.next()).await;
            self.rest(Duration::ZERO).await;
        }
    }
}

/// What a try came to. The commands that this host ended by it are counted.
pub(super) fn counted((tried, ended): (Tried, EndedCommands)) -> Tried {
    Status::counts_ended(&ended);
    tried
}
