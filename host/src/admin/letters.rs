//! Dead letters over HTTP, one page a request. All requests share one session of MySQL, which lanes do not use: whoever
//! asks waits for it in a short queue, or is told to come back.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use tokio::sync::{Mutex, Semaphore};

use super::AdminContext;
use crate::event::Named;
use crate::failure::Failure;
use crate::readmodel::lane::dead_letter::{self, Letter, Selection};
use crate::readmodel::mysql::session::{Session, within};
use crate::servers::Servers;

/// How many letters one answer holds.
const LETTERS_MAX: u32 = 100;

/// How many requests there may be at a time, the one that is answered included.
const REQUESTS_MAX: usize = 16;

/// How long a request waits for those before it.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long MySQL may take to show a page.
const PAGE_TIMEOUT: Duration = Duration::from_secs(10);

/// When to come back, in seconds.
const RETRY_SECONDS: &str = "1";

/// The one session for letters, and the queue before it.
#[derive(Clone)]
pub struct LetterDesk {
    servers: Servers,
    places: Arc<Semaphore>,
    session: Arc<Mutex<Option<Session>>>,
}

/// Why there is no page.
pub enum Refused {
    /// The request is wrong.
    Wrong(StatusCode, String),
    Busy,
    Failed(Failure),
}

impl LetterDesk {
    pub fn new(servers: Servers) -> Self {
        Self { servers, places: Arc::new(Semaphore::new(REQUESTS_MAX)), session: Arc::default() }
    }

    async fn page(
        &self,
        projection: String,
        selection: Selection,
        limit: u32,
    ) -> Result<Vec<Letter>, Refused> {
        let place = self.places.clone().try_acquire_owned().map_err(|_| Refused::Busy)?;
        let (servers, waiting) = (self.servers.clone(), self.session.clone().lock_owned());
        // A client that goes away does not end the query half-way: then each could leave one behind on the server.
        let reading = tokio::spawn(async move {
            let _place = place;
            let mut kept = tokio::time::timeout(QUEUE_TIMEOUT, waiting).await.map_err(|_| Refused::Busy)?;
            let read = async |session: Option<Session>| {
                let mut session = match session {
                    Some(session) => session,
                    None => servers.applier.connect().await?,
                };
                let control = &servers.control;
                let letters =
                    dead_letter::select(&mut session, control, &projection, &selection, limit).await?;
                Ok((letters, session))
            };
            let bounded = |session| within(PAGE_TIMEOUT, "reading dead letters", read(session));
            // A session that was kept may have ended meanwhile, and be it for its silence.
            let page = match kept.take() {
                Some(session) => match bounded(Some(session)).await {
                    Err(Failure::ConnectionLost { .. }) => bounded(None).await,
                    page => page,
                },
                None => bounded(None).await,
            };
            let (letters, session) = page.map_err(Refused::Failed)?;
            *kept = Some(session);
            Ok(letters)
        });
        reading.await.unwrap_or_else(|error| {
            Err(Refused::Failed(Failure::Misconfigured { reason: format!("reading dead letters: {error}") }))
        })
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let told = match self {
            Self::Wrong(code, told) => return (code, told + "\n").into_response(),
            Self::Busy => "others read dead letters just now: try again in a second\n".to_owned(),
            Self::Failed(failure) => format!("{failure}\n"),
        };
        (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, RETRY_SECONDS)], told).into_response()
    }
}

/// Which letters are asked for over HTTP: a page of them, those behind `after`.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LetterPage {
    id: Option<u64>,
    event: Option<String>,
    aggregate: Option<String>,
    class: Option<String>,
    state: Option<String>,
    #[serde(default)]
    heads_only: bool,
    #[serde(default)]
    after: u64,
    limit: Option<u32>,
}

pub async fn letters(
    State(shown): State<AdminContext>,
    Path(projection): Path<String>,
    Query(page): Query<LetterPage>,
) -> Result<Json<Vec<Letter>>, Refused> {
    let LetterPage { id, event, aggregate, class, state, heads_only, after, limit } = page;
    let limit = limit.unwrap_or(LETTERS_MAX);
    let refuse = |code: StatusCode, told: String| Err(Refused::Wrong(code, told));
    if !(1..=LETTERS_MAX).contains(&limit) {
        return refuse(StatusCode::BAD_REQUEST, format!("`limit` is 1 to {LETTERS_MAX}"));
    }
    if !shown.projections.iter().any(|status| status.projection() == projection) {
        return refuse(StatusCode::NOT_FOUND, format!("this host has no projection `{projection}`"));
    }
    let mut selection = Selection { id, event, class, state, heads_only, after, ..Selection::default() };
    match aggregate.map(|text| text.parse()).transpose() {
        Ok(None) => {}
        Ok(Some(Named::Reads(text))) => selection.aggregate = Some(text),
        Ok(Some(Named::Exact(exact))) => selection.aggregate_key = Some(hex::encode(exact.key())),
        Err(wrong) => return refuse(StatusCode::BAD_REQUEST, format!("`aggregate`: {wrong}")),
    }
    shown.desk.page(projection, selection, limit).await.map(Json)
}
