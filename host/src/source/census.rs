//! The ids of all documents that the outbox holds, each once: in the order in which they were stored, or in that of history.
//!
//! It lists which events are there, and nothing of their content.

use bson::doc;
use futures_util::StreamExt;
use mongodb::raw_batch_cursor::RawBatchCursor;

use super::error::classify;
use super::reply::{documents, malformed};
use super::{Outbox, decode};
use crate::event::Id;
use crate::failure::Failure;

/// The name of no index: documents as they were stored.
pub const STORED: &str = "$natural";

/// The name of the index on `_id`.
pub const BY_ID: &str = "_id_";

/// How many ids are read at a time.
const PAGE_SIZE: u32 = 20_000;

pub struct Census {
    pages: RawBatchCursor,
}

impl Census {
    /// Opens it in the order of the index with this name; for [`STORED`], in the order in which documents were stored. Each
    /// may be about the order in which they were committed; none promises it.
    pub async fn open(outbox: &Outbox, order: &str) -> Result<Self, Failure> {
        let hint = if order == STORED { doc! { STORED: 1 }.into() } else { bson::Bson::from(order) };
        let find = doc! {
            "find": outbox.name(),
            "projection": { "_id": 1 },
            "hint": hint,
            "batchSize": PAGE_SIZE,
            "noCursorTimeout": true,
            "readConcern": { "level": "majority" },
        };
        let pages = outbox.database().await?.run_cursor_command(find).batch_size(PAGE_SIZE).batch().await;
        Ok(Self { pages: pages.map_err(|error| classify("reading the outbox's ids", &error))? })
    }

    /// The next ids; none at the end. Ids that no event can have are left out.
    pub async fn next(&mut self) -> Result<Option<Vec<Id>>, Failure> {
        let Some(page) = self.pages.next().await else { return Ok(None) };
        let page = page.map_err(|error| classify("reading the outbox's ids", &error))?;
        let mut ids = Vec::new();
        for document in documents(page.as_raw_document())? {
            let document = document.map_err(|_| malformed("a page is not BSON"))?;
            let document = document.as_document().ok_or_else(|| malformed("a page holds no documents"))?;
            let id = document.get("_id").map_err(|_| malformed("a document is not BSON"))?;
            ids.extend(id.and_then(decode::event_id));
        }
        Ok(Some(ids))
    }
}
