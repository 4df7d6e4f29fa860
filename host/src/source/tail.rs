//! The live end: the outbox's change stream, read raw from a token onwards.
//!
//! It does not resume by itself: whoever reads it opens a new one behind what was dispatched last.

use std::sync::Arc;
use std::time::Duration;

use bson::{Document, RawDocument, doc};
use futures_util::StreamExt;
use mongodb::raw_batch_cursor::RawBatchCursor;

use super::error::classify;
use super::reply::{cluster_time, documents, malformed, post_batch_token, token, token_document};
use super::{AWAIT, Decoder, Feed, Outbox};
use crate::event::Delivery;
use crate::failure::{Failure, Lost};
use crate::position::{ClusterTime, Position, Token};

/// How many events the server may put in one reply.
pub const BATCH_SIZE: u32 = 2000;

/// The driver has no read timeout: a server that sends nothing at all for this long is taken for gone.
pub const SILENCE_MAX: Duration = Duration::from_secs(30);

/// A reply of more bytes is not of the stream's end.
const LIVE_END_BYTES: usize = 4 << 20;

pub struct Tail {
    cursor: RawBatchCursor,
    position: Token,
    batch_size: u32,
    /// A reply came.
    has_answered: bool,
    is_at_live_end: bool,
}

impl Tail {
    /// Opens the stream behind a token.
    pub async fn open(outbox: &Outbox, from: &Token, batch_size: u32) -> Result<Self, Failure> {
        let collection = outbox.collection().await?;
        let cursor = collection.aggregate(pipeline(from));
        let cursor = cursor.batch_size(batch_size).max_await_time(AWAIT);
        let cursor = cursor.batch().await.map_err(|error| classify("opening the change stream", &error))?;
        Ok(Self { cursor, position: from.clone(), batch_size, has_answered: false, is_at_live_end: false })
    }

    /// The stream was read up to here.
    pub fn position(&self) -> &Token {
        &self.position
    }

    /// Returns true where its replies may have as many events as any: one whose way is narrow is nobody's but its own.
    pub fn has_full_replies(&self) -> bool {
        self.batch_size == BATCH_SIZE
    }

    /// Returns true where the last reply shows that nothing more is there just now. The first one after opening says nothing.
    pub fn is_at_live_end(&self) -> bool {
        self.is_at_live_end
    }

    pub async fn next(&mut self, decoder: &Decoder) -> Result<Feed, Failure> {
        let reply = next_reply(&mut self.cursor, "reading the change stream").await?;
        let reply = reply.as_raw_document();
        let mut deliveries = Vec::new();
        for change in documents(reply)? {
            let change = change.map_err(|_| malformed("a change is not BSON"))?;
            let change = change.as_document().ok_or_else(|| malformed("a change is not a document"))?;
            deliveries.push(delivery(change, decoder)?);
        }
        if let Some(last) = deliveries.last() {
            self.position.clone_from(token_of(last));
        }
        if let Some(token) = post_batch_token(reply) {
            self.position = token;
        }
        let is_small = is_small(deliveries.len(), self.batch_size, reply.as_bytes().len());
        self.is_at_live_end = std::mem::replace(&mut self.has_answered, true) && is_small;
        Ok(Feed { deliveries, position: Position::Stream { token: self.position.clone() } })
    }
}

/// Returns true for a reply that could have been much larger: the stream has no more just now.
fn is_small(events: usize, batch_size: u32, bytes: usize) -> bool {
    events < (batch_size as usize).div_ceil(2) && bytes < LIVE_END_BYTES
}

/// The pipeline that the server runs. It never changes: a token is only good for the pipeline it came from.
pub fn pipeline(from: &Token) -> [Document; 2] {
    [
        doc! { "$changeStream": { "startAfter": token_document(from) } },
        doc! { "$match": { "operationType": { "$in": ["insert", "drop", "rename", "dropDatabase", "invalidate"] } } },
    ]
}

/// The next reply of a cursor that never ends by itself.
pub async fn next_reply(
    cursor: &mut RawBatchCursor,
    doing: &str,
) -> Result<mongodb::raw_batch_cursor::RawBatch, Failure> {
    let silent = |_| Failure::SourceUnavailable {
        message: format!("{doing}: the server sent nothing for {} s", (SILENCE_MAX + AWAIT).as_secs()),
    };
    match tokio::time::timeout(SILENCE_MAX + AWAIT, cursor.next()).await.map_err(silent)? {
        Some(reply) => reply.map_err(|error| classify(doing, &error)),
        None => Err(Failure::ResumeLost {
            cause: Lost::Ended,
            reason: format!(
                "{doing}: the server closed it, as it does when the collection is dropped or renamed"
            ),
        }),
    }
}

/// The token of a delivery, or the one behind which its history ends.
pub fn token_of(delivery: &Delivery) -> &Token {
    match &delivery.position {
        Position::Stream { token } | Position::Scan { start: token, .. } => token,
    }
}

fn delivery(change: &RawDocument, decoder: &Decoder) -> Result<Delivery, Failure> {
    let insert = Insert::read(change)?;
    let document = insert.document.ok_or_else(|| malformed("an insert has no document"))?;
    Ok(Delivery {
        position: Position::Stream { token: insert.token },
        time: insert.time,
        wall_ms: insert.wall_ms,
        document: Arc::from(document.as_bytes()),
        event: decoder.decode(document),
    })
}

/// An insert, as the change stream shows it.
pub struct Insert<'a> {
    pub token: Token,
    pub time: Option<ClusterTime>,
    /// When the primary wrote it, by its clock. Servers before 6.0 tell the second only.
    pub wall_ms: Option<u64>,
    pub document: Option<&'a RawDocument>,
    pub key: Option<&'a RawDocument>,
}

impl<'a> Insert<'a> {
    /// Reads a change in one pass. Whatever else than an insert the pipeline lets pass is the end of the stream.
    pub fn read(change: &'a RawDocument) -> Result<Self, Failure> {
        let (mut token_found, mut time, mut wall, mut operation) = (None, None, None, None);
        let (mut document, mut key) = (None, None);
        for element in change.iter_elements() {
            let element = element.map_err(|_| malformed("a change is not BSON"))?;
            let value = || element.value().map_err(|_| malformed("a change is not BSON"));
            match element.key().as_str() {
                "_id" => token_found = value()?.as_document().and_then(token),
                "operationType" => operation = value()?.as_str(),
                "clusterTime" => time = value()?.as_timestamp().map(cluster_time),
                "wallTime" => wall = value()?.as_datetime().map(bson::DateTime::timestamp_millis),
                "fullDocument" => document = value()?.as_document(),
                "documentKey" => key = value()?.as_document(),
                _ => {}
            }
        }
        let token = token_found.ok_or_else(|| malformed("a change has no token"))?;
        match operation.ok_or_else(|| malformed("a change has no operation type"))? {
            "insert" => {}
            other => return Err(end_of_stream(change, other)),
        }
        let second = time.map(|time: ClusterTime| i64::from(time.seconds) * 1000);
        let wall_ms = wall.or(second).and_then(|millis| u64::try_from(millis).ok());
        Ok(Self { token, time, wall_ms, document, key })
    }
}

/// The end of the stream that a change is.
fn end_of_stream(change: &RawDocument, operation: &str) -> Failure {
    let to = |part| change.get_document("to").and_then(|to| to.get_str(part)).unwrap_or("another name");
    let (cause, reason) = match operation {
        "rename" => (Lost::Renamed, format!("the outbox was renamed to {}.{}", to("db"), to("coll"))),
        "drop" => (Lost::Ended, "the outbox collection was dropped".to_owned()),
        "dropDatabase" => (Lost::Ended, "the outbox's database was dropped".to_owned()),
        operation => (Lost::Ended, format!("the outbox collection was ended by `{operation}`")),
    };
    Failure::ResumeLost { cause, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_that_is_half_full_or_large_is_not_of_the_end() {
        for (events, batch_size, bytes, expected) in [
            (999, BATCH_SIZE, 1000, true),
            (1000, BATCH_SIZE, 1000, false),
            (124, 250, 1000, true),
            (125, 250, 1000, false),
            (0, 1, 1000, true),
            (1, 1, 1000, false),
            (0, BATCH_SIZE, LIVE_END_BYTES, false),
        ] {
            assert_eq!(
                is_small(events, batch_size, bytes),
                expected,
                "{events} of {batch_size}, {bytes} bytes"
            );
        }
    }
}
