//! The real lease, generations and lanes behind the control plane's traits.

use std::sync::Arc;
use std::time::Duration;

use super::generations::context::GenerationContext;
use super::generations::rebuild_after_loss;
use super::hold::{HoldCheck, holds_stream};
use super::live_lanes::LiveLanes;
use super::on_servers::OnServers;
use super::ports::ControlPorts;
use super::settings::Settings;
use super::term::Term;
use super::{LEASE_PATIENCE, START_PATIENCE, startup};
use crate::failure::Failure;
use crate::pipeline::run::RunPlan;
use crate::readmodel::control::lease::Acquired;
use crate::readmodel::lane::writers::{PATIENCE, Writers};
use crate::readmodel::mysql::session::{Session, within};
use crate::status::Status;

/// How long reading, compiling and checking what is deployed may take.
const SETTLE_PATIENCE: Duration = Duration::from_mins(5);

impl ControlPorts for OnServers {
    type Session = Session;
    type Lanes = LiveLanes;
    type Generations = GenerationContext;

    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn status(&self) -> &Arc<Status> {
        &self.status
    }

    async fn make_ready(&self) -> Result<(), Failure> {
        let migrating = async {
            let mut ddl = self.servers.ddl.connect().await?;
            self.servers.control.migrate(&mut ddl).await
        };
        within(START_PATIENCE, "creating the control schema", migrating).await
    }

    async fn acquire(&self, kept: &mut Option<Session>) -> Result<Acquired, Failure> {
        let Settings { owner, lease_ttl, .. } = &self.settings;
        let mut session = self.servers.applier.kept_or_new(kept).await?;
        let mut db = self.db(&mut session);
        let acquired = db.acquire_lease(&self.servers.ddl, owner, *lease_ttl).await?;
        if let Acquired::Mine { epoch } = acquired {
            // Earlier epochs commit nothing any more, and no lane of this one begins while a pause stands.
            db.under(epoch).record_still().await?;
        }
        *kept = Some(session);
        Ok(acquired)
    }

    async fn renew(&self, kept: &mut Option<Session>, epoch: u64) -> Result<(), Failure> {
        let mut session = self.servers.applier.kept_or_new(kept).await?;
        self.db(&mut session).under(epoch).renew_lease(self.settings.lease_ttl).await?;
        *kept = Some(session);
        Ok(())
    }

    async fn release(&self, epoch: u64) -> Result<(), Failure> {
        let mut session = self.servers.applier.connect().await?;
        self.db(&mut session).under(epoch).release_lease().await
    }

    async fn open_breaker(&self, epoch: u64, digest: &str, reason: &str) -> Result<(), Failure> {
        let mut session = self.servers.applier.connect().await?;
        self.db(&mut session).under(epoch).open_breaker(digest, reason).await
    }

    /// A failure of privileges with all that the accounts lack, and not only what was met first.
    async fn explain(&self, failure: Failure) -> Failure {
        let loaded = self.versions.desired.get().current;
        let explaining =
            startup::readiness::explained(&self.servers, &self.settings.name, &loaded, failure.clone());
        tokio::time::timeout(LEASE_PATIENCE, explaining).await.unwrap_or(failure)
    }

    fn generations(&self, term: &Term) -> GenerationContext {
        GenerationContext::new(self.clone(), term.clone())
    }

    async fn prepare(&self, term: &Term, full: Option<Failure>) -> Result<(LiveLanes, RunPlan), Failure> {
        let Self { servers, settings, versions, .. } = self;
        let settling = versions.settle(servers, &settings.owner, term.epoch);
        let loaded = within(SETTLE_PATIENCE, "loading what is deployed", settling).await?;
        let preparing = startup::prepare(servers, settings, &loaded, term.epoch);
        let (generation, run_plan) = within(START_PATIENCE, "making everything ready", preparing).await?;
        let hold_check = HoldCheck {
            servers: servers.clone(),
            projection: settings.name.clone(),
            generation,
            holds_stream: holds_stream(settings, &loaded),
            full,
        };
        let host = self.clone();
        let numbers: Vec<u32> = run_plan.rows.iter().map(|row| row.lane).collect();
        let writers =
            Writers::new(u32::try_from(numbers.len()).unwrap_or(u32::MAX), host.settings.batch_max, PATIENCE);
        let lanes = LiveLanes { host, epoch: term.epoch, generation, numbers, loaded, hold_check, writers };
        Ok((lanes, run_plan))
    }

    async fn begin_rebuild(&self, term: &Term, lost: &Failure) -> Result<(), Failure> {
        rebuild_after_loss::begin(self, term.epoch, lost).await
    }
}
