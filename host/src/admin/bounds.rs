//! What whoever asks the API may cost: how many requests at a time, how large each, and for how long.

use std::time::Duration;

use axum::error_handling::HandleErrorLayer;
use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::{BoxError, Router, middleware};
use tower::ServiceBuilder;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower::load_shed::LoadShedLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::RequestBodyTimeoutLayer;

use super::AdminContext;
use super::problem::{self, Problem};
use crate::projector::COMPONENT_BYTES_MAX;

/// What one request may cost.
#[derive(Debug, Clone, Copy)]
pub struct RequestBounds {
    requests_max: usize,
    /// The longest body.
    bytes_max: usize,
    /// How long an answer may take, with the body that it needs.
    timeout: Duration,
}

/// Of what is asked in a few words.
pub const REQUEST: RequestBounds =
    RequestBounds { requests_max: 64, bytes_max: 1 << 20, timeout: Duration::from_secs(20) };

/// Of what waits for an event, and costs next to nothing meanwhile: fewer than there may be connections.
pub const WAIT: RequestBounds =
    RequestBounds { requests_max: 400, bytes_max: 1 << 10, timeout: Duration::from_secs(20) };

/// Of what compiles components, or runs them.
pub const UPLOAD: RequestBounds =
    RequestBounds { requests_max: 4, bytes_max: COMPONENT_BYTES_MAX, timeout: Duration::from_mins(4) };

/// Of what runs components for whoever may only look.
pub const LOOK: RequestBounds =
    RequestBounds { requests_max: 2, bytes_max: 1 << 10, timeout: Duration::from_mins(1) };

/// How long a body may stand still: who sends nothing keeps a place from others.
const BODY_STALL: Duration = Duration::from_secs(25);

/// Puts bounds around routes.
pub fn bound(
    routes: Router<AdminContext>,
    RequestBounds { requests_max, bytes_max, timeout }: RequestBounds,
) -> Router<AdminContext> {
    let one_of_few = ServiceBuilder::new()
        .layer(HandleErrorLayer::new(async |_: BoxError| Problem::busy()))
        .layer(LoadShedLayer::new())
        .layer(GlobalConcurrencyLimitLayer::new(requests_max));
    routes
        .layer(middleware::from_fn(move |request, next| to_the_end(timeout, request, next)))
        .layer(RequestBodyLimitLayer::new(bytes_max))
        .layer(RequestBodyTimeoutLayer::new(BODY_STALL))
        .layer(one_of_few)
        .layer(middleware::map_response(problem::everywhere))
        .layer(middleware::map_response(unkept))
}

/// What is answered is for whoever asked: no browser keeps it, or takes it for something else than it says it is.
async fn unkept(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Answers also where whoever asked has gone away: a query that ended half-way would leave its session useless, and each
/// could leave one behind on the server.
async fn to_the_end(limit: Duration, request: Request, next: Next) -> Response {
    let answering = tokio::spawn(tokio::time::timeout(limit, next.run(request)));
    match answering.await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => Problem::late(limit.as_secs()).into_response(),
        Err(_) => Problem::broken().into_response(),
    }
}
