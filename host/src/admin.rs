//! The local admin endpoint: status, dead letters, health and metrics over HTTP. The only user of `axum`.
//!
//! It reads; what it is asked to change it writes down as commands.

mod health;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

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
    axum::serve(listener, routes).with_graceful_shutdown(stop.cancelled_owned()).await?;
    Ok(())
}

async fn status(State(shown): State<Shown>) -> Json<Vec<Snapshot>> {
    Json(shown.projections.iter().map(|status| status.snapshot()).collect())
}

async fn letters(
    State(shown): State<Shown>,
    Path(projection): Path<String>,
    Query(selection): Query<Selection>,
) -> Result<Json<Vec<Letter>>, (StatusCode, String)> {
    if !shown.projections.iter().any(|status| status.snapshot().projection == projection) {
        return Err((StatusCode::NOT_FOUND, "this host has no such projection\n".to_owned()));
    }
    let unavailable = |failure: Failure| (StatusCode::SERVICE_UNAVAILABLE, failure.to_string());
    let mut session = shown.servers.applier.connect().await.map_err(unavailable)?;
    let control = &shown.servers.control;
    let letters = dead_letter::select(&mut session, control, &projection, &selection, LETTERS_MAX).await;
    Ok(Json(letters.map_err(unavailable)?))
}

async fn metrics(State(shown): State<Shown>) -> String {
    for status in &shown.projections {
        health::measure(&status.snapshot());
    }
    shown.metrics.render()
}
