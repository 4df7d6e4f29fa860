//! The one reader of a projection: takes what the source gives, and hands each delivery to its lane, in order; and how
//! often lanes without events write down their place.
//!
//! It waits when a lane's queue is full, and forgets nothing: what it handed out last is where it opens the
//! source again.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::frontier::Frontiers;
use super::ports::Source;
use super::rendezvous::Party;
use super::room::{Room, Share};
use crate::event::Delivery;
use crate::failure::Failure;
use crate::position::Position;
use crate::retry::Backoff;
use crate::source::{Feed, OnLost, ResumePlan, resume};
use crate::status::Status;

/// How many chunks may wait in one lane, however small: a lane that is held up stops the others only when its queue is
/// full, and where events trickle in, each is a chunk.
const QUEUE_CHUNKS_MAX: usize = 10_000;

/// How often a lane without events hears where the stream stands, while others have some: so that a restart reads little again.
pub const ADVANCE_INTERVAL: Duration = Duration::from_secs(2);

/// Interval in which all lanes hear where the stream stands while none has events: so that no checkpoint ages.
pub const REST_INTERVAL: Duration = Duration::from_secs(30);

/// Deliveries for one lane, and the position behind them.
#[derive(Debug)]
pub struct DeliveryChunk {
    pub deliveries: Vec<Delivery>,
    pub position: Position,
    /// Its share of the room in the queues, given back when it is committed.
    pub share: Share,
}

/// The reader's end of a lane's queue.
pub struct Inbox {
    chunks: mpsc::Sender<DeliveryChunk>,
    /// Everything up to here was handed to the lane, now or before the start.
    position: Position,
}

impl Inbox {
    /// A queue for a lane that has committed up to `position`.
    pub fn new(position: Position) -> (Self, mpsc::Receiver<DeliveryChunk>) {
        let (chunks, receiver) = mpsc::channel(QUEUE_CHUNKS_MAX);
        (Self { chunks, position }, receiver)
    }

    /// False when the lane is gone.
    async fn send(&mut self, deliveries: Vec<Delivery>, position: &Position, share: Share) -> bool {
        self.position.clone_from(position);
        self.chunks.send(DeliveryChunk { deliveries, position: position.clone(), share }).await.is_ok()
    }
}

/// Where a reader ends, if it does.
pub struct ReadEnd {
    /// Everything up to here is handed out, and nothing behind it.
    pub until: Option<Position>,
    /// Its part in a meeting with another reader, for which it may end earlier.
    pub party: Party,
}

pub struct Reader<S> {
    source: S,
    inboxes: Vec<Inbox>,
    room: Room,
    status: Arc<Status>,
    progress: Arc<Frontiers>,
    until: Option<Position>,
    party: Party,
    /// How often lanes hear where the stream stands while none has events.
    rest: Duration,
    advanced: Instant,
    /// Events were handed out since; at the beginning, what the run before left is some.
    has_work: bool,
}

impl<S: Source> Reader<S> {
    pub fn new(
        source: S,
        inboxes: Vec<Inbox>,
        room: Room,
        status: Arc<Status>,
        progress: Arc<Frontiers>,
        end: ReadEnd,
        rest: Duration,
    ) -> Self {
        let ReadEnd { until, party } = end;
        let advanced = Instant::now();
        let furthest = inboxes.iter().map(|inbox| &inbox.position).max_by(|a, b| a.compare(b));
        // Who has an end already cannot be given another one.
        if let Some(furthest) = furthest.filter(|_| until.is_none()) {
            party.begins(furthest.clone(), progress.clone());
        }
        Self { source, inboxes, room, status, progress, until, party, rest, advanced, has_work: true }
    }

    /// Reads until `until`, until where it meets another reader, or for ever. The source's outages are waited out; anything else is returned.
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
            self.party.goes_on().await;
            let read = tokio::select! {
                biased;
                () = self.party.arrives(&position) => {
                    self.part().await;
                    return Ok(());
                }
                read = read(&mut self.source, (!open).then_some(&position)) => read,
            };
            open = read.is_ok();
            match read {
                Ok(feed) => {
                    answers = answers.saturating_add(1);
                    if answers > 1 {
                        backoff = Backoff::new();
                    }
                    self.status.source_answers(&feed);
                    let until = self.until.clone().filter(|until| until.compare(&feed.position).is_lt());
                    position = self.party.reaches(until.unwrap_or(feed.position.clone()));
                    if !self.hand_out(feed, &position).await {
                        return Ok(());
                    }
                }
                // Another host may reach it: the lease is left to that one.
                Err(failure @ Failure::NoPrimary { .. }) => return Err(failure),
                Err(failure) => match resume::plan(&failure, OnLost::Pause) {
                    ResumePlan::Reopen | ResumePlan::Rescue => {
                        answers = 0;
                        self.status.source_fails(&failure);
                        tokio::time::sleep(backoff.next_wait()).await;
                    }
                    ResumePlan::Rebuild | ResumePlan::Pause { .. } => return Err(failure),
                },
            }
        }
    }

    /// Brings all lanes to where both readers end.
    async fn part(&mut self) {
        if let Some(until) = self.party.until() {
            self.hand_out(Feed { deliveries: vec![], position: until.clone() }, &until).await;
        }
    }

    /// Hands a feed to the lanes, up to a position. False when a lane is gone.
    async fn hand_out(&mut self, feed: Feed, position: &Position) -> bool {
        let lanes = u32::try_from(self.inboxes.len()).expect("the configuration bounds the lanes");
        let mut chunks: Vec<Vec<Delivery>> = self.inboxes.iter().map(|_| Vec::new()).collect();
        let mut buffer = Vec::new();
        for delivery in feed.deliveries {
            let lane = delivery.lane(lanes, &mut buffer) as usize;
            let is_new = !self.inboxes[lane].position.covers(&delivery.position);
            if is_new && position.covers(&delivery.position) {
                chunks[lane].push(delivery);
            }
        }
        let ends = self.until.as_ref() == Some(position) || self.party.until().as_ref() == Some(position);
        if let Some(last) = chunks
            .iter()
            .filter_map(|chunk| chunk.last())
            .map(|one| &one.position)
            .max_by(|a, b| a.compare(b))
        {
            self.party.handed_out(last.clone());
        }
        self.has_work |= chunks.iter().any(|deliveries| !deliveries.is_empty());
        let interval = if self.has_work { ADVANCE_INTERVAL } else { self.rest };
        let all = ends || self.advanced.elapsed() >= interval;
        let held = chunks.iter().map(|deliveries| held_by(deliveries, position)).collect::<Vec<_>>();
        let shares = self.room.take(&held).await;
        for (lane, ((inbox, deliveries), share)) in
            self.inboxes.iter_mut().zip(chunks).zip(shares).enumerate()
        {
            let changes_phase =
                matches!((&inbox.position, position), (Position::Scan { .. }, Position::Stream { .. }));
            let moves = inbox.position.compare(position).is_lt();
            if deliveries.is_empty() && !(moves && (all || changes_phase)) {
                continue;
            }
            let target = if moves { position.clone() } else { inbox.position.clone() };
            self.status.handed_out(lane, deliveries.len());
            self.progress.hands_out(lane, deliveries.len());
            if !inbox.send(deliveries, &target, share).await {
                return false;
            }
        }
        if all {
            (self.advanced, self.has_work) = (Instant::now(), false);
        }
        self.progress.handed_out(position);
        true
    }
}

/// What a source gives next, where it has to be opened behind a position first.
async fn read<S: Source>(source: &mut S, behind: Option<&Position>) -> Result<Feed, Failure> {
    if let Some(behind) = behind {
        source.open(behind).await?;
    }
    source.next().await
}

/// How many bytes a chunk holds.
fn held_by(deliveries: &[Delivery], position: &Position) -> usize {
    size_of::<DeliveryChunk>()
        + position.held_bytes()
        + deliveries.iter().map(Delivery::held_bytes).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Aggregate, Event, Id};
    use crate::pipeline::rendezvous::{Rendezvous, Side};
    use crate::pipeline::room::{QUEUED_BYTES_MAX, RoomPart};
    use crate::position::Token;
    use crate::readmodel::lane::checkpoint::LaneRow;

    fn feed(number: i64) -> Feed {
        let position =
            Position::Stream { token: Token { data: format!("82{number:040}").into(), type_bits: None } };
        let delivery = |event: i64| {
            let event = Event {
                id: Id::Integer(event),
                event_type: "Moved".into(),
                version: 1,
                aggregate: Aggregate { kind: "account".into(), id: Id::Integer(event) },
                sequence: Some(1),
                occurred_at: None,
                payload: "{}".into(),
                metadata: "{}".into(),
            };
            let document = Arc::from(&[0; 137][..]);
            Delivery {
                position: position.clone(),
                time: None,
                wall_ms: None,
                document,
                event: Ok(Arc::new(event)),
            }
        };
        let deliveries = (number * 2000..(number + 1) * 2000).map(delivery).collect();
        Feed { deliveries, position: position.clone() }
    }

    /// A source of small documents without an end.
    struct Endless(i64);

    impl Source for Endless {
        async fn open(&mut self, _: &Position) -> Result<(), Failure> {
            Ok(())
        }

        async fn next(&mut self) -> Result<Feed, Failure> {
            self.0 += 1;
            Ok(feed(self.0))
        }
    }

    #[tokio::test]
    async fn what_waits_is_bounded_by_what_it_holds_on_any_number_of_lanes() {
        for lanes in [1, 4, 64] {
            let start = Position::Stream { token: Token { data: "82".into(), type_bits: None } };
            let (inboxes, queues): (Vec<_>, Vec<_>) = (0..lanes).map(|_| Inbox::new(start.clone())).unzip();
            let status = Arc::new(Status::new("held"));
            let row = |lane| LaneRow {
                lane,
                epoch: 1,
                batch: 0,
                position: start.clone(),
                digest: String::new(),
                events: 0,
                parked: 0,
                fingerprint: crate::fingerprint::Fingerprint::default(),
                known_events: 0,
                anchor: None,
                connection_id: None,
            };
            status.starts("held", "", 1, &(0..lanes).map(row).collect::<Vec<_>>());
            let progress = Arc::new(Frontiers::new((0..lanes).map(|_| start.clone())));
            let room = Room::new(RoomPart::of(QUEUED_BYTES_MAX, 1), status.queued_bytes.clone());
            let end = ReadEnd { until: None, party: Arc::new(Rendezvous::default()).party(Side::Live) };
            let reader = Reader::new(Endless(0), inboxes, room, status.clone(), progress, end, REST_INTERVAL);
            let reading = tokio::spawn(reader.run());
            // MySQL is cut off: nothing is taken from the queues.
            let (mut before, mut same) = (0, 0);
            while same < 1000 {
                tokio::task::yield_now().await;
                let now = status.snapshot().queued_bytes;
                same = if now == before { same + 1 } else { 0 };
                before = now;
            }
            assert!(before <= u64::from(QUEUED_BYTES_MAX), "{lanes} lanes hold {before}");
            assert!(before > u64::from(QUEUED_BYTES_MAX) * 9 / 10, "{lanes} lanes hold {before} only");
            let waiting: u64 = status.snapshot().lanes.iter().map(|lane| lane.waiting).sum();
            assert!(waiting * 137 < before / 2, "{waiting} documents are not what is held");
            drop(queues);
            reading.abort();
        }
    }
}
