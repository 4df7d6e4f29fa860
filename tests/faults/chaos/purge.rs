//! Deletes documents of the outbox that every projection has applied, as a script or a TTL index does. What they were is
//! kept: their rows have to stay.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bson::{Bson, Document, doc};
use futures_util::TryStreamExt;
use mongodb::options::{ReadConcern, WriteConcern};
use rand::rngs::StdRng;
use rand::seq::IteratorRandom;
use sqlx::Row;
use tokio::time::timeout;

use super::ground::Ground;
use super::mysqld::admin;
use super::nemesis::{Injected, rows};
use super::truth;
use crate::support::until;

/// How many things and accounts lose documents at a time.
const AGGREGATES: usize = 30;

/// How many events of each stay: the newest may still be on their way, and are sent again where that is not known.
const KEPT: i64 = 12;

/// How long MongoDB may take. What of it was deleted then does not matter: it is deleted again in the end.
const PATIENCE: Duration = Duration::from_secs(5);

/// Deletes some.
pub async fn purge(ground: &Ground, mut random: StdRng) -> Injected {
    let Some(applied) = applied(ground).await else { return Injected::Missed };
    let chosen = applied.into_iter().choose_multiple(&mut random, AGGREGATES);
    let these: Vec<Document> = chosen
        .into_iter()
        .map(|(aggregate, last)| doc! { "aggregateId": aggregate, "sequence": { "$lte": last - KEPT } })
        .collect();
    if these.is_empty() {
        return Injected::Missed;
    }
    let outbox = ground.source().outbox;
    let find = outbox.find(doc! { "$or": these }).read_concern(ReadConcern::majority());
    let reading = async { find.await?.try_collect::<Vec<Document>>().await };
    let Ok(Ok(gone)) = timeout(PATIENCE, reading).await else { return Injected::Missed };
    if gone.is_empty() {
        return Injected::Missed;
    }
    ground.purged.lock().expect("nobody panics with it").extend(gone.iter().cloned());
    let _ = timeout(PATIENCE, delete(ground, &gone)).await;
    Injected::Yes
}

/// Up to which sequence every projection has applied all of an aggregate's events.
async fn applied(ground: &Ground) -> Option<BTreeMap<String, i64>> {
    let mut session = admin(&ground.admin_url).await?;
    let name = &ground.world.name;
    // Whoever lacks an event, or has one of an aggregate with letters, has another count or another sequence.
    let sql = format!(
        "SELECT s.aggregate_id COLLATE utf8mb4_general_ci, s.sequence FROM {name}.last_seen s JOIN {name}.counted c \
         ON c.aggregate_id = s.aggregate_id WHERE s.disorder = 0 AND s.events = s.sequence AND c.events = s.sequence \
         UNION ALL SELECT s.aggregate_id COLLATE utf8mb4_general_ci, LEAST(s.sequence, a.last_sequence) \
         FROM {name}.last_seen s JOIN {name}.accounts a ON a.account_id = s.aggregate_id"
    );
    let found = rows(&mut session, &sql).await.ok()?;
    Some(found.iter().map(|row| (row.get(0), row.get(1))).collect())
}

async fn delete(ground: &Ground, gone: &[Document]) -> mongodb::error::Result<()> {
    let ids: Vec<Bson> = gone.iter().filter_map(|document| document.get("_id").cloned()).collect();
    let these = doc! { "_id": { "$in": ids } };
    ground.source().outbox.delete_many(these).write_concern(WriteConcern::majority()).await.map(|_| ())
}

/// When all is healed: the documents that are gone for certain.
pub async fn settle(ground: &Ground) -> Vec<Document> {
    let purged = ground.purged.lock().expect("nobody panics with it").clone();
    let by_id: BTreeMap<String, Document> =
        purged.into_iter().map(|document| (format!("{:?}", document.get("_id")), document)).collect();
    let purged: Vec<Document> = by_id.into_values().collect();
    if !purged.is_empty() {
        // An election may still interrupt it.
        until("MongoDB deletes what it has", async || delete(ground, &purged).await.is_ok()).await;
    }
    purged
}

/// Forgets what was deleted, for whoever makes tables from what is there. Gives the ids.
pub async fn forget(ground: &Ground) -> BTreeSet<String> {
    let gone = settle(ground).await;
    ground.purged.lock().expect("nobody panics with it").clear();
    gone.iter().map(truth::id).collect()
}
