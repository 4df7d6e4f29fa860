//! A lane: one ordered worker of a projection, in two stages that overlap. The first takes what is there and has
//! it projected; the second plans the batch, commits it, and does operators' orders between batches.
//!
//! Nothing waits for a batch to fill: batches are small when events are rare, and large under load.

mod refusals;

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::breaker::Breaker;
use super::busy::Busy;
use super::letters::Order;
use super::parts::{Answer, Made, ReadModel, Version};
use super::plan::{Answered, Isolated, Planner, Projected, end_at_first_parked, halve, split};
use super::progress::Progress;
use super::reader::Chunk;
use super::room::Share;
use super::size::{Repeats, Size};
use super::slide::Slide;
use super::status::Status;
use super::suspects::Suspects;
use crate::event::{Delivery, Event, Undecodable};
use crate::failure::Failure;
use crate::position::Position;
use crate::readmodel::{Batch, judge};
use crate::retry::Backoff;
use crate::source::Decoder;
use crate::statement::{Manifest, Schema, UpcasterManifest};

/// How many projected batches may wait for the second stage.
const PROJECTED_MAX: usize = 1;

/// How often a projector may run against the clock's backstop with one batch before the projection stops trying.
pub const DEADLINES_MAX: u32 = 3;

/// What a lane works with: the deployed component, behind its upcaster where there is one, and its checked SQL.
#[derive(Clone)]
pub struct Deployed {
    /// Of both together.
    pub digest: String,
    pub manifest: Arc<Manifest>,
    pub upcaster: Option<Arc<UpcasterManifest>>,
    pub schema: Arc<Schema>,
}

impl Deployed {
    /// Whether it is asked about events of this type. Whether the projector takes what an upcaster makes of them shows then.
    pub fn takes(&self, event_type: &str) -> bool {
        let upcast = self.upcaster.as_ref().is_some_and(|upcaster| upcaster.takes(event_type));
        upcast || self.manifest.handles(event_type)
    }
}

/// A projected batch on its way to the second stage, with its share of the room in the queues.
pub struct Work {
    pub projected: Projected,
    pub schema: Arc<Schema>,
    pub shares: Vec<Share>,
}

/// The queue between the stages.
pub fn between() -> (mpsc::Sender<Work>, mpsc::Receiver<Work>) {
    mpsc::channel(PROJECTED_MAX)
}

/// The first stage.
pub struct ProjectStage<V: Version> {
    pub slide: Slide<V>,
    pub batch_max: usize,
    pub chunks: mpsc::Receiver<Chunk>,
    pub work: mpsc::Sender<Work>,
    pub status: Arc<Status>,
    pub lane: usize,
    pub stop: CancellationToken,
}

impl<V: Version> ProjectStage<V> {
    /// Runs until the reader is done, or a stop is asked for: what is queued then is read again later.
    pub async fn run(mut self) -> Result<(), Failure> {
        let mut waiting: VecDeque<Chunk> = VecDeque::new();
        self.says_what_it_runs();
        loop {
            if waiting.is_empty() {
                match self.next().await? {
                    Some(chunk) => waiting.push_back(chunk),
                    None => return Ok(()),
                }
            }
            if self.stop.is_cancelled() {
                return Ok(());
            }
            while let Ok(chunk) = self.chunks.try_recv() {
                waiting.push_back(chunk);
            }
            let (deliveries, position, shares) = take(&mut waiting, self.batch_max);
            self.follow()?;
            let answers = self.project(&deliveries).await?;
            let entries = deliveries.into_iter().zip(answers).collect();
            let Deployed { digest, schema, .. } = self.slide.deployed().clone();
            self.status.hands_on(self.lane, &digest);
            let projected = Projected { entries, position, digest };
            if self.work.send(Work { projected, schema, shares }).await.is_err() {
                return Ok(());
            }
        }
    }

    /// The next chunk, or none at the end. Who waits for it takes up another component at once.
    async fn next(&mut self) -> Result<Option<Chunk>, Failure> {
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ok(None),
                received = self.chunks.recv() => return Ok(received),
                () = self.slide.until_another() => self.follow()?,
            }
        }
    }

    fn follow(&mut self) -> Result<(), Failure> {
        self.slide.follow()?;
        self.says_what_it_runs();
        Ok(())
    }

    fn says_what_it_runs(&self) {
        self.status.runs(self.lane, &self.slide.deployed().digest);
    }

    /// One answer a delivery. Where the component fails what the one before takes, the change is taken back.
    async fn project(&mut self, deliveries: &[Delivery]) -> Result<Vec<Answered>, Failure> {
        loop {
            let events = asked(self.slide.deployed(), deliveries);
            let answers = self.ask(events).await?;
            let answers = judged(self.slide.deployed(), deliveries, answers);
            let Some(reason) = self.better_before(deliveries, &answers).await? else { return Ok(answers) };
            if !self.slide.take_back(&reason)? {
                return Err(Failure::TakenBack { reason });
            }
            self.says_what_it_runs();
        }
    }

    /// Why the component before is better: the first failure of this one that it does not share.
    async fn better_before(
        &mut self,
        deliveries: &[Delivery],
        answers: &[Answered],
    ) -> Result<Option<String>, Failure> {
        let Some(before) = self.slide.before().cloned() else { return Ok(None) };
        for (delivery, answered) in deliveries.iter().zip(answers) {
            let Answered::Answer(Err(failure)) = answered else { continue };
            let alone = std::slice::from_ref(delivery);
            let events = asked(&before, alone);
            // What it did not handle is no sign of anything.
            if events.is_empty() {
                continue;
            }
            let answers = self.slide.project_before(events).await?;
            if let [Answered::Answer(Ok(_)) | Answered::Ignored] = judged(&before, alone, answers)[..] {
                return Ok(Some(taken_back_for(delivery, failure)));
            }
        }
        Ok(None)
    }

    async fn ask(&mut self, events: Vec<Arc<Event>>) -> Result<Vec<Answer>, Failure> {
        if events.is_empty() {
            return Ok(vec![]);
        }
        let asked = events.len();
        let mut backoff = Backoff::new();
        loop {
            self.status.begins(self.lane, Busy::Projecting(asked));
            let projected = self.slide.project(events.clone()).await;
            self.status.ends(self.lane, Busy::Projecting(asked));
            match projected {
                Ok(answers) if answers.len() == asked => return Ok(answers),
                Ok(answers) => {
                    let reason = format!("the projector gave {} answers to {asked} events", answers.len());
                    return Err(Failure::Misconfigured { reason });
                }
                Err(failure) if backoff.attempts() + 1 >= DEADLINES_MAX => {
                    let told = failure.without_values();
                    let reason = format!("{told}; so it was {DEADLINES_MAX} times in a row");
                    return Err(Failure::Misconfigured { reason });
                }
                Err(failure) => {
                    self.status.lane_waits(self.lane, &failure);
                    tokio::time::sleep(backoff.next_wait()).await;
                }
            }
        }
    }
}

/// Why a change is taken back, for the record.
pub(super) fn taken_back_for(delivery: &Delivery, failure: &Failure) -> String {
    let event =
        delivery.id().map_or_else(|| "an event".to_owned(), |id| format!("the event {}", id.spelled()));
    format!("it fails {event}, which the component before takes: {}", failure.without_values())
}

/// The events among deliveries that a component is asked about.
fn asked(deployed: &Deployed, deliveries: &[Delivery]) -> Vec<Arc<Event>> {
    let events = deliveries.iter().filter_map(|delivery| delivery.event.as_ref().ok());
    events.filter(|event| deployed.takes(&event.event_type)).cloned().collect()
}

/// The answers to those events, each checked against the schema, and what becomes of the other deliveries.
fn judged(deployed: &Deployed, deliveries: &[Delivery], answers: Vec<Answer>) -> Vec<Answered> {
    let mut answers = answers.into_iter();
    let answered = |delivery: &Delivery| match &delivery.event {
        Err(Undecodable { reason, .. }) => {
            Answered::Answer(Err(Failure::Undecodable { reason: reason.clone() }))
        }
        Ok(event) if !deployed.takes(&event.event_type) => Answered::Unhandled,
        Ok(_) => {
            let answer = answers.next().expect("there is one answer for each event that was asked");
            match answer {
                Ok(Made::Unhandled) => Answered::Unhandled,
                Ok(Made::Ignored) => Answered::Ignored,
                Ok(Made::Operations(operations)) => {
                    Answered::Answer(judge(&deployed.schema, &operations).map(|()| operations))
                }
                Err(failure) => Answered::Answer(Err(failure)),
            }
        }
    };
    deliveries.iter().map(answered).collect()
}

/// Takes up to `batch_max` deliveries, and the position behind them.
fn take(waiting: &mut VecDeque<Chunk>, batch_max: usize) -> (Vec<Delivery>, Position, Vec<Share>) {
    let (mut taken, mut shares) = (Vec::new(), Vec::new());
    let mut position = None;
    while let Some(chunk) = waiting.front_mut() {
        let room = batch_max - taken.len();
        if chunk.deliveries.len() > room {
            if room > 0 {
                let rest = chunk.deliveries.split_off(room);
                taken.append(&mut chunk.deliveries);
                chunk.deliveries = rest;
                position = taken.last().map(|delivery: &Delivery| delivery.position.clone());
            }
            break;
        }
        let chunk = waiting.pop_front().expect("it is the front one");
        taken.extend(chunk.deliveries);
        position = Some(chunk.position);
        shares.push(chunk.share);
    }
    (taken, position.expect("there was a chunk, and a batch has room for one delivery"), shares)
}

/// The second stage.
pub struct ApplyStage<V: Version, R> {
    pub model: R,
    /// For dead letters that are tried again; the first stage has its own.
    pub slide: Slide<V>,
    pub planner: Planner,
    pub work: mpsc::Receiver<Work>,
    pub orders: mpsc::Receiver<Order>,
    pub status: Arc<Status>,
    pub lane: usize,
    pub progress: Arc<Progress>,
    pub decoder: Decoder,
    pub breaker: Arc<Breaker>,
    pub suspects: Arc<Suspects>,
    /// How many entries a transaction may have.
    pub size: Size,
    /// Whether a parked event holds the whole stream, and not only its aggregate.
    pub holds_stream: bool,
    pub stop: CancellationToken,
}

impl<V: Version, R: ReadModel> ApplyStage<V, R> {
    /// Runs until the first stage is done.
    pub async fn run(mut self) -> Result<(), Failure> {
        let mut orders_open = true;
        loop {
            // Orders are few and come one by one: before work, they never starve it, and are never starved.
            tokio::select! {
                biased;
                order = self.orders.recv(), if orders_open => match order {
                    Some(order) => {
                        self.status.begins(self.lane, Busy::Letter);
                        self.slide.follow()?;
                        self.model.works_with(&self.slide.deployed().schema);
                        self.carry_out(order).await?;
                        self.status.ends(self.lane, Busy::Letter);
                    }
                    None => orders_open = false,
                },
                work = self.work.recv() => match work {
                    Some(work) => {
                        self.apply(work).await?;
                        self.status.is_through(self.lane);
                    }
                    None => return Ok(()),
                },
                () = self.slide.until_another() => self.slide.follow()?,
            }
        }
    }

    async fn apply(&mut self, work: Work) -> Result<(), Failure> {
        self.slide.follow()?;
        self.model.works_with(&work.schema);
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
            self.status.begins(self.lane, Busy::Committing(batch.entries.len()));
            let committed = self.model.commit(&batch).await;
            self.status.ends(self.lane, Busy::Committing(batch.entries.len()));
            match committed {
                Ok(()) => {
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
                    put_back(&mut todo, halve(batch));
                }
                Err(failure) => {
                    let attempts = repeats.count(&failure);
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
        let lock = matches!(failure, Failure::TransactionLost { .. });
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

/// Where a lane's orders are sent, and their answers come from.
pub fn order_queue() -> (mpsc::Sender<Order>, mpsc::Receiver<Order>) {
    mpsc::channel(4)
}

/// The answer to an order.
pub type Reply<T> = oneshot::Sender<Result<T, Failure>>;
