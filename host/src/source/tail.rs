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

pub struct Tail {
    cursor: RawBatchCursor,
    position: Token,
}

impl Tail {
    /// Opens the stream behind a token.
    pub async fn open(outbox: &Outbox, from: &Token, batch_size: u32) -> Result<Self, Failure> {
        let collection = outbox.collection().await?;
        let cursor = collection.aggregate(pipeline(from));
        let cursor = cursor.batch_size(batch_size).max_await_time(AWAIT);
        let cursor = cursor.batch().await.map_err(|error| classify("opening the change stream", &error))?;
        Ok(Self { cursor, position: from.clone() })
    }

    pub async fn next(&mut self, decoder: &Decoder) -> Result<Feed, Failure> {
        let reply = next_reply(&mut self.cursor, "reading the change stream").await?;
        let reply = reply.as_raw_document();
        let mut deliveries = Vec::new();
        for change in documents(reply)? {
            let change = change.map_err(|_| malformed("a change is not BSON"))?;
            let change = change.as_document().ok_or_else(|| malformed("a change is not a document"))?;
            let delivery = delivery(change, decoder)?;
            self.position.clone_from(token_of(&delivery));
            deliveries.push(delivery);
        }
        if let Some(token) = post_batch_token(reply) {
            self.position = token;
        }
        Ok(Feed { deliveries, position: Position::Stream { token: self.position.clone() } })
    }
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

fn token_of(delivery: &Delivery) -> &Token {
    match &delivery.position {
        Position::Stream { token } | Position::Scan { start: token, .. } => token,
    }
}

fn delivery(change: &RawDocument, decoder: &Decoder) -> Result<Delivery, Failure> {
    let (token, time) = header(change)?;
    let document = change.get_document("fullDocument").map_err(|_| malformed("an insert has no document"))?;
    Ok(Delivery {
        position: Position::Stream { token },
        time,
        wall_ms: wall_time(change, time),
        document: Arc::from(document.as_bytes()),
        event: decoder.decode(document),
    })
}

/// When the primary wrote a change, by its clock. Servers before 6.0 tell the second only.
pub fn wall_time(change: &RawDocument, time: Option<ClusterTime>) -> Option<u64> {
    let wall = change.get_datetime("wallTime").ok().map(bson::DateTime::timestamp_millis);
    let second = time.map(|time| i64::from(time.seconds) * 1000);
    u64::try_from(wall.or(second)?).ok()
}

/// The token and the time of an insert. Whatever else the pipeline lets pass is the end of the stream.
pub fn header(change: &RawDocument) -> Result<(Token, Option<ClusterTime>), Failure> {
    let token =
        change.get_document("_id").ok().and_then(token).ok_or_else(|| malformed("a change has no token"))?;
    let time = change.get_timestamp("clusterTime").ok().map(cluster_time);
    let to = |part| change.get_document("to").and_then(|to| to.get_str(part)).unwrap_or("another name");
    match change.get_str("operationType") {
        Ok("insert") => Ok((token, time)),
        Ok("rename") => Err(Failure::ResumeLost {
            cause: Lost::Renamed,
            reason: format!("the outbox was renamed to {}.{}", to("db"), to("coll")),
        }),
        Ok("drop") => ended("the outbox collection was dropped"),
        Ok("dropDatabase") => ended("the outbox's database was dropped"),
        Ok(operation) => ended(&format!("the outbox collection was ended by `{operation}`")),
        Err(_) => Err(malformed("a change has no operation type")),
    }
}

fn ended<T>(reason: &str) -> Result<T, Failure> {
    Err(Failure::ResumeLost { cause: Lost::Ended, reason: reason.to_owned() })
}
