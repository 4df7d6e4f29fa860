//! `/dlq`: dead letters, one page a request.

use axum::extract::{Path, Query, State};
use axum::{Extension, Json};

use super::AdminContext;
use super::callers::Caller;
use super::problem::Problem;
use crate::event::Named;
use crate::operation::choice;
use crate::readmodel::lane::dead_letter::{Letter, LetterState, Selection};

/// How many letters one answer holds.
const LETTERS_MAX: u32 = 100;

/// Which letters are asked for over HTTP: a page of them, those behind `after`.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LetterPageQuery {
    id: Option<u64>,
    event: Option<String>,
    aggregate: Option<String>,
    class: Option<String>,
    state: Option<LetterState>,
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
    Query(page): Query<LetterPageQuery>,
) -> Result<Json<Vec<Letter>>, Problem> {
    let LetterPageQuery { id, event, aggregate, class, state, heads_only, after, limit } = page;
    let limit = limit.unwrap_or(LETTERS_MAX);
    if !(1..=LETTERS_MAX).contains(&limit) {
        return Err(Problem::wrong(format!("`limit` is 1 to {LETTERS_MAX}")));
    }
    shown.snapshot(&projection)?;
    let selection = Selection { id, event, class, state, heads_only, after, ..Selection::default() };
    let named = aggregate.map(|text| text.parse::<Named>()).transpose();
    let named = named.map_err(|wrong| Problem::wrong(format!("`aggregate`: {wrong}")))?;
    let selection = choice::reading(selection, named);
    let mut seat = shown.desk.sit().await?;
    let control = &seat.servers.control;
    let found = control.of(&mut seat.session, &projection).letters(&selection, limit).await;
    let mut page = seat.rise(found.map_err(Problem::from))?;
    if !caller.sees_values() {
        page.iter_mut().for_each(Letter::mask);
    }
    Ok(Json(page))
}
