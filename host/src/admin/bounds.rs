//! What whoever asks the API may cost: how many requests at a time, how large each, and for how long.

use std::time::Duration;

use axum::error_handling::HandleErrorLayer;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::{BoxError, Router, middleware};
use tower::ServiceBuilder;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower::load_shed::LoadShedLayer;
use tower_http::limit::RequestBodyLimitLayer;

use super::AdminContext;
use super::problem::Problem;

/// How many requests are answered at a time.
const REQUESTS_MAX: usize = 64;

/// The longest body, in bytes.
const BODY_BYTES_MAX: usize = 1 << 20;

/// How long an answer may take, with the body that it needs.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// Puts the bounds around routes.
pub fn bound(routes: Router<AdminContext>) -> Router<AdminContext> {
    let one_of_few = ServiceBuilder::new()
        .layer(HandleErrorLayer::new(async |_: BoxError| Problem::busy()))
        .layer(LoadShedLayer::new())
        .layer(GlobalConcurrencyLimitLayer::new(REQUESTS_MAX));
    routes
        .layer(middleware::from_fn(to_the_end))
        .layer(RequestBodyLimitLayer::new(BODY_BYTES_MAX))
        .layer(one_of_few)
}

/// Answers also where whoever asked has gone away: a query that ended half-way would leave its session useless, and each
/// could leave one behind on the server.
async fn to_the_end(request: Request, next: Next) -> Response {
    let answering = tokio::spawn(tokio::time::timeout(ANSWER_TIMEOUT, next.run(request)));
    match answering.await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => Problem::late(ANSWER_TIMEOUT.as_secs()).into_response(),
        Err(_) => Problem::broken().into_response(),
    }
}
