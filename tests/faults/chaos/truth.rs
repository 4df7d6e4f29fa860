//! What the read models have to be: a fold of the outbox that shares nothing with host and projectors.

use std::collections::{BTreeMap, BTreeSet};

use bson::{Bson, Document, doc};
use futures_util::TryStreamExt;
use mongodb::options::ReadConcern;
use sqlx::Row;

use super::ground::{Ground, PROJECTIONS};
use super::history::given_up;
use super::purge;

/// A row of `recorded`: aggregate type and id, sequence, event id, event type, ordinal.
pub type Recorded = (String, String, i64, String, String, Option<i64>);

/// The longest event type that `recorded` takes.
const TYPE_MAX: usize = 64;

/// The events that `accounts` takes.
const BANK: [&str; 5] =
    ["AccountOpened", "MoneyDeposited", "MoneyWithdrawn", "AccountRenamed", "AccountClosed"];

#[derive(Debug, Default)]
pub struct Truth {
    /// The ids of all documents, those that were deleted on purpose too.
    pub ids: BTreeSet<String>,
    pub recorded: BTreeSet<Recorded>,
    /// By aggregate: its last sequence, how many events, how many that did not follow their predecessor, because that was
    /// discarded.
    pub last_seen: BTreeMap<String, (i64, i64, i64)>,
    /// By aggregate: how many events, and the sum of their ordinals.
    pub counted: BTreeMap<String, (i64, i64)>,
    /// Projection, event id, `parked` or `held`.
    pub letters: BTreeSet<(String, String, String)>,
    /// Projection, event id: what an operator gave up. That is known from the host alone.
    pub discarded: BTreeSet<(String, String)>,
}

/// What a projection makes of an event that nothing holds back.
enum Verdict {
    Apply,
    Park,
    Pass,
}

impl Truth {
    /// Reads what the majority has and what was deleted on purpose, in the order of each aggregate.
    pub async fn read(ground: &Ground) -> Self {
        let cursor = ground
            .source()
            .outbox
            .find(doc! {})
            .read_concern(ReadConcern::majority())
            .await
            .expect("MongoDB answers");
        let mut documents: Vec<Document> = cursor.try_collect().await.expect("MongoDB answers");
        documents.extend(purge::settle(ground).await);
        documents.sort_by_cached_key(|document| {
            let aggregate = document.get_str("aggregateId").expect("all have one").to_owned();
            (aggregate, document.get_i64("sequence").expect("all have one"))
        });
        let mut truth = Self { discarded: discarded(ground).await, ..Self::default() };
        for projection in PROJECTIONS {
            truth.fold(projection, &documents);
        }
        truth
    }

    fn fold(&mut self, projection: &str, documents: &[Document]) {
        let mut blocked = BTreeSet::new();
        for document in documents {
            let (id, aggregate) = (id(document), document.get_str("aggregateId").expect("all have one"));
            self.ids.insert(id.clone());
            if self.discarded.contains(&(projection.to_owned(), id.clone())) {
                continue;
            }
            let state = match verdict(projection, document) {
                Verdict::Pass => continue,
                _ if blocked.contains(aggregate) => "held",
                Verdict::Apply => {
                    self.apply(projection, document, id, aggregate);
                    continue;
                }
                Verdict::Park => {
                    blocked.insert(aggregate.to_owned());
                    "parked"
                }
            };
            self.letters.insert((projection.to_owned(), id, state.to_owned()));
        }
    }

    fn apply(&mut self, projection: &str, document: &Document, id: String, aggregate: &str) {
        let text = |name| document.get_str(name).expect("it has that").to_owned();
        let sequence = document.get_i64("sequence").expect("all have one");
        let ordinal = ordinal(document).and_then(Bson::as_i64);
        match projection {
            "recorder" => {
                let (kind, event_type) = (text("aggregateType"), text("type"));
                self.recorded.insert((kind, aggregate.to_owned(), sequence, id, event_type, ordinal));
                let (last, events, disorder) = self.last_seen.entry(aggregate.to_owned()).or_default();
                *disorder += i64::from(sequence != *last + 1);
                *last = sequence;
                *events += 1;
            }
            "counter" => {
                let (events, total) = self.counted.entry(aggregate.to_owned()).or_default();
                *events += 1;
                *total += ordinal.unwrap_or_default();
            }
            // The bank has a model of its own.
            _ => {}
        }
    }
}

/// What is recorded as discarded, and is not there all the same.
async fn discarded(ground: &Ground) -> BTreeSet<(String, String)> {
    let mut discarded = BTreeSet::new();
    for projection in PROJECTIONS {
        let sql = format!(
            "SELECT projection, COALESCE(event_id, '') COLLATE utf8mb4_general_ci FROM {}",
            given_up(&ground.world.control(), &ground.world.name, projection)
        );
        discarded.extend(ground.world.rows(&sql).await.iter().map(|row| (row.get(0), row.get(1))));
    }
    discarded
}

/// How many documents the majority has, and had before they were deleted on purpose.
pub async fn documents(ground: &Ground) -> u64 {
    let purged = purge::settle(ground).await.len() as u64;
    let outbox = ground.source().outbox;
    let count = outbox.count_documents(doc! {}).read_concern(ReadConcern::majority());
    count.await.expect("MongoDB answers") + purged
}

/// The event's id as text.
pub fn id(document: &Document) -> String {
    match document.get("_id") {
        Some(Bson::String(id)) => id.clone(),
        Some(Bson::Binary(id)) => id.to_uuid().expect("the bank's ids are UUIDs").to_string(),
        other => panic!("nobody wrote the id {other:?}"),
    }
}

fn ordinal(document: &Document) -> Option<&Bson> {
    document.get_document("payload").ok()?.get("ordinal")
}

fn verdict(projection: &str, document: &Document) -> Verdict {
    let Ok(event_type) = document.get_str("type") else { return Verdict::Park };
    let is_poison = ordinal(document).is_some_and(|ordinal| ordinal.as_str().is_some());
    match projection {
        "recorder" if is_poison || event_type.len() > TYPE_MAX => Verdict::Park,
        "counter" if event_type != "Happened" => Verdict::Pass,
        "counter" if is_poison => Verdict::Park,
        "recorder" | "counter" => Verdict::Apply,
        _ if BANK.contains(&event_type) => Verdict::Apply,
        _ => Verdict::Pass,
    }
}
