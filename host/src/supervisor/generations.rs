//! Generations beside the live one: what a run finds of them when it begins, and what it does for them.
//!
//! While one is built, the live lanes go on. When it has caught up, both come to one position, and the run ends; the next one changes
//! them, or takes the picture in which they are compared, before its lanes begin. Where the live lanes cannot run, or somebody died
//! before both were there, a run of its own brings both to one position.

pub mod background;
pub mod completeness;
mod effort;
mod filtered_source;
pub mod meeting;
mod picture;
pub mod ports;
mod comparison;
pub mod rebuild_after_loss;
mod shadow_lanes;
pub mod context;
mod shadow_run;
mod approach;
mod pace;
mod watch;
mod builder;

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use builder::Building;
use meeting::{BothLanes, LiveEvents};
use ports::GenerationPorts;
use shadow_run::ShadowRun;

use crate::failure::{Failure, Fault};
use crate::pipeline::run::TaskSet;
use crate::position::Position;
use crate::readmodel::control::generation::{Generation, GenerationState};
use crate::readmodel::cut_over::CutOverOutcome;
use crate::status::OperationSpan;
use crate::supervisor::term::Term;

/// How long both generations may take to come to one position. The live one takes nothing behind it meanwhile.
const MEETING_PATIENCE: Duration = Duration::from_secs(20);

/// How long MySQL may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// What stands beside the live generation when a run begins.
pub enum NextStep<P: GenerationPorts> {
    Nothing,
    /// Something is to be built, or dropped.
    Work,
    /// Both are to come to this position.
    Meeting(Box<Generation>, Position),
    /// Both were at one position when this began.
    Comparing(Box<Generation>, P::Picture),
}

/// What is to be done for other generations beside the live lanes of one run.
pub struct BesideLanes<P: GenerationPorts> {
    pub ports: P,
    pub step: NextStep<P>,
}

impl<P: GenerationPorts> BesideLanes<P> {
    /// The position at which the live lanes end, where both generations come to one.
    pub fn until(&self) -> Option<Position> {
        match &self.step {
            NextStep::Meeting(_, until) => Some(until.clone()),
            _ => None,
        }
    }

    /// Starts what is to be done beside the live lanes. A run in which both meet ends when both are there, or when it takes
    /// too long: what is to take the live one's place need not wait for lanes that do not move.
    pub fn start(self, work: &mut TaskSet, beside: &mut TaskSet, run: &CancellationToken) {
        let Self { mut ports, step } = self;
        let run = run.clone();
        match step {
            NextStep::Meeting(generation, until) => {
                let met = CancellationToken::new();
                let (arrived, over) = (met.clone(), run.clone());
                work.spawn(async move {
                    over.run_until_cancelled(arrived.cancelled()).await;
                    Ok(())
                });
                let background = ports.background();
                beside.spawn_on(align(ports, *generation, until, met, run), &background);
                return;
            }
            NextStep::Comparing(generation, picture) => {
                let background = ports.background();
                beside.spawn_on(comparison::compare(ports.clone(), picture, *generation), &background);
            }
            NextStep::Nothing | NextStep::Work => {}
        }
        let background = ports.background();
        let building = async move {
            if let Some(met) = Box::pin(Building::new(ports.clone()).run()).await? {
                ports.term().rendezvous.ends();
                followed(&mut ports, &met).await?;
            }
            // The lanes finish what they have; the next run begins with the meeting.
            run.cancel();
            std::future::pending().await
        };
        beside.spawn_on(building, &background);
    }
}

/// Brings a generation to where the live lanes end, and gives them time to come there, too. Then the run ends.
async fn align<P: GenerationPorts>(
    mut ports: P,
    generation: Generation,
    until: Position,
    met: CancellationToken,
    run: CancellationToken,
) -> Result<(), Failure> {
    if meet(&mut ports, &generation, until, &run).await? {
        met.cancel();
        followed(&mut ports, &generation).await?;
    }
    run.cancel();
    std::future::pending().await
}

/// Gives the live lanes time to come where a generation is; when they do, the run ends, and this with it.
async fn followed<P: GenerationPorts>(ports: &mut P, generation: &Generation) -> Result<(), Failure> {
    let Term { alone, waited_for, .. } = ports.term().clone();
    if !alone.is_cancelled() {
        // As much as the generation had.
        alone.run_until_cancelled(tokio::time::sleep(MEETING_PATIENCE)).await;
    }
    waited_for.store(generation.generation, Ordering::Relaxed);
    if generation.purpose.is_compared() {
        back_to_work(ports, generation, "the live lanes do not come to one position with it").await?;
    }
    Ok(())
}

/// Whether anything is to be done beside the live generation.
pub async fn is_needed<P: GenerationPorts>(ports: &mut P) -> Result<bool, Failure> {
    Ok(ports.list().await?.iter().any(|generation| generation.state != GenerationState::Kept))
}

/// What stands beside the live generation; a cut-over that is due, or was interrupted, is done first. No lane runs.
pub async fn next_step<P: GenerationPorts>(ports: &mut P) -> Result<NextStep<P>, Failure> {
    let Some(live) = ports.live().await? else { return Ok(NextStep::Nothing) };
    let found = ports.list().await?;
    let goes = found.iter().any(|generation| generation.state == GenerationState::Dropping);
    let comes = |generation: &Generation| {
        !matches!(generation.state, GenerationState::Kept | GenerationState::Dropping)
    };
    let Some(next) = found.into_iter().find(comes) else {
        return Ok(if goes { NextStep::Work } else { NextStep::Nothing });
    };
    match next.state {
        GenerationState::CuttingOver => cut_over(ports, live, &next).await,
        GenerationState::Meeting => meeting_step(ports, live, next).await,
        GenerationState::Comparing => back_to_work(ports, &next, "the comparison was interrupted").await,
        GenerationState::Building | GenerationState::Dropping | GenerationState::Kept => Ok(NextStep::Work),
    }
}

/// What comes next of a generation that meets the live one.
async fn meeting_step<P: GenerationPorts>(
    ports: &mut P,
    live: u32,
    next: Generation,
) -> Result<NextStep<P>, Failure> {
    let beside = ports.rows(next.generation).await?;
    let live_rows = ports.rows(live).await?;
    let lanes = BothLanes { live: &live_rows, beside: &beside };
    let waited = ports.term().waited_for.swap(0, Ordering::Relaxed) == next.generation;
    let untold = ports.untold(live).await?;
    let mut outbox = meeting::OutboxAnswer::default();
    loop {
        let events = LiveEvents { untold: untold.as_ref(), outbox: &outbox };
        return match meeting::next(&next, lanes, waited, events) {
            meeting::Next::AskOutbox => {
                outbox = meeting::OutboxAnswer::Asked(ports.outbox_lacks(live, &live_rows).await?);
                continue;
            }
            meeting::Next::BackToWork(why) => back_to_work(ports, &next, &why).await,
            meeting::Next::Meet(until) => Ok(NextStep::Meeting(Box::new(next), until)),
            meeting::Next::Wait(why) => {
                let (projection, generation) = (&ports.settings().name, next.generation);
                tracing::warn!(projection, generation, "it does not take the live one's place: {why}");
                ports.record_lacks(&next, next.purpose, &why).await?;
                Ok(NextStep::Work)
            }
            meeting::Next::CutOver => cut_over(ports, live, &next).await,
            meeting::Next::Compare => {
                let picture = ports.take_picture(live, &next, lanes).await?;
                let to = GenerationState::Comparing;
                let moved = ports.advance(&next, to, next.purpose, None).await?;
                let comparing = Box::new(Generation { state: to, ..next });
                Ok(if moved { NextStep::Comparing(comparing, picture) } else { NextStep::Work })
            }
        };
    }
}

async fn back_to_work<P: GenerationPorts>(
    ports: &mut P,
    generation: &Generation,
    why: &str,
) -> Result<NextStep<P>, Failure> {
    ports.advance(generation, GenerationState::Building, generation.purpose, Some(why)).await?;
    Ok(NextStep::Work)
}

async fn cut_over<P: GenerationPorts>(
    ports: &mut P,
    live: u32,
    next: &Generation,
) -> Result<NextStep<P>, Failure> {
    let outcome = ports.cut_over(live, next).await?;
    let (projection, generation, digest) = (&ports.settings().name, next.generation, &next.digest);
    match outcome {
        CutOverOutcome::Done => {
            tracing::info!(projection, generation, digest, before = live, "another generation is live");
            let (id, took) = (next.opened_by.unwrap_or_default(), Duration::from_secs(next.seconds));
            let built = OperationSpan { id, took, error: None };
            ports.status().traces().operation(projection, "build", built);
            Ok(NextStep::Nothing)
        }
        CutOverOutcome::NotYet(why) => {
            tracing::warn!(projection, generation, "not live yet: {why}");
            Ok(NextStep::Work)
        }
    }
}

/// Why a generation and the live one did not meet.
fn late() -> String {
    format!("both did not come to one position within {} s", MEETING_PATIENCE.as_secs())
}

/// Brings a generation to the position at which the live lanes end. False when it did not come there.
async fn meet<P: GenerationPorts>(
    ports: &mut P,
    generation: &Generation,
    until: Position,
    run: &CancellationToken,
) -> Result<bool, Failure> {
    let meeting = async {
        let rendezvous = ports.term().rendezvous.clone();
        let shadow = ShadowRun::new(ports.open(generation).await?, ports.settings(), rendezvous);
        shadow.run(Some(until)).await
    };
    let ended = tokio::select! {
        biased;
        ended = tokio::time::timeout(MEETING_PATIENCE, meeting) => ended,
        () = run.cancelled() => return Ok(false),
    };
    let why = match ended {
        Ok(Ok(())) => return Ok(true),
        Ok(Err(failure)) if matches!(failure.fault(), Fault::Environment | Fault::Fenced) => {
            return Err(failure);
        }
        Ok(Err(failure)) => failure.without_values(),
        Err(_) => late(),
    };
    back_to_work(ports, generation, &why).await?;
    run.cancel();
    Ok(false)
}
