//! Commands about components and generations: each is begun in the order in which it was asked for, and none waits for the
//! end of another one. What needs a server that is away is tried again beside the others; so the cure overtakes.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::commands::{Commands, INTERVAL, LOOK};
use super::deploy;
use crate::failure::Failure;
use crate::readmodel::command::{self, Command, Kind, Tried};
use crate::readmodel::{Session, within};
use crate::retry::Backoff;

/// How long the commands behind one leave it to be done first.
const HEAD_START: Duration = Duration::from_secs(2);

/// A command that is being tried, or will be again.
struct Trying {
    command: Command,
    is_under_way: bool,
    since: Instant,
    backoff: Backoff,
    again: Instant,
}

#[derive(Default)]
struct Queue {
    trying: BTreeMap<u64, Trying>,
    under_way: JoinSet<(u64, Result<Tried, Failure>)>,
}

impl Commands {
    /// Carries them out, for ever.
    pub(super) async fn carry_out_deployments(&self) {
        let (mut queue, mut kept) = (Queue::default(), None);
        let mut backoff = Backoff::new();
        let mut wait = INTERVAL;
        loop {
            self.rest(wait).await;
            wait = match queue.turn(self, &mut kept).await {
                Ok(()) => {
                    backoff = Backoff::new();
                    INTERVAL
                }
                Err(failure) => {
                    let told = failure.without_values();
                    tracing::debug!(projection = self.projection, "commands: {told}; trying again");
                    INTERVAL + backoff.next_wait()
                }
            };
        }
    }
}

impl Queue {
    /// One look at what there is to do.
    async fn turn(&mut self, commands: &Commands, kept: &mut Option<Session>) -> Result<(), Failure> {
        let mut session = commands.session(kept).await?;
        while let Some(Ok((id, ended))) = self.under_way.try_join_next() {
            self.ended(commands, &mut session, (id, ended)).await?;
        }
        let control = &commands.servers.control;
        let asked = command::pending(&mut session, control, &commands.projection, Kind::Deployments);
        let pending = within(LOOK, "reading commands", asked).await?;
        let gone: Vec<u64> = self.trying.keys().copied().collect();
        for id in gone.into_iter().filter(|id| !pending.iter().any(|one| one.id == *id)) {
            // Another host has done it; a try that is under way finds that out.
            commands.goes_on(&mut session, id).await?;
            self.trying.retain(|other, one| *other != id || one.is_under_way);
        }
        for command in pending {
            self.begin(commands, &mut session, command).await?;
        }
        *kept = Some(session);
        Ok(())
    }

    /// Tries a command, unless that is under way or it is too early, and leaves it some time.
    async fn begin(
        &mut self,
        commands: &Commands,
        session: &mut Session,
        command: Command,
    ) -> Result<(), Failure> {
        let (id, now) = (command.id, Instant::now());
        let trying = self.trying.entry(id).or_insert_with(|| {
            let (projection, request) = (&commands.projection, command.request.told());
            tracing::info!(projection, command = id, request, "carrying out a command");
            Trying { command, is_under_way: false, since: now, backoff: Backoff::new(), again: now }
        });
        if trying.is_under_way || trying.again > now {
            return Ok(());
        }
        trying.is_under_way = true;
        let (own, command) = (commands.clone(), trying.command.clone());
        self.under_way.spawn(async move {
            let attempt = async {
                let mut session = own.servers.applier.connect().await?;
                deploy::carry_out(&own, &mut session, &command).await
            };
            let abnormal = |_| Ok(Tried::Waits("trying it ended abnormally".to_owned()));
            (id, AssertUnwindSafe(attempt).catch_unwind().await.unwrap_or_else(abnormal))
        });
        let until = now + HEAD_START;
        while self.trying.get(&id).is_some_and(|one| one.is_under_way) {
            let Ok(ended) = tokio::time::timeout_at(until, self.under_way.join_next()).await else { break };
            match ended {
                Some(Ok(ended)) => self.ended(commands, session, ended).await?,
                _ => break,
            }
        }
        Ok(())
    }

    async fn ended(
        &mut self,
        commands: &Commands,
        session: &mut Session,
        (id, ended): (u64, Result<Tried, Failure>),
    ) -> Result<(), Failure> {
        let Some(trying) = self.trying.get_mut(&id) else { return Ok(()) };
        trying.is_under_way = false;
        let reason = match ended {
            Ok(Tried::Over) => {
                self.trying.remove(&id);
                return commands.goes_on(session, id).await;
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
        let command = trying.command.clone();
        commands.waits(session, &command, &reason).await
    }
}
