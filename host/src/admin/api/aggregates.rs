//! Why an aggregate's rows are as they are: its events, what became of each, and the SQL that each becomes.

use axum::extract::{Path, Query, State};
use axum::{Extension, Json};
use serde::Deserialize;

use crate::admin::AdminContext;
use crate::admin::callers::Caller;
use crate::admin::problem::Problem;
use crate::event::{Aggregate, Named};
use crate::operation::why::{self, EVENTS, EVENTS_MAX, Why};
use crate::source::{PageFrom, PageMark};

/// Which events of an aggregate are told: the last ones unless a mark is given.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct WhyQuery {
    /// Those before a mark: the `before` of the page that was shown.
    before: Option<String>,
    /// Those behind a mark: the `after` of the page that was shown.
    after: Option<String>,
    /// How many, 1 to 50; 20 unless given.
    #[param(minimum = 1, maximum = 50)]
    limit: Option<usize>,
}

impl WhyQuery {
    fn from(&self) -> Result<PageFrom, Problem> {
        let mark = |name: &str, text: &str| {
            text.parse::<PageMark>().map_err(|wrong| Problem::wrong(format!("`{name}`: {wrong}")))
        };
        match (&self.before, &self.after) {
            (None, None) => Ok(PageFrom::Newest),
            (Some(before), None) => Ok(PageFrom::Before(mark("before", before)?)),
            (None, Some(after)) => Ok(PageFrom::After(mark("after", after)?)),
            (Some(_), Some(_)) => Err(Problem::wrong("give `before` or `after`, not both")),
        }
    }

    fn limit(&self) -> Result<usize, Problem> {
        let limit = self.limit.unwrap_or(EVENTS);
        if (1..=EVENTS_MAX).contains(&limit) {
            return Ok(limit);
        }
        Err(Problem::wrong(format!("`limit` is {limit}; it must be 1 to {EVENTS_MAX}")))
    }
}

/// Lists the events of an aggregate in order: what became of each, with which component, and the SQL that this component makes of
/// it, run again in the sandbox; and the rows that this SQL names, as they are now. The id is an integer, an
/// `ObjectId`, a UUID or a text; put a text that reads like one of the others in quotation marks.
#[utoipa::path(get, path = "/projections/{projection}/aggregates/{type}/{id}", tag = "projections",
    params(("projection" = String, Path, description = "The projection's name"),
        ("type" = String, Path, description = "The aggregate's type"),
        ("id" = String, Path, description = "The aggregate's id"), WhyQuery),
    responses((status = 200, body = Why)))]
pub async fn why(
    State(shown): State<AdminContext>,
    Extension(caller): Extension<Caller>,
    Path((projection, kind, id)): Path<(String, String, String)>,
    Query(query): Query<WhyQuery>,
) -> Result<Json<Why>, Problem> {
    let meant =
        Named::of(&kind, &id).map_err(|wrong| Problem::wrong(format!("the aggregate's id: {wrong}")))?;
    told(&shown, &caller, &projection, meant, &query).await
}

/// How an aggregate is named.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct NamedQuery {
    /// As account/42, which is each aggregate that reads so; exactly, the type stands in quotation marks, and an id that is a
    /// text as well.
    aggregate: String,
    /// Those before a mark: the `before` of the page that was shown.
    before: Option<String>,
    /// Those behind a mark: the `after` of the page that was shown.
    after: Option<String>,
    /// How many, 1 to 50; 20 unless given.
    #[param(minimum = 1, maximum = 50)]
    limit: Option<usize>,
}

/// Lists the events of an aggregate that is named as on the command line, so its type may contain a slash. If several aggregates
/// read so, give the exact name.
#[utoipa::path(get, path = "/projections/{projection}/aggregates", tag = "projections",
    params(("projection" = String, Path, description = "The projection's name"), NamedQuery),
    responses((status = 200, body = Why)))]
pub async fn why_named(
    State(shown): State<AdminContext>,
    Extension(caller): Extension<Caller>,
    Path(projection): Path<String>,
    Query(query): Query<NamedQuery>,
) -> Result<Json<Why>, Problem> {
    let NamedQuery { aggregate, before, after, limit } = query;
    let named: Named = aggregate.parse().map_err(|wrong| Problem::wrong(format!("`aggregate`: {wrong}")))?;
    let query = WhyQuery { before, after, limit };
    told(&shown, &caller, &projection, named.readings(), &query).await
}

async fn told(
    shown: &AdminContext,
    caller: &Caller,
    projection: &str,
    meant: Vec<Aggregate>,
    query: &WhyQuery,
) -> Result<Json<Why>, Problem> {
    let versions = shown.versions_of(projection)?;
    let servers = shown.desk.servers();
    let documents = why::read(servers, &meant, &query.from()?, query.limit()?).await;
    let documents = documents.map_err(Problem::refused_outside)?;
    let taken = shown.watch.ask_all(projection, documents.asked()).await?;
    let mut seat = shown.desk.sit().await?;
    let known = documents.known(&mut seat.session, servers, &versions, projection, taken).await;
    let known = seat.rise(known.map_err(Problem::from))?;
    // While components are compiled and guests run, others may ask MySQL.
    let (mut why, wanted) = known.told(&versions).await.map_err(Problem::outside)?;
    if caller.sees_values() {
        let mut seat = shown.desk.sit().await?;
        let rows = wanted.look(&mut seat.session).await;
        why.rows = Some(seat.rise(rows.map_err(Problem::from))?);
    } else {
        why.mask();
    }
    Ok(Json(why))
}
