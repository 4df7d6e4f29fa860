//! Builds generations beside the live one, one at a time, and drops those that nobody wants any more. One that is ready, but has new
//! dead letters, waits here for `laterna generations accept`.

use std::time::Duration;

use tokio::time::Instant;

use super::ports::{GenerationPorts, ShadowPorts};
use super::shadow_run::ShadowRun;
use super::{PATIENCE, meeting};
use crate::failure::{Failure, Fault, Lost};
use crate::position::Position;
use crate::readmodel::control::command;
use crate::readmodel::control::generation::{Generation, GenerationState, Purpose};
use crate::readmodel::mysql::session::within;
use crate::retry::Backoff;
use crate::status::snapshot::Beside;
use crate::supervisor::startup::readiness::{FIRST_GENERATION, nothing_was_applied};

/// How often it is looked for work, and whether what is being built has caught up.
const INTERVAL: Duration = Duration::from_millis(500);

/// How long to wait when an operator has to act.
const SETUP_INTERVAL: Duration = Duration::from_secs(15);

/// How far behind the source a generation may be that meets the live one, in seconds.
const BEHIND_MAX: u32 = 5;

pub struct Building<P> {
    ports: P,
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
    /// It is compared, or cut over, which others do.
    Elsewhere,
}

impl<P: GenerationPorts> Building<P> {
    pub fn new(ports: P) -> Self {
        Self { ports, backoff: Backoff::new(), said: None }
    }

    /// Works until a generation is to meet the live one, or, where the live lanes cannot run, until there is none to wait for.
    pub async fn run(mut self) -> Result<(), Failure> {
        loop {
            match Box::pin(self.step()).await {
                Ok(Some(End::Meets)) => return Ok(()),
                Ok(Some(End::Over)) => (self.backoff, self.said) = (Backoff::new(), None),
                // The live lanes wait for nothing any more, so they are tried again.
                Ok(None) if self.ports.term().alone.is_cancelled() => return Ok(()),
                Ok(None | Some(End::Elsewhere)) => {
                    tokio::time::sleep(INTERVAL).await;
                    self.ports.until_wanted().await;
                }
                Err(failure) if failure.fault() == Fault::Fenced => return Err(failure),
                Err(failure) => {
                    let projection = &self.ports.settings().name;
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

    /// The first thing that is to be done. Nothing, when there is none.
    async fn step(&mut self) -> Result<Option<End>, Failure> {
        let Some(next) = meeting::first(&self.ports.list().await?).cloned() else {
            self.ports.status().builds(None);
            return Ok(None);
        };
        match next.state {
            GenerationState::Dropping => {
                self.ports.drop_tables(&next).await?;
                let (projection, generation) = (&self.ports.settings().name, next.generation);
                tracing::info!(projection, generation, "dropped");
                Ok(Some(End::Over))
            }
            GenerationState::Building => Box::pin(self.build(next)).await.map(Some),
            _ => Ok(Some(End::Elsewhere)),
        }
    }

    /// Builds a generation until it has caught up, or is not wanted any more.
    async fn build(&mut self, next: Generation) -> Result<End, Failure> {
        let ended = match self.ports.open(&next).await {
            Ok(lanes) => {
                let shadow = ShadowRun::new(lanes, self.ports.settings());
                tokio::select! {
                    biased;
                    ended = shadow.run(None) => ended.map(|()| End::Over),
                    ended = Self::watch(self.ports.clone(), &shadow) => ended,
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
        let (name, number) = (self.ports.settings().name.clone(), next.generation);
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
        // What is compared only has nobody who would wait for it.
        if next.purpose.is_compared() {
            let to = (GenerationState::Dropping, next.purpose);
            self.ports.advance(next, to, Some(&reason)).await?;
            return Ok(End::Over);
        }
        self.ports.explain(number, Some(&reason)).await?;
        let since = Instant::now();
        while since.elapsed() < SETUP_INTERVAL {
            let is_still = |one: &Generation| one.generation == number && one.state == next.state;
            if !self.ports.list().await?.iter().any(is_still) {
                break;
            }
            tokio::time::sleep(INTERVAL).await;
        }
        Ok(End::Over)
    }

    /// Looks after lanes that run: whether they have caught up, and whether they are still wanted.
    async fn watch(ports: P, shadow: &ShadowRun<P::Shadow>) -> Result<End, Failure> {
        let told = shadow.lanes.generation().reason.clone();
        let mut watch = Watch { ports, shadow, since: Instant::now(), told };
        loop {
            tokio::time::sleep(INTERVAL).await;
            if let Some(end) = within(PATIENCE, "looking after a generation", watch.look()).await? {
                return Ok(end);
            }
        }
    }

    /// Says what keeps the generation that is being built from coming on, where a server does.
    async fn is_kept_by(&mut self, failure: &Failure) -> Result<(), Failure> {
        let is_built = |one: &Generation| one.state == GenerationState::Building;
        let Some(now) = self.ports.list().await?.into_iter().find(is_built) else { return Ok(()) };
        let reason = failure.without_values();
        self.ports.explain(now.generation, Some(&reason)).await?;
        report_progress(&mut self.ports, &Generation { reason: Some(reason), ..now }).await
    }
}

/// Looks after a generation while its lanes run.
struct Watch<'a, P: GenerationPorts> {
    ports: P,
    shadow: &'a ShadowRun<P::Shadow>,
    since: Instant,
    /// What it waits for, as was told last.
    told: Option<String>,
}

impl<P: GenerationPorts> Watch<'_, P> {
    async fn look(&mut self) -> Result<Option<End>, Failure> {
        let number = self.shadow.lanes.generation().generation;
        let found = self.ports.list().await?;
        // Another one goes first; this one is built on behind it.
        if meeting::first(&found).is_some_and(|first| first.state == GenerationState::Dropping) {
            return Ok(Some(End::Over));
        }
        let found = found.into_iter().find(|one| one.generation == number);
        let Some(now) = found.filter(|one| one.state == GenerationState::Building) else {
            return Ok(Some(End::Over));
        };
        report_progress(&mut self.ports, &now).await?;
        let why_not = if self.has_caught_up(number).await? {
            let given_up = self.ports.given_up(number).await?;
            if !given_up.is_empty() {
                Box::pin(self.shadow.give_up(&given_up)).await?;
                return Ok(None);
            }
            self.why_not_yet(&now).await?
        } else if now.attempts == 0 && self.told.take().is_some() {
            // What kept it before is over.
            return self.ports.explain(number, None).await.map(|()| None);
        } else {
            return Ok(None);
        };
        if let Some(why) = why_not {
            if self.told.as_ref() != Some(&why) {
                let (projection, generation) = (&self.ports.settings().name, number);
                tracing::warn!(projection, generation, "it waits: {why}");
                self.ports.explain(number, Some(&why)).await?;
                self.told = Some(why);
            }
            return Ok(None);
        }
        let is_looked_at = now.purpose == Purpose::Look;
        let to = if is_looked_at { GenerationState::Kept } else { GenerationState::Meeting };
        let moved = self.ports.advance(&now, (to, now.purpose), None).await?;
        Ok(Some(if moved && !is_looked_at { End::Meets } else { End::Over }))
    }

    async fn has_caught_up(&mut self, number: u32) -> Result<bool, Failure> {
        let (rows, now) = (self.ports.rows(number).await?, self.ports.source_now().await?);
        let close = |position: &Position| {
            let time = position.time().filter(|_| matches!(position, Position::Stream { .. }));
            time.is_some_and(|time| now.seconds.saturating_sub(time.seconds) <= BEHIND_MAX)
        };
        Ok(!rows.is_empty() && rows.iter().all(|row| close(&row.position)))
    }

    /// Why a generation that has caught up does not meet the live one yet.
    async fn why_not_yet(&mut self, next: &Generation) -> Result<Option<String>, Failure> {
        let name = self.ports.settings().name.clone();
        if let Some(word) = meeting::awaits_word(&name, next) {
            return Ok(Some(word));
        }
        if next.attempts > 0 {
            // Each try stops the live lanes for a moment.
            let wait = SETUP_INTERVAL * 2_u32.pow(next.attempts.min(6) - 1);
            if self.since.elapsed() < wait {
                return Ok(Some(next.reason.clone().unwrap_or_default()));
            }
        }
        if next.purpose.is_compared() {
            return Ok((!self.ports.status().is_streaming())
                .then(|| format!("`{name}` is not streaming: both are compared when it is")));
        }
        if next.purpose != Purpose::Replace || next.accepted {
            return Ok(None);
        }
        let live = self.ports.live().await?.unwrap_or(FIRST_GENERATION);
        if nothing_was_applied(&self.ports.rows(live).await?) {
            return Ok(None);
        }
        let first = self.ports.first_new_letter(next.generation, live).await?;
        let Some(first) = first else { return Ok(None) };
        let (_, letters) = self.ports.progress(next.generation).await?;
        Ok(Some(format!(
            "it is ready, but of its {letters} dead letters some are of events that the live one took (the first: {first}); \
             `laterna generations accept {name} {0}` takes it as it is, `laterna generations drop {name} {0}` gives it up",
            next.generation
        )))
    }
}

/// Tells whoever looks how far a generation is.
async fn report_progress<P: GenerationPorts>(ports: &mut P, now: &Generation) -> Result<(), Failure> {
    let (events, _) = ports.progress(now.generation).await?;
    ports.status().builds(Some(Beside {
        generation: now.generation,
        purpose: now.purpose.name().to_owned(),
        events,
        expected: now.expected,
        waits: now.reason.clone(),
    }));
    let Some(command) = now.command else { return Ok(()) };
    let Some(reason) = &now.reason else {
        let progress = format!("generation {}: {events} of {} events", now.generation, now.expected);
        return ports.report_progress(command, &progress).await;
    };
    // What a command waits for whose generation does not come on is given up after an hour.
    let told = format!("generation {} waits: {reason}", now.generation);
    let waited = Duration::from_secs(ports.waits(command, &told).await?);
    let Some(why) = command::bound(waited, &told) else { return Ok(()) };
    ports.advance(now, (GenerationState::Dropping, now.purpose), Some(&why)).await.map(|_| ())
}
