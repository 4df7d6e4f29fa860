//! Events on their way: from MongoDB's answer to the commit until their rows can be read in MySQL, measured by looking.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bank::infrastructure::readmodel::{ReadModel, Standing};
use bson::{Bson, Document, Uuid, doc};
use futures_util::TryStreamExt;
use futures_util::future::join_all;
use mongodb::Collection;
use serde::Serialize;
use tokio::sync::Notify;

use super::config::PROJECTIONS;

/// How long one waits between two looks while something is on its way.
const LOOK: Duration = Duration::from_millis(4);

/// The same when it takes long already: a letter, a server that is away.
const LOOK_LATER: Duration = Duration::from_millis(150);
const LONG: Duration = Duration::from_secs(2);

/// How many events are kept to be shown.
const KEPT: usize = 14;

/// Where an event is on one projection's way.
#[derive(Debug, Clone, Serialize)]
pub struct Station {
    pub state: String,
    lane: Option<i64>,
    /// From the commit in MongoDB until the row was seen in MySQL.
    pub ms: Option<u64>,
}

/// An event that was committed to the outbox.
#[derive(Debug, Clone, Serialize)]
pub struct Flight {
    #[serde(skip)]
    pub uuid: Uuid,
    #[serde(skip)]
    since: Instant,
    pub id: String,
    /// Its type and aggregate, once the outbox was asked.
    pub kind: Option<String>,
    aggregate: Option<String>,
    sequence: Option<i64>,
    pub stations: BTreeMap<&'static str, Station>,
}

#[derive(Debug, Clone)]
pub struct Flights {
    kept: Arc<Mutex<Vec<Flight>>>,
    outbox: Collection<Document>,
    model: ReadModel,
    pub changed: Arc<Notify>,
    launched: Arc<Notify>,
}

impl Flight {
    pub fn has_landed(&self) -> bool {
        let is_over =
            |station: &Station| matches!(station.state.as_str(), "applied" | "ignored" | "discarded");
        self.stations.len() == PROJECTIONS.len() && self.stations.values().all(is_over)
    }
}

impl Flights {
    pub fn new(outbox: Collection<Document>, model: ReadModel) -> Self {
        let (kept, changed, launched) = (Arc::default(), Arc::default(), Arc::default());
        Self { kept, outbox, model, changed, launched }
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Flight>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows events that MongoDB has just confirmed.
    pub fn launch(&self, ids: &[Uuid]) {
        let mut kept = self.kept();
        for id in ids {
            // A command that was sent twice has one event; one that is delivered again flies again.
            kept.retain(|flight| flight.uuid != *id);
            kept.push(Flight {
                uuid: *id,
                since: Instant::now(),
                id: id.to_string(),
                kind: None,
                aggregate: None,
                sequence: None,
                stations: BTreeMap::new(),
            });
        }
        let gone = kept.len().saturating_sub(KEPT);
        kept.drain(..gone);
        drop(kept);
        self.launched.notify_one();
        self.changed.notify_one();
    }

    /// Those that are shown, the newest first.
    pub fn shown(&self) -> Vec<Flight> {
        self.kept().iter().rev().cloned().collect()
    }

    pub fn find(&self, id: &Uuid) -> Option<Flight> {
        self.kept().iter().find(|flight| flight.uuid == *id).cloned()
    }

    /// Looks where they are for as long as the demo lives.
    pub async fn follow(self) {
        loop {
            let waiting: Vec<Flight> = self.shown().into_iter().filter(|it| !it.has_landed()).collect();
            let Some(youngest) = waiting.iter().map(|flight| flight.since.elapsed()).min() else {
                self.launched.notified().await;
                continue;
            };
            // All at once, so that none is seen late because others were looked at before.
            let looks = waiting.iter().flat_map(|flight| PROJECTIONS.map(|it| self.look(flight, it.name)));
            join_all(looks).await;
            self.describe(&waiting).await;
            tokio::time::sleep(if youngest > LONG { LOOK_LATER } else { LOOK }).await;
        }
    }

    async fn look(&self, flight: &Flight, projection: &'static str) {
        let known = flight.stations.get(projection);
        if known.is_some_and(|it| matches!(it.state.as_str(), "applied" | "ignored" | "discarded")) {
            return;
        }
        let Ok(Standing { state, lane }) = self.model.standing(projection, flight.uuid).await else { return };
        if state == "pending" || state == "unknown" || known.is_some_and(|it| it.state == state) {
            return;
        }
        let is_read = state == "applied";
        let ms = is_read.then(|| u64::try_from(flight.since.elapsed().as_millis()).unwrap_or(u64::MAX));
        if let Some(kept) = self.kept().iter_mut().find(|kept| kept.uuid == flight.uuid) {
            kept.stations.insert(projection, Station { state, lane, ms });
        }
        self.changed.notify_one();
    }

    /// Asks the outbox what they are.
    async fn describe(&self, waiting: &[Flight]) {
        let nameless: Vec<Uuid> = waiting.iter().filter(|it| it.kind.is_none()).map(|it| it.uuid).collect();
        if nameless.is_empty() {
            return;
        }
        let asked = async {
            let found = self.outbox.find(doc! { "_id": { "$in": &nameless } }).await?;
            found.try_collect::<Vec<Document>>().await
        };
        let Ok(Ok(found)) = tokio::time::timeout(LOOK_LATER, asked).await else { return };
        let mut kept = self.kept();
        for event in found {
            let is_it =
                |flight: &&mut Flight| event.get("_id").is_some_and(|id| *id == Bson::from(flight.uuid));
            if let Some(flight) = kept.iter_mut().find(is_it) {
                let text = |name: &str| event.get_str(name).map(ToOwned::to_owned).ok();
                (flight.kind, flight.aggregate) = (text("type"), text("aggregateId"));
                flight.sequence = event.get_i64("sequence").ok();
            }
        }
        drop(kept);
        self.changed.notify_one();
    }
}
