//! Generations beside the live one: what a run finds of them when it begins, and what it does for them.
//!
//! While one is built, the live lanes go on. When it has caught up, the run ends; the next one brings both to one position
//! and ends; and the one after it changes them, or takes the picture in which they are compared, before its lanes begin.

mod building;
mod comparison;
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
use crate::readmodel::deployment::Origin;
use crate::readmodel::generation::{self, Generation, Purpose, State};
use crate::readmodel::{LaneRow, Session, checkpoint, deployment, ownership, registration, within, witness};
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
            let all = there.iter().chain(&here).map(|row| &row.position);
            let Some(furthest) = all.max_by(|a, b| a.compare(b)).cloned() else {
                return back_to_work(ground, &mut session, &next, "its lanes are gone").await;
            };
            let at = |rows: &[LaneRow]| rows.iter().all(|row| row.position.compare(&furthest).is_eq());
            let waited = ground.waited_for.swap(0, Ordering::Relaxed) == next.generation;
            match next.purpose {
                // Where the live lanes cannot go on, it is enough that the others are further.
                Purpose::Replace | Purpose::Look if at(&there) && (at(&here) || waited) => {
                    let lacks = lacks(ground, &mut session, (live, &next), (&here, &there)).await?;
                    match lacks {
                        None => cut_over(ground, &mut session, live, next).await,
                        Some(why) => waits(ground, &mut session, &next, &why).await,
                    }
                }
                Purpose::Verify | Purpose::Repair if at(&there) && at(&here) => {
                    let opened = Comparison::open(ground, &mut session, live, next, (&here, &there)).await?;
                    Ok(opened.map_or(Standing::Work, |opened| Standing::Comparing(Box::new(opened))))
                }
                _ => Ok(Standing::Meeting(Box::new(next), furthest)),
            }
        }
        State::Comparing => back_to_work(ground, &mut session, &next, "the comparison was interrupted").await,
        State::Building | State::Dropping | State::Kept => Ok(Standing::Work),
    }
}

/// What a generation that is to take the live one's place lacks of it, in words. It is as far as the live one, or further.
async fn lacks(
    ground: &Ground,
    session: &mut Session,
    (live, next): (u32, &Generation),
    (here, there): (&[LaneRow], &[LaneRow]),
) -> Result<Option<String>, Failure> {
    if next.lacks_accepted {
        return Ok(None);
    }
    let (control, name) = (&ground.servers.control, ground.settings.name.as_str());
    let untold = witness::untold(session, control, name, live).await?;
    if untold.is_some() {
        return Ok(untold);
    }
    let all = || here.iter().chain(there).map(|row| &row.position);
    if all().zip(all().skip(1)).all(|(one, other)| one.compare(other).is_eq()) {
        return Ok(whole::lacks(here, there, next.origin == Origin::Rollback));
    }
    // The live lanes cannot go on: what they took has to be in the outbox still, from which the others took it.
    whole::outbox_lacks(&ground.servers, session, (name, live), here).await
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
