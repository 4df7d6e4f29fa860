//! One run of a projection: its reader and its lanes as tasks, from their checkpoints to their end.
//!
//! It knows its parts by their traits only, and owns every task. Who may write, and what happens after the end of a
//! run, is the supervisor's business.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::apply_stage::ApplyStage;
use super::batch_size::BatchSize;
use super::breaker::Breaker;
use super::frontier::Frontiers;
use super::hot_swap::{DesiredVersion, HotSwap};
use super::plan::Planner;
use super::ports::{ReadModel, Source, Task, Version};
use super::project_stage::{ProjectStage, between};
use super::questions::FirstStage;
use super::reader::{Inbox, ReadEnd, Reader};
use super::rendezvous::{Rendezvous, Side};
use super::requests::{LetterRequest, request_queue};
use super::room::{Room, RoomPart};
use super::suspects::Suspects;
use super::window::DedupeWindow;
use crate::failure::Failure;
use crate::position::Position;
use crate::readmodel::lane::apply::LoadedLane;
use crate::readmodel::lane::checkpoint::LaneRow;
use crate::readmodel::lane::dedupe::Remembered;
use crate::readmodel::lane::writers::Writers;
use crate::source::Decoder;
use crate::status::Status;

/// Makes the parts that a run consists of.
pub trait Ports {
    type Source: Source;
    type Version: Version;
    type ReadModel: ReadModel;

    /// A source for lanes that have come so far.
    fn source(&self, rows: &[LaneRow]) -> Self::Source;
    /// The component version that the lanes are to work with.
    fn desired(&self) -> Arc<DesiredVersion<Self::Version>>;
    fn read_model(&self, lane: u32) -> Self::ReadModel;
    /// The lanes' turns at MySQL, where lanes write together.
    fn writers(&self) -> Option<Arc<Writers>> {
        None
    }
    /// Decodes the documents of letters that are tried again.
    fn decoder(&self) -> &Decoder;
    /// A parked event holds back the whole stream, and not only its aggregate.
    fn holds_stream(&self) -> bool;
    /// Shows with what the lanes begin.
    fn report(&self, status: &Status, run_plan: &RunPlan);
}

/// The parts that all tasks of a run share.
pub struct Run<'a, P> {
    pub parts: &'a P,
    pub batch_max: usize,
    pub window: usize,
    /// How much may wait in all lanes together.
    pub room: &'a RoomPart,
    /// How often lanes hear where the stream stands while none has events.
    pub rest: Duration,
    pub breaker: Arc<Breaker>,
    pub suspects: Arc<Suspects>,
    pub status: &'a Arc<Status>,
    /// Where its reader meets that of other tables, and which of the two it is.
    pub rendezvous: &'a Arc<Rendezvous>,
    pub side: Side,
    /// Ends reader and lanes when they have finished what they have begun.
    pub stop: &'a CancellationToken,
}

/// Where the lanes of a run begin, and where they end if they end by themselves.
#[derive(Debug, Clone, PartialEq)]
pub struct RunPlan {
    pub rows: Vec<LaneRow>,
    pub until: Option<Position>,
}

/// Why a run ended.
pub enum Ended {
    Stopped,
    /// The lanes came to the end of their course; the next one begins.
    Arrived,
}

/// The queues for requests about dead letters, one a lane.
pub type RequestQueues = Vec<mpsc::Sender<LetterRequest>>;

impl<P: Ports> Run<'_, P> {
    /// Starts the lanes, and the reader that feeds them.
    pub async fn start(&self, work: &mut TaskSet, run_plan: RunPlan) -> Result<RequestQueues, Failure> {
        let progress = Arc::new(Frontiers::new(run_plan.rows.iter().map(|row| row.position.clone())));
        let (inboxes, requests) = self.start_lanes(work, &run_plan, &progress).await?;
        let source = self.parts.source(&run_plan.rows);
        let room = Room::new(self.room.clone(), self.status.queued_bytes.clone());
        self.status.has_room(self.room.bytes());
        let (rendezvous, side) = (self.rendezvous.clone(), self.side);
        let end = ReadEnd { until: run_plan.until, party: rendezvous.party(side) };
        let reader = Reader::new(source, inboxes, room, self.status.clone(), progress, end, self.rest);
        let stop = self.stop.clone();
        let reading = async move {
            reader.run().await?;
            // The lanes come to their end; the run does so when the other side is there, too.
            if side == Side::Live {
                rendezvous.over().await;
            }
            Ok(())
        };
        work.spawn(async move { stop.run_until_cancelled(reading).await.unwrap_or(Ok(())) });
        Ok(requests)
    }

    /// Starts the lanes, and gives them no events until `released` ends; then the run ends. They take requests.
    pub async fn start_held(
        &self,
        work: &mut TaskSet,
        run_plan: RunPlan,
        released: impl Task<()> + 'static,
    ) -> Result<RequestQueues, Failure> {
        let progress = Arc::new(Frontiers::new(run_plan.rows.iter().map(|row| row.position.clone())));
        let (inboxes, requests) = self.start_lanes(work, &run_plan, &progress).await?;
        let stop = self.stop.clone();
        work.spawn(async move {
            // The lanes end with their inboxes.
            let _inboxes = inboxes;
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = released => {}
            }
            Ok(())
        });
        Ok(requests)
    }

    async fn start_lanes(
        &self,
        work: &mut TaskSet,
        run_plan: &RunPlan,
        progress: &Arc<Frontiers>,
    ) -> Result<(Vec<Inbox>, RequestQueues), Failure> {
        // One after the other, they would be what a start takes longest for.
        let mut loaded = try_join_all(run_plan.rows.iter().map(|row| self.load(row))).await?;
        // None of them writes any more, and none writes yet.
        let mut past = match loaded.last_mut() {
            Some((model, _)) => model.remembered().await?,
            None => Remembered::default(),
        };
        let window = Arc::new(DedupeWindow::new(self.window, std::mem::take(&mut past.marks)));
        let (mut inboxes, mut requests) = (vec![], vec![]);
        for (mut model, state) in loaded {
            model.keeps(&past);
            let (inbox, request) = self.start_lane(work, model, state, window.clone(), progress)?;
            inboxes.push(inbox);
            requests.push(request);
        }
        Ok((inboxes, requests))
    }

    /// Reads where a lane stands.
    async fn load(&self, row: &LaneRow) -> Result<(P::ReadModel, LoadedLane), Failure> {
        let mut model = self.parts.read_model(row.lane);
        let state = model.load().await?;
        // The course no longer holds: what was lost may be that there are other lanes now.
        if state.row.batch < row.batch {
            return Err(Failure::CommitsLost { committed: row.batch, found: state.row.batch });
        }
        Ok((model, state))
    }

    /// Starts the two stages of a lane.
    fn start_lane(
        &self,
        work: &mut TaskSet,
        model: P::ReadModel,
        state: LoadedLane,
        window: Arc<DedupeWindow>,
        progress: &Arc<Frontiers>,
    ) -> Result<(Inbox, mpsc::Sender<LetterRequest>), Failure> {
        let number = state.row.lane as usize;
        let (inbox, chunks) = Inbox::new(state.row.position.clone());
        let (to_apply, projected) = between();
        let (request, requests) = request_queue();
        let (first, questions) = FirstStage::new(self.stop.clone());
        let desired = self.parts.desired();
        work.spawn(
            ProjectStage {
                hot_swap: HotSwap::new(&desired)?,
                batch_max: self.batch_max,
                chunks,
                questions,
                writers: self.parts.writers(),
                status: self.status.clone(),
                lane: number,
                stop: self.stop.clone(),
            }
            .run(to_apply),
        );
        work.spawn(
            ApplyStage {
                model,
                first,
                desired,
                planner: Planner::new(state, window),
                work: projected,
                requests,
                status: self.status.clone(),
                lane: number,
                progress: progress.clone(),
                decoder: self.parts.decoder().clone(),
                breaker: self.breaker.clone(),
                suspects: self.suspects.clone(),
                size: BatchSize::any(),
                holds_stream: self.parts.holds_stream(),
                stop: self.stop.clone(),
            }
            .run(),
        );
        Ok((inbox, request))
    }
}

pub type TaskSet = JoinSet<Result<(), Failure>>;

/// The tasks of one run.
#[derive(Default)]
pub struct Tasks {
    /// Tasks that keep the lease, from before the first lane to after the last one.
    pub lease: TaskSet,
    /// Reader and lanes: the run ends when they all have.
    pub work: TaskSet,
    /// Tasks that go on beside the lanes, and never end by themselves.
    pub beside: TaskSet,
}

impl Tasks {
    /// Waits for the end: of the work, by the first failure, or by the host's stop. `run` passes that on to the work, and
    /// has some time to follow.
    pub async fn watch(
        &mut self,
        stop: &CancellationToken,
        run: &CancellationToken,
        status: &Status,
        timeout: Duration,
    ) -> Result<Ended, Failure> {
        let deadline = async {
            stop.cancelled().await;
            // A stop is shown before anything ends because of it.
            status.stops();
            run.cancel();
            tokio::time::sleep(timeout).await;
        };
        tokio::pin!(deadline);
        loop {
            tokio::select! {
                biased;
                joined = self.work.join_next() => match joined.map(finished) {
                    Some(Ok(())) => {}
                    // The others may finish what they have begun.
                    Some(Err(failure)) if run.is_cancelled() => gives_up(status, &failure),
                    Some(Err(failure)) => return Err(failure),
                    None if stop.is_cancelled() => return Ok(Ended::Stopped),
                    None => return Ok(Ended::Arrived),
                },
                Some(joined) = self.lease.join_next() => finished(joined)?,
                Some(joined) = self.beside.join_next() => finished(joined)?,
                () = &mut deadline => {
                    name_stragglers(status);
                    return Ok(Ended::Stopped);
                }
            }
        }
    }

    /// Goes on without lanes for some time, or until the run ends: with what stands beside them.
    pub fn go_on_beside(&mut self, run: &CancellationToken, time: Duration) {
        let run = run.clone();
        self.work.spawn(async move {
            run.run_until_cancelled(tokio::time::sleep(time)).await;
            Ok(())
        });
    }

    /// Ends what still runs: a transaction that is open is rolled back by MySQL when its connection closes.
    pub async fn end(mut self) {
        self.work.shutdown().await;
        self.beside.shutdown().await;
        self.lease.shutdown().await;
    }
}

fn gives_up(status: &Status, failure: &Failure) {
    let (projection, failure) = (status.projection(), failure.without_values());
    tracing::warn!(projection, "a lane gave up while stopping; what it had open is rolled back: {failure}");
}

/// Logs the lanes that were not done by the deadline of a stop.
fn name_stragglers(status: &Status) {
    let projection = status.projection();
    for (lane, doing) in status.stragglers() {
        tracing::warn!(projection, lane, "the stop took too long; what is open is rolled back: {doing}");
    }
}

/// The result of a task that ended; a panic is the host's bug.
pub fn finished(joined: Result<Result<(), Failure>, JoinError>) -> Result<(), Failure> {
    joined.unwrap_or_else(|error| {
        Err(Failure::Bug { what: format!("a task of the projection ended abnormally: {error}") })
    })
}
