//! Two listeners over HTTP: one for health and metrics, where nothing is secret, and one for the API and its page. The only
//! user of `axum` and `hyper`.
//!
//! It reads; what it is asked to change it writes down as commands.

mod connections;
mod fuel;
mod openmetrics;
mod page;
mod process;
mod problem;
mod names;
mod desk;
mod recent;
pub mod reload;
pub mod running;
pub mod tokens;
mod callers;
mod rates;
mod bounds;
mod letters;
mod reasons;
mod api;
mod health;
mod metrics;
mod watch;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use axum::extract::State;
use axum::routing::get;
use axum::{Extension, Json, Router, middleware};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower_http::csrf::CsrfLayer;

use crate::component::registry::Versions;
use crate::status::snapshot::Snapshot;
use callers::Caller;
use problem::Problem;
use reload::ReloadDesk;
use running::{RunningProjection, RunningProjections};
use tokens::TokensInForce;

pub use api::components::DOWNLOADS_MAX;
pub use api::document as openapi;
pub use api::events::EventFeed;
pub use desk::Desk;
pub use health::LIVE;
pub use recent::RecentPast;
pub use watch::TakenWatch;

/// How many connections each listener has at most. A process may often have no more than 1,024 open files.
const HEALTH_CONNECTIONS_MAX: usize = 128;
const API_CONNECTIONS_MAX: usize = 512;

/// What is shown.
#[derive(Clone)]
pub struct AdminContext {
    /// The `host.id`.
    pub host: Arc<str>,
    pub projections: RunningProjections,
    pub desk: Desk,
    pub feed: EventFeed,
    pub watch: TakenWatch,
    pub recent: RecentPast,
    pub reload: ReloadDesk,
    /// Places for those that download a component.
    pub downloads: Arc<Semaphore>,
    pub metrics: PrometheusHandle,
}

impl AdminContext {
    fn snapshots(&self) -> Vec<Snapshot> {
        self.projections.statuses().iter().map(|status| status.snapshot()).collect()
    }

    fn snapshots_for(&self, caller: &Caller) -> Vec<Snapshot> {
        self.snapshots().into_iter().map(|snapshot| reasons::seen_by(caller, snapshot)).collect()
    }

    fn versions_of(&self, projection: &str) -> Result<Arc<Versions>, Problem> {
        self.running(projection).map(|one| one.versions)
    }

    fn snapshot(&self, projection: &str) -> Result<Snapshot, Problem> {
        self.running(projection).map(|one| one.status.snapshot())
    }

    fn running(&self, projection: &str) -> Result<RunningProjection, Problem> {
        self.projections.find(projection).ok_or_else(|| Problem::no_projection(projection))
    }
}

/// Where it is listened.
pub struct Listeners {
    health: TcpListener,
    api: TcpListener,
}

/// Who may ask the API.
pub struct Access {
    /// The names that it answers to beside the loopback's.
    pub names: Vec<String>,
    pub tokens: TokensInForce,
}

/// Listens, before anything else is started: a port that is taken is a reason not to start.
pub async fn listen(health: SocketAddr, api: SocketAddr) -> anyhow::Result<Listeners> {
    let api = bound("host.admin", api).await?;
    Ok(Listeners { health: bound("host.health", health).await?, api })
}

/// The listener of a setting's address.
pub async fn bound(setting: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listening = TcpListener::bind(address).await;
    listening.with_context(|| format!("cannot listen on `{setting}` {address}; choose another port"))
}

/// Serves until a stop is asked for.
pub async fn serve(
    listeners: Listeners,
    shown: AdminContext,
    access: Access,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let Listeners { health, api } = listeners;
    let (at, mut names) = (api.local_addr()?, access.names);
    tracing::info!("health and metrics on http://{}", health.local_addr()?);
    tracing::info!(tokens = access.tokens.get().count(), "the page and the API on http://{at}");
    if !at.ip().is_unspecified() {
        names.push(at.ip().to_string());
    }
    let asked = routes(shown.clone(), names, access.tokens);
    let feeding = shown.clone();
    let checked = health_routes().with_state(shown);
    tokio::join!(
        connections::serve(health, checked, HEALTH_CONNECTIONS_MAX, stop.clone()),
        connections::serve(api, asked, API_CONNECTIONS_MAX, stop.clone()),
        feeding.feed.run(&feeding, stop.clone()),
        feeding.watch.run(stop.clone()),
        feeding.recent.run(&feeding, stop),
    );
    Ok(())
}

/// What is answered to everybody.
fn health_routes() -> Router<AdminContext> {
    Router::new()
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(metrics::all))
}

/// What `host.admin` answers. Who asks under a foreign name, or from a foreign page, gets no further; nor does who has no
/// token where one is needed; the page needs none, since it holds nothing of its own.
fn routes(shown: AdminContext, names: Vec<String>, tokens: TokensInForce) -> Router {
    let names: Arc<[String]> = names.into();
    let api = Router::new().route("/status", get(status)).route("/dlq/{projection}", get(letters::letters));
    bounds::bound(api, bounds::REQUEST)
        .merge(api::routes())
        .layer(middleware::from_fn_with_state(tokens, callers::identify))
        .merge(health_routes())
        .merge(page::routes())
        .fallback(async || Problem::not_found("there is nothing at this path"))
        .layer(CsrfLayer::new().with_rejection_response(problem::foreign_page))
        .layer(middleware::from_fn_with_state(names, names::guard))
        .with_state(shown)
}

async fn status(
    State(shown): State<AdminContext>,
    Extension(caller): Extension<Caller>,
) -> Json<Vec<Snapshot>> {
    Json(shown.snapshots_for(&caller))
}
