//! The live lanes of a run on real servers, and what goes on beside them.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::acknowledger::Acknowledger;
use super::hold::HoldCheck;
use super::monitor;
use super::on_servers::OnServers;
use super::ports::LanePorts;
use crate::component::version::Loaded;
use crate::failure::Failure;
use crate::pipeline::breaker::Breaker;
use crate::pipeline::hot_swap::DesiredVersion;
use crate::pipeline::ports::Task;
use crate::pipeline::run::{Ports, RunPlan, TaskSet};
use crate::readmodel::lane::Lane;
use crate::readmodel::lane::apply::LaneModel;
use crate::readmodel::lane::checkpoint::{self, LaneRow};
use crate::readmodel::lane::writers::Writers;
use crate::readmodel::mysql::session::Session;
use crate::servers::Servers;
use crate::source::{Anchored, Decoder, OutboxReader};
use crate::status::Status;

pub struct LiveLanes {
    pub host: OnServers,
    pub epoch: u64,
    pub generation: u32,
    /// The lanes' numbers.
    pub numbers: Vec<u32>,
    /// What the run begins with.
    pub loaded: Loaded,
    pub hold_check: HoldCheck,
    /// The lanes' turns at MySQL.
    pub writers: Arc<Writers>,
}

impl LiveLanes {
    /// The breaker of a run. One that is open for another component is closed: this one may do better. One that an
    /// operator resumed does not open again for the same component.
    async fn breaker(&self, session: &mut Session) -> Result<Breaker, Failure> {
        let OnServers { servers, settings, .. } = &self.host;
        let (control, name, digest) = (&servers.control, &settings.name, &self.loaded.deployed.digest);
        let mut db = control.of(session, name);
        if db.under(self.epoch).close_breaker_of_others(digest).await? {
            tracing::info!(projection = name, digest, "another component: the breaker is closed");
        }
        let muted = db.breaker_is_muted(digest).await?;
        Ok(if muted { Breaker::muted() } else { Breaker::new(settings.letters.breaker) })
    }

    fn lane(&self, lane: u32) -> Lane {
        Lane { projection: self.host.settings.name.clone(), generation: self.generation, lane }
    }
}

impl LanePorts for LiveLanes {
    async fn opening(&self) -> Result<(Breaker, Option<Failure>), Failure> {
        let OnServers { servers, settings, status, .. } = &self.host;
        let mut session = servers.applier.connect().await?;
        status.writes_to(session.is_mariadb());
        let breaker = self.breaker(&mut session).await?;
        let held = self.hold_check.ask(&mut session).await?;
        if let Some(Failure::Paused { .. }) = &held {
            servers.control.of(&mut session, &settings.name).under(self.epoch).record_still().await?;
        }
        Ok((breaker, held))
    }

    fn released(&self, held: Failure) -> impl Task<()> + 'static {
        let (hold_check, mut feed) = (self.hold_check.clone(), self.host.feed.clone());
        async move { hold_check.until_it_changes(&mut feed, Some(&held)).await }
    }

    fn start_beside(&self, beside: &mut TaskSet, run: &CancellationToken, takes_events: bool) {
        let OnServers { servers, settings, versions, status, feed, .. } = self.host.clone();
        if takes_events {
            beside.spawn(monitor::watch_pause(self.hold_check.clone(), feed.clone()));
        }
        let lanes = self.numbers.iter().map(|lane| self.lane(*lane)).collect();
        beside.spawn(Acknowledger::new(servers.clone(), status.clone(), settings.acknowledge, lanes).run());
        beside.spawn(monitor::observe(servers.clone(), settings.name, status.clone(), feed.clone()));
        let (epoch, run) = (self.epoch, run.clone());
        beside.spawn(async move {
            versions.follow(&servers, &status, epoch, feed).await?;
            // The lanes finish what they have; the next run has other ones.
            run.cancel();
            std::future::pending().await
        });
    }
}

impl Ports for LiveLanes {
    type Source = Anchored<OutboxReader>;
    type Version = Loaded;
    type ReadModel = LaneModel;

    fn source(&self, rows: &[LaneRow]) -> Anchored<OutboxReader> {
        let Servers { outbox, decoder, shared, .. } = &self.host.servers;
        let reader = OutboxReader::new(outbox.clone(), decoder.clone()).sharing(shared);
        reader.anchored(checkpoint::anchor(rows))
    }

    fn desired(&self) -> Arc<DesiredVersion<Loaded>> {
        self.host.versions.desired.clone()
    }

    fn read_model(&self, lane: u32) -> LaneModel {
        let OnServers { servers, settings, .. } = &self.host;
        let Servers { applier, control, .. } = servers.clone();
        LaneModel::new(applier, control, self.lane(lane), self.epoch, settings.window)
            .with_limits(settings.letters.limits)
            .acknowledging(settings.acknowledge)
            .taking_turns(&self.writers)
    }

    fn writers(&self) -> Option<Arc<Writers>> {
        Some(self.writers.clone())
    }

    fn decoder(&self) -> &Decoder {
        &self.host.servers.decoder
    }

    fn holds_stream(&self) -> bool {
        self.hold_check.holds_stream
    }

    fn report(&self, status: &Status, run_plan: &RunPlan) {
        let loaded = &self.loaded;
        status.starts(&loaded.title(), &loaded.deployed.digest, self.epoch, &run_plan.rows);
        status.shows(&loaded.component);
    }
}
