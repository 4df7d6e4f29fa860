//! Commands about components and generations: each is begun in the order in which it was asked for, and none waits for the
//! end of another one. What needs a server that is away is tried again beside the others; so the cure overtakes.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::commands::{Commands, INTERVAL};
use super::deploy;
use crate::failure::Failure;
use crate::pipeline::ports::Task;
use crate::readmodel::control::command::{Command, CommandKind, Tried};
use crate::readmodel::mysql::session::Session;
use crate::retry::Backoff;

/// How long the commands behind one leave it to be done first.
const HEAD_START: Duration = Duration::from_secs(2);

/// Where commands are looked up, tried, and told what they wait for; so that a simulation can run the same queue.
pub(super) trait CommandDesk: Send {
    /// The commands that are not done, oldest first.
    fn pending(&mut self) -> impl Task<Result<Vec<Command>, Failure>>;
    /// One is tried for the first time.
    fn begins(&self, command: &Command);
    /// Tries one.
    fn attempt(&self, command: Command) -> BoxFuture<'static, Result<Tried, Failure>>;
    /// One waits for something; after an hour of that it is given up.
    fn waits(&mut self, command: &Command, reason: &str) -> impl Task<Result<(), Failure>>;
    /// One waits for nothing any more.
    fn goes_on(&mut self, command: u64) -> impl Task<Result<(), Failure>>;
}

/// A command that is being tried, or will be again.
struct Trying {
    command: Command,
    is_under_way: bool,
    since: Instant,
    backoff: Backoff,
    again: Instant,
    /// What it waits for, while that could not be written down yet.
    unsaid: Option<String>,
}

/// The commands that one host tries.
pub(super) struct Queue<D> {
    desk: D,
    trying: BTreeMap<u64, Trying>,
    under_way: JoinSet<(u64, Result<Tried, Failure>)>,
}

impl Commands {
    /// Carries them out, for ever.
    pub(super) async fn carry_out_deployments(&self) {
        let mut queue = Queue::new(StoredCommands { commands: self.clone(), kept: None });
        let mut backoff = Backoff::new();
        let mut wait = INTERVAL;
        loop {
            let is_busy = queue.is_busy();
            let kept = &mut queue.desk.kept;
            self.rest_until(wait, kept, |snapshot| is_busy || snapshot.commands.deployments > 0).await;
            wait = self.wait_after(queue.turn().await, &mut backoff);
        }
    }
}

/// The commands as the control schema has them. A session in which something failed is not kept.
struct StoredCommands {
    commands: Commands,
    kept: Option<Session>,
}

impl CommandDesk for StoredCommands {
    async fn pending(&mut self) -> Result<Vec<Command>, Failure> {
        let mut session = self.commands.servers.applier.kept_or_new(&mut self.kept).await?;
        let pending = self.commands.pending(&mut session, CommandKind::Deployments).await?;
        self.kept = Some(session);
        Ok(pending)
    }

    fn begins(&self, command: &Command) {
        let (projection, request) = (&self.commands.settings.name, command.request.told());
        tracing::info!(projection, command = command.id, request, "carrying out a command");
    }

    fn attempt(&self, command: Command) -> BoxFuture<'static, Result<Tried, Failure>> {
        let own = self.commands.clone();
        let attempt = async move {
            let since = std::time::Instant::now();
            let mut session = own.servers.applier.connect().await?;
            own.takes(&mut session, &command).await?;
            let tried = deploy::carry_out(&own, &mut session, &command).await?;
            if tried == Tried::Over {
                let outcome = own.db(&mut session).command_outcome(command.id).await?;
                own.traces(&command, since, outcome.error());
            }
            Ok(tried)
        };
        attempt.boxed()
    }

    async fn waits(&mut self, command: &Command, reason: &str) -> Result<(), Failure> {
        let mut session = self.commands.servers.applier.kept_or_new(&mut self.kept).await?;
        self.commands.waits(&mut session, command, reason).await?;
        self.kept = Some(session);
        Ok(())
    }

    async fn goes_on(&mut self, command: u64) -> Result<(), Failure> {
        let mut session = self.commands.servers.applier.kept_or_new(&mut self.kept).await?;
        self.commands.goes_on(&mut session, command).await?;
        self.kept = Some(session);
        Ok(())
    }
}

impl<D: CommandDesk> Queue<D> {
    pub(super) fn new(desk: D) -> Self {
        Self { desk, trying: BTreeMap::new(), under_way: JoinSet::new() }
    }

    /// Whether any command is being tried, or will be again.
    fn is_busy(&self) -> bool {
        !self.trying.is_empty()
    }

    /// One look at what there is to do.
    pub(super) async fn turn(&mut self) -> Result<(), Failure> {
        while let Some(Ok((id, ended))) = self.under_way.try_join_next() {
            self.ended(id, ended).await?;
        }
        self.say().await?;
        let pending = self.desk.pending().await?;
        let gone: Vec<u64> = self.trying.keys().copied().collect();
        for id in gone.into_iter().filter(|id| !pending.iter().any(|one| one.id == *id)) {
            // Another host has done it; a try that is under way finds that out.
            self.desk.goes_on(id).await?;
            self.trying.retain(|other, one| *other != id || one.is_under_way);
        }
        for command in pending {
            self.begin(command).await?;
        }
        Ok(())
    }

    /// Tries a command, unless that is under way or it is too early, and leaves it some time.
    async fn begin(&mut self, command: Command) -> Result<(), Failure> {
        let (id, now) = (command.id, Instant::now());
        let trying = self.trying.entry(id).or_insert_with(|| {
            self.desk.begins(&command);
            Trying {
                command,
                is_under_way: false,
                since: now,
                backoff: Backoff::new(),
                again: now,
                unsaid: None,
            }
        });
        if trying.is_under_way || trying.again > now {
            return Ok(());
        }
        trying.is_under_way = true;
        let attempt = AssertUnwindSafe(self.desk.attempt(trying.command.clone())).catch_unwind();
        self.under_way.spawn(async move {
            let abnormal = |_| Ok(Tried::Waits("trying it ended abnormally".to_owned()));
            (id, attempt.await.unwrap_or_else(abnormal))
        });
        let until = now + HEAD_START;
        while self.trying.get(&id).is_some_and(|one| one.is_under_way) {
            let Ok(ended) = tokio::time::timeout_at(until, self.under_way.join_next()).await else { break };
            match ended {
                Some(Ok((id, ended))) => self.ended(id, ended).await?,
                _ => break,
            }
        }
        Ok(())
    }

    async fn ended(&mut self, id: u64, ended: Result<Tried, Failure>) -> Result<(), Failure> {
        let Some(trying) = self.trying.get_mut(&id) else { return Ok(()) };
        trying.is_under_way = false;
        let reason = match ended {
            Ok(Tried::Over) => {
                self.trying.remove(&id);
                return self.desk.goes_on(id).await;
            }
            Ok(Tried::Waits(what)) => what,
            Err(failure) => failure.without_values(),
        };
        let is_first = trying.backoff.attempts() == 0;
        trying.again = Instant::now() + trying.backoff.next_wait();
        // What is over in a moment is not worth a word.
        if is_first && trying.since.elapsed() < HEAD_START {
            return Ok(());
        }
        trying.unsaid = Some(reason);
        self.say().await
    }

    /// Writes down what commands wait for. What could not be written is tried again with the next turn: the next try of its
    /// command may take as long as a server is silent.
    async fn say(&mut self) -> Result<(), Failure> {
        for trying in self.trying.values_mut() {
            if let Some(reason) = &trying.unsaid {
                self.desk.waits(&trying.command, reason).await?;
                trying.unsaid = None;
            }
        }
        Ok(())
    }
}
