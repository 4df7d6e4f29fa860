//! `/dlq`: dead letters, one page a request.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};

use super::AdminContext;
use super::callers::Caller;
use super::problem::Problem;
use crate::event::Named;
use crate::readmodel::lane::dead_letter::{self, Letter, Selection};

/// How many letters one answer holds.
const LETTERS_MAX: u32 = 100;

/// Why there is no page.
pub enum Refused {
    /// The request is wrong.
    Wrong(StatusCode, String),
    Problem(Problem),
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::Wrong(code, told) => (code, told + "\n").into_response(),
            Self::Problem(problem) => problem.into_response(),
        }
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
    Extension(caller): Extension<Caller>,
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
    let mut seat = shown.desk.sit().await?;
    let control = &seat.servers.control;
    let found = dead_letter::select(&mut seat.session, control, &projection, &selection, limit).await;
    let mut page = seat.rise(found.map_err(Problem::from))?;
    if !caller.sees_values() {
        page.iter_mut().for_each(Letter::mask);
    }
    Ok(Json(page))
}
