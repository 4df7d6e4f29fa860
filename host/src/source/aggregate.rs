//! One aggregate's documents, page by page, in the order of the history index: only these are read, however long history is.

use bson::{Bson, Document, RawDocument, RawDocumentBuf, doc};
use futures_util::StreamExt;
use mongodb::raw_batch_cursor::RawBatch;

use super::error::classify;
use super::reply::{bound, documents, malformed, operation_time, scan_key};
use super::{Decoder, Outbox};
use crate::event::{Aggregate, Id};
use crate::failure::Failure;
use crate::position::{ClusterTime, KeyPart, ScanKey};

/// How many bytes of documents one page has; one document may have more.
const BYTES_MAX: usize = 4 << 20;

/// Where a page of an aggregate's documents stands.
#[derive(Debug, Clone, PartialEq)]
pub enum PageFrom {
    /// The last ones.
    Newest,
    Before(PageMark),
    After(PageMark),
}

/// A document's place among those of its aggregate. Whoever asks gives it back as text.
#[derive(Debug, Clone, PartialEq)]
pub struct PageMark([KeyPart; 2]);

/// The text is no mark of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no mark that a page before gave")]
pub struct BadMark;

impl std::fmt::Display for PageMark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = serde_json::to_string(&self.0).map_err(|_| std::fmt::Error)?;
        f.write_str(&hex::encode(text))
    }
}

impl std::str::FromStr for PageMark {
    type Err = BadMark;

    fn from_str(text: &str) -> Result<Self, BadMark> {
        let bytes = hex::decode(text).map_err(|_| BadMark)?;
        serde_json::from_slice(&bytes).map(Self).map_err(|_| BadMark)
    }
}

/// Some documents of an aggregate, in their order.
#[derive(Debug, Clone, Default)]
pub struct AggregatePage {
    pub documents: Vec<RawDocumentBuf>,
    /// All were committed at this time or before.
    pub time: ClusterTime,
    /// Where earlier ones stand, and later ones; none where there are none.
    pub before: Option<PageMark>,
    pub after: Option<PageMark>,
}

impl Outbox {
    /// Some documents of an aggregate, `limit` at most.
    pub async fn documents_of(
        &self,
        decoder: &Decoder,
        aggregate: &Aggregate,
        from: &PageFrom,
        limit: usize,
    ) -> Result<AggregatePage, Failure> {
        let fields = decoder.fields();
        let index = self.history_index(fields).await?;
        let ids = [KeyPart::Text(aggregate.kind.to_string()), part(&aggregate.id)];
        let place = |mark: [KeyPart; 2]| -> Document {
            let parts = ids.iter().chain(&mark);
            index.fields.iter().zip(parts).map(|(name, part)| (name.clone(), bound(part))).collect()
        };
        let direction = if matches!(from, PageFrom::After(_)) { 1 } else { -1 };
        let (least, greatest) = match from {
            PageFrom::Newest => (LEAST, GREATEST),
            PageFrom::Before(PageMark(mark)) => (LEAST, mark.clone()),
            PageFrom::After(PageMark(mark)) => (mark.clone(), GREATEST),
        };
        // One more tells whether there are others, and the one at the mark comes again.
        let asked = limit + 2;
        let sort: Document = index.fields.iter().map(|name| (name.clone(), Bson::Int32(direction))).collect();
        let find = doc! {
            "find": self.name(),
            "sort": sort,
            "hint": index.name.clone(),
            "collation": { "locale": "simple" },
            "min": place(least),
            "max": place(greatest),
            "limit": i64::try_from(asked).unwrap_or(i64::MAX),
            "readConcern": { "level": "majority" },
        };
        let mark = |document: &RawDocument| {
            scan_key(document, fields).map(|ScanKey([_, _, sequence, id])| PageMark([sequence, id]))
        };
        let is_known = |document: &RawDocument| matches!(from, PageFrom::After(at) if mark(document).as_ref() == Some(at));
        let (mut found, time, is_cut) = self.some(find, is_known).await?;
        let has_more = is_cut || found.len() > limit;
        found.truncate(limit);
        if direction < 0 {
            found.reverse();
        }
        let mark_of = |document: Option<&RawDocumentBuf>| document.and_then(|document| mark(document));
        let (oldest, newest) = (mark_of(found.first()), mark_of(found.last()));
        let (before, after) = match from {
            PageFrom::Newest => (oldest.filter(|_| has_more), None),
            PageFrom::Before(_) => (oldest.filter(|_| has_more), newest),
            PageFrom::After(_) => (oldest, newest.filter(|_| has_more)),
        };
        Ok(AggregatePage { documents: found, time, before, after })
    }

    /// The documents of a query but those that are known, as far as a page has room, the server's time, and whether there was no
    /// room for all.
    async fn some(
        &self,
        find: Document,
        is_known: impl Fn(&RawDocument) -> bool,
    ) -> Result<(Vec<RawDocumentBuf>, ClusterTime, bool), Failure> {
        let failed = |error: mongodb::error::Error| classify("reading an aggregate's events", &error);
        let mut pages = self.database().await?.run_cursor_command(find).batch().await.map_err(failed)?;
        let (mut found, mut bytes, mut time) = (Vec::new(), 0, ClusterTime::default());
        while let Some(page) = pages.next().await {
            let page: RawBatch = page.map_err(failed)?;
            let reply = page.as_raw_document();
            time = operation_time(reply).ok_or_else(|| malformed("a page has no operationTime"))?;
            for document in documents(reply)? {
                let document = document.map_err(|_| malformed("a page is not BSON"))?;
                let document =
                    document.as_document().ok_or_else(|| malformed("a page holds no documents"))?;
                if is_known(document) {
                    continue;
                }
                bytes += document.as_bytes().len();
                if bytes > BYTES_MAX && !found.is_empty() {
                    return Ok((found, time, true));
                }
                found.push(document.to_owned());
            }
        }
        Ok((found, time, false))
    }
}

const LEAST: [KeyPart; 2] = [KeyPart::Least, KeyPart::Least];
const GREATEST: [KeyPart; 2] = [KeyPart::Greatest, KeyPart::Greatest];

fn part(id: &Id) -> KeyPart {
    const UUID: u8 = 4;
    match id {
        Id::Integer(number) => KeyPart::Integer(*number),
        Id::Text(text) => KeyPart::Text(text.to_string()),
        Id::Uuid(bytes) => KeyPart::Binary(UUID, bytes.to_vec()),
        Id::ObjectId(bytes) => KeyPart::ObjectId(*bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_comes_back_from_its_text_and_nothing_else_is_one() {
        let mark = PageMark([KeyPart::Integer(7), KeyPart::Text("a/\"b".into())]);
        assert_eq!(mark.to_string().parse(), Ok(mark));
        for wrong in ["", "zz", "7b7d", "5b315d"] {
            assert_eq!(wrong.parse::<PageMark>(), Err(BadMark), "{wrong}");
        }
    }
}
