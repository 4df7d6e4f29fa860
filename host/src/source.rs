//! The write side: reads the outbox of a MongoDB replica set, first its history, then its change stream.
//!
//! The only user of `mongodb`. It hands out deliveries in order and never drops one; what becomes of them is
//! not its business. It writes nothing but what [`acknowledge`] does where the configuration asks for it.

mod refusal;
mod stale_member;
pub mod resume;
mod json;
mod moment;
pub mod decode;
mod reply;
mod unreachable;
mod error;
pub mod acknowledge;
pub mod connection;
mod aggregate;
mod census;
mod tail;
mod shared_stream;
mod history;
mod anchor;
mod oversized;
#[cfg(test)]
mod random;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::event::{Anchor, Delivery};
use crate::failure::Failure;
use crate::position::{ClusterTime, Position, Token};
use history::History;
use shared_stream::{AtEnd, Meeting, Subscription};
use stale_member::StaleMember;
use tail::Tail;

pub use acknowledge::MARK_FIELD;
pub use aggregate::{AggregatePage, BadMark, PageFrom, PageMark};
pub use anchor::{Anchored, Look, Reading, ShownInserts};
pub use census::{BY_ID, Census, STORED};
pub use connection::{Outbox, OutboxOptions, SourceIdentity};
pub use decode::{Decoder, Fields};

pub use history::{
    CREATE_INDEX, HistoryIndex, Notes, end as end_of_history, of_new_outbox as index_of_new_outbox,
};
pub use resume::{OnLost, ResumePlan};
pub use shared_stream::SharedStream;

/// How long the server waits for a new event before it answers with an empty batch. It bounds how soon a stop
/// is noticed and how often an idle stream reports its position; latency does not depend on it.
pub const AWAIT: Duration = Duration::from_millis(500);

/// Deliveries in order, and the position behind the last of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Feed {
    pub deliveries: Vec<Delivery>,
    pub position: Position,
}

/// Reads the outbox from a position onwards.
pub struct OutboxReader {
    outbox: Outbox,
    decoder: Decoder,
    place: OpenCursor,
    read_mode: ReadMode,
    /// How many events a reply of the stream may have.
    batch_size: u32,
    stale_member: StaleMember,
    /// How often something was opened at MongoDB.
    openings: u64,
    /// The stream that this reader shares with others at the live end, if it does.
    shared: Option<Arc<SharedStream>>,
    /// It is at the live end with a cursor of its own.
    at_end: Option<AtEnd>,
    /// The shared stream, which is ahead of its own cursor yet.
    joining: Option<Subscription>,
}

/// The cursor that is open at MongoDB.
enum OpenCursor {
    Nothing,
    History(Box<History>),
    Stream(Box<Tail>),
    /// The stream is open for several readers; this one has come to the token.
    Shared(Subscription, Token),
    /// Nothing is open, and what stands behind this token is next.
    Behind(Token),
}

/// How the stream is read, since an event in it was too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReadMode {
    /// Read the stream as it comes.
    None,
    /// So many events one by one, to come up to the one that is too large.
    OneByOne(usize),
    /// The next event is the one.
    Rescue,
}

impl OutboxReader {
    pub fn new(outbox: Outbox, decoder: Decoder) -> Self {
        let (batch_size, stale_member) = (tail::BATCH_SIZE, StaleMember::default());
        Self {
            outbox,
            decoder,
            place: OpenCursor::Nothing,
            read_mode: ReadMode::None,
            batch_size,
            stale_member,
            openings: 0,
            shared: None,
            at_end: None,
            joining: None,
        }
    }

    /// Reads the live end together with others.
    #[must_use]
    pub fn sharing(self, shared: &Arc<SharedStream>) -> Self {
        Self { shared: Some(shared.clone()), ..self }
    }

    /// Opens only a source that has this event in its history.
    #[must_use]
    pub fn anchored(self, anchor: Option<Anchor>) -> Anchored<Self> {
        Anchored::new(self, anchor)
    }

    /// Opens whatever has to be read behind `from`. Whatever was open before is closed.
    pub async fn open(&mut self, from: &Position) -> Result<(), Failure> {
        self.close();
        self.openings += 1;
        let opened = match from {
            Position::Scan { start, key, .. } => {
                let history = History::open(&self.outbox, &self.decoder, start, key.as_ref()).await;
                history.map(|history| OpenCursor::History(Box::new(history)))
            }
            Position::Stream { token } => {
                self.stale_member = StaleMember::default();
                open_stream(&self.outbox, self.read_mode, self.batch_size, token).await
            }
        };
        self.place = opened.map_err(|failure| self.learn(failure))?;
        Ok(())
    }

    /// The next deliveries; without any after about [`AWAIT`] when there are none. After a failure the reader
    /// has to be opened again, behind the last feed it gave.
    pub async fn next(&mut self) -> Result<Feed, Failure> {
        let read = self.read().await;
        match &read {
            Ok(feed) => self.go_on(feed),
            Err(_) => self.close(),
        }
        read.map_err(|failure| self.learn(failure))
    }

    fn close(&mut self) {
        (self.place, self.at_end, self.joining) = (OpenCursor::Nothing, None, None);
    }

    async fn read(&mut self) -> Result<Feed, Failure> {
        if let OpenCursor::Shared(subscription, token) = &mut self.place {
            if let Some(read) = subscription.next(token).await {
                return read;
            }
            self.place = OpenCursor::Behind(token.clone());
        }
        if let (OpenCursor::Behind(token), true) = (&self.place, self.read_mode != ReadMode::Rescue) {
            let token = token.clone();
            self.openings += 1;
            self.place = open_stream(&self.outbox, self.read_mode, self.batch_size, &token).await?;
        }
        match &mut self.place {
            OpenCursor::Nothing | OpenCursor::Shared(..) => {
                Err(Failure::Bug { what: "the outbox is read before it was opened".to_owned() })
            }
            OpenCursor::History(history) => history.next(&self.decoder).await,
            OpenCursor::Stream(tail) => {
                let asked = Instant::now();
                let read = tail.next(&self.decoder).await;
                if read.is_err() && asked.elapsed() >= tail::SILENCE_MAX {
                    // Where the way is narrow, a large reply takes longer than that.
                    self.batch_size = (self.batch_size / 8).max(1);
                }
                let feed = read?;
                self.stale_member.look(&self.outbox, &feed).await?;
                Ok(feed)
            }
            OpenCursor::Behind(token) => {
                self.openings += 1;
                oversized::rescue(&self.outbox, &self.decoder, token).await
            }
        }
    }

    /// Where to read behind a feed.
    fn go_on(&mut self, feed: &Feed) {
        let Position::Stream { token } = &feed.position else { return };
        let read = feed.deliveries.len();
        let changed = match self.read_mode {
            ReadMode::Rescue => read > 0,
            ReadMode::OneByOne(left) => {
                self.read_mode = ReadMode::OneByOne(left.saturating_sub(read));
                left <= read
            }
            ReadMode::None => false,
        };
        if changed {
            self.read_mode = ReadMode::None;
        }
        match &mut self.place {
            OpenCursor::Shared(_, at) => at.clone_from(token),
            OpenCursor::Stream(_) if !changed => self.share(),
            _ => self.place = OpenCursor::Behind(token.clone()),
        }
    }

    /// Shares the stream with other readers, as soon as this one is at the live end and so is another.
    fn share(&mut self) {
        let Some(shared) = self.shared.clone().filter(|_| self.read_mode == ReadMode::None) else { return };
        let place = std::mem::replace(&mut self.place, OpenCursor::Nothing);
        let OpenCursor::Stream(tail) = place else { return };
        if !tail.is_at_live_end() {
            (self.place, self.at_end, self.joining) = (OpenCursor::Stream(tail), None, None);
            return;
        }
        self.at_end.get_or_insert_with(|| shared.arrive());
        let token = tail.position().clone();
        self.place = match shared.meet(tail, self.joining.take()) {
            Meeting::Own(tail, joining) => {
                self.joining = joining;
                OpenCursor::Stream(tail)
            }
            Meeting::Shared(subscription) => {
                self.at_end = None;
                // Another one may have opened it.
                self.openings += 1;
                OpenCursor::Shared(subscription, token)
            }
        };
    }

    /// Chooses how the stream is read after a failure.
    fn learn(&mut self, failure: Failure) -> Failure {
        if resume::plan(&failure, OnLost::Pause) != ResumePlan::Rescue {
            return failure;
        }
        self.read_mode = match self.read_mode {
            ReadMode::None => ReadMode::OneByOne(tail::BATCH_SIZE as usize),
            ReadMode::OneByOne(_) => ReadMode::Rescue,
            ReadMode::Rescue => {
                self.read_mode = ReadMode::None;
                return Failure::misconfigured(
                    format!("{failure}, even without its document: its `_id` is too long to be read"),
                    "delete the document in MongoDB, then run `laterna rebuild`, which reads history without it",
                );
            }
        };
        failure
    }

    /// The source's own time: of its newest majority-committed write.
    pub async fn now(&self) -> Result<ClusterTime, Failure> {
        self.outbox.now().await
    }
}

async fn open_stream(
    outbox: &Outbox,
    read_mode: ReadMode,
    batch_size: u32,
    token: &Token,
) -> Result<OpenCursor, Failure> {
    let batch_size = match read_mode {
        ReadMode::None => batch_size,
        ReadMode::OneByOne(_) => 1,
        ReadMode::Rescue => return Ok(OpenCursor::Behind(token.clone())),
    };
    Ok(OpenCursor::Stream(Box::new(Tail::open(outbox, token, batch_size).await?)))
}
