//! Requests about dead letters: each goes to the lane that owns the letter's aggregate, which does it between two batches.

use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use crate::event::lane_of;
use crate::failure::Failure;
use crate::readmodel::lane::dead_letter::Letter;

/// Where requests for the lanes go while they run.
#[derive(Clone, Default)]
pub struct LetterQueues(Arc<Mutex<Vec<mpsc::Sender<LetterRequest>>>>);

impl LetterQueues {
    pub fn replace(&self, lanes: Vec<mpsc::Sender<LetterRequest>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = lanes;
    }

    /// One queue a lane; empty while the lanes are not running on this host.
    pub fn lanes(&self) -> Vec<mpsc::Sender<LetterRequest>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A request to a lane about a letter.
pub struct LetterRequest {
    pub letter: Letter,
    pub action: LetterAction,
    /// The command behind it: it tries no letter twice.
    pub command: Option<u64>,
    pub reply: LetterReply<LetterResult>,
}

/// The action of a request. All but erasing concern only the head of an aggregate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LetterAction {
    /// Try it again, and then what it held back, until one fails.
    Replay,
    /// Give it up, then try what it held back.
    Discard { who: String, why: String },
    /// Erase what it holds of its event.
    Erase { who: String, why: String },
    /// Report what a replay would come to, and change nothing.
    Rehearse,
}

/// The result of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LetterResult {
    pub applied: u64,
    pub discarded: u64,
    pub still_parked: u64,
    pub erased: u64,
    /// Of a dry run: how many would be applied, and the class of the failure that ends it.
    pub would_apply: u64,
    pub would_fail: Option<String>,
}

/// The lane that owns the letter's aggregate.
pub fn lane(lanes: &[mpsc::Sender<LetterRequest>], letter: &Letter) -> usize {
    let count = u32::try_from(lanes.len()).expect("the configuration bounds the lanes");
    letter.aggregate_key.as_ref().map_or(0, |key| lane_of(key, count)) as usize
}

/// Gives a request to the lane that owns the letter's aggregate, and waits for what comes of it.
pub async fn give(
    lanes: &[mpsc::Sender<LetterRequest>],
    letter: Letter,
    action: LetterAction,
    command: Option<u64>,
) -> Result<LetterResult, Failure> {
    let lane = lane(lanes, &letter);
    let (reply, answer) = oneshot::channel();
    let gone = || Failure::Interrupted { what: "a lane's work on a dead letter".to_owned() };
    let request = LetterRequest { letter, action, command, reply };
    lanes[lane].send(request).await.map_err(|_| gone())?;
    answer.await.map_err(|_| gone())?
}

/// The queue of a lane's requests about letters.
pub fn request_queue() -> (mpsc::Sender<LetterRequest>, mpsc::Receiver<LetterRequest>) {
    mpsc::channel(4)
}

/// Where the answer to a request goes.
pub type LetterReply<T> = oneshot::Sender<Result<T, Failure>>;
