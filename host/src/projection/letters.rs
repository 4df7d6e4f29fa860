//! Orders about dead letters, done by the lane that owns the aggregate, between its batches.

use super::decide::{Decision, decide};
use super::lane::{ApplyStage, DEADLINES_MAX, Reply};
use super::parts::{Answer, Projector, ReadModel};
use crate::failure::Failure;
use crate::readmodel::dead_letter::Letter;
use crate::readmodel::judge;
use crate::retry::Backoff;
use crate::statement::Operation;

/// What a lane is to do with a letter that is the head of its aggregate.
pub enum Order {
    /// Try it again, and then what it held back, until one fails.
    Replay { letter: Box<Letter>, reply: Reply<Replayed> },
    /// Give it up, then try what it held back.
    Discard { letter: Box<Letter>, who: String, why: String, reply: Reply<Replayed> },
}

/// What came of an order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Replayed {
    pub applied: u64,
    pub discarded: u64,
    pub still_parked: u64,
}

impl<P: Projector, R: ReadModel> ApplyStage<P, R> {
    /// Carries an order out. Its own failures go back with the reply; only those that end the lane are returned.
    pub(super) async fn carry_out(&mut self, order: Order) -> Result<(), Failure> {
        let (letter, discard, reply) = match order {
            Order::Replay { letter, reply } => (letter, None, reply),
            Order::Discard { letter, who, why, reply } => (letter, Some((who, why)), reply),
        };
        let done = match (self.is_head(&letter).await, discard) {
            (Err(failure), _) => Err(failure),
            (Ok(false), _) => Ok(Replayed::default()),
            (Ok(true), None) => self.replay(*letter).await,
            (Ok(true), Some((who, why))) => self.discard(*letter, &who, &why).await,
        };
        let ends_lane = done.as_ref().err().cloned();
        // Whoever asked may be gone; what was done stays done.
        let _ = reply.send(done);
        ends_lane.map_or(Ok(()), Err)
    }

    /// An order before this one may have taken the letter.
    async fn is_head(&mut self, letter: &Letter) -> Result<bool, Failure> {
        let Some(key) = letter.aggregate_key.as_deref() else { return Ok(true) };
        Ok(self.next_head(Some(key)).await?.is_some_and(|head| head.id == letter.id))
    }

    async fn discard(&mut self, letter: Letter, who: &str, why: &str) -> Result<Replayed, Failure> {
        let mut backoff = Backoff::new();
        while let Err(failure) = self.model.discard_letter(&letter, who, why).await {
            self.endure(failure, &mut backoff).await?;
        }
        if let Ok(key) = letter.document_key.clone().try_into() {
            self.planner.discard(key);
        }
        let next = self.next_head(letter.aggregate_key.as_deref()).await?;
        let replayed = match next {
            Some(next) => self.replay(next).await?,
            None => Replayed::default(),
        };
        Ok(Replayed { discarded: 1, ..replayed })
    }

    async fn replay(&mut self, letter: Letter) -> Result<Replayed, Failure> {
        let mut replayed = Replayed::default();
        let mut head = Some(letter);
        while let Some(letter) = head {
            match self.try_letter(&letter).await? {
                Ok(()) => replayed.applied += 1,
                Err(failure) => {
                    self.keep(&letter, &failure).await?;
                    replayed.still_parked += 1;
                    break;
                }
            }
            head = self.next_head(letter.aggregate_key.as_deref()).await?;
        }
        Ok(replayed)
    }

    /// Applies a letter. The inner failure is the event's own; the outer one ends the lane.
    async fn try_letter(&mut self, letter: &Letter) -> Result<Result<(), Failure>, Failure> {
        let mut backoff = Backoff::new();
        let operations = loop {
            match self.answer_to(letter).await {
                Ok(Ok(operations)) => break operations,
                Ok(Err(failure)) => return Ok(Err(failure)),
                // The letter stays where it is, and the lane goes on.
                Err(failure) if backoff.attempts() + 1 >= DEADLINES_MAX => return Ok(Err(failure)),
                Err(failure) => self.endure(failure, &mut backoff).await?,
            }
        };
        loop {
            match self.model.apply_letter(letter, &operations).await {
                Ok(()) => return Ok(Ok(())),
                Err(failure) => match decide(&failure, backoff.attempts()) {
                    Decision::Isolate => return Ok(Err(failure)),
                    _ => self.endure(failure, &mut backoff).await?,
                },
            }
        }
    }

    /// What the deployed component answers to a letter's event.
    async fn answer_to(&mut self, letter: &Letter) -> Result<Answer, Failure> {
        let undecodable = |reason: String| Ok(Err(Failure::Undecodable { reason }));
        let Ok(document) = bson::RawDocument::from_bytes(&letter.document) else {
            return undecodable("it is not valid BSON".to_owned());
        };
        let event = match self.decoder.decode(document) {
            Ok(event) => event,
            Err(wrong) => return undecodable(wrong.reason),
        };
        if !self.deployed.manifest.handles(&event.event_type) {
            return Ok(Ok(Vec::<Operation>::new()));
        }
        let mut answers = self.projector.project(vec![event]).await?;
        let missing =
            || Failure::Misconfigured { reason: "the projector gave no answer to an event".to_owned() };
        let answer = answers.pop().ok_or_else(missing)?;
        Ok(answer.and_then(|operations| judge(&self.deployed.schema, &operations).map(|()| operations)))
    }

    async fn keep(&mut self, letter: &Letter, failure: &Failure) -> Result<(), Failure> {
        let mut backoff = Backoff::new();
        while let Err(failure) = self.model.keep_letter(letter, failure, &self.deployed.digest).await {
            self.endure(failure, &mut backoff).await?;
        }
        Ok(())
    }

    /// The letter that is the head now. Without one, the aggregate is free.
    async fn next_head(&mut self, aggregate_key: Option<&[u8]>) -> Result<Option<Letter>, Failure> {
        let Some(key) = aggregate_key else { return Ok(None) };
        let mut backoff = Backoff::new();
        loop {
            match self.model.head(key).await {
                Ok(Some(letter)) => return Ok(Some(letter)),
                Ok(None) => {
                    self.planner.unblock(key);
                    return Ok(None);
                }
                Err(failure) => self.endure(failure, &mut backoff).await?,
            }
        }
    }

    /// Waits out what waiting helps against; returns the rest.
    async fn endure(&mut self, failure: Failure, backoff: &mut Backoff) -> Result<(), Failure> {
        match decide(&failure, backoff.attempts()) {
            Decision::Retry => self.wait(failure, backoff).await,
            Decision::Isolate | Decision::Restart | Decision::Pause | Decision::Stop => Err(failure),
        }
    }
}
