//! The real source, projector and read model behind the data plane's traits.

use std::sync::Arc;

use crate::component::version::Loaded;
use crate::event::Event;
use crate::failure::Failure;
use crate::pipeline::ports::{Outcome, Projector, ReadModel, Source, Version};
use crate::position::Position;
use crate::projector::{Chain, Worker};
use crate::readmodel::lane::apply::{Final, LaneModel, LoadedLane};
use crate::readmodel::lane::batch::Batch;
use crate::readmodel::lane::dead_letter::{Attempt, Letter};
use crate::readmodel::lane::dedupe::Remembered;
use crate::source::{Anchored, Feed, Reading};
use crate::statement::{Deployed, FittedOperation};

impl<R: Reading + 'static> Source for Anchored<R> {
    async fn open(&mut self, from: &Position) -> Result<(), Failure> {
        self.open(from).await
    }

    async fn next(&mut self) -> Result<Feed, Failure> {
        self.next().await
    }
}

impl Projector for Worker {
    async fn project(&mut self, events: Vec<Arc<Event>>) -> Result<Vec<Outcome>, Failure> {
        Worker::project(self, events).await
    }
}

impl Version for Loaded {
    type Projector = Worker;

    fn deployed(&self) -> &Arc<Deployed> {
        &self.deployed
    }

    fn start(&self) -> Result<Worker, Failure> {
        let pair = Chain {
            projector: self.component.clone(),
            upcaster: self.upcaster.as_ref().map(|upcaster| upcaster.component.clone()),
        };
        Worker::start(pair, &self.projection).map_err(|error| Failure::HostLimit {
            what: format!("a projector's thread cannot be started: {error}"),
        })
    }
}

impl ReadModel for LaneModel {
    async fn load(&mut self) -> Result<LoadedLane, Failure> {
        LaneModel::load(self).await
    }

    async fn remembered(&mut self) -> Result<Remembered, Failure> {
        LaneModel::remembered(self).await
    }

    fn keeps(&mut self, remembered: &Remembered) {
        LaneModel::keeps(self, remembered);
    }

    async fn commit(&mut self, batch: &Arc<Batch>) -> Result<(), Failure> {
        LaneModel::commit(self, batch).await
    }

    async fn probe(&mut self, batch: &Batch, is_final: Final<'_>) -> Result<Vec<(usize, Failure)>, Failure> {
        LaneModel::probe(self, batch, is_final).await
    }

    async fn letter_behind(&mut self, aggregate_key: &[u8], after: u64) -> Result<Option<Letter>, Failure> {
        LaneModel::letter_behind(self, aggregate_key, after).await
    }

    async fn document(&mut self, letter: &Letter) -> Result<Option<Vec<u8>>, Failure> {
        LaneModel::document(self, letter).await
    }

    async fn apply_letter(
        &mut self,
        letter: &Letter,
        operations: &[FittedOperation],
        version: &Deployed,
    ) -> Result<(), Failure> {
        LaneModel::apply_letter(self, letter, operations, version).await
    }

    async fn keep_letter(&mut self, letter: &Letter, attempt: Attempt<'_>) -> Result<(), Failure> {
        LaneModel::keep_letter(self, letter, attempt).await
    }

    async fn discard_letter(&mut self, letter: &Letter, who: &str, why: &str) -> Result<bool, Failure> {
        LaneModel::discard_letter(self, letter, who, why).await
    }

    async fn erase_letter(&mut self, letter: &Letter, who: &str, why: &str) -> Result<bool, Failure> {
        LaneModel::erase_letter(self, letter, who, why).await
    }

    async fn dry_run_letters(
        &mut self,
        letters: &[Vec<FittedOperation>],
        version: &Deployed,
    ) -> Result<Option<(usize, Failure)>, Failure> {
        LaneModel::dry_run_letters(self, letters, version).await
    }
}
