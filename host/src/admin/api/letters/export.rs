//! Letters with everything that is stored of them, as JSON lines.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Deserialize;

use super::{body, named, of_letters};
use crate::admin::AdminContext;
use crate::admin::callers::Caller;
use crate::admin::desk;
use crate::admin::problem::Problem;
use crate::operation::{ask, choice, export};
use crate::readmodel::lane::dead_letter::Selection;

/// Which letters are exported: those that fit everything that is given.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ExportQuery {
    /// One letter.
    #[serde(default, deserialize_with = "body::number_if_any")]
    id: Option<u64>,
    /// An aggregate, as account/42; where several read so, it has to be named exactly.
    aggregate: Option<String>,
    /// An event's id.
    event: Option<String>,
    /// A class of failures.
    class: Option<String>,
}

/// Letters with their documents, one JSON object a line, as far as there were any when it began. Where it cannot be gone on
/// with, the answer ends without its end.
#[utoipa::path(get, path = "/projections/{projection}/letters/export", tag = "letters",
    params(("projection" = String, Path, description = "The projection's name"), ExportQuery),
    responses((status = 200, body = String, content_type = "application/x-ndjson"),
        (status = 403, body = Problem, content_type = "application/problem+json",
            description = "The caller may not see what events hold")))]
pub async fn lines(
    State(shown): State<AdminContext>,
    Extension(caller): Extension<Caller>,
    Path(projection): Path<String>,
    Query(ExportQuery { id, aggregate, event, class }): Query<ExportQuery>,
) -> Result<Response, Problem> {
    if !caller.sees_values() {
        return Err(Problem::hidden(&caller.name));
    }
    let class = class.map(of_letters).transpose()?;
    let selection = Selection { id, event, class, ..Selection::default() };
    let named = aggregate.as_deref().map(named).transpose()?;
    let mut seat = shown.desk.sit().await?;
    let chosen = async {
        let (session, servers) = (&mut seat.session, &seat.servers);
        ask::registered(session, servers, &projection).await?;
        let chosen = choice::of_one(session, servers, &projection, selection, named).await?;
        let until = servers.control.of(session, &projection).newest_letter().await?;
        Ok(Selection { until: Some(until), ..chosen })
    }
    .await;
    let rest = Rest { selection: seat.rise(chosen)?, shown, projection };
    let lines = stream::try_unfold(rest, async |mut rest| {
        let some = rest.next().await?;
        Ok::<_, std::io::Error>(some.map(|some| (some, rest)))
    });
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response())
}

/// What is still to be exported. The session is everybody's again between two pages.
struct Rest {
    shown: AdminContext,
    projection: String,
    selection: Selection,
}

impl Rest {
    async fn next(&mut self) -> std::io::Result<Option<String>> {
        let ends = |problem: Problem| std::io::Error::other(problem.detail);
        let mut seat = self.shown.desk.sit().await.map_err(ends)?;
        let (session, servers) = (&mut seat.session, &seat.servers);
        let some = export::page(session, servers, &self.projection, &mut self.selection).await;
        let Some(page) = seat.rise(some.map_err(Problem::from)).map_err(ends)? else { return Ok(None) };
        // While they are decoded, others have the session.
        desk::on_a_thread(move || page.lines()).await.map(Some).map_err(ends)
    }
}
