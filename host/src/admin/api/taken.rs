//! Reading one's own writes: what has become of an event in the live tables.

use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};

use super::masking;
use crate::admin::AdminContext;
use crate::admin::callers::Caller;
use crate::admin::problem::{self, Problem};
use crate::event::Id;
use crate::position::ClusterTime;
use crate::readmodel::lane::dead_letter::Letter;
use crate::readmodel::lane::taken::{AskedEvent, TakenAs};

/// The longest wait: shorter than what an answer may take.
const WAIT_MAX: Duration = Duration::from_secs(15);

/// When to come back, in seconds.
const RETRY_SECONDS: &str = "1";

/// How an event is asked for.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TakenQuery {
    /// For how long it is waited for, as in `2s` or `500ms`; at most 15s, and not at all unless given.
    wait: Option<String>,
    /// The cluster time of the write, or a later one: the `operationTime` that MongoDB answered it with, its seconds and its
    /// increment with a comma between.
    cluster_time: Option<String>,
}

/// What has become of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TakenState {
    /// What the projector made of it is in the live tables.
    Applied,
    /// It came to nothing: the projector does not take its type, or made nothing of it, or the upcaster did not.
    Ignored,
    /// It was a dead letter, and was given up.
    Discarded,
    /// It was taken, and it is not known any more what it came to. No letter is left of it.
    Passed,
    /// It is a dead letter.
    Parked,
    /// It waits behind a dead letter of its aggregate.
    Held,
    /// It was not taken yet.
    Pending,
}

/// An event in the live tables.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct TakenEvent {
    state: TakenState,
}

/// An event that the live tables do not have, as far as is known.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct PendingEvent {
    state: TakenState,
    /// It may have been taken so long ago that the host does not remember it. If false, it was not taken for certain.
    may_be_forgotten: bool,
    /// The same in words, and what to do.
    detail: &'static str,
}

/// An event that is a dead letter.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct LetterInTheWay {
    #[serde(flatten)]
    problem: Problem,
    #[schema(required = false)]
    state: TakenState,
    #[schema(required = false)]
    letter: Letter,
}

/// Shows what became of an event, by its id: a text, an integer, an `ObjectId` or a UUID; put a text that reads like one
/// of the others in quotation marks. The answer is of a moment after the request came.
#[utoipa::path(get, path = "/projections/{projection}/events/{id}", tag = "projections",
    params(("projection" = String, Path, description = "The projection's name"),
        ("id" = String, Path, description = "The event's id"), TakenQuery),
    responses((status = 200, body = TakenEvent, description = "It is done with: read"),
        (status = 202, body = PendingEvent, description = "It is pending: come back after `Retry-After`",
            headers(("Retry-After" = u32, description = "When to come back, in seconds"))),
        (status = 409, body = LetterInTheWay, content_type = "application/problem+json",
            description = "It is a dead letter; without `letter`, it cannot be told in the current state")))]
pub async fn event(
    State(shown): State<AdminContext>,
    Extension(caller): Extension<Caller>,
    Path((projection, id)): Path<(String, String)>,
    Query(TakenQuery { wait, cluster_time }): Query<TakenQuery>,
) -> Result<Response, Problem> {
    shown.snapshot(&projection)?;
    let id = Id::from_spelled(&id).map_err(|wrong| Problem::wrong(format!("the event's id: {wrong}")))?;
    let wait = wait.as_deref().map_or(Ok(Duration::ZERO), read_wait)?;
    let time = cluster_time.as_deref().map(read_time).transpose()?;
    let taken = shown.watch.ask(&projection, AskedEvent { id, time }, wait).await?;
    let done = |state| Ok(Json(TakenEvent { state }).into_response());
    match taken {
        TakenAs::Applied => done(TakenState::Applied),
        TakenAs::Ignored => done(TakenState::Ignored),
        TakenAs::Discarded => done(TakenState::Discarded),
        TakenAs::Unsaid | TakenAs::Passed => done(TakenState::Passed),
        TakenAs::Unknown(why) => {
            Err(Problem::not_found(format!("what became of the event is not known: {why}")))
        }
        TakenAs::Pending { may_be_forgotten } => {
            let pending = Json(PendingEvent::of(may_be_forgotten, time.is_some()));
            Ok((StatusCode::ACCEPTED, [(RETRY_AFTER, RETRY_SECONDS)], pending).into_response())
        }
        TakenAs::Letter(letter) => {
            let mut letters = [*letter];
            masking::letters(&caller, &mut letters);
            let [letter] = letters;
            Ok(in_the_way(letter))
        }
    }
}

impl PendingEvent {
    fn of(may_be_forgotten: bool, has_time: bool) -> Self {
        let detail = match (may_be_forgotten, has_time) {
            (false, _) => "it was not taken yet: the host remembers every event that the live tables have",
            (true, false) => {
                "it was not taken yet, or so long ago that the host does not remember it: to know, send the `operationTime` \
                 of the write as `cluster_time`"
            }
            (true, true) => {
                "it was not taken yet, or so long ago that the host does not remember it: ask again; once every lane has taken \
                 what is newer than `cluster_time`, the answer is certain"
            }
        };
        Self { state: TakenState::Pending, may_be_forgotten, detail }
    }
}

fn in_the_way(letter: Letter) -> Response {
    let state = if letter.is_held() { TakenState::Held } else { TakenState::Parked };
    let problem = Problem::dead_letter(letter.state.name(), letter.id);
    let told = Json(LetterInTheWay { problem, state, letter });
    (StatusCode::CONFLICT, [(CONTENT_TYPE, problem::MEDIA_TYPE)], told).into_response()
}

fn read_wait(text: &str) -> Result<Duration, Problem> {
    let wait = humantime::parse_duration(text);
    let wait = wait.map_err(|wrong| Problem::wrong(format!("`wait` is {text:?}: {wrong}; as in 2s")))?;
    if wait > WAIT_MAX {
        return Err(Problem::wrong(format!("`wait` is {text}; it is at most {} s", WAIT_MAX.as_secs())));
    }
    Ok(wait)
}

fn read_time(text: &str) -> Result<ClusterTime, Problem> {
    let read = || {
        let (seconds, increment) = text.split_once(',')?;
        Some(ClusterTime { seconds: seconds.trim().parse().ok()?, increment: increment.trim().parse().ok()? })
    };
    let wrong = || {
        let form = "it is the seconds and the increment of a timestamp, as in 1764203462,5";
        Problem::wrong(format!("`cluster_time` is {text:?}; {form}"))
    };
    read().ok_or_else(wrong)
}
