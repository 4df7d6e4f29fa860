//! The first stage of a lane: takes what is there, and has it projected, while the second stage commits what came before. It has the
//! lane's component, and answers what the second stage asks about it.
//!
//! Nothing waits for a batch to fill: batches are small when events are rare, and large under load.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::hot_swap::HotSwap;
use super::plan::ProjectedBatch;
use super::ports::{Outcome, Version};
use super::questions::{LetterAnswer, RefusedBatch, StageQuestion};
use super::reader::DeliveryChunk;
use super::room::Share;
use crate::event::{Delivery, Event};
use crate::failure::Failure;
use crate::position::Position;
use crate::projector::JudgedOutcome;
use crate::readmodel::lane::writers::{OnTheWay, Writers};
use crate::retry::Backoff;
use crate::statement::Deployed;
use crate::status::Status;
use crate::status::activity::Activity;

/// How many projected batches may wait for the second stage.
const PROJECTED_MAX: usize = 1;

/// How often a projector may run against the clock's backstop with one batch before the projection stops trying.
pub const DEADLINES_MAX: u32 = 3;

/// A projected batch on its way to the second stage, with its share of the room in the queues.
pub struct ProjectedWork {
    pub projected: ProjectedBatch,
    pub shares: Vec<Share>,
    /// Lets the lanes that write wait for this batch, and write it together with theirs.
    pub on_the_way: Option<OnTheWay>,
}

/// The queue between the stages.
pub fn between() -> (mpsc::Sender<ProjectedWork>, mpsc::Receiver<ProjectedWork>) {
    mpsc::channel(PROJECTED_MAX)
}

/// The first stage of a lane.
pub struct ProjectStage<V: Version> {
    pub hot_swap: HotSwap<V>,
    pub batch_max: usize,
    pub chunks: mpsc::Receiver<DeliveryChunk>,
    /// From the second stage.
    pub questions: mpsc::Receiver<StageQuestion>,
    /// The lanes' turns at MySQL, where lanes write together.
    pub writers: Option<Arc<Writers>>,
    pub status: Arc<Status>,
    pub lane: usize,
    pub stop: CancellationToken,
}

impl<V: Version> ProjectStage<V> {
    /// Runs until the second stage is done.
    pub async fn run(mut self, work: mpsc::Sender<ProjectedWork>) -> Result<(), Failure> {
        self.project_all(work).await?;
        // The queue has ended by now, and the second stage ends with it, once it is done with its letter.
        while let Some(question) = self.questions.recv().await {
            self.answer(question).await?;
        }
        Ok(())
    }

    /// Projects until the reader is done, or a stop is asked for: what is queued then is read again later.
    async fn project_all(&mut self, work: mpsc::Sender<ProjectedWork>) -> Result<(), Failure> {
        let mut waiting: VecDeque<DeliveryChunk> = VecDeque::new();
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
            let on_the_way = self.writers.as_ref().map(|writers| writers.expect(self.number()));
            self.follow()?;
            let outcomes = self.project(&deliveries).await?;
            let entries = deliveries.into_iter().zip(outcomes).collect();
            let version = self.hot_swap.deployed().clone();
            self.status.hands_on(self.lane, &version.digest);
            let projected = ProjectedBatch { entries, position, version };
            let Some(room) = self.room_in(&work).await? else { return Ok(()) };
            room.send(ProjectedWork { projected, shares, on_the_way });
        }
    }

    /// Room for one more batch on its way to the second stage; none when that one is gone. While it is busy with a letter, it asks.
    async fn room_in<'a>(
        &mut self,
        work: &'a mpsc::Sender<ProjectedWork>,
    ) -> Result<Option<mpsc::Permit<'a, ProjectedWork>>, Failure> {
        loop {
            tokio::select! {
                biased;
                Some(question) = self.questions.recv() => self.answer(question).await?,
                room = work.reserve() => return Ok(room.ok()),
            }
        }
    }

    fn number(&self) -> u32 {
        u32::try_from(self.lane).unwrap_or(u32::MAX)
    }

    /// The next chunk, or none at the end. Who waits for it takes up another component at once.
    async fn next(&mut self) -> Result<Option<DeliveryChunk>, Failure> {
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ok(None),
                Some(question) = self.questions.recv() => self.answer(question).await?,
                received = self.chunks.recv() => return Ok(received),
                () = self.hot_swap.until_another() => self.follow()?,
            }
        }
    }

    fn follow(&mut self) -> Result<(), Failure> {
        self.hot_swap.follow()?;
        self.says_what_it_runs();
        Ok(())
    }

    fn says_what_it_runs(&self) {
        self.status.runs(self.lane, &self.hot_swap.deployed().digest);
    }

    /// One outcome a delivery. Where the component fails what the one before takes, the change is taken back.
    async fn project(&mut self, deliveries: &[Delivery]) -> Result<Vec<JudgedOutcome>, Failure> {
        loop {
            let events = asked(self.hot_swap.deployed(), deliveries);
            let outcomes = self.ask(events).await?;
            let outcomes = judged(self.hot_swap.deployed(), deliveries, outcomes);
            let Some(reason) = self.better_before(deliveries, &outcomes).await? else { return Ok(outcomes) };
            if !self.hot_swap.take_back(&reason)? {
                return Err(Failure::TakenBack { reason });
            }
            self.says_what_it_runs();
        }
    }

    /// Answers the second stage, which may be gone by then.
    async fn answer(&mut self, question: StageQuestion) -> Result<(), Failure> {
        match question {
            StageQuestion::Letter { event, reply } => {
                self.follow()?;
                let _ = reply.send(self.answer_to(event).await);
            }
            StageQuestion::AsBefore { batch, reply } => {
                let _ = reply.send(self.as_before(*batch).await);
            }
        }
        Ok(())
    }

    async fn answer_to(&mut self, event: Arc<Event>) -> Result<LetterAnswer, Failure> {
        let version = self.hot_swap.deployed().clone();
        if !version.takes(&event.event_type) {
            return Ok(LetterAnswer { outcome: Outcome::Unhandled, version });
        }
        let missing = || Failure::Bug { what: "the projector gave no answer to an event".to_owned() };
        let outcome = self.hot_swap.project(vec![event]).await?.pop().ok_or_else(missing)?;
        Ok(LetterAnswer { outcome: outcome.judged(&version.schema), version })
    }

    /// The batch as the component before would have made it, while a change to the one that made it may be taken back, or was.
    async fn as_before(&mut self, batch: RefusedBatch) -> Result<Option<ProjectedBatch>, Failure> {
        let RefusedBatch { digest, deliveries, position } = batch;
        let Some(version) = self.hot_swap.before_of(&digest).cloned() else { return Ok(None) };
        let events = asked(&version, &deliveries);
        let outcomes = if version.digest == self.hot_swap.deployed().digest {
            self.hot_swap.project(events).await?
        } else {
            self.hot_swap.project_before(events).await?
        };
        let outcomes = judged(&version, &deliveries, outcomes);
        let entries = deliveries.into_iter().zip(outcomes).collect();
        Ok(Some(ProjectedBatch { entries, position, version }))
    }

    /// Why the component before is better: the first failure of this one that it does not share.
    async fn better_before(
        &mut self,
        deliveries: &[Delivery],
        outcomes: &[JudgedOutcome],
    ) -> Result<Option<String>, Failure> {
        let Some(before) = self.hot_swap.before().cloned() else { return Ok(None) };
        for (delivery, outcome) in deliveries.iter().zip(outcomes) {
            let Outcome::Failed(failure) = outcome else { continue };
            let alone = std::slice::from_ref(delivery);
            let events = asked(&before, alone);
            // What it did not handle is no sign of anything.
            if events.is_empty() {
                continue;
            }
            let outcomes = self.hot_swap.project_before(events).await?;
            if let [Outcome::Apply(_) | Outcome::Ignored] = judged(&before, alone, outcomes)[..] {
                return Ok(Some(taken_back_for(delivery, failure)));
            }
        }
        Ok(None)
    }

    async fn ask(&mut self, events: Vec<Arc<Event>>) -> Result<Vec<Outcome>, Failure> {
        if events.is_empty() {
            return Ok(vec![]);
        }
        let asked = events.len();
        let mut backoff = Backoff::new();
        loop {
            self.status.begins(self.lane, Activity::Projecting(asked));
            let projected = self.hot_swap.project(events.clone()).await;
            self.status.ends(self.lane, Activity::Projecting(asked));
            match projected {
                Ok(outcomes) if outcomes.len() == asked => return Ok(outcomes),
                Ok(outcomes) => {
                    let what = format!("the projector gave {} answers to {asked} events", outcomes.len());
                    return Err(Failure::Bug { what });
                }
                Err(failure) if backoff.attempts() + 1 >= DEADLINES_MAX => {
                    let reason = format!("{DEADLINES_MAX} times in a row: {}", failure.without_values());
                    return Err(Failure::misconfigured(reason, failure.remedy()));
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

/// What the component made of those events, each judged by its schema, and what becomes of the other deliveries.
fn judged(deployed: &Deployed, deliveries: &[Delivery], outcomes: Vec<Outcome>) -> Vec<JudgedOutcome> {
    let mut outcomes = outcomes.into_iter();
    let outcome = |delivery: &Delivery| match &delivery.event {
        Err(wrong) => Outcome::Failed(Failure::undecodable(wrong)),
        Ok(event) if !deployed.takes(&event.event_type) => Outcome::Unhandled,
        Ok(_) => {
            let outcome = outcomes.next().expect("there is one answer for each event that was asked");
            outcome.judged(&deployed.schema)
        }
    };
    deliveries.iter().map(outcome).collect()
}

/// Takes up to `batch_max` deliveries, and the position behind them.
fn take(waiting: &mut VecDeque<DeliveryChunk>, batch_max: usize) -> (Vec<Delivery>, Position, Vec<Share>) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Aggregate, Id, Undecodable};
    use crate::position::Token;

    #[test]
    fn a_document_that_is_no_event_is_at_fault_and_takes_no_answer_of_another_one() {
        let event = Event {
            id: Id::Integer(1),
            event_type: "T".into(),
            version: 1,
            aggregate: Aggregate { kind: "a".into(), id: Id::Integer(1) },
            sequence: None,
            occurred_at: None,
            payload: "{}".into(),
            metadata: "{}".into(),
        };
        let delivery = Delivery {
            position: Position::Stream { token: Token { data: "82".into(), type_bits: None } },
            time: None,
            wall_ms: None,
            document: Arc::from(&b"x"[..]),
            event: Ok(Arc::new(event)),
        };
        let wrong = Undecodable { reason: "no type".into(), field: None, id: None, aggregate: None };
        let deliveries = [Delivery { event: Err(wrong), ..delivery.clone() }, delivery];
        let deployed = Deployed::empty("d");
        for answer in [Outcome::Unhandled, Outcome::Ignored, Outcome::Apply(vec![])] {
            let expected = answer.clone().judged(&deployed.schema);
            let outcomes = judged(&deployed, &deliveries, vec![answer]);
            assert_eq!(outcomes.len(), 2);
            assert!(matches!(outcomes[0], Outcome::Failed(Failure::Undecodable { .. })), "{outcomes:?}");
            assert_eq!(outcomes[1], expected);
        }
    }
}
