//! The proof that the source's history has an event that was taken from it: one that was put back to an older copy has
//! not.
//!
//! The document proves nothing of the kind: scripts and TTL indexes delete documents, and history keeps that they were
//! inserted.

use std::time::Duration;

use bson::{RawDocument, Timestamp, doc};
use mongodb::raw_batch_cursor::RawBatchCursor;
use tokio::time::Instant;

use super::error::classify;
use super::reply::{cluster_time, documents, malformed, post_batch_token};
use super::tail::next_reply;
use super::{AWAIT, Feed, Outbox, OutboxReader, decode};
use crate::event::{Anchor, Delivery, Id};
use crate::failure::{Failure, Lost};
use crate::position::{ClusterTime, Position};

const DOING: &str = "looking for the last event that was taken";

/// How long a server may take to come to the event's time, or to the next event of that time.
const PATIENCE: Duration = Duration::from_secs(20);

/// After so many inserts of one transaction, further ones are looked at together.
const ONE_BY_ONE: u32 = 20;

/// So many at a time.
const TOGETHER: u32 = 100;

/// A way to read the outbox, which can also show what was inserted since a moment.
pub trait Reading: Send {
    type Look: Look;

    fn open(&mut self, from: &Position) -> impl Future<Output = Result<(), Failure>> + Send;
    fn next(&mut self) -> impl Future<Output = Result<Feed, Failure>> + Send;
    /// The inserts since a moment, at most so many at a time.
    fn look(
        &mut self,
        since: ClusterTime,
        together: u32,
    ) -> impl Future<Output = Result<Self::Look, Failure>> + Send;
    /// How often something was opened at the source, also by `next`.
    fn openings(&self) -> u64;
}

/// The inserts since a moment, bit by bit.
pub trait Look: Send {
    fn next(&mut self) -> impl Future<Output = Result<ShownInserts, Failure>> + Send;
}

/// Inserts in the order of the stream, and the moment that it has come to.
#[derive(Debug, Default)]
pub struct ShownInserts {
    pub inserts: Vec<(Option<Id>, ClusterTime)>,
    pub reached: Option<ClusterTime>,
}

/// Reads only a source whose history has the last event that was taken from it, now or before the start.
///
/// It asks for that event when the reader is open already: what is open ends with the server, so a server that is put back
/// afterwards is opened, and asked, again. One that was asked before could be put back before it is opened.
pub struct Anchored<R> {
    reader: R,
    anchor: Option<Anchor>,
    /// The opening after which it was asked last.
    asked: u64,
}

impl<R: Reading> Anchored<R> {
    pub fn new(reader: R, anchor: Option<Anchor>) -> Self {
        Self { reader, anchor, asked: 0 }
    }

    /// Opens whatever has to be read behind `from`. Whatever was open before is closed.
    pub async fn open(&mut self, from: &Position) -> Result<(), Failure> {
        let opened = self.reader.open(from).await;
        match &opened {
            // Where the place is lost, too, this failure is the better one.
            Ok(()) | Err(Failure::ResumeLost { .. }) => self.ask().await?,
            Err(_) => {}
        }
        opened
    }

    /// The next deliveries. The newest event that any lane has taken, or that was read since, is what the source is known by: a
    /// lane that is behind has others read again.
    pub async fn next(&mut self) -> Result<Feed, Failure> {
        let feed = self.reader.next().await?;
        if self.asked != self.reader.openings() {
            self.ask().await?;
        }
        let last = feed.deliveries.iter().rev().find_map(Delivery::anchor);
        let is_newer = |last: &Anchor| self.anchor.as_ref().is_none_or(|known| known.time <= last.time);
        if let Some(last) = last.filter(is_newer) {
            self.anchor = Some(last);
        }
        Ok(feed)
    }

    async fn ask(&mut self) -> Result<(), Failure> {
        if let Some(anchor) = &self.anchor {
            demand(&mut self.reader, anchor).await?;
        }
        self.asked = self.reader.openings();
        Ok(())
    }
}

/// Reads the change stream at the event's time, and demands that the event is there. Where the oplog does not reach back so
/// far, but to the place where the stream is read on, the source is the same: an older copy's oplog would have to begin
/// before the event that it lacks, or behind that place.
async fn demand<R: Reading>(reader: &mut R, anchor: &Anchor) -> Result<(), Failure> {
    match find(reader, anchor).await {
        Err(Failure::ResumeLost { cause: Lost::History, .. }) => Ok(()),
        found => found,
    }
}

async fn find<R: Reading>(reader: &mut R, anchor: &Anchor) -> Result<(), Failure> {
    let (mut look, mut replies) = (reader.look(anchor.time, 1).await?, 0);
    let mut since = Instant::now();
    while since.elapsed() < PATIENCE {
        let shown = look.next().await?;
        for (id, time) in &shown.inserts {
            if *time > anchor.time {
                return Err(put_back(anchor));
            }
            if *time == anchor.time && id.as_ref() == Some(&anchor.id) {
                return Ok(());
            }
        }
        if !shown.inserts.is_empty() {
            // A transaction wrote others with it, maybe many thousands.
            replies += 1;
            if replies == ONE_BY_ONE {
                look = reader.look(anchor.time, TOGETHER).await?;
            }
            since = Instant::now();
        } else if shown.reached.is_some_and(|reached| reached > anchor.time) {
            return Err(put_back(anchor));
        }
    }
    let seconds = PATIENCE.as_secs();
    Err(Failure::SourceUnusable {
        message: format!("{DOING}: the server did not come to {} within {seconds} s", anchor.time),
    })
}

impl Reading for OutboxReader {
    type Look = Inserts;

    async fn open(&mut self, from: &Position) -> Result<(), Failure> {
        self.open(from).await
    }

    async fn next(&mut self) -> Result<Feed, Failure> {
        self.next().await
    }

    async fn look(&mut self, since: ClusterTime, together: u32) -> Result<Inserts, Failure> {
        Inserts::since(&self.outbox, since, together).await
    }

    fn openings(&self) -> u64 {
        self.openings
    }
}

/// The change stream from a moment on: inserts without their documents.
pub struct Inserts(RawBatchCursor);

impl Inserts {
    async fn since(outbox: &Outbox, since: ClusterTime, together: u32) -> Result<Self, Failure> {
        let at = Timestamp { time: since.seconds, increment: since.increment };
        let pipeline = [
            doc! { "$changeStream": { "startAtOperationTime": at } },
            doc! { "$match": { "operationType": "insert" } },
            doc! { "$project": { "_id": 1, "documentKey": 1, "clusterTime": 1 } },
        ];
        // To fill a reply, the server reads up to the oplog's end.
        let collection = outbox.collection().await?;
        let stream = collection.aggregate(pipeline).batch_size(together).max_await_time(AWAIT);
        stream.batch().await.map(Self).map_err(|error| classify(DOING, &error))
    }
}

impl Look for Inserts {
    async fn next(&mut self) -> Result<ShownInserts, Failure> {
        let reply = next_reply(&mut self.0, DOING).await?;
        let reply = reply.as_raw_document();
        let mut inserts = Vec::new();
        for change in documents(reply)? {
            let change = change.map_err(|_| malformed("a change is not BSON"))?;
            let change = change.as_document().ok_or_else(|| malformed("a change is not a document"))?;
            inserts.push(inserted(change)?);
        }
        Ok(ShownInserts { inserts, reached: post_batch_token(reply).and_then(|token| token.time()) })
    }
}

fn inserted(change: &RawDocument) -> Result<(Option<Id>, ClusterTime), Failure> {
    let time = change.get_timestamp("clusterTime").map_err(|_| malformed("a change has no time"))?;
    let key = change.get_document("documentKey").map_err(|_| malformed("a change has no document key"))?;
    let id = key.get("_id").map_err(|_| malformed("a document key is not BSON"))?;
    Ok((id.and_then(decode::event_id), cluster_time(time)))
}

fn put_back(anchor: &Anchor) -> Failure {
    Failure::ResumeLost {
        cause: Lost::PutBack,
        reason: format!(
            "MongoDB was put back to an older copy, and has gone on from there: the event {} of {}, which was applied, is not \
             in its oplog, although that reaches back so far",
            anchor.id, anchor.time
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A source in whose oplog one transaction has so many inserts, each reply of which takes a while.
    struct LargeTransaction {
        inserts: i64,
    }

    struct SlowLook {
        shown: i64,
        inserts: i64,
        together: u32,
    }

    const TIME: ClusterTime = ClusterTime { seconds: 100, increment: 1 };
    const ROUND_TRIP: Duration = Duration::from_millis(10);

    impl Reading for LargeTransaction {
        type Look = SlowLook;

        async fn open(&mut self, _from: &Position) -> Result<(), Failure> {
            Ok(())
        }

        async fn next(&mut self) -> Result<Feed, Failure> {
            std::future::pending().await
        }

        async fn look(&mut self, since: ClusterTime, together: u32) -> Result<SlowLook, Failure> {
            assert_eq!(since, TIME);
            Ok(SlowLook { shown: 0, inserts: self.inserts, together })
        }

        fn openings(&self) -> u64 {
            1
        }
    }

    impl Look for SlowLook {
        async fn next(&mut self) -> Result<ShownInserts, Failure> {
            tokio::time::sleep(ROUND_TRIP).await;
            let until = self.inserts.min(self.shown + i64::from(self.together));
            let inserts: Vec<_> = (self.shown..until).map(|id| (Some(Id::Integer(id)), TIME)).collect();
            self.shown = until;
            let later = ClusterTime { increment: 2, ..TIME };
            Ok(ShownInserts { reached: inserts.is_empty().then_some(later), inserts })
        }
    }

    /// What is found, and how many replies that takes.
    async fn demanded(id: i64) -> (Result<(), Failure>, u128) {
        let (anchor, began) = (Anchor { id: Id::Integer(id), time: TIME }, Instant::now());
        let found = demand(&mut LargeTransaction { inserts: 1_000_000 }, &anchor).await;
        (found, began.elapsed().as_millis() / ROUND_TRIP.as_millis())
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_is_found_among_all_that_its_transaction_wrote() {
        for (id, replies_max) in [(0, 1), (1, 2), (5_000, 100), (999_999, 11_000)] {
            let (found, replies) = demanded(id).await;
            assert_eq!(found, Ok(()), "{id}");
            assert!(replies <= replies_max, "{id} takes {replies} replies");
        }
        let (put_back, _) = demanded(1_000_000).await;
        assert!(matches!(put_back, Err(Failure::ResumeLost { cause: Lost::PutBack, .. })), "{put_back:?}");
    }
}
