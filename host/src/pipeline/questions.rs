//! What the second stage of a lane asks the first one, which has the component: about the event of a dead letter, and about a batch
//! that MySQL refuses. The first stage answers between two batches.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::plan::ProjectedBatch;
use crate::event::{Delivery, Event};
use crate::failure::Failure;
use crate::position::Position;
use crate::projector::JudgedOutcome;
use crate::statement::Deployed;

/// A question, with where its answer goes.
pub enum StageQuestion {
    /// What the deployed component makes of a letter's event.
    Letter { event: Arc<Event>, reply: Reply<LetterAnswer> },
    /// What the component before would have made of a batch; none where that one is not kept any more.
    AsBefore { batch: Box<RefusedBatch>, reply: Reply<Option<ProjectedBatch>> },
}

type Reply<T> = oneshot::Sender<Result<T, Failure>>;

/// What a component makes of a letter's event, and which component it is.
pub struct LetterAnswer {
    pub outcome: JudgedOutcome,
    pub version: Arc<Deployed>,
}

/// A batch that MySQL refuses as the component with this digest made it.
pub struct RefusedBatch {
    pub digest: String,
    pub deliveries: Vec<Delivery>,
    pub position: Position,
}

/// The first stage, as the second one sees it.
pub struct FirstStage {
    questions: mpsc::Sender<StageQuestion>,
    stop: CancellationToken,
}

impl FirstStage {
    pub fn new(stop: CancellationToken) -> (Self, mpsc::Receiver<StageQuestion>) {
        let (questions, asked) = mpsc::channel(1);
        (Self { questions, stop }, asked)
    }

    pub async fn letter(&self, event: Arc<Event>) -> Result<LetterAnswer, Failure> {
        self.ask(|reply| StageQuestion::Letter { event, reply }).await
    }

    pub async fn as_before(&self, batch: RefusedBatch) -> Result<Option<ProjectedBatch>, Failure> {
        self.ask(|reply| StageQuestion::AsBefore { batch: Box::new(batch), reply }).await
    }

    async fn ask<T>(&self, question: impl FnOnce(Reply<T>) -> StageQuestion) -> Result<T, Failure> {
        let (reply, answer) = oneshot::channel();
        if self.questions.send(question(reply)).await.is_ok()
            && let Ok(answer) = answer.await
        {
            return answer;
        }
        // The first stage outlives this one unless it fails: then that ends the run, and this stage with it.
        self.stop.cancelled().await;
        Err(Failure::Interrupted { what: "a lane's question to its component".to_owned() })
    }
}
