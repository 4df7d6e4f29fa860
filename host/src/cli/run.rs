//! `laterna run`: the composition root. Puts the parts together, starts them, and waits for a stop.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::compose::{self, LoadedComponents};
use super::fleet::{Fleet, FleetParts};
use super::reloader::{InForceSecrets, Reloader};
use crate::admin::reload::ReloadDesk;
use crate::admin::tokens::{Tokens, TokensInForce};
use crate::admin::{self, Access, AdminContext, DOWNLOADS_MAX, Desk, EventFeed, RecentPast, TakenWatch};
use crate::config::Config;
use crate::projector::Engine;
use crate::status::{Traces, measures};
use crate::telemetry::{LogFilter, TraceExport};
use crate::{shutdown, telemetry};

pub fn run(config: Config, path: &Path, runtime: &Runtime) -> anyhow::Result<ExitCode> {
    let filter = telemetry::start_logs(config.host.log, &config.host.log_filter)?;
    // Before any server is asked: components are compiled on this thread, which is none of the runtime's.
    let engine = compose::engine(&config)?;
    let components = compose::components(&config, &engine)?;
    let reloads = Reloads { path: path.to_owned(), filter };
    runtime.block_on(serve(config, reloads, engine, components))
}

/// What reading the configuration anew needs from the start.
struct Reloads {
    path: PathBuf,
    filter: LogFilter,
}

async fn serve(
    config: Config,
    reloads: Reloads,
    engine: Engine,
    components: LoadedComponents,
) -> anyhow::Result<ExitCode> {
    let metrics = telemetry::start_metrics(&measures::BUCKETS)?;
    let exported = TraceExport::start(config.host.otlp.as_deref(), &config.host.id)?;
    let traces = exported.as_ref().map(|to| Traces::to(to.tracer(), &config.mongodb.outbox));
    let traces = traces.unwrap_or_default();
    let (stop, hangups) = (shutdown::on_signal()?, shutdown::hangups()?);
    let tokens = TokensInForce::new(Tokens::read(config.host.tokens.as_deref())?);
    let in_force = InForceSecrets::of(&config)?;
    let listeners = admin::listen(config.host.health, config.host.admin).await?;
    let servers = compose::servers(&config)?;
    for advice in compose::advice(&config, &servers) {
        tracing::warn!("{advice}");
    }
    let parts = FleetParts { engine, servers: servers.clone(), traces, stop: stop.clone() };
    let mut fleet = Fleet::new(&config, parts);
    let changes = fleet.changes(&config, components);
    fleet.follow(&config, changes).await;
    // The listeners outlive the projections, so that they can say how those stop.
    let drained = CancellationToken::new();
    let (reload, requests) = ReloadDesk::new();
    let shown = AdminContext {
        host: config.host.id.as_str().into(),
        projections: fleet.shown(),
        desk: Desk::new(servers.clone()),
        feed: EventFeed::default(),
        watch: TakenWatch::new(servers.clone(), fleet.shown()),
        recent: RecentPast::default(),
        reload,
        downloads: Arc::new(Semaphore::new(DOWNLOADS_MAX)),
        metrics: metrics.clone(),
    };
    let access = Access { names: config.host.admin_names(), tokens: tokens.clone() };
    let Reloads { path, filter } = reloads;
    Reloader::shows_counters();
    let reloader =
        Reloader { path, config: Arc::new(config), in_force, servers, tokens, filter, requests, fleet };
    let running = async {
        reloader.run(hangups, stop).await;
        drained.cancel();
    };
    let (served, (), ()) = tokio::join!(
        admin::serve(listeners, shown, access, drained.clone()),
        running,
        telemetry::tidy_metrics(metrics, drained.clone())
    );
    served?;
    if let Some(exported) = exported {
        exported.finish().await;
    }
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}
