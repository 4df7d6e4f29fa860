//! The local admin endpoint: status, dead letters, health and metrics over HTTP. The only user of `axum`.
//!
//! It reads; what it is asked to change it writes down as commands.

mod fuel;
mod health;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::event::Named;
use crate::failure::Failure;
use crate::projection::{Servers, Snapshot, Status};
use crate::readmodel::dead_letter::{self, Letter, Selection};

/// How many letters one answer holds.
const LETTERS_MAX: u32 = 100;

/// What the endpoint shows.
#[derive(Clone)]
pub struct Shown {
    pub projections: Vec<Arc<Status>>,
    pub servers: Servers,
    pub metrics: PrometheusHandle,
}

/// Listens, before anything else is started: a port that is taken is a reason not to start.
pub async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on `host.admin` {address}; choose another port"))
}

/// How long the endpoint waits at a stop for clients that keep their connection open.
const FAREWELL: Duration = Duration::from_secs(1);

/// Serves until a stop is asked for.
pub async fn serve(listener: TcpListener, shown: Shown, stop: CancellationToken) -> anyhow::Result<()> {
    tracing::info!("status, health and metrics on http://{}", listener.local_addr()?);
    let routes = axum::Router::new()
        .route("/status", get(status))
        .route("/dlq/{projection}", get(letters))
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(metrics))
        .with_state(shown);
    let farewell = async {
        stop.cancelled().await;
        tokio::time::sleep(FAREWELL).await;
    };
    let serving = axum::serve(listener, routes).with_graceful_shutdown(stop.clone().cancelled_owned());
    tokio::select! {
        served = serving => Ok(served?),
        () = farewell => Ok(()),
    }
}

async fn status(State(shown): State<Shown>) -> Json<Vec<Snapshot>> {
    Json(shown.projections.iter().map(|status| status.snapshot()).collect())
}

/// Which letters are asked for over HTTP: a page of them, those behind `after`.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    id: Option<u64>,
    event: Option<String>,
    aggregate: Option<String>,
    class: Option<String>,
    state: Option<String>,
    #[serde(default)]
    heads_only: bool,
    #[serde(default)]
    after: u64,
    limit: Option<u32>,
}

async fn letters(
    State(shown): State<Shown>,
    Path(projection): Path<String>,
    Query(page): Query<Page>,
) -> Result<Json<Vec<Letter>>, (StatusCode, String)> {
    let Page { id, event, aggregate, class, state, heads_only, after, limit } = page;
    let limit = limit.unwrap_or(LETTERS_MAX);
    if !(1..=LETTERS_MAX).contains(&limit) {
        return Err((StatusCode::BAD_REQUEST, format!("`limit` is 1 to {LETTERS_MAX}\n")));
    }
    if !shown.projections.iter().any(|status| status.projection() == projection) {
        return Err((StatusCode::NOT_FOUND, format!("this host has no projection `{projection}`\n")));
    }
    let mut selection = Selection { id, event, class, state, heads_only, after, ..Selection::default() };
    match aggregate.map(|text| text.parse()).transpose() {
        Ok(None) => {}
        Ok(Some(Named::Reads(text))) => selection.aggregate = Some(text),
        Ok(Some(Named::Exact(exact))) => selection.aggregate_key = Some(hex::encode(exact.key())),
        Err(wrong) => return Err((StatusCode::BAD_REQUEST, format!("`aggregate`: {wrong}\n"))),
    }
    let unavailable = |failure: Failure| (StatusCode::SERVICE_UNAVAILABLE, failure.to_string());
    let mut session = shown.servers.applier.connect().await.map_err(unavailable)?;
    let control = &shown.servers.control;
    let letters = dead_letter::select(&mut session, control, &projection, &selection, limit).await;
    Ok(Json(letters.map_err(unavailable)?))
}

async fn metrics(State(shown): State<Shown>) -> String {
    let snapshots: Vec<Snapshot> = shown.projections.iter().map(|status| status.snapshot()).collect();
    snapshots.iter().for_each(health::measure);
    shown.metrics.render() + &fuel::metrics(&snapshots)
}
