//! Who asks, as the host knows them: so that a page offers what they may do.

use axum::{Extension, Json};
use serde::Serialize;

use crate::admin::callers::Caller;
use crate::admin::tokens::CallerRole;

/// Who asks.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Me {
    /// What is written down as who asked for a change.
    name: String,
    role: CallerRole,
}

/// Shows who asks: the token's name and role.
#[utoipa::path(get, path = "/me", tag = "callers", responses((status = 200, body = Me)))]
pub async fn show(Extension(Caller { name, role }): Extension<Caller>) -> Json<Me> {
    Json(Me { name, role })
}
