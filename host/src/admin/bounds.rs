//! What whoever asks the API may cost: how many requests at a time, how large each, for how long, and how often.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::{Router, middleware};
use tokio::sync::Semaphore;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::RequestBodyTimeoutLayer;

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
pub fn bound<S: Clone + Send + Sync + 'static>(
    routes: Router<S>,
    RequestBounds { requests_max, bytes_max, timeout, rate }: RequestBounds,
) -> Router<S> {
    let (places, rates) = (Arc::new(Semaphore::new(requests_max)), CallerRates::new(rate));
    routes
        .layer(middleware::from_fn(move |request, next| to_the_end(places.clone(), timeout, request, next)))
        .layer(RequestBodyLimitLayer::new(bytes_max))
        .layer(RequestBodyTimeoutLayer::new(BODY_STALL))
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
/// could leave one behind on the server. Until then it has its place.
async fn to_the_end(places: Arc<Semaphore>, limit: Duration, request: Request, next: Next) -> Response {
    let Ok(place) = places.try_acquire_owned() else { return Problem::busy().into_response() };
    let answering = async move {
        let answered = tokio::time::timeout(limit, next.run(request)).await;
        drop(place);
        answered
    };
    match tokio::spawn(answering).await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => Problem::late(limit.as_secs()).into_response(),
        Err(_) => Problem::broken().into_response(),
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::Notify;

    use super::*;

    async fn ask(at: std::net::SocketAddr) -> TcpStream {
        let mut stream = TcpStream::connect(at).await.expect("it listens");
        stream.write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("it reads");
        stream
    }

    async fn code(stream: &mut TcpStream) -> String {
        let mut head = [0; 12];
        stream.read_exact(&mut head).await.expect("an answer");
        String::from_utf8_lossy(&head[9..]).into_owned()
    }

    #[tokio::test]
    async fn a_request_whose_caller_hung_up_keeps_its_place_until_it_is_done() {
        let (began, ends) = (Arc::new(Semaphore::new(0)), Arc::new(Notify::new()));
        let (begins, ended) = (began.clone(), ends.clone());
        let slow = async move || {
            begins.add_permits(1);
            ended.notified().await;
        };
        let bounds = RequestBounds { requests_max: 2, ..LOOK };
        let routes: Router = bound(Router::new().route("/slow", get(slow)), bounds);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let at = listener.local_addr().expect("an address");
        let serving = tokio::spawn(async move { axum::serve(listener, routes).await });
        for _ in 0..2 {
            let stream = ask(at).await;
            began.acquire().await.expect("it is open").forget();
            drop(stream);
        }
        assert_eq!(code(&mut ask(at).await).await, "503");
        ends.notify_waiters();
        // Its place is free as soon as it has ended.
        let mut third = ask(at).await;
        while began.try_acquire().is_err() {
            if tokio::time::timeout(Duration::from_millis(50), code(&mut third)).await.is_ok() {
                third = ask(at).await;
            }
        }
        ends.notify_waiters();
        assert_eq!(code(&mut third).await, "200");
        serving.abort();
    }
}
