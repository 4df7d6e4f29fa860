//! One run of a projection: its reader and its lanes as tasks, from their checkpoints to their end.
//!
//! It knows its parts by their traits only, and owns every task. Who may write, and what happens after the end of a
//! run, is the supervisor's business.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::lane::{ApplyStage, Deployed, ProjectStage, between, order_queue};
use super::letters::Order;
use super::parts::{Projector, ReadModel, Source};
use super::plan::Planner;
use super::progress::Progress;
use super::reader::{Inbox, Reader};
use super::{Course, Status};
use crate::failure::Failure;
use crate::source::Decoder;

/// Makes the parts that a run consists of.
pub trait Parts {
    type Source: Source;
    type Projector: Projector;
    type ReadModel: ReadModel;

    fn source(&self) -> Self::Source;
    /// Called twice a lane: for its batches, and for its letters.
    fn projector(&self) -> Result<Self::Projector, Failure>;
    fn read_model(&self, lane: u32) -> Self::ReadModel;
}

/// What all parts of a run share.
pub struct Run<'a, P> {
    pub parts: &'a P,
    pub deployed: &'a Deployed,
    pub decoder: &'a Decoder,
    pub batch_max: usize,
    pub window: usize,
    pub status: &'a Arc<Status>,
    pub stop: &'a CancellationToken,
}

/// Why a run ended.
pub enum Ended {
    Stopped,
    /// The lanes came to the end of their course; the next one begins.
    Arrived,
}

impl<P: Parts> Run<'_, P> {
    /// Starts reader and lanes. With the tasks come the queues for orders, one a lane.
    pub async fn start(&self, course: Course) -> Result<(Tasks, Vec<mpsc::Sender<Order>>), Failure> {
        let mut tasks = Tasks::default();
        let progress = Arc::new(Progress::new(course.rows.iter().map(|row| row.position.clone())));
        let (mut inboxes, mut orders) = (vec![], vec![]);
        for row in &course.rows {
            let (inbox, order) = self.start_lane(&mut tasks, row.lane, &progress).await?;
            inboxes.push(inbox);
            orders.push(order);
        }
        let reader =
            Reader::new(self.parts.source(), inboxes, self.status.clone(), progress, course.until);
        let stop = self.stop.clone();
        tasks.work.spawn(async move {
            tokio::select! {
                biased;
                () = stop.cancelled() => Ok(()),
                ended = reader.run() => ended,
            }
        });
        Ok((tasks, orders))
    }

    /// Starts the two stages of a lane.
    async fn start_lane(
        &self,
        tasks: &mut Tasks,
        lane: u32,
        progress: &Arc<Progress>,
    ) -> Result<(Inbox, mpsc::Sender<Order>), Failure> {
        let number = lane as usize;
        let mut model = self.parts.read_model(lane);
        let state = model.load().await?;
        let (inbox, chunks) = Inbox::new(state.row.position.clone());
        let (to_apply, work) = between();
        let (order, orders) = order_queue();
        tasks.work.spawn(
            ProjectStage {
                projector: self.parts.projector()?,
                deployed: self.deployed.clone(),
                batch_max: self.batch_max,
                chunks,
                work: to_apply,
                status: self.status.clone(),
                lane: number,
                stop: self.stop.clone(),
            }
            .run(),
        );
        tasks.work.spawn(
            ApplyStage {
                model,
                projector: self.parts.projector()?,
                deployed: self.deployed.clone(),
                planner: Planner::new(state, self.window),
                work,
                orders,
                status: self.status.clone(),
                lane: number,
                progress: progress.clone(),
                decoder: self.decoder.clone(),
                stop: self.stop.clone(),
            }
            .run(),
        );
        Ok((inbox, order))
    }
}

/// The tasks of one run.
#[derive(Default)]
pub struct Tasks {
    /// Reader and lanes: the run ends when they all have.
    work: JoinSet<Result<(), Failure>>,
    /// What goes on beside them, and never ends by itself.
    upkeep: JoinSet<Result<(), Failure>>,
}

impl Tasks {
    /// Starts what goes on beside reader and lanes.
    pub fn beside(&mut self, upkeep: impl Future<Output = Result<(), Failure>> + Send + 'static) {
        self.upkeep.spawn(upkeep);
    }

    /// Waits for the end: of the work, by the first failure, or by a stop, which the work has some time to follow.
    pub async fn watch(&mut self, stop: &CancellationToken, timeout: Duration) -> Result<Ended, Failure> {
        let stopped = async {
            stop.cancelled().await;
            tokio::time::sleep(timeout).await;
        };
        tokio::pin!(stopped);
        loop {
            tokio::select! {
                biased;
                joined = self.work.join_next() => match joined {
                    Some(joined) => finished(joined)?,
                    None if stop.is_cancelled() => return Ok(Ended::Stopped),
                    None => return Ok(Ended::Arrived),
                },
                Some(joined) = self.upkeep.join_next() => finished(joined)?,
                () = &mut stopped => {
                    tracing::warn!(tasks = self.work.len(), "the stop took too long; what is open is rolled back");
                    return Ok(Ended::Stopped);
                }
            }
        }
    }

    /// Ends what still runs: a transaction that is open is rolled back by MySQL when its connection closes.
    pub async fn end(mut self) {
        self.work.shutdown().await;
        self.upkeep.shutdown().await;
    }
}

fn finished(joined: Result<Result<(), Failure>, JoinError>) -> Result<(), Failure> {
    joined.unwrap_or_else(|error| {
        Err(Failure::Unknown {
            code: 0,
            message: format!("a task of the projection ended abnormally: {error}"),
        })
    })
}
