//! Generations beside the live one: what a run finds of them when it begins, and what it does for them.
//!
//! While one is built, the live lanes go on. When it has caught up, the run ends; the next one brings both to one position
//! and ends; and the one after it changes them, or takes the picture in which they are compared, before its lanes begin.

mod builder;
mod comparison;
pub mod context;
pub mod meeting;
mod filtered_source;
mod shadow_run;
pub mod completeness;

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

pub use builder::Building;

use super::ports::BesideStep;
use crate::failure::{Failure, Fault};
use crate::pipeline::run::TaskSet;
use crate::position::Position;
use crate::readmodel::control::generation::{self, Generation, GenerationState};
use crate::readmodel::control::{deployment, ownership, registration};
use crate::readmodel::cut_over::{CutOver, CutOverOutcome};
use crate::readmodel::lane::{checkpoint, witness};
use crate::readmodel::mysql::session::{Session, within};
use comparison::Comparison;
use context::GenerationContext;
use shadow_run::ShadowRun;

/// How long both generations may take to come to one position. The live one takes nothing behind it meanwhile.
const MEETING_PATIENCE: Duration = Duration::from_secs(20);

/// How long MySQL may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// What stands beside the live generation when a run begins.
pub enum NextStep {
    Nothing,
    /// Something is to be built, or dropped.
    Work,
    /// Both are to come to this position.
    Meeting(Box<Generation>, Position),
    /// Both were at one position when this began.
    Comparing(Box<Comparison>),
}

/// What is to be done for other generations beside the live lanes of one run.
pub struct BesideLanes {
    pub context: GenerationContext,
    pub step: NextStep,
}

impl BesideStep for BesideLanes {
    fn until(&self) -> Option<Position> {
        match &self.step {
            NextStep::Meeting(_, until) => Some(until.clone()),
            _ => None,
        }
    }

    /// Starts what is to be done beside the live lanes. A run in which both meet ends when both are there, or when it takes
    /// too long: what is to take the live one's place need not wait for lanes that do not move.
    fn start(self, work: &mut TaskSet, beside: &mut TaskSet, run: &CancellationToken) {
        let Self { context, step } = self;
        let run = run.clone();
        match step {
            NextStep::Meeting(generation, until) => {
                let met = CancellationToken::new();
                let (arrived, over) = (met.clone(), run.clone());
                work.spawn(async move {
                    over.run_until_cancelled(arrived.cancelled()).await;
                    Ok(())
                });
                beside.spawn(async move {
                    let there = meet(&context, &generation, until, &run).await?;
                    if !context.alone.is_cancelled() {
                        met.cancel();
                        // The live lanes have as much time again.
                        let late = tokio::time::sleep(MEETING_PATIENCE);
                        tokio::select! {
                            () = context.alone.cancelled() => {}
                            () = late => {}
                        }
                    }
                    if there {
                        context.waited_for.store(generation.generation, Ordering::Relaxed);
                    }
                    if there && generation.purpose.is_compared() {
                        let why = "the live lanes do not come to one position with it";
                        let mut session = context.servers.applier.connect().await?;
                        back_to_work(&context, &mut session, &generation, why).await?;
                    }
                    run.cancel();
                    std::future::pending().await
                });
                return;
            }
            NextStep::Comparing(comparison) => {
                beside.spawn(comparison.run(context.clone()));
            }
            NextStep::Nothing | NextStep::Work => {}
        }
        beside.spawn(async move {
            Box::pin(Building::new(context).run()).await?;
            // The lanes finish what they have; the next run begins with the meeting.
            run.cancel();
            std::future::pending().await
        });
    }
}

/// Whether anything is to be done beside the live generation.
pub async fn is_needed(context: &GenerationContext) -> Result<bool, Failure> {
    let GenerationContext { servers, settings, .. } = context;
    let asking = async {
        let mut session = servers.applier.connect().await?;
        generation::list(&mut session, &servers.control, &settings.name).await
    };
    let next_step = within(PATIENCE, "reading the generations", asking).await?;
    Ok(next_step.iter().any(|generation| generation.state != GenerationState::Kept))
}

/// What stands beside the live generation; a cut-over that is due, or was interrupted, is done first. No lane runs.
pub async fn next_step(context: &GenerationContext) -> Result<NextStep, Failure> {
    let GenerationContext { servers, settings, .. } = context;
    let mut session = servers.applier.connect().await?;
    let found = registration::find(&mut session, &servers.control, &settings.name).await?;
    let Some(registration) = found.filter(|found| found.lanes > 0) else { return Ok(NextStep::Nothing) };
    let live = registration.live_generation;
    let next_step = generation::list(&mut session, &servers.control, &settings.name).await?;
    let goes = next_step.iter().any(|generation| generation.state == GenerationState::Dropping);
    let comes = |generation: &Generation| {
        !matches!(generation.state, GenerationState::Kept | GenerationState::Dropping)
    };
    let Some(next) = next_step.into_iter().find(comes) else {
        return Ok(if goes { NextStep::Work } else { NextStep::Nothing });
    };
    match next.state {
        GenerationState::CuttingOver => cut_over(context, &mut session, live, next).await,
        GenerationState::Meeting => {
            let (control, name) = (&servers.control, &settings.name);
            let there = checkpoint::rows(&mut session, control, name, next.generation).await?;
            let here = checkpoint::rows(&mut session, control, name, live).await?;
            let waited = context.waited_for.swap(0, Ordering::Relaxed) == next.generation;
            let untold = witness::untold(&mut session, control, name, live).await?;
            let mut outbox = meeting::OutboxAnswer::default();
            loop {
                return match meeting::next(
                    &next,
                    (&here, &there),
                    waited,
                    (untold.as_ref(), std::mem::take(&mut outbox)),
                ) {
                    meeting::Next::AskOutbox => {
                        let asked = (name.as_str(), live);
                        let lacks = completeness::outbox_lacks(servers, &mut session, asked, &here).await?;
                        outbox = meeting::OutboxAnswer::Asked(lacks);
                        continue;
                    }
                    meeting::Next::BackToWork(why) => back_to_work(context, &mut session, &next, &why).await,
                    meeting::Next::Meet(until) => Ok(NextStep::Meeting(Box::new(next), until)),
                    meeting::Next::Wait(why) => waits(context, &mut session, &next, &why).await,
                    meeting::Next::CutOver => cut_over(context, &mut session, live, next).await,
                    meeting::Next::Compare => {
                        let rows = (&*here, &*there);
                        let opened = Comparison::open(context, &mut session, live, next, rows).await?;
                        Ok(opened.map_or(NextStep::Work, |opened| NextStep::Comparing(Box::new(opened))))
                    }
                };
            }
        }
        GenerationState::Comparing => {
            back_to_work(context, &mut session, &next, "the comparison was interrupted").await
        }
        GenerationState::Building | GenerationState::Dropping | GenerationState::Kept => Ok(NextStep::Work),
    }
}

/// A generation waits for an operator's word, since rows would be missing.
async fn waits(
    context: &GenerationContext,
    session: &mut Session,
    next: &Generation,
    why: &str,
) -> Result<NextStep, Failure> {
    let (projection, generation) = (context.settings.name.as_str(), next.generation);
    tracing::warn!(projection, generation, "it does not take the live one's place: {why}");
    let lease = (projection, context.epoch);
    generation::record_lacks(session, &context.servers.control, lease, next, (next.purpose, why)).await?;
    Ok(NextStep::Work)
}

async fn back_to_work(
    context: &GenerationContext,
    session: &mut Session,
    generation: &Generation,
    why: &str,
) -> Result<NextStep, Failure> {
    let (control, name) = (&context.servers.control, context.settings.name.as_str());
    let to = (GenerationState::Building, generation.purpose);
    generation::advance(session, control, (name, context.epoch), generation, to, Some(why)).await?;
    Ok(NextStep::Work)
}

async fn cut_over(
    context: &GenerationContext,
    session: &mut Session,
    live: u32,
    next: Generation,
) -> Result<NextStep, Failure> {
    let GenerationContext { servers, settings, epoch, .. } = context;
    let (control, projection) = (&servers.control, settings.name.as_str());
    let live_tables = ownership::tables(session, control, projection).await?;
    let in_force = deployment::in_force(session, control, projection).await?;
    let live_digest = in_force.map_or_else(|| next.digest.clone(), |in_force| in_force.digest);
    let change = CutOver {
        applier: &servers.applier,
        ddl: &servers.ddl,
        control,
        projection,
        epoch: *epoch,
        live,
        live_tables: &live_tables,
        live_digest: &live_digest,
        next: &next,
    };
    match within(PATIENCE, "cutting over", change.run()).await? {
        CutOverOutcome::Done => {
            let (generation, digest) = (next.generation, &next.digest);
            tracing::info!(projection, generation, digest, before = live, "another generation is live");
            Ok(NextStep::Nothing)
        }
        CutOverOutcome::NotYet(why) => {
            tracing::warn!(projection, generation = next.generation, "not live yet: {why}");
            Ok(NextStep::Work)
        }
    }
}

/// Brings a generation to the position at which the live lanes end. False when it did not come there.
async fn meet(
    context: &GenerationContext,
    generation: &Generation,
    until: Position,
    run: &CancellationToken,
) -> Result<bool, Failure> {
    let meeting = async {
        let side = ShadowRun::open(context, generation.clone()).await?;
        side.run(Some(until)).await
    };
    let ended = tokio::select! {
        ended = tokio::time::timeout(MEETING_PATIENCE, meeting) => ended,
        () = run.cancelled() => return Ok(false),
    };
    let why = match ended {
        Ok(Ok(())) => return Ok(true),
        Ok(Err(failure)) if matches!(failure.fault(), Fault::Environment | Fault::Fenced) => {
            return Err(failure);
        }
        Ok(Err(failure)) => failure.without_values(),
        Err(_) => format!("both did not come to one position within {} s", MEETING_PATIENCE.as_secs()),
    };
    let mut session = context.servers.applier.connect().await?;
    back_to_work(context, &mut session, generation, &why).await?;
    run.cancel();
    Ok(false)
}
