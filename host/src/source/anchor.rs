//! Whether the source's history has an event that was taken from it: one that was put back to an older copy has not.
//!
//! The document says nothing of the kind: scripts and TTL indexes delete documents, and history keeps that they were inserted.

use std::time::{Duration, Instant};

use bson::{RawDocument, Timestamp, doc};

use super::error::classify;
use super::reply::{cluster_time, documents, malformed, post_batch_token};
use super::tail::next_reply;
use super::{AWAIT, Outbox, decode};
use crate::event::{Anchor, Id};
use crate::failure::{Failure, Lost};
use crate::position::ClusterTime;

/// How long a server may take to come to the event's time.
const PATIENCE: Duration = Duration::from_secs(20);

/// Reads the change stream at the event's time, and demands that the event is there. Where the oplog does not reach back so
/// far, but to the place where the stream is read on, the source is the same: an older copy's oplog would have to begin
/// before the event that it lacks, or behind that place.
pub async fn demand(outbox: &Outbox, anchor: &Anchor) -> Result<(), Failure> {
    let doing = "looking for the last event that was taken";
    let at = Timestamp { time: anchor.time.seconds, increment: anchor.time.increment };
    let pipeline = [
        doc! { "$changeStream": { "startAtOperationTime": at } },
        doc! { "$match": { "operationType": "insert" } },
        doc! { "$project": { "_id": 1, "documentKey": 1, "clusterTime": 1 } },
    ];
    // The first one decides, unless a transaction has several: more would be read up to the oplog's end.
    let collection = outbox.collection().await?;
    let stream = collection.aggregate(pipeline).batch_size(1).max_await_time(AWAIT);
    let mut cursor = match stream.batch().await.map_err(|error| classify(doing, &error)) {
        Err(Failure::ResumeLost { cause: Lost::History, .. }) => return Ok(()),
        cursor => cursor?,
    };
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        let reply = match next_reply(&mut cursor, doing).await {
            Err(Failure::ResumeLost { cause: Lost::History, .. }) => return Ok(()),
            reply => reply?,
        };
        let reply = reply.as_raw_document();
        let mut changes = 0;
        for change in documents(reply)? {
            let change = change.map_err(|_| malformed("a change is not BSON"))?;
            let change = change.as_document().ok_or_else(|| malformed("a change is not a document"))?;
            let (id, time) = inserted(change)?;
            if time > anchor.time {
                return Err(put_back(anchor));
            }
            if time == anchor.time && id.as_ref() == Some(&anchor.id) {
                return Ok(());
            }
            changes += 1;
        }
        let reached = post_batch_token(reply).and_then(|token| token.time());
        if changes == 0 && reached.is_some_and(|reached| reached > anchor.time) {
            return Err(put_back(anchor));
        }
    }
    let seconds = PATIENCE.as_secs();
    Err(Failure::SourceUnavailable {
        message: format!("{doing}: the server did not come to {} within {seconds} s", anchor.time),
    })
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
