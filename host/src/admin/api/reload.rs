//! Reads the configuration anew.

use axum::extract::{Query, State};
use axum::{Extension, Json};

use super::operations::DryRunQuery;
use crate::admin::AdminContext;
use crate::admin::callers::Caller;
use crate::admin::problem::Problem;
use crate::admin::reload::Reloaded;

/// Reloads the configuration and the files that it names, applies what needs no restart, and names the rest.
/// A configuration that is not valid, or whose accounts are refused, changes nothing.
#[utoipa::path(post, path = "/reload", tag = "hosts", params(DryRunQuery),
    responses((status = 200, body = Reloaded)))]
pub async fn reload(
    State(shown): State<AdminContext>,
    Extension(caller): Extension<Caller>,
    Query(DryRunQuery { dry_run }): Query<DryRunQuery>,
) -> Result<Json<Reloaded>, Problem> {
    let answered = shown.reload.ask(dry_run, &caller.name).await.ok_or_else(Problem::busy)?;
    answered.map(Json).map_err(Problem::not_reloaded)
}
