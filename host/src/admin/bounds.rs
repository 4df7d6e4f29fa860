//! What whoever asks the API may cost: how many requests at a time, how large each, for how long, and how often.

use std::time::{Duration, Instant};

use axum::error_handling::HandleErrorLayer;
use axum::extract::{Request, State};
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
use super::callers::Caller;
use super::problem::{self, Problem};
use super::rates::{CallerRate, CallerRates};
use crate::projector::COMPONENT_BYTES_MAX;

/// What one request may cost.
#[derive(Debug, Clone, Copy)]
pub struct RequestBounds {
    requests_max: usize,
    /// The longest body.
    bytes_max: usize,
    /// How long an answer may take, with the body that it needs.
    timeout: Duration,
    /// How often one caller may ask.
    rate: CallerRate,
}

/// Of a caller who looks and changes: a page that is open asks some times a second.
const OFTEN: CallerRate = CallerRate { a_second: 250, at_once: 500 };

/// Of a service that asks for each event that it wrote.
const FOR_EACH_EVENT: CallerRate = CallerRate { a_second: 2_000, at_once: 4_000 };

/// Of what is asked in a few words.
pub const REQUEST: RequestBounds =
    RequestBounds { requests_max: 64, bytes_max: 1 << 20, timeout: Duration::from_secs(20), rate: OFTEN };

/// Of what waits for an event, and costs next to nothing meanwhile: fewer than there may be connections.
pub const WAIT: RequestBounds = RequestBounds {
    requests_max: 400,
    bytes_max: 1 << 10,
    timeout: Duration::from_secs(20),
    rate: FOR_EACH_EVENT,
};

/// Of what compiles components, or runs them.
pub const UPLOAD: RequestBounds = RequestBounds {
    requests_max: 4,
    bytes_max: COMPONENT_BYTES_MAX,
    timeout: Duration::from_mins(4),
    rate: OFTEN,
};

/// Of what runs components for whoever may only look.
pub const LOOK: RequestBounds =
    RequestBounds { requests_max: 2, bytes_max: 1 << 10, timeout: Duration::from_mins(1), rate: OFTEN };

/// How long a body may stand still: who sends nothing keeps a place from others.
const BODY_STALL: Duration = Duration::from_secs(25);

/// Puts bounds around routes.
pub fn bound(
    routes: Router<AdminContext>,
    RequestBounds { requests_max, bytes_max, timeout, rate }: RequestBounds,
) -> Router<AdminContext> {
    let one_of_few = ServiceBuilder::new()
        .layer(HandleErrorLayer::new(async |_: BoxError| Problem::busy()))
        .layer(LoadShedLayer::new())
        .layer(GlobalConcurrencyLimitLayer::new(requests_max));
    let rates = CallerRates::new(rate);
    routes
        .layer(middleware::from_fn(move |request, next| to_the_end(timeout, request, next)))
        .layer(RequestBodyLimitLayer::new(bytes_max))
        .layer(RequestBodyTimeoutLayer::new(BODY_STALL))
        .layer(one_of_few)
        .layer(middleware::from_fn_with_state(rates, not_too_often))
        .layer(middleware::map_response(problem::everywhere))
        .layer(middleware::map_response(unkept))
}

/// Lets a request through unless its caller has asked too often of late. It takes no place from others.
async fn not_too_often(State(rates): State<CallerRates>, request: Request, next: Next) -> Response {
    match request.extensions().get::<Caller>() {
        Some(caller) if !rates.take(&caller.name, Instant::now()) => {
            Problem::too_often(&caller.name).into_response()
        }
        _ => next.run(request).await,
    }
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
