//! A component run beside the one in force over the outbox's last documents, before it is deployed. Nothing is written.

use axum::Json;
use axum::extract::{Path, State};
use serde::Deserialize;

use super::require_digest;
use crate::admin::AdminContext;
use crate::admin::api::body::Body;
use crate::admin::problem::Problem;
use crate::operation::shadow::{self, ShadowReport};

/// How many documents are compared at most, and unless that is said.
const DOCUMENTS_MAX: u32 = 10_000;
const DOCUMENTS: u32 = 1_000;

/// What is compared.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ShadowBody {
    /// Of a component that is stored.
    digest: String,
    /// Over how many of the outbox's last documents, 1 to 10,000; 1,000 unless given.
    #[schema(minimum = 1, maximum = 10_000)]
    documents: Option<u32>,
}

/// Runs a component beside the one in force, and shows where the two differ.
#[utoipa::path(post, path = "/projections/{projection}/shadow", tag = "deployments", request_body = ShadowBody,
    params(("projection" = String, Path, description = "The projection's name")),
    responses((status = 200, body = ShadowReport)))]
pub async fn compare(
    State(shown): State<AdminContext>,
    Path(projection): Path<String>,
    Body(ShadowBody { digest, documents }): Body<ShadowBody>,
) -> Result<Json<ShadowReport>, Problem> {
    require_digest(&digest)?;
    let documents = documents.unwrap_or(DOCUMENTS);
    if !(1..=DOCUMENTS_MAX).contains(&documents) {
        return Err(Problem::wrong(format!("`documents` is {documents}; it must be 1 to {DOCUMENTS_MAX}")));
    }
    let versions = shown.versions_of(&projection)?;
    let none = || Problem::conflict("no component is in force yet: there is nothing to compare with");
    let before = shown.desk.component_in_force(&versions, &projection).await?;
    let before = before.loaded().map_err(Problem::outside)?.ok_or_else(none)?;
    let next = shown.desk.component(&versions, &digest).await?;
    let found = shadow::compare(shown.desk.servers(), before, &next, documents).await;
    found.map(Json).map_err(Problem::outside)
}
