//! Builds generations beside the live one, one at a time, and drops those that nobody wants any more.

use std::time::{Duration, Instant};

use super::context::GenerationContext;
use super::shadow_run::ShadowRun;
use super::{PATIENCE, meeting};
use crate::failure::{Failure, Fault, Lost};
use crate::position::Position;
use crate::readmodel::control::command::{self, CommandOutcome};
use crate::readmodel::control::generation::{self, Generation, GenerationState, Purpose};
use crate::readmodel::control::registration;
use crate::readmodel::cut_over;
use crate::readmodel::lane::checkpoint;
use crate::readmodel::mysql::session::{Session, within};
use crate::retry::Backoff;
use crate::status::snapshot::Beside;
use crate::supervisor::startup::readiness::nothing_was_applied;

/// How often it is looked for work, and whether what is being built has caught up.
const INTERVAL: Duration = Duration::from_millis(500);

/// How long to wait when an operator has to act.
const SETUP_INTERVAL: Duration = Duration::from_secs(15);

/// How far behind the source a generation may be that meets the live one, in seconds.
const BEHIND_MAX: u32 = 5;

pub struct Building {
    context: GenerationContext,
    session: Option<Session>,
    backoff: Backoff,
    /// The failure that was told last.
    said: Option<String>,
}

/// Why lanes beside the live ones end.
enum End {
    /// They have caught up, and both generations are to meet.
    Meets,
    /// The generation is not to be built any more.
    Over,
}

impl Building {
    pub fn new(context: GenerationContext) -> Self {
        Self { context, session: None, backoff: Backoff::new(), said: None }
    }

    /// Works until a generation is to meet the live one.
    pub async fn run(mut self) -> Result<(), Failure> {
        loop {
            match Box::pin(self.step()).await {
                Ok(Some(End::Meets)) => return Ok(()),
                Ok(Some(End::Over)) => (self.backoff, self.said) = (Backoff::new(), None),
                Ok(None) => {
                    tokio::time::sleep(INTERVAL).await;
                    self.context.feed.until(|snapshot| snapshot.generations > 0).await;
                }
                Err(failure) if failure.fault() == Fault::Fenced => return Err(failure),
                Err(failure) => {
                    self.session = None;
                    let projection = &self.context.settings.name;
                    let said = failure.without_values();
                    // An outage is one, however often it is met.
                    if self.said.as_ref() != Some(&said) {
                        tracing::warn!(projection, "beside the live tables: {said}; trying again");
                        self.said = Some(said);
                    }
                    // Where MySQL is away, too, nobody can be told.
                    let telling = self.is_kept_by(&failure);
                    let _ = within(PATIENCE, "saying what a generation waits for", telling).await;
                    tokio::time::sleep(self.backoff.next_wait()).await;
                }
            }
        }
    }

    async fn session(&mut self) -> Result<Session, Failure> {
        match self.session.take() {
            Some(session) => Ok(session),
            None => self.context.servers.applier.connect().await,
        }
    }

    /// The first thing that is to be done. Nothing, when there is none.
    async fn step(&mut self) -> Result<Option<End>, Failure> {
        let mut session = self.session().await?;
        let (control, name) = (self.context.servers.control.clone(), self.context.settings.name.clone());
        let listing = generation::list(&mut session, &control, &name);
        let next_step = within(PATIENCE, "reading the generations", listing).await?;
        self.session = Some(session);
        let Some(next) = meeting::first(&next_step).cloned() else {
            self.context.live.builds(None);
            return Ok(None);
        };
        match next.state {
            GenerationState::Dropping => self.drop(&next).await.map(|()| Some(End::Over)),
            GenerationState::Building => Box::pin(self.build(next)).await.map(Some),
            _ => Ok(None),
        }
    }

    async fn drop(&mut self, gone: &Generation) -> Result<(), Failure> {
        let GenerationContext { servers, settings, epoch, .. } = &self.context;
        let (control, name) = (servers.control.clone(), settings.name.clone());
        let (epoch, mut ddl) = (*epoch, servers.ddl.connect().await?);
        within(PATIENCE, "dropping a generation", cut_over::drop_place(&mut ddl, &gone.place)).await?;
        let mut session = self.session().await?;
        if let Some(command) = gone.command {
            let given_up =
                CommandOutcome::Failed(gone.reason.clone().unwrap_or_else(|| "it was given up".to_owned()));
            command::finish(&mut session, &control, command, &given_up).await?;
        }
        generation::forget(&mut session, &control, (&name, epoch), gone.generation).await?;
        tracing::info!(projection = name, generation = gone.generation, "dropped");
        self.session = Some(session);
        Ok(())
    }

    /// Builds a generation until it has caught up, or is not wanted any more.
    async fn build(&mut self, next: Generation) -> Result<End, Failure> {
        let ended = match ShadowRun::open(&self.context, next.clone()).await {
            Ok(side) => {
                tokio::select! {
                    ended = side.run(None) => ended.map(|()| End::Over),
                    ended = self.watch(&side) => ended,
                }
            }
            Err(failure) => Err(failure),
        };
        match ended {
            Err(failure) if matches!(failure.fault(), Fault::Setup | Fault::Event) => {
                self.wait_for_an_operator(&next, &failure).await
            }
            ended => ended,
        }
    }

    async fn wait_for_an_operator(&mut self, next: &Generation, failure: &Failure) -> Result<End, Failure> {
        let (control, name) = (self.context.servers.control.clone(), self.context.settings.name.clone());
        let number = next.generation;
        let short = matches!(failure, Failure::ResumeLost { cause: Lost::History, .. });
        let short = if short {
            " (reading history takes longer than the oplog reaches back: storage.oplogMinRetentionHours)"
        } else {
            ""
        };
        let reason = format!(
            "{}{short}: {}; or give it up with `laterna generations drop {name} {number}`",
            failure.without_values(),
            failure.remedy()
        );
        tracing::error!(projection = name, generation = number, "not built: {reason}");
        let mut session = self.session().await?;
        // What is compared only has nobody who would wait for it.
        let purpose = next.purpose;
        if matches!(purpose, Purpose::Verify | Purpose::Repair) {
            let to = (GenerationState::Dropping, purpose);
            let lease = (name.as_str(), self.context.epoch);
            generation::advance(&mut session, &control, lease, next, to, Some(&reason)).await?;
            self.session = Some(session);
            return Ok(End::Over);
        }
        generation::explain(&mut session, &control, &name, next.generation, Some(&reason)).await?;
        let since = Instant::now();
        while since.elapsed() < SETUP_INTERVAL {
            let listing = generation::list(&mut session, &control, &name);
            let next_step = within(PATIENCE, "reading the generations", listing).await?;
            let still =
                next_step.iter().any(|one| one.generation == next.generation && one.state == next.state);
            if !still {
                break;
            }
            tokio::time::sleep(INTERVAL).await;
        }
        self.session = Some(session);
        Ok(End::Over)
    }

    /// Looks after lanes that run: whether they have caught up, and whether they are still wanted.
    async fn watch(&self, side: &ShadowRun) -> Result<End, Failure> {
        let since = Instant::now();
        let mut session = self.context.servers.applier.connect().await?;
        let mut told = side.generation.reason.clone();
        loop {
            tokio::time::sleep(INTERVAL).await;
            let looking = self.look(&mut session, side, since, &mut told);
            if let Some(end) = within(PATIENCE, "looking after a generation", looking).await? {
                return Ok(end);
            }
        }
    }

    async fn look(
        &self,
        session: &mut Session,
        side: &ShadowRun,
        since: Instant,
        told: &mut Option<String>,
    ) -> Result<Option<End>, Failure> {
        let number = side.generation.generation;
        let (control, name) = (&self.context.servers.control, self.context.settings.name.as_str());
        let next_step = generation::list(session, control, name).await?;
        // Another one goes first; this one is built on behind it.
        if meeting::first(&next_step).is_some_and(|first| first.state == GenerationState::Dropping) {
            return Ok(Some(End::Over));
        }
        let found = next_step.into_iter().find(|one| one.generation == number);
        let Some(now) = found.filter(|one| one.state == GenerationState::Building) else {
            return Ok(Some(End::Over));
        };
        self.report_progress(session, &now).await?;
        let why_not = if self.has_caught_up(session, number).await? {
            if Box::pin(side.give_up(session)).await? {
                return Ok(None);
            }
            self.why_not_yet(session, &now, since).await?
        } else if now.attempts == 0 && told.take().is_some() {
            // What kept it before is over.
            return generation::explain(session, control, name, number, None).await.map(|()| None);
        } else {
            return Ok(None);
        };
        if let Some(why) = why_not {
            if told.as_ref() != Some(&why) {
                tracing::warn!(projection = name, generation = number, "it waits: {why}");
                generation::explain(session, control, name, number, Some(&why)).await?;
                *told = Some(why);
            }
            return Ok(None);
        }
        let to = if now.purpose == Purpose::Look { GenerationState::Kept } else { GenerationState::Meeting };
        let (lease, to) = ((name, self.context.epoch), (to, now.purpose));
        let moved = generation::advance(session, control, lease, &now, to, None).await?;
        Ok(Some(if moved && now.purpose != Purpose::Look { End::Meets } else { End::Over }))
    }

    /// Tells whoever looks how far it is.
    async fn report_progress(&self, session: &mut Session, now: &Generation) -> Result<(), Failure> {
        let (control, name) = (&self.context.servers.control, self.context.settings.name.as_str());
        let (events, _) = generation::progress(session, control, name, now.generation).await?;
        self.context.live.builds(Some(Beside {
            generation: now.generation,
            purpose: now.purpose.name().to_owned(),
            events,
            expected: now.expected,
            waits: now.reason.clone(),
        }));
        let Some(command) = now.command else { return Ok(()) };
        let Some(reason) = &now.reason else {
            let progress = format!("generation {}: {events} of {} events", now.generation, now.expected);
            command::goes_on(session, control, command).await?;
            return command::record_progress(session, control, command, &progress).await;
        };
        self.waits(session, now, (command, reason)).await
    }

    /// Says what a command waits for whose generation does not come on. After an hour it is given up.
    async fn waits(
        &self,
        session: &mut Session,
        now: &Generation,
        (command, reason): (u64, &str),
    ) -> Result<(), Failure> {
        let (control, name) = (&self.context.servers.control, self.context.settings.name.as_str());
        let told = format!("generation {} waits: {reason}", now.generation);
        let waited = Duration::from_secs(command::waits(session, control, command, &told).await?);
        let Some(why) = command::bound(waited, &told) else { return Ok(()) };
        let (lease, to) = ((name, self.context.epoch), (GenerationState::Dropping, now.purpose));
        generation::advance(session, control, lease, now, to, Some(&why)).await.map(|_| ())
    }

    /// Says what keeps the generation that is being built from coming on, where a server does.
    async fn is_kept_by(&self, failure: &Failure) -> Result<(), Failure> {
        let (control, name) = (&self.context.servers.control, self.context.settings.name.as_str());
        let mut session = self.context.servers.applier.connect().await?;
        let next_step = generation::list(&mut session, control, name).await?;
        let Some(now) = next_step.into_iter().find(|one| one.state == GenerationState::Building) else {
            return Ok(());
        };
        let reason = failure.without_values();
        generation::explain(&mut session, control, name, now.generation, Some(&reason)).await?;
        self.report_progress(&mut session, &Generation { reason: Some(reason), ..now }).await
    }

    async fn has_caught_up(&self, session: &mut Session, number: u32) -> Result<bool, Failure> {
        let GenerationContext { servers, settings, .. } = &self.context;
        let rows = checkpoint::rows(session, &servers.control, &settings.name, number).await?;
        let now = servers.outbox.now().await?;
        let close = |position: &Position| {
            let time = position.time().filter(|_| matches!(position, Position::Stream { .. }));
            time.is_some_and(|time| now.seconds.saturating_sub(time.seconds) <= BEHIND_MAX)
        };
        Ok(!rows.is_empty() && rows.iter().all(|row| close(&row.position)))
    }

    /// Why a generation that has caught up does not meet the live one yet.
    async fn why_not_yet(
        &self,
        session: &mut Session,
        next: &Generation,
        since: Instant,
    ) -> Result<Option<String>, Failure> {
        let GenerationContext { servers, settings, live, .. } = &self.context;
        let (control, name) = (&servers.control, settings.name.as_str());
        if let Some(word) = meeting::awaits_word(name, next) {
            return Ok(Some(word));
        }
        if next.attempts > 0 {
            // Each try stops the live lanes for a moment.
            let wait = SETUP_INTERVAL * 2_u32.pow(next.attempts.min(6) - 1);
            if since.elapsed() < wait {
                return Ok(Some(next.reason.clone().unwrap_or_default()));
            }
        }
        if matches!(next.purpose, Purpose::Verify | Purpose::Repair) {
            return Ok((!live.is_streaming())
                .then(|| format!("`{name}` is not streaming: both are compared when it is")));
        }
        let found = registration::find(session, control, name).await?;
        let live = found.map_or(1, |found| found.live_generation);
        if next.purpose != Purpose::Replace || next.accepted {
            return Ok(None);
        }
        let generations = (next.generation, live);
        let taken = checkpoint::rows(session, control, name, live).await?;
        if nothing_was_applied(&taken) {
            return Ok(None);
        }
        let Some(first) = generation::first_new_letter(session, control, name, generations).await? else {
            return Ok(None);
        };
        let (_, letters) = generation::progress(session, control, name, next.generation).await?;
        Ok(Some(format!(
            "it is ready, but of its {letters} dead letters some are of events that the live one took (the first: {first}); \
             `laterna generations accept {name} {0}` takes it as it is, `laterna generations drop {name} {0}` gives it up",
            next.generation
        )))
    }
}
