//! Builds generations beside the live one, one at a time, and drops those that nobody wants any more. One that is ready, but has new
//! dead letters, waits here for `laterna generations accept`.

use tokio::time::Instant;

use super::ports::GenerationPorts;
use super::shadow_run::ShadowRun;
use super::watch::{End, INTERVAL, SETUP_INTERVAL, Watch, report_progress};
use super::{PATIENCE, back_to_work, meeting};
use crate::failure::{Failure, Fault, Lost};
use crate::readmodel::control::generation::{Generation, GenerationState};
use crate::readmodel::mysql::session::within;
use crate::retry::Backoff;

pub struct Building<P> {
    ports: P,
    backoff: Backoff,
    /// The failure that was told last.
    said: Option<String>,
}

impl<P: GenerationPorts> Building<P> {
    pub fn new(ports: P) -> Self {
        Self { ports, backoff: Backoff::new(), said: None }
    }

    /// Works until a generation is to meet the live one, or, where the live lanes cannot run, until there is none to wait for.
    /// One that stands where the live lanes end is returned.
    pub async fn run(mut self) -> Result<Option<Generation>, Failure> {
        loop {
            match Box::pin(self.step()).await {
                Ok(Some((End::Met, generation))) => return Ok(Some(generation)),
                Ok(Some((End::Meets, _))) => return Ok(None),
                Ok(Some((End::Apart(why), generation))) => {
                    back_to_work(&mut self.ports, &generation, &why).await?;
                    return Ok(None);
                }
                Ok(Some((End::Over, _))) => (self.backoff, self.said) = (Backoff::new(), None),
                // The live lanes wait for nothing any more, so they are tried again.
                Ok(None) if self.ports.term().alone.is_cancelled() => return Ok(None),
                Ok(None | Some((End::Elsewhere, _))) => {
                    tokio::time::sleep(INTERVAL).await;
                    self.ports.until_wanted().await;
                }
                // Where the live lanes have come to their end, only the next run starts them again.
                Err(failure)
                    if failure.fault() == Fault::Fenced || self.ports.term().rendezvous.is_fixed() =>
                {
                    return Err(failure);
                }
                Err(failure) => {
                    let projection = &self.ports.settings().name;
                    let said = failure.without_values();
                    // An outage is one, however often it is met.
                    if self.said.as_ref() != Some(&said) {
                        tracing::warn!(projection, "beside the live tables: {said}; trying again");
                        self.said = Some(said);
                    }
                    // Where MySQL is away, too, nobody can be told.
                    let telling = self.explain_obstacle(&failure);
                    let _ = within(PATIENCE, "saying what a generation waits for", telling).await;
                    tokio::time::sleep(self.backoff.next_wait()).await;
                }
            }
        }
    }

    /// The first thing that is to be done, and for which generation. Nothing, when there is none.
    async fn step(&mut self) -> Result<Option<(End, Generation)>, Failure> {
        let Some(next) = meeting::first(&self.ports.list().await?).cloned() else {
            self.ports.status().builds(None);
            return Ok(None);
        };
        let end = match next.state {
            GenerationState::Dropping => {
                self.ports.drop_tables(&next).await?;
                let (projection, generation) = (&self.ports.settings().name, next.generation);
                tracing::info!(projection, generation, "dropped");
                End::Over
            }
            GenerationState::Building => Box::pin(self.build(&next)).await?,
            // That it meets the live one was recorded, and the answer was lost.
            GenerationState::Meeting => End::Meets,
            _ => End::Elsewhere,
        };
        let state =
            if self.ports.term().rendezvous.is_fixed() { GenerationState::Meeting } else { next.state };
        Ok(Some((end, Generation { state, ..next })))
    }

    /// Builds a generation until it has caught up, or is not wanted any more.
    async fn build(&mut self, next: &Generation) -> Result<End, Failure> {
        let rendezvous = self.ports.term().rendezvous.clone();
        let ended = match self.ports.open(next).await {
            Ok(lanes) => {
                let shadow = ShadowRun::new(lanes, self.ports.settings(), rendezvous.clone());
                tokio::select! {
                    biased;
                    ended = shadow.run(None) => ended.map(|()| {
                        if rendezvous.is_fixed() { End::Met } else { End::Over }
                    }),
                    ended = Watch::new(self.ports.clone(), &shadow).run() => ended,
                }
            }
            Err(failure) => Err(failure),
        };
        match ended {
            Err(failure) if matches!(failure.fault(), Fault::Setup | Fault::Event) => {
                if rendezvous.is_fixed() {
                    return Ok(End::Apart(failure.without_values()));
                }
                self.wait_for_an_operator(next, &failure).await
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
            self.ports.advance(next, GenerationState::Dropping, next.purpose, Some(&reason)).await?;
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

    /// Says what keeps the generation that is being built from coming on, where a server does.
    async fn explain_obstacle(&mut self, failure: &Failure) -> Result<(), Failure> {
        let is_built = |one: &Generation| one.state == GenerationState::Building;
        let Some(now) = self.ports.list().await?.into_iter().find(is_built) else { return Ok(()) };
        let reason = failure.without_values();
        self.ports.explain(now.generation, Some(&reason)).await?;
        report_progress(&mut self.ports, &Generation { reason: Some(reason), ..now }).await
    }
}
