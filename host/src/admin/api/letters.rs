//! Dead letters: listed page by page, shown whole; replayed, discarded, erased as they were shown.

pub mod export;

use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::{Extension, Json};
use serde::Deserialize;

use super::asked::Asked;
use super::body::{self, Body};
use super::masking;
use crate::admin::AdminContext;
use crate::admin::callers::Caller;
use crate::admin::desk;
use crate::admin::problem::Problem;
use crate::event::Named;
use crate::failure::Failure;
use crate::operation::choice::{self, LetterBoundary, LetterChoice};
use crate::operation::dry_run::DryRun;
use crate::operation::pages::{Counts, LetterPage};
use crate::operation::whole_letter::{self, WholeLetter};
use crate::operation::wish::{LetterWish, Shown, Wish};
use crate::readmodel::control::command::CommandRecord;
use crate::readmodel::lane::dead_letter::{LetterState, Selection};

/// How many letters one answer holds.
const LETTERS_MAX: u32 = 100;

/// How many letters a change may name by their ids.
const IDS_MAX: usize = 1_000;

/// Which letters are listed: those that fit everything that is given.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LetterQuery {
    /// One letter.
    #[serde(default, deserialize_with = "body::number_if_any")]
    id: Option<u64>,
    /// An aggregate, as account/42; whatever reads so.
    aggregate: Option<String>,
    /// An event's id.
    event: Option<String>,
    /// A class of failures.
    class: Option<String>,
    /// `parked` or `held`.
    state: Option<LetterState>,
    /// Only the oldest of each aggregate: what can be replayed or discarded.
    #[serde(default)]
    #[param(required = false)]
    heads_only: bool,
    /// Those behind this id: the `next` of the page before.
    #[serde(default, deserialize_with = "body::number")]
    #[param(required = false)]
    after: u64,
    /// How many, 1 to 100.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// Also counts them.
    #[serde(default)]
    #[param(required = false)]
    count: bool,
}

/// A page of dead letters, the oldest first.
#[utoipa::path(get, path = "/projections/{projection}/letters", tag = "letters",
    params(("projection" = String, Path, description = "The projection's name"), LetterQuery),
    responses((status = 200, body = LetterPage)))]
pub async fn list(
    State(shown): State<AdminContext>,
    Extension(caller): Extension<Caller>,
    Path(projection): Path<String>,
    Query(query): Query<LetterQuery>,
) -> Result<Json<LetterPage>, Problem> {
    let LetterQuery { id, aggregate, event, class, state, heads_only, after, limit, count } = query;
    let limit = limit.unwrap_or(LETTERS_MAX);
    if !(1..=LETTERS_MAX).contains(&limit) {
        return Err(Problem::wrong(format!("`limit` is {limit}; it must be 1 to {LETTERS_MAX}")));
    }
    let selection = Selection {
        id,
        event,
        class: class.map(of_letters).transpose()?,
        state,
        heads_only,
        after,
        ..Selection::default()
    };
    let selection = choice::reading(selection, aggregate.as_deref().map(named).transpose()?);
    let counts = if count { Counts::AllThatFit } else { Counts::Nothing };
    let mut seat = shown.desk.sit().await?;
    let (session, servers) = (&mut seat.session, &seat.servers);
    let page = LetterPage::read(session, servers, &projection, &selection, limit, counts).await;
    let mut page = seat.rise(page.map_err(Problem::from))?;
    masking::letters(&caller, &mut page.letters);
    Ok(Json(page))
}

/// One dead letter with its document.
#[utoipa::path(get, path = "/projections/{projection}/letters/{id}", tag = "letters",
    params(("projection" = String, Path, description = "The projection's name"),
        ("id" = u64, Path, description = "The letter's id")),
    responses((status = 200, body = WholeLetter)))]
pub async fn show(
    State(shown): State<AdminContext>,
    Extension(caller): Extension<Caller>,
    Path((projection, id)): Path<(String, u64)>,
) -> Result<Json<WholeLetter>, Problem> {
    let mut seat = shown.desk.sit().await?;
    let found = whole_letter::read(&mut seat.session, &seat.servers, &projection, id).await;
    let stored = seat.rise(found.map_err(Problem::from))?;
    // While it is decoded, others have the session.
    let mut whole = desk::on_a_thread(move || stored.whole()).await?;
    if !caller.sees_values() {
        whole.mask();
    }
    Ok(Json(whole))
}

/// Which letters a change is about: `ids`, one `aggregate`, one `class`, one `event`, or `all`.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LetterBody {
    /// Exactly these, at most 1,000.
    ids: Option<Vec<u64>>,
    /// Those of one aggregate, as account/42.
    aggregate: Option<String>,
    /// Those of one class of failures.
    class: Option<String>,
    /// That of one event, by its id.
    event: Option<String>,
    #[serde(default)]
    all: bool,
    /// Up to where they were shown, from the list; needed unless `ids` names them.
    #[serde(default, deserialize_with = "body::object")]
    boundary: Option<LetterBoundary>,
    /// How many they are, where that was confirmed: with another number nothing is done.
    count: Option<u64>,
    /// Why: recorded, and needed unless they are replayed.
    why: Option<String>,
}

impl LetterBody {
    fn wish(self, what: impl FnOnce(String) -> LetterWish) -> Result<Wish, Problem> {
        let Self { ids, aggregate, class, event, all, boundary, count, why } = self;
        let chosen = [ids.is_some(), aggregate.is_some(), class.is_some(), event.is_some(), all];
        if chosen.iter().filter(|one| **one).count() != 1 {
            return Err(Problem::wrong(
                "name the letters by one of `ids`, `aggregate`, `class`, `event` and `all`",
            ));
        }
        if ids.as_ref().is_some_and(|ids| ids.is_empty() || ids.len() > IDS_MAX) {
            return Err(Problem::wrong(format!("`ids` must name 1 to {IDS_MAX} letters")));
        }
        if ids.is_none() && boundary.is_none() {
            return Err(Problem::wrong("`boundary` is missing: send that of the list that was shown"));
        }
        let mut among = ids.map(|mut ids| {
            ids.sort_unstable();
            ids.dedup();
            ids
        });
        // Of one that cannot be taken it is said why.
        let id = among.as_deref().and_then(|ids| if let [one] = ids { Some(*one) } else { None });
        among = among.filter(|_| id.is_none());
        let choice = LetterChoice {
            id,
            event,
            aggregate: aggregate.as_deref().map(named).transpose()?,
            class: class.map(of_letters).transpose()?,
            among,
            until: boundary.map(|boundary| boundary.until),
            ..LetterChoice::default()
        };
        let limits = Shown { generation: boundary.map(|boundary| boundary.generation), count };
        Ok(Wish::Letters { what: what(why.unwrap_or_default()), choice, limits })
    }
}

/// Replays the heads of letters; what they hold back follows. With `dry_run` the operation reports what would happen.
#[utoipa::path(post, path = "/projections/{projection}/letters/replay", tag = "letters", request_body = LetterBody,
    params(("projection" = String, Path, description = "The projection's name"), Asked),
    responses((status = 202, body = CommandRecord)))]
pub async fn replay(
    State(shown): State<AdminContext>,
    Path(projection): Path<String>,
    asked: Asked,
    Body(body): Body<LetterBody>,
) -> Result<Response, Problem> {
    let rehearses = asked.dry_run;
    let wish = body.wish(|_| if rehearses { LetterWish::Rehearse } else { LetterWish::Replay })?;
    asked.ask(&shown, &projection, wish).await
}

/// Discards the heads of letters; what they hold back is tried at once.
#[utoipa::path(post, path = "/projections/{projection}/letters/discard", tag = "letters", request_body = LetterBody,
    params(("projection" = String, Path, description = "The projection's name"), Asked),
    responses((status = 202, body = CommandRecord), (status = 200, body = DryRun)))]
pub async fn discard(
    State(shown): State<AdminContext>,
    Path(projection): Path<String>,
    asked: Asked,
    Body(body): Body<LetterBody>,
) -> Result<Response, Problem> {
    asked.ask(&shown, &projection, body.wish(|why| LetterWish::Discard { why })?).await
}

/// Erases documents, operations and reasons of letters for good. Then they can only be discarded.
#[utoipa::path(post, path = "/projections/{projection}/letters/erase", tag = "letters", request_body = LetterBody,
    params(("projection" = String, Path, description = "The projection's name"), Asked),
    responses((status = 202, body = CommandRecord), (status = 200, body = DryRun)))]
pub async fn erase(
    State(shown): State<AdminContext>,
    Path(projection): Path<String>,
    asked: Asked,
    Body(body): Body<LetterBody>,
) -> Result<Response, Problem> {
    asked.ask(&shown, &projection, body.wish(|why| LetterWish::Erase { why })?).await
}

fn named(text: &str) -> Result<Named, Problem> {
    text.parse().map_err(|wrong| Problem::wrong(format!("`aggregate`: {wrong}")))
}

/// A class that letters may have.
fn of_letters(class: String) -> Result<String, Problem> {
    if Failure::LETTER_CLASSES.contains(&class.as_str()) {
        return Ok(class);
    }
    Err(Problem::wrong(format!("`class`: letters have one of {}", Failure::LETTER_CLASSES.join(", "))))
}
