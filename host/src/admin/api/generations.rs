//! Generations of tables: listed, rebuilt, accepted, brought back, given up.

use axum::extract::{Path, State};
use axum::response::Response;
use axum::{Extension, Json};
use serde::Deserialize;

use super::asked::Asked;
use super::body::Body;
use super::masking;
use crate::admin::AdminContext;
use crate::admin::callers::Caller;
use crate::admin::desk::Seat;
use crate::admin::problem::Problem;
use crate::operation::ask;
use crate::operation::dry_run::DryRun;
use crate::operation::standing::{self, Generations};
use crate::operation::wish::Wish;
use crate::readmodel::control::command::CommandRecord;

/// The live generation, and those beside it: how far they are, and what they wait for.
#[utoipa::path(get, path = "/projections/{projection}/generations", tag = "generations",
    params(("projection" = String, Path, description = "The projection's name")),
    responses((status = 200, body = Generations)))]
pub async fn list(
    State(shown): State<AdminContext>,
    Extension(caller): Extension<Caller>,
    Path(projection): Path<String>,
) -> Result<Json<Generations>, Problem> {
    let mut seat = shown.desk.sit().await?;
    let found = found(&mut seat, &projection).await;
    let mut found = seat.rise(found)?;
    masking::generations(&caller, &mut found);
    Ok(Json(found))
}

async fn found(Seat { session, servers, .. }: &mut Seat, projection: &str) -> Result<Generations, Problem> {
    ask::registered(session, servers, projection).await?;
    Ok(standing::generations(session, servers, projection).await?)
}

/// How tables are made anew.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RebuildBody {
    /// They take the live ones' place though they have dead letters of events that the live ones took.
    accept: bool,
    /// Only events that occurred up to this moment, RFC 3339: to be looked at, they never become live.
    until: Option<String>,
    /// Only events of this aggregate: to be looked at, they never become live.
    aggregate: Option<String>,
}

/// Rebuilds the tables from history beside the live ones, and swaps them in.
#[utoipa::path(post, path = "/projections/{projection}/generations", tag = "generations", request_body = RebuildBody,
    params(("projection" = String, Path, description = "The projection's name"), Asked),
    responses((status = 202, body = CommandRecord), (status = 200, body = DryRun)))]
pub async fn rebuild(
    State(shown): State<AdminContext>,
    Path(projection): Path<String>,
    asked: Asked,
    Body(RebuildBody { accept, until, aggregate }): Body<RebuildBody>,
) -> Result<Response, Problem> {
    asked.ask(&shown, &projection, Wish::Rebuild { accept, until, aggregate }).await
}

/// What is accepted.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AcceptBody {
    /// What the generation was shown to lack: its `lacks`, or nothing where it lacked nothing.
    shown: Option<String>,
}

/// Lets a generation replace the live one even if it has dead letters of events that the live one has applied, and without the
/// events that it was shown to lack.
#[utoipa::path(post, path = "/projections/{projection}/generations/{generation}/accept", tag = "generations",
    request_body = AcceptBody,
    params(("projection" = String, Path, description = "The projection's name"),
        ("generation" = u32, Path, description = "Its number"), Asked),
    responses((status = 202, body = CommandRecord), (status = 200, body = DryRun)))]
pub async fn accept(
    State(shown): State<AdminContext>,
    Path((projection, generation)): Path<(String, u32)>,
    asked: Asked,
    Body(body): Body<AcceptBody>,
) -> Result<Response, Problem> {
    let wish = Wish::Accept { generation, shown: body.shown.unwrap_or_default() };
    asked.ask(&shown, &projection, wish).await
}

/// Lets a generation that was live before catch up, and swaps it in again.
#[utoipa::path(post, path = "/projections/{projection}/generations/{generation}/return", tag = "generations",
    params(("projection" = String, Path, description = "The projection's name"),
        ("generation" = u32, Path, description = "Its number"), Asked),
    responses((status = 202, body = CommandRecord), (status = 200, body = DryRun)))]
pub async fn bring_back(
    State(shown): State<AdminContext>,
    Path((projection, generation)): Path<(String, u32)>,
    asked: Asked,
) -> Result<Response, Problem> {
    asked.ask(&shown, &projection, Wish::Return { generation }).await
}

/// Drops a generation with its tables and its dead letters.
#[utoipa::path(post, path = "/projections/{projection}/generations/{generation}/drop", tag = "generations",
    params(("projection" = String, Path, description = "The projection's name"),
        ("generation" = u32, Path, description = "Its number"), Asked),
    responses((status = 202, body = CommandRecord), (status = 200, body = DryRun)))]
pub async fn give_up(
    State(shown): State<AdminContext>,
    Path((projection, generation)): Path<(String, u32)>,
    asked: Asked,
) -> Result<Response, Problem> {
    asked.ask(&shown, &projection, Wish::Drop { generation }).await
}
