//! History: what was committed to the outbox before a start token, in the order of the history index.
//!
//! A scanned document does not show when it was committed, and writers go on during the scan. So before a page
//! is released, the change stream behind the start token is read up to the page's time, and every document it
//! has shown is dropped from the page: the stream will deliver it. (The watermarks of `DBLog`.)

mod index;
mod place;

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::{RawDocument, doc};
use futures_util::StreamExt;
use mongodb::raw_batch_cursor::{RawBatch, RawBatchCursor};

use super::error::classify;
use super::reply::{
    bound, documents, malformed, operation_time, post_batch_token, raw_id, scan_key, token_document,
};
use super::tail::next_reply;
use super::{AWAIT, Decoder, Feed, Outbox};
use crate::event::Delivery;
use crate::failure::{Failure, Lost};
use crate::position::{ClusterTime, Position, ScanKey, Token};
use place::ScanPlace;

pub use index::{CREATE_INDEX, HistoryIndex, of_new_outbox};

/// Documents on one page, the first and all others: left alone, a reply has as many as 16 MB hold, and small ones take many
/// times that when they are decoded.
const PAGE_SIZE: u32 = 5000;

/// How often it is looked whether the oplog still reaches back to the scan's beginning.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

pub struct History {
    outbox: Outbox,
    start: Token,
    began: ClusterTime,
    checked: Instant,
    place: ScanPlace,
    pages: RawBatchCursor,
    watch: StreamWatch,
}

impl History {
    /// Opens the scan at a key, which is read again, or at the beginning.
    pub async fn open(
        outbox: &Outbox,
        decoder: &Decoder,
        start: &Token,
        from: Option<&ScanKey>,
    ) -> Result<Self, Failure> {
        let began = start.time().ok_or_else(|| Failure::ResumeLost {
            cause: Lost::BadToken,
            reason: "the token at which the scan of history began has no time".to_owned(),
        })?;
        let since = began.before();
        reaches_back(outbox, began).await?;
        let index = outbox.history_index(decoder.fields()).await?;
        let pattern: bson::Document = index.fields.iter().map(|name| (name.clone(), 1.into())).collect();
        let after = bson::Timestamp { time: since.seconds, increment: since.increment };
        let mut find = doc! {
            "find": outbox.name(),
            "sort": pattern,
            "hint": index.name,
            // The collection's own one, if it has any, is not that of the index.
            "collation": { "locale": "simple" },
            "batchSize": PAGE_SIZE,
            "noCursorTimeout": true,
            "readConcern": { "level": "majority", "afterClusterTime": after },
        };
        if let Some(ScanKey(parts)) = from {
            let least: bson::Document =
                index.fields.iter().zip(parts).map(|(name, part)| (name.clone(), bound(part))).collect();
            find.insert("min", least);
        }
        let pages = outbox.database().await?.run_cursor_command(find).batch_size(PAGE_SIZE).batch().await;
        let pages = pages.map_err(|error| classify("reading the outbox's history", &error))?;
        let watch = StreamWatch::open(outbox, start).await?;
        let place = ScanPlace::at(start.clone(), from.cloned());
        let (outbox, checked) = (outbox.clone(), Instant::now());
        Ok(Self { outbox, start: start.clone(), began, checked, place, pages, watch })
    }

    /// The next page; behind the last one, the position where the stream takes over.
    pub async fn next(&mut self, decoder: &Decoder) -> Result<Feed, Failure> {
        if self.checked.elapsed() >= CHECK_INTERVAL {
            reaches_back(&self.outbox, self.began).await?;
            self.checked = Instant::now();
        }
        let Some(page) = self.pages.next().await else { return end(&self.outbox, &self.start).await };
        let page = page.map_err(|error| classify("reading the outbox's history", &error))?;
        let page: &RawBatch = &page;
        let reply = page.as_raw_document();
        let time = operation_time(reply).ok_or_else(|| malformed("a page has no operationTime"))?;
        self.watch.read_up_to(time).await?;
        let mut deliveries = Vec::new();
        for document in documents(reply)? {
            let document = document.map_err(|_| malformed("a page is not BSON"))?;
            let document = document.as_document().ok_or_else(|| malformed("a page holds no documents"))?;
            if !self.watch.has_shown(document) {
                deliveries.push(self.delivery(document, decoder)?);
            }
        }
        Ok(Feed { deliveries, position: self.place.position() })
    }

    fn delivery(&mut self, document: &RawDocument, decoder: &Decoder) -> Result<Delivery, Failure> {
        let position = self.place.advance(scan_key(document, decoder.fields()));
        let event = decoder.decode(document);
        if let Ok(event) = &event
            && event.sequence.is_none()
        {
            return Err(index::without_sequence(event, decoder.fields()));
        }
        let document = Arc::from(document.as_bytes());
        Ok(Delivery { position, time: None, wall_ms: None, document, event })
    }
}

/// The stream takes over behind the scan's beginning, so the oplog has to reach back to it until then. Where the account
/// may not see that, the hand-over finds out.
async fn reaches_back(outbox: &Outbox, began: ClusterTime) -> Result<(), Failure> {
    match outbox.oplog_begin().await? {
        Some(oldest) if oldest > began => Err(Failure::ResumeLost {
            cause: Lost::History,
            reason: format!(
                "the scan of history began at {began}, but the oplog reaches back to {oldest} only, so the stream could \
                 not take over behind the scan"
            ),
        }),
        _ => Ok(()),
    }
}

/// The notes about whether the outbox still holds all of its history.
pub trait Notes: Sync {
    /// Fails where a note records that documents were deleted.
    fn is_complete(&self) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// Behind the last page the stream takes over, unless something was deleted while history was read: a host with another
/// control schema may do so, too.
pub async fn end<N: Notes>(notes: &N, start: &Token) -> Result<Feed, Failure> {
    notes.is_complete().await?;
    Ok(Feed { deliveries: vec![], position: Position::Stream { token: start.clone() } })
}

impl Notes for Outbox {
    async fn is_complete(&self) -> Result<(), Failure> {
        match self.identify().await? {
            Some(identity) => self.complete_history(&identity).await,
            None => Err(self.missing()),
        }
    }
}

/// The events that the change stream has shown since the start token: only ids are kept (16 bytes each).
struct StreamWatch {
    cursor: RawBatchCursor,
    shown: HashSet<u128>,
    marks: IdMarks,
    read_up_to: ClusterTime,
}

impl StreamWatch {
    async fn open(outbox: &Outbox, start: &Token) -> Result<Self, Failure> {
        let pipeline = [
            doc! { "$changeStream": { "startAfter": token_document(start) } },
            doc! { "$match": { "operationType": "insert" } },
            doc! { "$project": { "_id": 1, "documentKey": 1 } },
        ];
        let collection = outbox.collection().await?;
        let cursor = collection.aggregate(pipeline).batch_size(PAGE_SIZE).max_await_time(AWAIT);
        let cursor =
            cursor.batch().await.map_err(|error| classify("watching the stream beside history", &error))?;
        Ok(Self {
            cursor,
            shown: HashSet::new(),
            marks: IdMarks::default(),
            read_up_to: ClusterTime::default(),
        })
    }

    async fn read_up_to(&mut self, time: ClusterTime) -> Result<(), Failure> {
        while self.read_up_to < time {
            let reply = next_reply(&mut self.cursor, "watching the stream beside history").await?;
            let reply = reply.as_raw_document();
            for change in documents(reply)? {
                let change = change.map_err(|_| malformed("a change is not BSON"))?;
                let key = change.as_document().and_then(|change| change.get_document("documentKey").ok());
                let mark = key
                    .and_then(|key| self.marks.of(key))
                    .ok_or_else(|| malformed("a change has no document key"))?;
                self.shown.insert(mark);
            }
            if let Some(token) = post_batch_token(reply) {
                let reached = token.time().ok_or_else(|| malformed("a resume token has no time"))?;
                // Behind an event there may be more of the same time, of one transaction.
                let complete = token.is_high_water_mark() || documents(reply)?.is_empty();
                self.read_up_to = if complete { reached } else { reached.before() };
            }
        }
        Ok(())
    }

    fn has_shown(&self, document: &RawDocument) -> bool {
        !self.shown.is_empty() && self.marks.of(document).is_some_and(|mark| self.shown.contains(&mark))
    }
}

/// Numbers that stand for `_id`s of any type. Two keys of this scan's own, which nobody knows: clients choose ids, and one
/// that looks like another one's would be left out.
#[derive(Default)]
struct IdMarks([RandomState; 2]);

impl IdMarks {
    fn of(&self, document: &RawDocument) -> Option<u128> {
        let id = raw_id(document)?;
        let [high, low] = self.0.each_ref().map(|key| u128::from(key.hash_one(id.as_bytes())));
        Some(high << 64 | low)
    }
}
