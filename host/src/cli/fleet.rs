//! The projections that this host runs: each is begun, ended, and begun anew by itself, and the others go on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::join_all;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::compose::{self, LoadedComponents};
use crate::admin::running::{RunningProjection, RunningProjections};
use crate::component::registry::Versions;
use crate::component::version::Loaded;
use crate::config::Config;
use crate::operation::commands::Commands;
use crate::operation::watch::FileWatch;
use crate::pipeline::requests::LetterQueues;
use crate::pipeline::room::RoomPart;
use crate::projector::{Budget, Engine};
use crate::readmodel::control::poller::Poller;
use crate::servers::Servers;
use crate::status::{Status, Traces};
use crate::supervisor::Supervisor;
use crate::supervisor::on_servers::OnServers;
use crate::supervisor::settings::Settings;

/// All projections of this host.
pub struct Fleet {
    pub engine: Engine,
    servers: Servers,
    traces: Traces,
    /// Ends all of them.
    stop: CancellationToken,
    room: RoomPart,
    shown: RunningProjections,
    begun: BTreeMap<String, Begun>,
    /// Each gives the name of its projection when that has ended.
    tasks: JoinSet<String>,
}

/// What a fleet works with.
pub struct FleetParts {
    pub engine: Engine,
    pub servers: Servers,
    pub traces: Traces,
    pub stop: CancellationToken,
}

/// A projection that was begun.
struct Begun {
    plan: ProjectionPlan,
    stop: CancellationToken,
}

/// All that a projection is begun with: where any of it differs, it is begun anew.
#[derive(PartialEq)]
struct ProjectionPlan {
    settings: Settings,
    budget: Budget,
    /// The digests of the components that the configuration names.
    component: String,
    upcaster: Option<String>,
    /// The files that are watched.
    watched: Vec<PathBuf>,
    statement_seconds: u32,
}

/// What is to be done so that a fleet is as a configuration says.
pub struct FleetChanges {
    ended: BTreeSet<String>,
    begun: BTreeMap<String, (ProjectionPlan, Loaded)>,
}

impl Fleet {
    pub fn new(config: &Config, FleetParts { engine, servers, traces, stop }: FleetParts) -> Self {
        let (room, tasks) = (compose::room(config), JoinSet::new());
        let (shown, begun) = (RunningProjections::default(), BTreeMap::new());
        Self { engine, servers, traces, stop, room, shown, begun, tasks }
    }

    /// What runs now, for those who show it.
    pub fn shown(&self) -> RunningProjections {
        self.shown.clone()
    }

    /// What is to be done for a configuration and its components.
    pub fn changes(&self, config: &Config, loaded: LoadedComponents) -> FleetChanges {
        let mut begun = BTreeMap::new();
        for (name, loaded) in loaded {
            let plan = ProjectionPlan::of(config, &name, &loaded, &self.room);
            if self.begun.get(&name).is_none_or(|now| now.plan != plan) {
                begun.insert(name, (plan, loaded));
            }
        }
        let is_over = |name: &&String| begun.contains_key(*name) || !config.projection.contains_key(*name);
        let ended = self.begun.keys().filter(is_over).cloned().collect();
        FleetChanges { ended, begun }
    }

    /// The settings that differ, with those that come or go as a whole, and the files that hold something else than before.
    pub fn told(&self, changes: &FleetChanges, differing: Vec<String>) -> Vec<String> {
        let FleetChanges { ended, begun } = changes;
        let added: Vec<&String> = begun.keys().filter(|name| !ended.contains(*name)).collect();
        let removed: Vec<&String> = ended.iter().filter(|name| !begun.contains_key(*name)).collect();
        let is_of = |path: &str, name: &str| {
            path.strip_prefix("projection.")
                .and_then(|rest| rest.strip_prefix(name))
                .is_some_and(|rest| rest.starts_with('.'))
        };
        let mut told = differing;
        told.retain(|path| !added.iter().chain(&removed).any(|name| is_of(path, name)));
        told.extend(added.iter().map(|name| format!("projection.{name} (begun)")));
        told.extend(removed.iter().map(|name| format!("projection.{name} (ended)")));
        for (name, (plan, _)) in begun {
            let Some(Begun { plan: before, .. }) = self.begun.get(name) else { continue };
            let component = format!("projection.{name}.component");
            if plan.component != before.component && !told.contains(&component) {
                told.push(format!("{component} (another one in its file)"));
            }
            let upcaster = "upcaster.component".to_owned();
            let with = format!("{upcaster} (another one in its file)");
            if plan.upcaster != before.upcaster && !told.contains(&upcaster) && !told.contains(&with) {
                told.push(with);
            }
        }
        told
    }

    /// Ends and begins what is to be; each that is begun anew waits for its own end only. Where this is dropped, what has begun to
    /// end does so, and [`Fleet::ended`] waits for it.
    pub async fn follow(&mut self, config: &Config, changes: FleetChanges) {
        let FleetChanges { mut ended, mut begun } = changes;
        for name in &ended {
            if let Some(one) = self.begun.get(name) {
                one.stop.cancel();
            }
        }
        if self.room.change(config.host.memory_bytes, config.projection.len()) {
            self.shown.statuses().iter().for_each(|status| status.has_room(self.room.bytes()));
        }
        let fresh: Vec<String> = begun.keys().filter(|name| !ended.contains(*name)).cloned().collect();
        for name in fresh {
            if let Some((plan, loaded)) = begun.remove(&name) {
                self.begin(plan, loaded);
            }
        }
        while !ended.is_empty() {
            let Some(name) = self.next_end().await else { return };
            if !ended.remove(&name) {
                continue;
            }
            match begun.remove(&name) {
                Some((plan, loaded)) => self.begin(plan, loaded),
                None => self.shown.take_away(&name),
            }
        }
    }

    /// Waits until all have ended.
    pub async fn ended(&mut self) {
        while self.next_end().await.is_some() {}
    }

    /// The name of the next one that ends; none where none runs. One that ends abnormally ends the host, as it is its bug.
    async fn next_end(&mut self) -> Option<String> {
        let name = match self.tasks.join_next().await? {
            Ok(name) => name,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => return None,
            },
        };
        self.begun.remove(&name);
        Some(name)
    }

    /// Begins what keeps a projection up, what carries commands out, and what watches its files.
    fn begin(&mut self, plan: ProjectionPlan, loaded: Loaded) {
        let (servers, settings) = (&self.servers, plan.settings.clone());
        let (name, stop) = (settings.name.clone(), self.stop.child_token());
        let status = Arc::new(Status::new(&name).traced(self.traces.clone()));
        status.shows_counters();
        let versions = Arc::new(Versions::new(self.engine.clone(), plan.budget.clone(), loaded));
        self.shown.put(RunningProjection {
            status: status.clone(),
            versions: versions.clone(),
            window: settings.window,
        });
        let letter_queues = LetterQueues::default();
        let (poller, feed) = Poller::new(servers.applier.clone(), servers.control.clone(), &name);
        let watch = |file: &PathBuf| FileWatch {
            servers: servers.clone(),
            projection: name.clone(),
            owner: settings.owner.clone(),
            file: file.clone(),
            versions: versions.clone(),
            stop: stop.clone(),
        };
        let watches: Vec<FileWatch> = plan.watched.iter().map(watch).collect();
        let commands = Commands {
            servers: servers.clone(),
            settings: settings.clone(),
            versions: versions.clone(),
            letter_queues: letter_queues.clone(),
            status: status.clone(),
            feed: feed.clone(),
            stop: stop.clone(),
        };
        let ports = OnServers { servers: servers.clone(), settings, versions, status, feed };
        let supervisor = Supervisor { ports, letter_queues, stop: stop.clone() };
        let ended = name.clone();
        self.tasks.spawn(async move {
            let working = async {
                // A command that is not done by then stays a row, and is done later.
                tokio::select! {
                    () = supervisor.run() => {}
                    () = commands.carry_out_all() => {}
                    () = poller.run() => {}
                }
            };
            tokio::join!(working, join_all(watches.into_iter().map(FileWatch::run)));
            ended
        });
        self.begun.insert(name, Begun { plan, stop });
    }
}

impl ProjectionPlan {
    fn of(config: &Config, name: &str, loaded: &Loaded, room: &RoomPart) -> Self {
        let configured = &config.projection[name];
        let upcaster = config.upcaster.iter().map(|upcaster| &upcaster.component);
        let watched = upcaster.chain([&configured.component]).filter(|_| config.host.watch).cloned();
        Self {
            settings: compose::settings(config, name, configured, room),
            budget: configured.budget.clone(),
            component: loaded.component.digest().to_owned(),
            upcaster: loaded.upcaster.as_ref().map(|upcaster| upcaster.component.digest().to_owned()),
            watched: watched.collect(),
            statement_seconds: config.mysql.statement_seconds,
        }
    }
}
