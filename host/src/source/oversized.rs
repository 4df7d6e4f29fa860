//! An event that is larger than a document may be: the change stream cannot show it, and fails at it for ever.
//!
//! The rest of it can be shown, and the document itself can be found in the outbox, whose documents
//! never change. (An insert needs an `_id` of thousands of bytes to be so large: the event has it three times.)

use std::sync::Arc;

use bson::{Document, RawDocument, doc};

use super::error::classify;
use super::reply::{documents, malformed, post_batch_token};
use super::tail::{Insert, next_reply, pipeline};
use super::{AWAIT, Decoder, Feed, Outbox};
use crate::event::{Delivery, Undecodable};
use crate::failure::Failure;
use crate::position::{Position, Token};

/// The next event behind a token, read in two parts.
pub async fn rescue(outbox: &Outbox, decoder: &Decoder, from: &Token) -> Result<Feed, Failure> {
    let doing = "reading the change stream without its documents";
    let [stream, only] = pipeline(from);
    // Behind the constant part: the tokens are the same.
    let without = doc! { "$project": { "operationType": 1, "clusterTime": 1, "wallTime": 1, "documentKey": 1, "to": 1 } };
    let collection = outbox.collection().await?;
    let cursor = collection.aggregate([stream, only, without]);
    let cursor = cursor.batch_size(1).max_await_time(AWAIT).batch().await;
    let mut cursor = cursor.map_err(|error| classify(doing, &error))?;
    let reply = next_reply(&mut cursor, doing).await?;
    let reply = reply.as_raw_document();
    let Some(change) = documents(reply)?.into_iter().next() else {
        let token = post_batch_token(reply).unwrap_or_else(|| from.clone());
        return Ok(Feed { deliveries: vec![], position: Position::Stream { token } });
    };
    let change = change.map_err(|_| malformed("a change is not BSON"))?;
    let change = change.as_document().ok_or_else(|| malformed("a change is not a document"))?;
    let Insert { token, time, wall_ms, key, .. } = Insert::read(change)?;
    let key = key.ok_or_else(|| malformed("a change has no document key"))?;
    let position = Position::Stream { token };
    let (document, event) = match find(outbox, key).await? {
        Found::Document(document) => (Arc::from(document.as_bytes()), decoder.decode(&document)),
        Found::Unreadable(reason) => {
            let reason = format!("its event is beyond MongoDB's document limit, and {reason}");
            (Arc::from(key.as_bytes()), Err(Undecodable { reason, field: None, id: None, aggregate: None }))
        }
    };
    let delivery = Delivery { position: position.clone(), time, wall_ms, document, event };
    Ok(Feed { deliveries: vec![delivery], position })
}

/// The document of an event that the change stream cannot show.
enum Found {
    Document(bson::RawDocumentBuf),
    /// With the reason.
    Unreadable(&'static str),
}

/// Finds the document with a key.
async fn find(outbox: &Outbox, key: &RawDocument) -> Result<Found, Failure> {
    let Ok(key) = Document::try_from(key) else { return Ok(Found::Unreadable("its `_id` cannot be read")) };
    let id = key.get("_id").cloned().ok_or_else(|| malformed("a document key has no `_id`"))?;
    let found = outbox.collection().await?.find_one(doc! { "_id": { "$eq": id } }).await;
    match found.map_err(|error| classify("reading the document of an event that is too large", &error)) {
        Ok(Some(document)) => Ok(Found::Document(document)),
        Ok(None) => Ok(Found::Unreadable("its document is not in the outbox any more")),
        Err(Failure::Oversized { .. }) => {
            Ok(Found::Unreadable("its document cannot be read by itself either"))
        }
        Err(failure) => Err(failure),
    }
}
