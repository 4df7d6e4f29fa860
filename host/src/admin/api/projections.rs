//! Projections: how each stands on this host; paused, resumed, compared.

use axum::extract::{Path, State};
use axum::response::Response;
use axum::{Extension, Json};
use serde::Deserialize;

use super::asked::Asked;
use super::body::Body;
use crate::admin::callers::Caller;
use crate::admin::problem::Problem;
use crate::admin::recent::RecentFigures;
use crate::admin::{AdminContext, reasons};
use crate::operation::dry_run::DryRun;
use crate::operation::standstill::{self, PauseProgress};
use crate::operation::wish::Wish;
use crate::readmodel::control::command::CommandRecord;
use crate::status::snapshot::Snapshot;

/// All projections of this host, as it sees them.
#[utoipa::path(get, path = "/projections", tag = "projections", responses((status = 200, body = Vec<Snapshot>)))]
pub async fn list(
    State(shown): State<AdminContext>,
    Extension(caller): Extension<Caller>,
) -> Json<Vec<Snapshot>> {
    Json(shown.snapshots_for(&caller))
}

/// One projection of this host.
#[utoipa::path(get, path = "/projections/{projection}", tag = "projections",
    params(("projection" = String, Path, description = "The projection's name")),
    responses((status = 200, body = Snapshot)))]
pub async fn show(
    State(shown): State<AdminContext>,
    Extension(caller): Extension<Caller>,
    Path(projection): Path<String>,
) -> Result<Json<Snapshot>, Problem> {
    Ok(Json(reasons::seen_by(&caller, shown.snapshot(&projection)?)))
}

/// Shows the last hour of a projection, as far as this host has run.
#[utoipa::path(get, path = "/projections/{projection}/recent", tag = "projections",
    params(("projection" = String, Path, description = "The projection's name")),
    responses((status = 200, body = RecentFigures)))]
pub async fn recent(
    State(shown): State<AdminContext>,
    Path(projection): Path<String>,
) -> Result<Json<RecentFigures>, Problem> {
    shown.snapshot(&projection)?;
    Ok(Json(shown.recent.of(&projection)))
}

/// Shows whether an operator pauses a projection, whether its lanes stand still, and which host leads it.
#[utoipa::path(get, path = "/projections/{projection}/pause", tag = "projections",
    params(("projection" = String, Path, description = "The projection's name")),
    responses((status = 200, body = PauseProgress)))]
pub async fn pause_progress(
    State(shown): State<AdminContext>,
    Extension(caller): Extension<Caller>,
    Path(projection): Path<String>,
) -> Result<Json<PauseProgress>, Problem> {
    let mut seat = shown.desk.sit().await?;
    let found = standstill::look(&mut seat.session, &seat.servers, &projection).await;
    let mut found = seat.rise(found.map_err(Problem::from))?;
    if !caller.sees_values() {
        found.reason.iter_mut().for_each(reasons::mask);
    }
    Ok(Json(found))
}

/// Why a projection is paused.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PauseBody {
    /// It is shown and recorded.
    why: String,
}

/// Pauses a projection until it is resumed. Letters can still be replayed and discarded.
#[utoipa::path(post, path = "/projections/{projection}/pause", tag = "projections", request_body = PauseBody,
    params(("projection" = String, Path, description = "The projection's name"), Asked),
    responses((status = 202, body = CommandRecord), (status = 200, body = DryRun)))]
pub async fn pause(
    State(shown): State<AdminContext>,
    Path(projection): Path<String>,
    asked: Asked,
    Body(PauseBody { why }): Body<PauseBody>,
) -> Result<Response, Problem> {
    asked.ask(&shown, &projection, Wish::Pause { why }).await
}

/// Resumes a projection, also if its breaker paused it.
#[utoipa::path(post, path = "/projections/{projection}/resume", tag = "projections",
    params(("projection" = String, Path, description = "The projection's name"), Asked),
    responses((status = 202, body = CommandRecord), (status = 200, body = DryRun)))]
pub async fn resume(
    State(shown): State<AdminContext>,
    Path(projection): Path<String>,
    asked: Asked,
) -> Result<Response, Problem> {
    asked.ask(&shown, &projection, Wish::Resume).await
}

/// How tables are compared.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VerifyBody {
    /// Where they differ, those that were made anew take their place.
    repair: bool,
}

/// Rebuilds the tables beside the live ones and compares both; the operation's result is the report.
#[utoipa::path(post, path = "/projections/{projection}/verifications", tag = "projections",
    request_body = VerifyBody,
    params(("projection" = String, Path, description = "The projection's name"), Asked),
    responses((status = 202, body = CommandRecord), (status = 200, body = DryRun)))]
pub async fn verify(
    State(shown): State<AdminContext>,
    Path(projection): Path<String>,
    asked: Asked,
    Body(VerifyBody { repair }): Body<VerifyBody>,
) -> Result<Response, Problem> {
    asked.ask(&shown, &projection, Wish::Verify { repair }).await
}
