//! Deployments: which component, by whom, when, and what came of it; another one, or the one before.

pub mod shadow;

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;

use super::asked::Asked;
use super::body::Body;
use super::masking;
use crate::admin::AdminContext;
use crate::admin::callers::Caller;
use crate::admin::problem::Problem;
use crate::operation::deployments::{self, Deployments};
use crate::operation::dry_run::{DryDeployment, DryRun};
use crate::operation::wish::Wish;
use crate::readmodel::control::command::{CANARY_SECONDS_DEFAULT, CommandRecord};

/// How many deployments one answer holds.
const DEPLOYMENTS_MAX: u32 = 200;
const DEPLOYMENTS: u32 = 20;

/// How many are listed.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DeploymentQuery {
    /// How many, 1 to 200; 20 unless given.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

/// Lists the deployments of a projection, the newest first.
#[utoipa::path(get, path = "/projections/{projection}/deployments", tag = "deployments",
    params(("projection" = String, Path, description = "The projection's name"), DeploymentQuery),
    responses((status = 200, body = Deployments)))]
pub async fn list(
    State(shown): State<AdminContext>,
    Extension(caller): Extension<Caller>,
    Path(projection): Path<String>,
    Query(DeploymentQuery { limit }): Query<DeploymentQuery>,
) -> Result<Json<Deployments>, Problem> {
    let limit = limit.unwrap_or(DEPLOYMENTS);
    if !(1..=DEPLOYMENTS_MAX).contains(&limit) {
        return Err(Problem::wrong(format!("`limit` is {limit}; it must be 1 to {DEPLOYMENTS_MAX}")));
    }
    let mut seat = shown.desk.sit().await?;
    let (session, servers) = (&mut seat.session, &seat.servers);
    let found = deployments::deployments(session, servers, &projection, limit).await;
    let mut found = seat.rise(found.map_err(Problem::from))?;
    masking::deployments(&caller, &mut found.deployments);
    Ok(Json(found))
}

/// What is to be deployed.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeployBody {
    /// Of a component, or of a projector with its upcaster, that is stored: what an upload answers.
    digest: String,
    /// For so many seconds, an event that it fails is given to the component before: where that takes it, the deployment is
    /// taken back.
    #[serde(default = "canary_seconds")]
    canary_seconds: u32,
}

fn canary_seconds() -> u32 {
    CANARY_SECONDS_DEFAULT
}

/// Deploys a component to the projection. With `dry_run` it is only loaded, and tried on the live tables. `done` means that
/// it is in force; the projection's `deployment` says whether all lanes work with it.
#[utoipa::path(post, path = "/projections/{projection}/deployments", tag = "deployments", request_body = DeployBody,
    params(("projection" = String, Path, description = "The projection's name"), Asked),
    responses((status = 202, body = CommandRecord), (status = 200, body = DryDeployment)))]
pub async fn deploy(
    State(shown): State<AdminContext>,
    Path(projection): Path<String>,
    asked: Asked,
    Body(DeployBody { digest, canary_seconds }): Body<DeployBody>,
) -> Result<Response, Problem> {
    require_digest(&digest)?;
    let wish = Wish::Deploy { digest: digest.clone(), canary_seconds };
    if !asked.dry_run {
        return asked.ask(&shown, &projection, wish).await;
    }
    dry_deployment(&shown, &projection, wish, &digest).await.map(|dry| Json(dry).into_response())
}

/// What would come of a deployment. While its component is compiled, others have the session.
async fn dry_deployment(
    shown: &AdminContext,
    projection: &str,
    wish: Wish,
    digest: &str,
) -> Result<DryDeployment, Problem> {
    let versions = shown.versions_of(projection)?;
    let mut seat = shown.desk.sit().await?;
    let wished = wish.request(&mut seat.session, &seat.servers, projection).await;
    let dry = DryRun::of(&seat.rise(wished.map_err(Problem::from))?);
    let now = shown.desk.component_in_force(&versions, projection).await?;
    let next = shown.desk.component(&versions, digest).await?;
    let mut seat = shown.desk.sit().await?;
    let found = DryDeployment::look(&mut seat.session, &seat.servers, &now, &next, dry).await;
    seat.rise(found.map_err(Problem::from))
}

fn require_digest(text: &str) -> Result<(), Problem> {
    let is_one = text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if is_one { Ok(()) } else { Err(Problem::wrong("`digest` must be 64 of 0-9 and a-f")) }
}

/// Rolls back to the previous component.
#[utoipa::path(post, path = "/projections/{projection}/rollback", tag = "deployments",
    params(("projection" = String, Path, description = "The projection's name"), Asked),
    responses((status = 202, body = CommandRecord), (status = 200, body = DryRun)))]
pub async fn rollback(
    State(shown): State<AdminContext>,
    Path(projection): Path<String>,
    asked: Asked,
) -> Result<Response, Problem> {
    asked.ask(&shown, &projection, Wish::Rollback).await
}
