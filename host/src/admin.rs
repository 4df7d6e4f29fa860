//! The local admin endpoint: status, dead letters, health and metrics over HTTP. The only user of `axum` and `hyper`.
//!
//! It reads; what it is asked to change it writes down as commands. Only dead letters are asked of MySQL.

mod connections;
mod fuel;
mod health;
mod letters;
mod names;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use axum::extract::State;
use axum::routing::get;
use axum::{Json, middleware};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::status::Status;
use crate::status::snapshot::Snapshot;

pub use letters::LetterDesk;

/// What the endpoint shows.
#[derive(Clone)]
pub struct AdminContext {
    pub projections: Vec<Arc<Status>>,
    pub desk: LetterDesk,
    pub metrics: PrometheusHandle,
}

/// Listens, before anything else is started: a port that is taken is a reason not to start.
pub async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on `host.admin` {address}; choose another port"))
}

/// Serves until a stop is asked for. `names` are those that it answers to beside the loopback's.
pub async fn serve(
    listener: TcpListener,
    shown: AdminContext,
    names: Vec<String>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    tracing::info!("status, health and metrics on http://{}", listener.local_addr()?);
    let names: Arc<[String]> = names.into();
    let routes = axum::Router::new()
        .route("/status", get(status))
        .route("/dlq/{projection}", get(letters::letters))
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(metrics))
        .layer(middleware::from_fn_with_state(names, names::guard))
        .with_state(shown);
    connections::serve(listener, routes, stop).await;
    Ok(())
}

async fn status(State(shown): State<AdminContext>) -> Json<Vec<Snapshot>> {
    Json(shown.projections.iter().map(|status| status.snapshot()).collect())
}

async fn metrics(State(shown): State<AdminContext>) -> String {
    let snapshots: Vec<Snapshot> = shown.projections.iter().map(|status| status.snapshot()).collect();
    snapshots.iter().for_each(health::measure);
    shown.metrics.render() + &fuel::metrics(&snapshots)
}
