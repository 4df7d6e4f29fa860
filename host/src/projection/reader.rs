//! The one reader of a projection: takes what the source gives, and hands each delivery to its lane, in order.
//!
//! It waits when a lane's queue is full, and forgets nothing: what it handed out last is where it opens the
//! source again.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

use super::parts::Source;
use super::progress::Progress;
use super::status::Status;
use crate::event::Delivery;
use crate::failure::Failure;
use crate::position::Position;
use crate::retry::Backoff;
use crate::source::{Feed, OnLost, Plan, resume};

/// How many bytes of documents may wait in one lane.
const QUEUE_BYTES_MAX: usize = 16 << 20;

/// How many chunks may wait in one lane, however small: a lane that is held up stops the others only when its queue is
/// full, and where events trickle in, each is a chunk.
const QUEUE_CHUNKS_MAX: usize = 10_000;

/// How often a lane without events hears where the stream stands, so that its checkpoint does not age.
const ADVANCE_INTERVAL: Duration = Duration::from_secs(2);

/// Deliveries for one lane, and the position behind them.
#[derive(Debug)]
pub struct Chunk {
    pub deliveries: Vec<Delivery>,
    pub position: Position,
    /// The documents' bytes, given back to the queue when they are committed.
    pub cost: Cost,
}

/// A share of a lane's queue, given back when it is dropped.
#[derive(Debug)]
pub struct Cost {
    queue: Arc<Semaphore>,
    bytes: u32,
}

impl Drop for Cost {
    fn drop(&mut self) {
        self.queue.add_permits(self.bytes as usize);
    }
}

/// The reader's end of a lane's queue.
pub struct Inbox {
    chunks: mpsc::Sender<Chunk>,
    queue: Arc<Semaphore>,
    /// Everything up to here was handed to the lane, now or before the start.
    position: Position,
}

impl Inbox {
    /// A queue for a lane that has committed up to `position`.
    pub fn new(position: Position) -> (Self, mpsc::Receiver<Chunk>) {
        let (chunks, receiver) = mpsc::channel(QUEUE_CHUNKS_MAX);
        (Self { chunks, queue: Arc::new(Semaphore::new(QUEUE_BYTES_MAX)), position }, receiver)
    }

    /// Waits for room. False when the lane is gone.
    async fn send(&mut self, deliveries: Vec<Delivery>, position: &Position) -> bool {
        let bytes: usize = deliveries.iter().map(|delivery| delivery.document.len()).sum();
        let bytes = u32::try_from(bytes.min(QUEUE_BYTES_MAX)).expect("the limit fits");
        let Ok(permit) = self.queue.acquire_many(bytes).await else { return false };
        permit.forget();
        let cost = Cost { queue: self.queue.clone(), bytes };
        self.position.clone_from(position);
        self.chunks.send(Chunk { deliveries, position: position.clone(), cost }).await.is_ok()
    }
}

pub struct Reader<S> {
    source: S,
    inboxes: Vec<Inbox>,
    status: Arc<Status>,
    progress: Arc<Progress>,
    /// Where to end: everything up to here is handed out, and nothing behind it.
    until: Option<Position>,
    advanced: Instant,
}

impl<S: Source> Reader<S> {
    pub fn new(
        source: S,
        inboxes: Vec<Inbox>,
        status: Arc<Status>,
        progress: Arc<Progress>,
        until: Option<Position>,
    ) -> Self {
        Self { source, inboxes, status, progress, until, advanced: Instant::now() }
    }

    /// Reads until `until`, or for ever. The source's outages are waited out; anything else is returned.
    pub async fn run(mut self) -> Result<(), Failure> {
        let oldest = self.inboxes.iter().map(|inbox| &inbox.position).min_by(|a, b| a.compare(b));
        let mut position = oldest.expect("a projection has at least one lane").clone();
        let mut backoff = Backoff::new();
        let mut open = false;
        // A server that opens the stream and then fails, each time, is not asked without end.
        let mut answers = 0_u32;
        loop {
            if self.until.as_ref().is_some_and(|until| position.compare(until) != Ordering::Less) {
                return Ok(());
            }
            let read = if open {
                self.source.next().await
            } else {
                match self.source.open(&position).await {
                    Ok(()) => self.source.next().await,
                    Err(failure) => Err(failure),
                }
            };
            open = read.is_ok();
            match read {
                Ok(feed) => {
                    answers = answers.saturating_add(1);
                    if answers > 1 {
                        backoff = Backoff::new();
                    }
                    self.status.source_answers(&feed);
                    position = self
                        .until
                        .clone()
                        .filter(|until| until.compare(&feed.position).is_lt())
                        .unwrap_or(feed.position.clone());
                    if !self.hand_out(feed, &position).await {
                        return Ok(());
                    }
                }
                Err(failure) => match resume::plan(&failure, OnLost::Pause, false) {
                    Plan::Reopen | Plan::Rescue => {
                        answers = 0;
                        self.status.source_fails(&failure);
                        tokio::time::sleep(backoff.next_wait()).await;
                    }
                    Plan::Rebuild | Plan::Pause { .. } => return Err(failure),
                },
            }
        }
    }

    /// Hands a feed to the lanes, up to a position. False when a lane is gone.
    async fn hand_out(&mut self, feed: Feed, position: &Position) -> bool {
        let lanes = u32::try_from(self.inboxes.len()).expect("the configuration bounds the lanes");
        let mut chunks: Vec<Vec<Delivery>> = self.inboxes.iter().map(|_| Vec::new()).collect();
        for delivery in feed.deliveries {
            let lane = delivery.lane(lanes) as usize;
            let is_new = !self.inboxes[lane].position.covers(&delivery.position);
            if is_new && position.covers(&delivery.position) {
                chunks[lane].push(delivery);
            }
        }
        let ends = self.until.as_ref() == Some(position);
        let all = ends || self.advanced.elapsed() >= ADVANCE_INTERVAL;
        for (lane, (inbox, deliveries)) in self.inboxes.iter_mut().zip(chunks).enumerate() {
            let changes_phase =
                matches!((&inbox.position, position), (Position::Scan { .. }, Position::Stream { .. }));
            let moves = inbox.position.compare(position).is_lt();
            if deliveries.is_empty() && !(moves && (all || changes_phase)) {
                continue;
            }
            let target = if moves { position.clone() } else { inbox.position.clone() };
            self.status.handed_out(lane, deliveries.len());
            self.progress.hands_out(lane, deliveries.len());
            if !inbox.send(deliveries, &target).await {
                return false;
            }
        }
        if all {
            self.advanced = Instant::now();
        }
        self.progress.handed_out(position);
        true
    }
}
