//! A supervisor that holds the lease: it makes everything ready, and starts a run under its epoch.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::acknowledger::Acknowledger;
use super::hold::{HoldCheck, holds_stream};
use super::{Carryover, SETTLE_PATIENCE, START_PATIENCE, Supervisor, monitor, startup};
use crate::component::version::Loaded;
use crate::failure::Failure;
use crate::pipeline::breaker::Breaker;
use crate::pipeline::hot_swap::DesiredVersion;
use crate::pipeline::reader::REST_INTERVAL;
use crate::pipeline::run::{Ports, Run, RunPlan, TaskSet};
use crate::pipeline::suspects::Suspects;
use crate::position::Position;
use crate::readmodel::control::pause;
use crate::readmodel::lane::Lane;
use crate::readmodel::lane::apply::LaneModel;
use crate::readmodel::lane::checkpoint::{self, LaneRow};
use crate::readmodel::mysql::session::{Session, within};
use crate::servers::Servers;
use crate::source::{Anchored, OutboxReader};

/// Makes everything ready, and starts the lanes, then what feeds them.
pub async fn start(
    supervisor: &Supervisor,
    epoch: u64,
    tasks: (&mut TaskSet, &mut TaskSet),
    stop: &CancellationToken,
    carryover: &mut Carryover,
    (until, alone): (Option<Position>, &CancellationToken),
) -> Result<(), Failure> {
    let Supervisor { servers, settings, versions, status, .. } = supervisor;
    let settling = versions.settle(servers, &settings.owner, epoch);
    let loaded = within(SETTLE_PATIENCE, "loading what is deployed", settling).await?;
    let preparing = startup::prepare(servers, settings, &loaded, epoch);
    let (generation, run_plan) = within(START_PATIENCE, "making everything ready", preparing).await?;
    status.starts(&loaded.title(), &loaded.deployed.digest, epoch, &run_plan.rows);
    status.shows(&loaded.component);
    let (full, suspects) = (carryover.full.take(), carryover.suspects.clone());
    // Where the number of lanes changes, that comes first.
    let meets = until.is_some().then_some(alone);
    let run_plan = RunPlan { until: run_plan.until.clone().or(until), ..run_plan };
    Leader { supervisor, epoch, generation, loaded, meets, suspects }.start(tasks, stop, run_plan, full).await
}

struct Leader<'a> {
    supervisor: &'a Supervisor,
    epoch: u64,
    generation: u32,
    /// What the run begins with.
    loaded: Loaded,
    /// Another generation comes to where the lanes end, and is to be told when they do not move.
    meets: Option<&'a CancellationToken>,
    suspects: Arc<Suspects>,
}

impl Leader<'_> {
    async fn start(
        &self,
        (work, beside): (&mut TaskSet, &mut TaskSet),
        stop: &CancellationToken,
        run_plan: RunPlan,
        full: Option<Failure>,
    ) -> Result<(), Failure> {
        let Supervisor { servers, settings, status, feed, .. } = self.supervisor;
        let hold_check = HoldCheck {
            servers: servers.clone(),
            projection: settings.name.clone(),
            generation: self.generation,
            holds_stream: holds_stream(settings, &self.loaded),
            full,
        };
        let mut session = servers.applier.connect().await?;
        let run = Run {
            parts: self,
            decoder: &servers.decoder,
            batch_max: settings.batch_max,
            window: settings.window,
            rest: REST_INTERVAL,
            breaker: Arc::new(self.breaker(&mut session).await?),
            suspects: self.suspects.clone(),
            holds_stream: hold_check.holds_stream,
            status,
            stop,
        };
        let held = hold_check.ask(&mut session).await?;
        if let Some(Failure::Paused { .. }) = &held {
            pause::record_still(&mut session, &servers.control, &settings.name, self.epoch).await?;
        }
        drop(session);
        let lanes = run_plan.rows.iter().map(|row| self.lane(row.lane)).collect();
        let orders = if let Some(held) = held {
            status.pauses(&held, held.to_string());
            if let Some(alone) = self.meets {
                alone.cancel();
                return Ok(());
            }
            let mut feed = feed.clone();
            let released = async move { hold_check.until_it_changes(&mut feed, Some(&held)).await };
            run.start_held(work, run_plan, released).await?
        } else {
            beside.spawn(monitor::watch_pause(hold_check, feed.clone()));
            run.start(work, run_plan).await?
        };
        self.supervisor.orders.replace(orders);
        let acknowledger = Acknowledger::new(servers.clone(), status.clone(), settings.acknowledge, lanes);
        beside.spawn(acknowledger.run());
        let (versions, following) = (self.supervisor.versions.clone(), (servers.clone(), status.clone()));
        let (epoch, run, following_feed) = (self.epoch, stop.clone(), feed.clone());
        beside.spawn(async move {
            versions.follow(&following.0, &following.1, epoch, following_feed).await?;
            // The lanes finish what they have; the next run has other ones.
            run.cancel();
            std::future::pending().await
        });
        let (observed, name) = (servers.clone(), settings.name.clone());
        beside.spawn(monitor::observe(observed, name, status.clone(), feed.clone()));
        Ok(())
    }

    /// The breaker of a run. One that is open for another component is closed: this one may do better. One that an
    /// operator resumed does not open again for the same component.
    async fn breaker(&self, session: &mut Session) -> Result<Breaker, Failure> {
        let Supervisor { servers, settings, .. } = self.supervisor;
        let (control, name, digest) = (&servers.control, &settings.name, &self.loaded.deployed.digest);
        if pause::close_breaker_of_others(session, control, name, self.epoch, digest).await? {
            tracing::info!(projection = name, digest, "another component: the breaker is closed");
        }
        let muted = pause::breaker_is_muted(session, control, name, digest).await?;
        Ok(if muted { Breaker::muted() } else { Breaker::new(settings.letters.breaker) })
    }

    fn lane(&self, lane: u32) -> Lane {
        Lane { projection: self.supervisor.settings.name.clone(), generation: self.generation, lane }
    }
}

impl Ports for Leader<'_> {
    type Source = Anchored<OutboxReader>;
    type Version = Loaded;
    type ReadModel = LaneModel;

    fn source(&self, rows: &[LaneRow]) -> Anchored<OutboxReader> {
        let Servers { outbox, decoder, .. } = &self.supervisor.servers;
        OutboxReader::new(outbox.clone(), decoder.clone()).anchored(checkpoint::anchor(rows))
    }

    fn desired(&self) -> Arc<DesiredVersion<Loaded>> {
        self.supervisor.versions.desired.clone()
    }

    fn read_model(&self, lane: u32) -> LaneModel {
        let Supervisor { servers, settings, .. } = self.supervisor;
        let Servers { applier, control, .. } = servers.clone();
        let schema = self.loaded.deployed.schema.clone();
        LaneModel::new(applier, control, self.lane(lane), self.epoch, schema, settings.window)
            .with_limits(settings.letters.limits)
            .acknowledging(settings.acknowledge)
    }
}
