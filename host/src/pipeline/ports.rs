//! The traits between the data plane and what it works with. The supervisor has the real ones, the simulation made-up ones.

use std::sync::Arc;

use crate::event::Event;
use crate::failure::Failure;
use crate::position::Position;
use crate::readmodel::lane::apply::{Final, LoadedLane};
use crate::readmodel::lane::batch::Batch;
use crate::readmodel::lane::dead_letter::{Attempt, Letter};
use crate::readmodel::lane::dedupe::Remembered;
use crate::source::Feed;
use crate::statement::{Deployed, FittedOperation};

pub use crate::projector::Outcome;

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

/// A projector, behind its upcaster where there is one: it turns events into operations.
pub trait Projector: Send + 'static {
    /// One outcome per event, in order. The outer failure is the environment's, never an event's.
    fn project(&mut self, events: Vec<Arc<Event>>) -> impl Task<Result<Vec<Outcome>, Failure>>;
}

/// A component that lanes can be given.
pub trait Version: Clone + Send + Sync + 'static {
    type Projector: Projector;

    fn deployed(&self) -> &Arc<Deployed>;
    /// Starts it, for one lane.
    fn start(&self) -> Result<Self::Projector, Failure>;
}

/// Where a lane's batches go.
pub trait ReadModel: Send + 'static {
    fn load(&mut self) -> impl Task<Result<LoadedLane, Failure>>;
    /// Which events were applied lately, by all lanes.
    fn remembered(&mut self) -> impl Task<Result<Remembered, Failure>>;
    /// Learns which rows of that are the lane's own.
    fn keeps(&mut self, remembered: &Remembered);
    /// Commits a batch, once, however often it is given after failures.
    fn commit(&mut self, batch: &Arc<Batch>) -> impl Task<Result<(), Failure>>;
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
    /// Applies what a component made of a letter's event, and takes the letter away.
    fn apply_letter(
        &mut self,
        letter: &Letter,
        operations: &[FittedOperation],
        version: &Deployed,
    ) -> impl Task<Result<(), Failure>>;
    fn keep_letter(&mut self, letter: &Letter, attempt: Attempt<'_>) -> impl Task<Result<(), Failure>>;
    fn discard_letter(&mut self, letter: &Letter, who: &str, why: &str) -> impl Task<Result<bool, Failure>>;
    fn erase_letter(&mut self, letter: &Letter, who: &str, why: &str) -> impl Task<Result<bool, Failure>>;
    /// Which of these letters of a component, run one after the other, is refused first; nothing stays of it.
    fn dry_run_letters(
        &mut self,
        letters: &[Vec<FittedOperation>],
        version: &Deployed,
    ) -> impl Task<Result<Option<(usize, Failure)>, Failure>>;
}
