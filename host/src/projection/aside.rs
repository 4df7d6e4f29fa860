//! Generations beside the live one: what a run finds of them when it begins, and what it does for them.
//!
//! While one is built, the live lanes go on. When it has caught up, the run ends; the next one brings both to one position
//! and ends; and the one after it changes them, or takes the picture in which they are compared, before its lanes begin.

mod building;
mod comparison;
pub mod meeting;
mod part;
mod side;
pub mod whole;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

pub use building::Building;

use super::run::TaskSet;
use super::versions::Versions;
use super::{Servers, Settings, Status};
use crate::failure::{Failure, Fault};
use crate::position::Position;
use crate::readmodel::cut_over::{CutOver, Outcome};
use crate::readmodel::generation::{self, Generation, State};
use crate::readmodel::{Session, checkpoint, deployment, ownership, registration, within, witness};
use comparison::Comparison;
use side::Side;

/// How long both generations may take to come to one position. The live one takes nothing behind it meanwhile.
const MEETING_PATIENCE: Duration = Duration::from_secs(20);

/// How long MySQL may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// What every part of this works with.
#[derive(Clone)]
pub struct Ground {
    pub servers: Servers,
    pub settings: Settings,
    pub versions: Arc<Versions>,
    pub epoch: u64,
    /// That of the live lanes.
    pub live: Arc<Status>,
    /// Cancelled when the live lanes cannot run, and nobody has to be waited for.
    pub alone: CancellationToken,
    /// The generation for which the live lanes had their time to come to one position with it, in the run before.
    pub waited_for: Arc<AtomicU32>,
}

/// What stands beside the live generation when a run begins.
pub enum Standing {
    Nothing,
    /// Something is to be built, or dropped.
    Work,
    /// Both are to come to this position.
    Meeting(Box<Generation>, Position),
    /// Both were at one position when this began.
    Comparing(Box<Comparison>),
}

impl Standing {
    /// Where the live lanes are to end.
    pub fn until(&self) -> Option<Position> {
        match self {
            Self::Meeting(_, until) => Some(until.clone()),
            _ => None,
        }
    }

    /// Starts what is to be done beside the live lanes. A run in which both meet ends when both are there, or when it takes
    /// too long: what is to take the live one's place need not wait for lanes that do not move.
    pub fn start(self, ground: Ground, work: &mut TaskSet, beside: &mut TaskSet, run: &CancellationToken) {
        let run = run.clone();
        match self {
            Self::Meeting(generation, until) => {
                let met = CancellationToken::new();
                let (arrived, over) = (met.clone(), run.clone());
                work.spawn(async move {
                    over.run_until_cancelled(arrived.cancelled()).await;
                    Ok(())
                });
                beside.spawn(async move {
                    let there = meet(&ground, &generation, until, &run).await?;
                    if !ground.alone.is_cancelled() {
                        met.cancel();
                        // The live lanes have as much time again.
                        let late = tokio::time::sleep(MEETING_PATIENCE);
                        tokio::select! {
                            () = ground.alone.cancelled() => {}
                            () = late => {}
                        }
                    }
                    if there {
                        ground.waited_for.store(generation.generation, Ordering::Relaxed);
                    }
                    if there && generation.purpose.is_compared() {
                        let why = "the live lanes do not come to one position with it";
                        let mut session = ground.servers.applier.connect().await?;
                        back_to_work(&ground, &mut session, &generation, why).await?;
                    }
                    run.cancel();
                    std::future::pending().await
                });
                return;
            }
            Self::Comparing(comparison) => {
                beside.spawn(comparison.run(ground.clone()));
            }
            Self::Nothing | Self::Work => {}
        }
        beside.spawn(async move {
            Box::pin(Building::new(ground).run()).await?;
            // The lanes finish what they have; the next run begins with the meeting.
            run.cancel();
            std::future::pending().await
        });
    }
}

/// Whether anything is to be done beside the live generation.
pub async fn is_needed(ground: &Ground) -> Result<bool, Failure> {
    let Ground { servers, settings, .. } = ground;
    let asking = async {
        let mut session = servers.applier.connect().await?;
        generation::list(&mut session, &servers.control, &settings.name).await
    };
    let standing = within(PATIENCE, "reading the generations", asking).await?;
    Ok(standing.iter().any(|generation| generation.state != State::Kept))
}

/// What stands beside the live generation; a cut-over that is due, or was interrupted, is done first. No lane runs.
pub async fn settle(ground: &Ground) -> Result<Standing, Failure> {
    let Ground { servers, settings, .. } = ground;
    let mut session = servers.applier.connect().await?;
    let found = registration::find(&mut session, &servers.control, &settings.name).await?;
    let Some(registration) = found.filter(|found| found.lanes > 0) else { return Ok(Standing::Nothing) };
    let live = registration.live_generation;
    let standing = generation::list(&mut session, &servers.control, &settings.name).await?;
    let goes = standing.iter().any(|generation| generation.state == State::Dropping);
    let comes = |generation: &Generation| !matches!(generation.state, State::Kept | State::Dropping);
    let Some(next) = standing.into_iter().find(comes) else {
        return Ok(if goes { Standing::Work } else { Standing::Nothing });
    };
    match next.state {
        State::CuttingOver => cut_over(ground, &mut session, live, next).await,
        State::Meeting => {
            let (control, name) = (&servers.control, &settings.name);
            let there = checkpoint::rows(&mut session, control, name, next.generation).await?;
            let here = checkpoint::rows(&mut session, control, name, live).await?;
            let waited = ground.waited_for.swap(0, Ordering::Relaxed) == next.generation;
            let untold = witness::untold(&mut session, control, name, live).await?;
            let mut outbox = meeting::Outbox::default();
            loop {
                return match meeting::next(
                    &next,
                    (&here, &there),
                    waited,
                    (untold.as_ref(), std::mem::take(&mut outbox)),
                ) {
                    meeting::Next::AskOutbox => {
                        let asked = (name.as_str(), live);
                        let lacks = whole::outbox_lacks(servers, &mut session, asked, &here).await?;
                        outbox = meeting::Outbox::Asked(lacks);
                        continue;
                    }
                    meeting::Next::BackToWork(why) => back_to_work(ground, &mut session, &next, &why).await,
                    meeting::Next::Meet(until) => Ok(Standing::Meeting(Box::new(next), until)),
                    meeting::Next::Wait(why) => waits(ground, &mut session, &next, &why).await,
                    meeting::Next::CutOver => cut_over(ground, &mut session, live, next).await,
                    meeting::Next::Compare => {
                        let rows = (&*here, &*there);
                        let opened = Comparison::open(ground, &mut session, live, next, rows).await?;
                        Ok(opened.map_or(Standing::Work, |opened| Standing::Comparing(Box::new(opened))))
                    }
                };
            }
        }
        State::Comparing => back_to_work(ground, &mut session, &next, "the comparison was interrupted").await,
        State::Building | State::Dropping | State::Kept => Ok(Standing::Work),
    }
}

/// A generation waits for an operator's word, since rows would be missing.
async fn waits(
    ground: &Ground,
    session: &mut Session,
    next: &Generation,
    why: &str,
) -> Result<Standing, Failure> {
    let (projection, generation) = (ground.settings.name.as_str(), next.generation);
    tracing::warn!(projection, generation, "it does not take the live one's place: {why}");
    let lease = (projection, ground.epoch);
    generation::record_lacks(session, &ground.servers.control, lease, next, (next.purpose, why)).await?;
    Ok(Standing::Work)
}

async fn back_to_work(
    ground: &Ground,
    session: &mut Session,
    generation: &Generation,
    why: &str,
) -> Result<Standing, Failure> {
    let (control, name) = (&ground.servers.control, ground.settings.name.as_str());
    let to = (State::Building, generation.purpose);
    generation::advance(session, control, (name, ground.epoch), generation, to, Some(why)).await?;
    Ok(Standing::Work)
}

async fn cut_over(
    ground: &Ground,
    session: &mut Session,
    live: u32,
    next: Generation,
) -> Result<Standing, Failure> {
    let Ground { servers, settings, epoch, .. } = ground;
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
        Outcome::Done => {
            let (generation, digest) = (next.generation, &next.digest);
            tracing::info!(projection, generation, digest, before = live, "another generation is live");
            Ok(Standing::Nothing)
        }
        Outcome::NotYet(why) => {
            tracing::warn!(projection, generation = next.generation, "not live yet: {why}");
            Ok(Standing::Work)
        }
    }
}

/// Brings a generation to the position at which the live lanes end. False when it did not come there.
async fn meet(
    ground: &Ground,
    generation: &Generation,
    until: Position,
    run: &CancellationToken,
) -> Result<bool, Failure> {
    let meeting = async {
        let side = Side::open(ground, generation.clone()).await?;
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
    let mut session = ground.servers.applier.connect().await?;
    back_to_work(ground, &mut session, generation, &why).await?;
    run.cancel();
    Ok(false)
}
