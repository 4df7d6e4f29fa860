//! The commands of one projection on this host: what carrying them out works with.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::component::registry::Versions;
use crate::failure::Failure;
use crate::pipeline::requests::LetterQueues;
use crate::readmodel::control::command::Command;
use crate::readmodel::control::control_db::ProjectionDb;
use crate::readmodel::control::poller::ControlFeed;
use crate::readmodel::control::snapshot::ControlSnapshot;
use crate::readmodel::mysql::session::Session;
use crate::retry::Backoff;
use crate::servers::Servers;
use crate::status::{OperationSpan, Status};
use crate::supervisor::settings::LetterSettings;

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
    pub projection: String,
    pub versions: Arc<Versions>,
    pub settings: LetterSettings,
    /// After how many days the audit forgets what is over; 0: never.
    pub audit_retention_days: u32,
    /// After how many days a component is removed that nothing refers to; 0: never.
    pub component_retention_days: u32,
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

    /// Counts what was carried out just now, and has a span made of it.
    pub(super) fn traces(&self, command: &Command, since: Instant, error: Option<&str>) {
        let operation = OperationSpan { id: command.id, took: since.elapsed(), error };
        self.status.carried_out(error.is_none());
        self.status.traces().operation(&self.projection, command.request.word(), operation);
    }

    /// The projection's rows in a session.
    pub(super) fn db<'a>(&'a self, session: &'a mut Session) -> ProjectionDb<'a> {
        self.servers.control.of(session, &self.projection)
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
                tracing::debug!(projection = self.projection, "commands: {reason}; trying again");
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
