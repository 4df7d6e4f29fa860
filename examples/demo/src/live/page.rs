//! The page and what it asks: the bank's own commands and queries, the stream of how everything stands, and the buttons.

#[path = "../../../../host/src/admin/page/headers.rs"]
mod headers;

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HOST, ORIGIN};
use axum::middleware::{Next, from_fn_with_state, map_response};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bank::infrastructure::{http, queries};
use bson::Uuid;
use futures_util::Stream;
use futures_util::stream::unfold;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

use super::Stage;
use super::actions::{Action, BUTTONS, Button};
use super::compare::Verdict;
use super::tour::Line;
use headers::HEADERS;

/// How much of an answer of the bank is read to find its events.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// A file of the page: its path, its type and its bytes. What the host's page has is taken from there.
type PageFile = (&'static str, &'static str, &'static [u8]);

static FILES: [PageFile; 13] = [
    ("/", HTML, include_bytes!("../../page/index.html")),
    ("/page/demo.css", CSS, include_bytes!("../../page/demo.css")),
    ("/page/main.js", SCRIPT, include_bytes!("../../page/main.js")),
    ("/page/buttons.js", SCRIPT, include_bytes!("../../page/buttons.js")),
    ("/page/sides.js", SCRIPT, include_bytes!("../../page/sides.js")),
    ("/page/flights.js", SCRIPT, include_bytes!("../../page/flights.js")),
    ("/page/stage.js", SCRIPT, include_bytes!("../../page/stage.js")),
    ("/page/draw.js", SCRIPT, include_bytes!("../../../../host/src/admin/page/draw.js")),
    ("/page/style.css", CSS, include_bytes!("../../../../host/src/admin/page/style.css")),
    ("/page/lantern.svg", SVG, include_bytes!("../../../../host/src/admin/page/lantern.svg")),
    ("/page/lantern.js", SCRIPT, include_bytes!("../../../../host/src/admin/page/lantern.js")),
    ("/page/words.js", SCRIPT, include_bytes!("../../../../host/src/admin/page/words.js")),
    (
        "/page/vendor/preact-htm.js",
        SCRIPT,
        include_bytes!("../../../../host/src/admin/page/vendor/preact-htm.js"),
    ),
];

/// Why a button did nothing.
struct Unpressed(StatusCode, String);

pub async fn serve(listener: TcpListener, stage: Arc<Stage>) {
    let Ok(address) = listener.local_addr() else { return };
    let commands = http::commands(stage.bank.clone()).layer(from_fn_with_state(stage.clone(), launched));
    let files = FILES.iter().fold(Router::new(), |routes, (path, media_type, bytes)| {
        routes.route(path, get(async move || ([(CONTENT_TYPE, *media_type)], *bytes)))
    });
    let demo = Router::new()
        .route("/demo/buttons", get(async || Json::<&[Button]>(&BUTTONS)))
        .route("/demo/buttons/{name}", post(press))
        .route("/demo/tour", post(tour))
        .route("/demo/verdict", get(verdict))
        .route("/demo/standing", get(standing))
        .with_state(stage.clone());
    let own = [format!("127.0.0.1:{}", address.port()), format!("localhost:{}", address.port())];
    let all = files
        .layer(map_response(async |response: Response| (HEADERS, response)))
        .merge(demo)
        .merge(commands)
        .merge(queries::router(stage.model.clone()))
        .layer(from_fn_with_state(Arc::new(own), own_name));
    // It is dropped with the demo.
    let _ = axum::serve(listener, all).await;
}

/// A page of another origin whose name leads here asks under that name; another page that asks here says which one it is.
async fn own_name(State(own): State<Arc<[String; 2]>>, request: Request, next: Next) -> Response {
    let is_ours = {
        let is_own = |name: &str| own.iter().any(|own| own == name);
        let header = |name| request.headers().get(name).map(|value| value.to_str().unwrap_or_default());
        let origin = header(ORIGIN).is_none_or(|origin| origin.strip_prefix("http://").is_some_and(is_own));
        origin && header(HOST).is_some_and(is_own)
    };
    if is_ours {
        return next.run(request).await;
    }
    StatusCode::MISDIRECTED_REQUEST.into_response()
}

/// Follows the events of a command from the moment in which MongoDB has confirmed them.
async fn launched(State(stage): State<Arc<Stage>>, request: Request, next: Next) -> Response {
    let (parts, body) = next.run(request).await.into_parts();
    let Ok(bytes) = to_bytes(body, ANSWER_BYTES_MAX).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let told: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    if told["repeated"] != true {
        let ids = told["events"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let ids: Vec<Uuid> = ids.filter_map(|id| Uuid::parse_str(id).ok()).collect();
        if !ids.is_empty() {
            stage.flights.launch(&ids);
        }
    }
    Response::from_parts(parts, Body::from(bytes))
}

// An empty object as JSON: a form of another origin cannot send it.
async fn press(
    State(stage): State<Arc<Stage>>,
    Path(name): Path<String>,
    Json(_): Json<Map<String, Value>>,
) -> Result<Json<Line>, Unpressed> {
    let action = Action::named(&name)
        .ok_or_else(|| Unpressed(StatusCode::NOT_FOUND, format!("there is no button `{name}`")))?;
    Ok(Json(stage.press(action).await))
}

async fn tour(
    State(stage): State<Arc<Stage>>,
    Json(_): Json<Map<String, Value>>,
) -> Result<StatusCode, Unpressed> {
    if stage.touring.try_lock().is_err() {
        return Err(Unpressed(StatusCode::CONFLICT, "the tour is being played".to_owned()));
    }
    // It tells itself how it goes, and ends where the page is closed.
    tokio::spawn(async move { stage.play_the_tour().await });
    Ok(StatusCode::ACCEPTED)
}

async fn verdict(State(stage): State<Arc<Stage>>) -> Result<Json<Verdict>, Unpressed> {
    let compared = stage.compare().await;
    compared.map(Json).map_err(|error| Unpressed(StatusCode::SERVICE_UNAVAILABLE, format!("{error:#}")))
}

/// How everything stands, now and whenever it changes.
async fn standing(State(stage): State<Arc<Stage>>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let mut receiver = stage.standing.clone();
    receiver.mark_changed();
    let events = unfold(receiver, async |mut receiver| {
        receiver.changed().await.ok()?;
        let now = receiver.borrow_and_update().clone();
        let event = Event::default().json_data(now.as_deref()).unwrap_or_default();
        Some((Ok(event), receiver))
    });
    Sse::new(events).keep_alive(KeepAlive::default())
}

impl IntoResponse for Unpressed {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "failed": self.1 }))).into_response()
    }
}
