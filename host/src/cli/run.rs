//! `laterna run`: the composition root. Puts the parts together, starts them, and waits for a stop.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::compose;
use super::reloader::{InForceSecrets, Reloader};
use crate::admin::reload::ReloadDesk;
use crate::admin::tokens::{Tokens, TokensInForce};
use crate::admin::{self, Access, AdminContext, Desk, EventFeed, RecentPast, TakenWatch};
use crate::component::registry::Versions;
use crate::config::Config;
use crate::operation::commands::Commands;
use crate::operation::watch::FileWatch;
use crate::pipeline::requests::LetterQueues;
use crate::projector::Engine;
use crate::readmodel::control::poller::Poller;
use crate::servers::Servers;
use crate::status::{Status, Traces, measures};
use crate::supervisor::Supervisor;
use crate::supervisor::on_servers::OnServers;
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
    components: BTreeMap<String, crate::component::version::Loaded>,
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
    let mut tasks = JoinSet::new();
    let (mut projections, mut by_name) = (Vec::new(), BTreeMap::new());
    for (name, loaded) in components {
        let status = Arc::new(Status::new(&name).traced(traces.clone()));
        status.shows_counters();
        projections.push(status.clone());
        let budget = config.projection[&name].budget.clone();
        let versions = Arc::new(Versions::new(engine.clone(), budget, loaded));
        by_name.insert(name.clone(), versions.clone());
        let projection = StartedProjection { name, status, versions, stop: stop.clone() };
        projection.start(&config, &servers, &mut tasks);
    }
    // The listeners outlive the projections, so that they can say how those stop.
    let drained = CancellationToken::new();
    let draining = async {
        tasks.join_all().await;
        drained.cancel();
    };
    let (reload, requests) = ReloadDesk::new();
    let windows = config.projection.iter().map(|(name, one)| (name.clone(), one.dedupe_window)).collect();
    let shown = AdminContext {
        host: config.host.id.as_str().into(),
        projections,
        versions: Arc::new(by_name),
        desk: Desk::new(servers.clone()),
        feed: EventFeed::default(),
        watch: TakenWatch::new(servers.clone(), windows),
        recent: RecentPast::default(),
        reload,
        metrics: metrics.clone(),
    };
    let access = Access { names: config.host.admin_names(), tokens: tokens.clone() };
    let Reloads { path, filter } = reloads;
    Reloader::shows_counters();
    let reloader = Reloader { path, config, in_force, servers, tokens, filter, requests };
    let (served, (), (), ()) = tokio::join!(
        admin::serve(listeners, shown, access, drained.clone()),
        draining,
        telemetry::tidy_metrics(metrics, drained.clone()),
        reloader.run(hangups, drained.clone())
    );
    served?;
    if let Some(exported) = exported {
        exported.finish().await;
    }
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// A projection that is to run.
struct StartedProjection {
    name: String,
    status: Arc<Status>,
    versions: Arc<Versions>,
    stop: CancellationToken,
}

impl StartedProjection {
    /// Starts what keeps it up, what carries commands out, and what watches its files.
    fn start(self, config: &Config, servers: &Servers, tasks: &mut JoinSet<()>) {
        let Self { name, status, versions, stop } = self;
        let (orders, configured) = (LetterQueues::default(), &config.projection[&name]);
        let settings = compose::settings(config, &name, configured);
        let (poller, feed) = Poller::new(servers.applier.clone(), servers.control.clone(), &name);
        let upcaster = config.upcaster.iter().map(|upcaster| &upcaster.component);
        for file in upcaster.chain([&configured.component]).filter(|_| config.host.watch) {
            let watch = FileWatch {
                servers: servers.clone(),
                projection: name.clone(),
                file: file.clone(),
                versions: versions.clone(),
                stop: stop.clone(),
            };
            tasks.spawn(watch.run());
        }
        let commands = Commands {
            servers: servers.clone(),
            projection: name,
            versions: versions.clone(),
            settings: settings.letters,
            letter_queues: orders.clone(),
            status: status.clone(),
            feed: feed.clone(),
            stop: stop.clone(),
        };
        let ports = OnServers { servers: servers.clone(), settings, versions, status, feed };
        let supervisor = Supervisor { ports, orders, stop: stop.clone() };
        tasks.spawn(async move {
            // A command that is not done by then stays a row, and is done later.
            tokio::select! {
                () = supervisor.run() => {}
                () = commands.carry_out_all() => {}
                () = poller.run() => {}
            }
        });
    }
}
