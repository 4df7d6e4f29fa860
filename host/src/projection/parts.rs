//! The three narrow traits under the reader-and-lane loop, and their real implementations.
//!
//! The loop knows nothing else of MongoDB, WebAssembly and MySQL, so that a simulation can run the same loop.

use std::sync::Arc;

use super::Loaded;
use super::lane::Deployed;
use crate::event::Event;
use crate::failure::Failure;
use crate::position::Position;
use crate::projector::{Pair, Worker};
use crate::readmodel::dead_letter::{Attempt, Letter};
use crate::readmodel::dedupe::Remembered;
use crate::readmodel::{Batch, Final, LaneModel, LaneState};
use crate::source::{Anchored, Feed, Reading};
use crate::statement::{Operation, Schema};

pub use crate::projector::{Answer, Made};

/// A future that tasks may run.
pub trait Task<T>: Future<Output = T> + Send {}
impl<T, F: Future<Output = T> + Send> Task<T> for F {}

/// Where deliveries come from, in order.
pub trait Source: Send + 'static {
    /// Opens what stands behind a position; whatever was open is closed.
    fn open(&mut self, from: &Position) -> impl Task<Result<(), Failure>>;
    /// The next deliveries, or none after a while. After a failure it has to be opened again.
    fn next(&mut self) -> impl Task<Result<Feed, Failure>>;
}

/// What turns events into operations, by way of other events or not.
pub trait Projector: Send + 'static {
    /// One answer per event, in order. The outer failure is the environment's, never an event's.
    fn project(&mut self, events: Vec<Arc<Event>>) -> impl Task<Result<Vec<Answer>, Failure>>;
}

/// A component that lanes can be given.
pub trait Version: Clone + Send + Sync + 'static {
    type Projector: Projector;

    fn deployed(&self) -> &Deployed;
    /// Starts it, for one stage of one lane.
    fn start(&self) -> Result<Self::Projector, Failure>;
}

/// Where a lane's batches go.
pub trait ReadModel: Send + 'static {
    fn load(&mut self) -> impl Task<Result<LaneState, Failure>>;
    /// Which events were applied lately, by all lanes.
    fn remembered(&mut self) -> impl Task<Result<Remembered, Failure>>;
    /// Learns which rows of that are the lane's own.
    fn keeps(&mut self, remembered: &Remembered);
    /// The operations that follow are of statements of this schema.
    fn works_with(&mut self, schema: &Arc<Schema>);
    /// Commits a batch, once, however often it is given after failures.
    fn commit(&mut self, batch: &Batch) -> impl Task<Result<(), Failure>>;
    /// Which entries are refused, in order, up to the first whose refusal is not final; nothing is committed.
    fn probe(
        &mut self,
        batch: &Batch,
        is_final: Final<'_>,
    ) -> impl Task<Result<Vec<(usize, Failure)>, Failure>>;
    /// The oldest letter of an aggregate behind an id; behind 0, its head.
    fn letter_behind(
        &mut self,
        aggregate_key: &[u8],
        after: u64,
    ) -> impl Task<Result<Option<Letter>, Failure>>;
    /// A letter's document; none when the letter is gone.
    fn document(&mut self, letter: &Letter) -> impl Task<Result<Option<Vec<u8>>, Failure>>;
    fn apply_letter(&mut self, letter: &Letter, operations: &[Operation]) -> impl Task<Result<(), Failure>>;
    fn keep_letter(&mut self, letter: &Letter, attempt: Attempt<'_>) -> impl Task<Result<(), Failure>>;
    fn discard_letter(&mut self, letter: &Letter, who: &str, why: &str) -> impl Task<Result<bool, Failure>>;
    fn erase_letter(&mut self, letter: &Letter, who: &str, why: &str) -> impl Task<Result<bool, Failure>>;
    /// Which of these letters, run one after the other, is refused first; nothing stays of it.
    fn rehearse_letters(
        &mut self,
        letters: &[Vec<Operation>],
    ) -> impl Task<Result<Option<(usize, Failure)>, Failure>>;
}

impl<R: Reading + 'static> Source for Anchored<R> {
    async fn open(&mut self, from: &Position) -> Result<(), Failure> {
        self.open(from).await
    }

    async fn next(&mut self) -> Result<Feed, Failure> {
        self.next().await
    }
}

impl Projector for Worker {
    async fn project(&mut self, events: Vec<Arc<Event>>) -> Result<Vec<Answer>, Failure> {
        Worker::project(self, events).await
    }
}

impl Version for Loaded {
    type Projector = Worker;

    fn deployed(&self) -> &Deployed {
        &self.deployed
    }

    fn start(&self) -> Result<Worker, Failure> {
        let pair = Pair {
            projector: self.component.clone(),
            upcaster: self.upcaster.as_ref().map(|upcaster| upcaster.component.clone()),
        };
        Worker::start(pair, &self.projection).map_err(|error| Failure::CannotWrite {
            code: 0,
            message: format!("starting a projector thread: {error}"),
        })
    }
}

impl ReadModel for LaneModel {
    async fn load(&mut self) -> Result<LaneState, Failure> {
        self.load().await
    }

    async fn remembered(&mut self) -> Result<Remembered, Failure> {
        self.remembered().await
    }

    fn keeps(&mut self, remembered: &Remembered) {
        self.keeps(remembered);
    }

    fn works_with(&mut self, schema: &Arc<Schema>) {
        self.works_with(schema);
    }

    async fn commit(&mut self, batch: &Batch) -> Result<(), Failure> {
        self.commit(batch).await
    }

    async fn probe(&mut self, batch: &Batch, is_final: Final<'_>) -> Result<Vec<(usize, Failure)>, Failure> {
        self.probe(batch, is_final).await
    }

    async fn letter_behind(&mut self, aggregate_key: &[u8], after: u64) -> Result<Option<Letter>, Failure> {
        self.letter_behind(aggregate_key, after).await
    }

    async fn document(&mut self, letter: &Letter) -> Result<Option<Vec<u8>>, Failure> {
        self.document(letter).await
    }

    async fn apply_letter(&mut self, letter: &Letter, operations: &[Operation]) -> Result<(), Failure> {
        self.apply_letter(letter, operations).await
    }

    async fn keep_letter(&mut self, letter: &Letter, attempt: Attempt<'_>) -> Result<(), Failure> {
        self.keep_letter(letter, attempt).await
    }

    async fn discard_letter(&mut self, letter: &Letter, who: &str, why: &str) -> Result<bool, Failure> {
        self.discard_letter(letter, who, why).await
    }

    async fn erase_letter(&mut self, letter: &Letter, who: &str, why: &str) -> Result<bool, Failure> {
        self.erase_letter(letter, who, why).await
    }

    async fn rehearse_letters(
        &mut self,
        letters: &[Vec<Operation>],
    ) -> Result<Option<(usize, Failure)>, Failure> {
        self.rehearse_letters(letters).await
    }
}
