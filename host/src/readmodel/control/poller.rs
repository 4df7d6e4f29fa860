//! Asks the control schema how one projection stands, once for all parts of the host that have to know; and how
//! often.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::schema::Control;
use super::snapshot::ControlSnapshot;
use crate::failure::Failure;
use crate::readmodel::mysql::session::{Connector, Session};
use crate::retry::answer;

/// The interval at rest. With the renewals of the lease, a projection asks MySQL less than once a second.
const INTERVAL: Duration = Duration::from_millis(1500);

/// The interval while a command is pending, and shortly after anything has changed: one change seldom comes alone.
const BUSY_INTERVAL: Duration = Duration::from_millis(300);

/// How long a change counts as recent.
const RECENT: Duration = Duration::from_secs(3);

/// What the last polls came to.
#[derive(Debug, Clone, Default)]
pub struct Poll {
    /// The last answer.
    pub snapshot: Option<Arc<ControlSnapshot>>,
    /// Why there is none that is newer.
    pub trouble: Option<Failure>,
}

/// Asks, and publishes what it was told.
pub struct Poller {
    connector: Connector,
    control: Control,
    projection: String,
    published: watch::Sender<Poll>,
    nudge: Arc<Notify>,
}

/// What a poller publishes, for one of those that wait for it.
#[derive(Clone)]
pub struct ControlFeed {
    published: watch::Receiver<Poll>,
    nudge: Arc<Notify>,
}

impl Poller {
    pub fn new(connector: Connector, control: Control, projection: &str) -> (Self, ControlFeed) {
        let (published, receiver) = watch::channel(Poll::default());
        let nudge = Arc::new(Notify::new());
        let feed = ControlFeed { published: receiver, nudge: nudge.clone() };
        (Self { connector, control, projection: projection.to_owned(), published, nudge }, feed)
    }

    /// Polls until it is dropped.
    pub async fn run(self) {
        let mut kept = None;
        let mut changed = Instant::now();
        loop {
            match self.ask(&mut kept).await {
                Ok(snapshot) => {
                    let before = self.published.borrow().snapshot.clone();
                    if before.is_none_or(|before| snapshot.differs(&before)) {
                        changed = Instant::now();
                    }
                    self.published.send_replace(Poll { snapshot: Some(Arc::new(snapshot)), trouble: None });
                }
                Err(failure) => {
                    kept = None;
                    self.has_trouble(failure);
                }
            }
            let is_busy = changed.elapsed() < RECENT || self.published.borrow().is_pending();
            tokio::select! {
                () = tokio::time::sleep(if is_busy { BUSY_INTERVAL } else { INTERVAL }) => {}
                () = self.nudge.notified() => {}
            }
        }
    }

    /// Asks once. While no answer comes, that is published.
    async fn ask(&self, kept: &mut Option<Session>) -> Result<ControlSnapshot, Failure> {
        let silence = |message| Failure::ConnectionLost { message };
        answer(self.ask_in(kept), silence, |failure| self.has_trouble(failure)).await
    }

    /// A session in which something failed, or was given up, is not kept.
    async fn ask_in(&self, kept: &mut Option<Session>) -> Result<ControlSnapshot, Failure> {
        let mut session = self.connector.kept_or_new(kept).await?;
        let snapshot = self.control.of(&mut session, &self.projection).snapshot().await?;
        *kept = Some(session);
        Ok(snapshot)
    }

    fn has_trouble(&self, failure: Failure) {
        tracing::debug!(
            projection = self.projection,
            "reading the control schema: {}",
            failure.without_values()
        );
        self.published.send_modify(|poll| poll.trouble = Some(failure));
    }
}

impl Poll {
    fn is_pending(&self) -> bool {
        self.snapshot.as_ref().is_some_and(|snapshot| {
            let commands = snapshot.commands;
            commands.letters + commands.switches + commands.deployments > 0
        })
    }
}

impl ControlFeed {
    /// The last poll, which counts as seen.
    pub fn poll(&mut self) -> Poll {
        self.published.borrow_and_update().clone()
    }

    /// Waits for the next poll.
    pub async fn next(&mut self) -> Poll {
        if self.published.changed().await.is_err() {
            // The host stops.
            std::future::pending::<()>().await;
        }
        self.poll()
    }

    /// Waits until the last snapshot is one of these.
    pub async fn until(&mut self, is_wanted: impl Fn(&ControlSnapshot) -> bool) {
        let mut poll = self.poll();
        while !poll.snapshot.is_some_and(|snapshot| is_wanted(&snapshot)) {
            poll = self.next().await;
        }
    }

    /// Has the poller ask at once: this host has changed something.
    pub fn nudge(&self) {
        self.nudge.notify_one();
    }
}
