//! What changes, as it changes: server-sent events of how projections and their letters stand, and of operations. One reader looks for all who
//! listen, and only while somebody does.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream, StreamExt};
use serde::Serialize;
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{self, Receiver, Sender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::masking;
use crate::admin::callers::Caller;
use crate::admin::problem::Problem;
use crate::admin::{AdminContext, reasons};
use crate::readmodel::control::command::{CommandRecord, RecordFilter};
use crate::readmodel::lane::dead_letter::LetterStand;
use crate::status::snapshot::Snapshot;

/// How often it is looked for changes.
const INTERVAL: Duration = Duration::from_secs(1);

/// How many may listen at a time.
const LISTENERS_MAX: usize = 64;

/// How many changes wait for a listener; one that is slower is told everything anew.
const WAITING_MAX: usize = 256;

/// How many operations are looked at: the newest.
const OPERATIONS: u32 = 50;

/// Tells whoever listens.
#[derive(Clone)]
pub struct EventFeed {
    told: Sender<Told>,
    places: Arc<Semaphore>,
    closed: CancellationToken,
}

/// What has changed.
#[derive(Debug, Clone)]
enum Told {
    Projection(Arc<Snapshot>),
    Letters(Arc<LettersTold>),
    Operation(Arc<CommandRecord>),
    /// This host does not run a projection of this name any more.
    Gone(String),
}

/// How the letters of a projection stand: numbers and an id, nothing that an event holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct LettersTold {
    projection: String,
    #[serde(flatten)]
    stand: LetterStand,
}

impl Default for EventFeed {
    fn default() -> Self {
        let places = Arc::new(Semaphore::new(LISTENERS_MAX));
        Self { told: broadcast::channel(WAITING_MAX).0, places, closed: CancellationToken::new() }
    }
}

/// What was told last.
#[derive(Default)]
struct Known {
    projections: BTreeMap<String, Snapshot>,
    letters: BTreeMap<String, LettersTold>,
    /// Those that there were, also while nobody listened: whoever comes is told of them before the next look.
    names: BTreeSet<String>,
    /// None before the first look: what is old is no news.
    operations: Option<BTreeMap<u64, CommandRecord>>,
}

impl EventFeed {
    /// Looks for changes while somebody listens, until a stop is asked for.
    pub async fn run(&self, shown: &AdminContext, stop: CancellationToken) {
        let mut known = Known::default();
        while stop.run_until_cancelled(tokio::time::sleep(INTERVAL)).await.is_some() {
            if self.told.receiver_count() == 0 {
                let names = shown.snapshots().into_iter().map(|snapshot| snapshot.projection).collect();
                known = Known { names, ..Known::default() };
                continue;
            }
            self.look_at_projections(shown, &mut known);
            self.look_at_letters(shown, &mut known);
            stop.run_until_cancelled(self.look_at_operations(shown, &mut known)).await;
        }
        self.closed.cancel();
    }

    fn look_at_projections(&self, shown: &AdminContext, known: &mut Known) {
        let snapshots = shown.snapshots();
        let names: BTreeSet<String> = snapshots.iter().map(|snapshot| snapshot.projection.clone()).collect();
        for gone in known.names.difference(&names) {
            known.projections.remove(gone);
            let _ = self.told.send(Told::Gone(gone.clone()));
        }
        known.names = names;
        for snapshot in snapshots {
            let before = known.projections.insert(snapshot.projection.clone(), snapshot.clone());
            if before.is_none_or(|before| before != snapshot) {
                // Nobody listens any more.
                let _ = self.told.send(Told::Projection(Arc::new(snapshot)));
            }
        }
    }

    /// What the projections' last looks at MySQL told: none is begun for this.
    fn look_at_letters(&self, shown: &AdminContext, known: &mut Known) {
        let told: BTreeMap<String, LettersTold> =
            letters(shown).map(|letters| (letters.projection.clone(), letters)).collect();
        for letters in
            told.values().filter(|letters| known.letters.get(&letters.projection) != Some(*letters))
        {
            let _ = self.told.send(Told::Letters(Arc::new(letters.clone())));
        }
        known.letters = told;
    }

    /// While MySQL is away, or busy with others' requests, nothing is told of operations.
    async fn look_at_operations(&self, shown: &AdminContext, known: &mut Known) {
        let Ok(mut seat) = shown.desk.sit().await else { return };
        let filter = RecordFilter::default();
        let found = seat.servers.control.on(&mut seat.session).command_records(&filter, OPERATIONS).await;
        let Ok(found) = seat.rise(found.map_err(Problem::from)) else { return };
        let found: BTreeMap<u64, CommandRecord> =
            found.into_iter().map(|record| (record.id, record)).collect();
        if let Some(before) = &known.operations {
            for record in found.values().filter(|record| before.get(&record.id) != Some(*record)) {
                let _ = self.told.send(Told::Operation(Arc::new(record.clone())));
            }
        }
        known.operations = Some(found);
    }
}

/// One who listens.
struct Listener {
    shown: AdminContext,
    caller: Caller,
    receiver: Receiver<Told>,
    _place: OwnedSemaphorePermit,
}

impl Listener {
    /// How everything stands now. Whoever has heard of others before learns that they are gone.
    fn all(&self) -> Vec<Event> {
        let snapshots = self.shown.snapshots_for(&self.caller);
        let names: Vec<&str> = snapshots.iter().map(|snapshot| snapshot.projection.as_str()).collect();
        let names = event("projections", &json!({ "projections": names }));
        let projections = snapshots.iter().filter_map(|snapshot| event("projection", snapshot));
        let letters = letters(&self.shown).filter_map(|letters| event("letters", &letters));
        names.into_iter().chain(projections).chain(letters).collect()
    }

    /// What is told next; nothing at a stop.
    async fn next(&mut self) -> Option<Vec<Event>> {
        let closed = self.shown.feed.closed.clone();
        let told = closed.run_until_cancelled(self.receiver.recv()).await?;
        Some(match told {
            Ok(Told::Projection(snapshot)) => {
                let snapshot = reasons::seen_by(&self.caller, Snapshot::clone(&snapshot));
                event("projection", &snapshot).into_iter().collect()
            }
            Ok(Told::Letters(letters)) => event("letters", &*letters).into_iter().collect(),
            Ok(Told::Operation(record)) => {
                let mut record = CommandRecord::clone(&record);
                masking::command(&self.caller, &mut record);
                event("operation", &record).into_iter().collect()
            }
            Ok(Told::Gone(projection)) => {
                event("gone", &json!({ "projection": projection })).into_iter().collect()
            }
            Err(RecvError::Lagged(_)) => self.all(),
            Err(RecvError::Closed) => return None,
        })
    }
}

/// How the letters of each projection stand whose events this host applies.
fn letters(shown: &AdminContext) -> impl Iterator<Item = LettersTold> {
    shown.projections.statuses().into_iter().filter_map(|status| {
        let (projection, stand) = (status.projection().to_owned(), status.letter_stand()?);
        Some(LettersTold { projection, stand })
    })
}

fn event(name: &str, data: &impl Serialize) -> Option<Event> {
    Event::default().event(name).json_data(data).ok()
}

/// Streams changes as server-sent events: first `projections` with the names of all that there are, and again where some changes
/// were missed; `projection` with the state of one, first of each, then of those that change; `letters` with
/// how many letters a projection has, and which is the newest, whenever one comes, goes or changes; `gone` with the name of a
/// projection that this host does not run any more; and `operation` with one that is new or makes progress.
#[utoipa::path(get, path = "/events", tag = "events",
    responses((status = 200, body = String, content_type = "text/event-stream")))]
pub async fn follow(
    State(shown): State<AdminContext>,
    Extension(caller): Extension<Caller>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let place = shown.feed.places.clone().try_acquire_owned().map_err(|_| Problem::busy())?;
    let receiver = shown.feed.told.subscribe();
    let listener = Listener { shown, caller, receiver, _place: place };
    let first = stream::iter(listener.all());
    let later = stream::unfold(listener, async |mut listener| {
        let told = listener.next().await?;
        Some((stream::iter(told), listener))
    });
    Ok(Sse::new(first.chain(later.flatten()).map(Ok)).keep_alive(KeepAlive::default()))
}
