//! The second stage of a lane: plans the batch, commits it, and does what operators ask about letters between batches.

mod refusals;
mod replay;

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::batch_size::{BatchSize, Repeats};
use super::breaker::Breaker;
use super::frontier::Frontiers;
use super::hot_swap::DesiredVersion;
use super::plan::{Isolated, Planner, end_at_first_parked, halve, split};
use super::ports::{ReadModel, Version};
use super::project_stage::ProjectedWork;
use super::questions::FirstStage;
use super::requests::LetterRequest;
use super::suspects::Suspects;
use crate::failure::Failure;
use crate::readmodel::lane::batch::Batch;
use crate::readmodel::mysql::query::counting;
use crate::retry::Backoff;
use crate::source::Decoder;
use crate::status::Status;
use crate::status::activity::Activity;

/// The second stage of a lane.
pub struct ApplyStage<V: Version, R> {
    pub model: R,
    /// Where the component is.
    pub first: FirstStage,
    pub desired: Arc<DesiredVersion<V>>,
    pub planner: Planner,
    pub work: mpsc::Receiver<ProjectedWork>,
    pub requests: mpsc::Receiver<LetterRequest>,
    pub status: Arc<Status>,
    pub lane: usize,
    pub progress: Arc<Frontiers>,
    pub decoder: Decoder,
    pub breaker: Arc<Breaker>,
    pub suspects: Arc<Suspects>,
    /// How many entries a transaction may have.
    pub size: BatchSize,
    /// A parked event holds the whole stream, and not only its aggregate.
    pub holds_stream: bool,
    pub stop: CancellationToken,
}

impl<V: Version, R: ReadModel> ApplyStage<V, R> {
    /// Runs until the first stage is done.
    pub async fn run(mut self) -> Result<(), Failure> {
        let mut requests_open = true;
        loop {
            // Orders are few and come one by one: before work, they never starve it, and are never starved.
            tokio::select! {
                biased;
                request = self.requests.recv(), if requests_open => match request {
                    Some(request) => {
                        self.status.begins(self.lane, Activity::Letter);
                        self.carry_out(request).await?;
                        self.status.ends(self.lane, Activity::Letter);
                    }
                    None => requests_open = false,
                },
                work = self.work.recv() => match work {
                    Some(work) => {
                        self.apply(work).await?;
                        self.status.finished_batch(self.lane);
                    }
                    None => return Ok(()),
                },
            }
        }
    }

    async fn apply(&mut self, work: ProjectedWork) -> Result<(), Failure> {
        let mut todo = VecDeque::from([self.planner.plan(work.projected)]);
        let (mut backoff, mut repeats) = (Backoff::new(), Repeats::default());
        while let Some(mut batch) = todo.pop_front() {
            if batch.entries.len() > self.size.most() {
                put_back(&mut todo, split(batch, self.size.most()));
                continue;
            }
            self.planner.hold_blocked(&mut batch);
            let holds = self.holds_stream && end_at_first_parked(&mut batch);
            self.breaker.admit(self.lane, &batch)?;
            self.status.begins(self.lane, Activity::Committing(batch.entries.len()));
            let batch = Arc::new(batch);
            let (committed, round_trips) = counting(self.model.commit(&batch)).await;
            self.status.ends(self.lane, Activity::Committing(batch.entries.len()));
            match committed {
                Ok(()) => {
                    // Another lane may have written it.
                    if !batch.entries.is_empty() && round_trips > 0 {
                        self.status.took_round_trips(round_trips);
                    }
                    self.breaker.committed(self.lane);
                    self.suspects.committed(&batch);
                    self.size.committed(batch.entries.len());
                    self.planner.committed(&batch);
                    self.status.committed(self.lane, &batch);
                    self.progress.committed(self.lane, batch.entries.len(), &batch.position);
                    backoff = Backoff::new();
                    repeats.committed();
                    if holds {
                        return Err(Failure::StreamHeld { letters: 1 });
                    }
                }
                // What has room is committed still; the checkpoint comes to stand right before what has none.
                Err(Failure::LettersFull { .. }) if batch.entries.len() > 1 => {
                    put_back(&mut todo, halve(Arc::unwrap_or_clone(batch)));
                }
                Err(failure) => {
                    let attempts = repeats.count(&failure);
                    let batch = Arc::unwrap_or_clone(batch);
                    put_back(&mut todo, self.answer(batch, failure, attempts, &mut backoff).await?);
                }
            }
        }
        Ok(())
    }

    /// Waits before the next try. A stop ends the wait with the failure.
    pub(super) async fn wait(&mut self, failure: Failure, backoff: &mut Backoff) -> Result<(), Failure> {
        self.status.lane_waits(self.lane, &failure);
        // Whoever held the lock may be done: that is worth asking soon.
        let lock = matches!(failure, Failure::TransactionLost { .. } | Failure::TransactionVanished);
        let wait = if lock { backoff.next_short_wait() } else { backoff.next_wait() };
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(failure),
            () = tokio::time::sleep(wait) => Ok(()),
        }
    }
}

/// Puts back what is to be tried next.
fn put_back(todo: &mut VecDeque<Batch>, isolated: Isolated) {
    for batch in [isolated.later, isolated.now].into_iter().flatten() {
        todo.push_front(batch);
    }
}
