//! The ports of generations on real servers.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use super::PATIENCE;
use super::background;
use super::completeness;
use super::meeting::BothLanes;
use super::picture::Picture;
use super::ports::GenerationPorts;
use super::shadow_lanes::{GIVEN_UP_PAGE, ShadowLanes};
use crate::failure::Failure;
use crate::position::ClusterTime;
use crate::readmodel::compare::ComparisonReport;
use crate::readmodel::control::command::CommandOutcome;
use crate::readmodel::control::generation::{Generation, GenerationState, Purpose};
use crate::readmodel::cut_over::{self, CutOver, CutOverOutcome};
use crate::readmodel::lane::checkpoint::LaneRow;
use crate::readmodel::lane::dead_letter::GivenUp;
use crate::readmodel::mysql::session::kept::KeptSession;
use crate::readmodel::mysql::session::{Session, within};
use crate::status::Status;
use crate::supervisor::on_servers::OnServers;
use crate::supervisor::settings::Settings;
use crate::supervisor::term::Term;

/// How long reading and compiling a generation's component may take.
const LOAD_PATIENCE: Duration = Duration::from_mins(5);

pub struct GenerationContext {
    pub host: OnServers,
    pub term: Term,
    session: KeptSession,
}

impl Clone for GenerationContext {
    fn clone(&self) -> Self {
        Self::new(self.host.clone(), self.term.clone())
    }
}

impl GenerationContext {
    pub fn new(host: OnServers, term: Term) -> Self {
        Self { host, term, session: KeptSession::default() }
    }

    async fn session(&mut self) -> Result<Session, Failure> {
        self.session.take_or_connect(&self.host.servers.applier).await
    }

    fn keep(&mut self, session: Session) {
        self.session.keep(session);
    }
}

/// Asks the control schema in the kept session, which is kept on if it answers.
macro_rules! ask {
    ($context:ident, $doing:literal, |$db:ident| $asking:expr) => {{
        let mut kept = $context.session().await?;
        let answer = {
            let mut $db = $context.host.db(&mut kept);
            within(PATIENCE, $doing, $asking).await?
        };
        $context.keep(kept);
        Ok(answer)
    }};
}

impl GenerationPorts for GenerationContext {
    type Shadow = ShadowLanes;
    type Picture = Picture;

    fn term(&self) -> &Term {
        &self.term
    }

    fn settings(&self) -> &Settings {
        &self.host.settings
    }

    fn status(&self) -> &Arc<Status> {
        &self.host.status
    }

    fn background(&self) -> Handle {
        background::handle()
    }

    async fn live(&mut self) -> Result<Option<u32>, Failure> {
        let found: Result<_, Failure> = ask!(self, "reading the registration", |db| db.registration());
        Ok(found?.filter(|found| found.lanes > 0).map(|found| found.live_generation))
    }

    async fn list(&mut self) -> Result<Vec<Generation>, Failure> {
        ask!(self, "reading the generations", |db| db.generations())
    }

    async fn rows(&mut self, generation: u32) -> Result<Vec<LaneRow>, Failure> {
        ask!(self, "reading checkpoints", |db| db.lane_rows(generation))
    }

    async fn progress(&mut self, generation: u32) -> Result<(u64, u64), Failure> {
        ask!(self, "reading how far a generation is", |db| db.generation_progress(generation))
    }

    async fn first_new_letter(&mut self, generation: u32, live: u32) -> Result<Option<String>, Failure> {
        ask!(self, "looking for new dead letters", |db| db.first_new_letter(generation, live))
    }

    async fn given_up(&mut self, generation: u32) -> Result<Vec<GivenUp>, Failure> {
        ask!(self, "looking for letters that were given up", |db| db
            .given_up_letters(generation, GIVEN_UP_PAGE))
    }

    async fn untold(&mut self, live: u32) -> Result<Option<String>, Failure> {
        ask!(self, "reading the witness", |db| db.untold(live))
    }

    async fn outbox_lacks(&mut self, live: u32, rows: &[LaneRow]) -> Result<Option<String>, Failure> {
        let mut session = self.session().await?;
        let (servers, name) = (&self.host.servers, self.host.settings.name.as_str());
        let lacks = completeness::outbox_lacks(servers, &mut session, name, live, rows).await?;
        self.keep(session);
        Ok(lacks)
    }

    async fn source_now(&mut self) -> Result<ClusterTime, Failure> {
        self.host.servers.outbox.now().await
    }

    async fn until_wanted(&mut self) {
        self.host.feed.until(|snapshot| snapshot.generations > 0).await;
    }

    async fn advance(
        &mut self,
        generation: &Generation,
        state: GenerationState,
        purpose: Purpose,
        reason: Option<&str>,
    ) -> Result<bool, Failure> {
        let epoch = self.term.epoch;
        ask!(self, "recording a generation's state", |db| db
            .under(epoch)
            .advance_generation(generation, state, purpose, reason))
    }

    async fn record_lacks(
        &mut self,
        generation: &Generation,
        purpose: Purpose,
        lacks: &str,
    ) -> Result<bool, Failure> {
        let epoch = self.term.epoch;
        ask!(self, "recording what a generation lacks", |db| db
            .under(epoch)
            .record_lacks(generation, purpose, lacks))
    }

    async fn record_left(&mut self, generation: u32, seconds: Option<u64>) -> Result<(), Failure> {
        ask!(self, "recording how long a generation will take", |db| db.record_left(generation, seconds))
    }

    async fn explain(&mut self, generation: u32, reason: Option<&str>) -> Result<(), Failure> {
        ask!(self, "recording what a generation waits for", |db| db.explain_generation(generation, reason))
    }

    async fn cut_over(&mut self, live: u32, next: &Generation) -> Result<CutOverOutcome, Failure> {
        let mut session = self.session().await?;
        let OnServers { servers, settings, .. } = &self.host;
        let (control, projection) = (&servers.control, settings.name.as_str());
        let mut db = self.host.db(&mut session);
        let live_tables = db.tables().await?;
        let in_force = db.deployment_in_force().await?;
        let live_digest = in_force.map_or_else(|| next.digest.clone(), |in_force| in_force.digest);
        let change = CutOver {
            applier: &servers.applier,
            ddl: &servers.ddl,
            control,
            projection,
            epoch: self.term.epoch,
            live,
            live_tables: &live_tables,
            live_digest: &live_digest,
            next,
        };
        let outcome = within(PATIENCE, "cutting over", change.run()).await?;
        self.keep(session);
        Ok(outcome)
    }

    async fn drop_tables(&mut self, gone: &Generation) -> Result<(), Failure> {
        let mut ddl = self.host.servers.ddl.connect().await?;
        within(PATIENCE, "dropping a generation", cut_over::drop_place(&mut ddl, &gone.place)).await?;
        let mut session = self.session().await?;
        let mut db = self.host.db(&mut session);
        if let Some(command) = gone.command {
            let why = gone.reason.clone().unwrap_or_else(|| "it was given up".to_owned());
            let (outcome, host) = (CommandOutcome::Failed(why), &self.host.settings.owner);
            Status::counts_ended(&db.finish_command(command, &outcome, host).await?);
        }
        db.under(self.term.epoch).forget_generation(gone.generation).await?;
        self.keep(session);
        Ok(())
    }

    async fn finish(&mut self, command: u64, outcome: &CommandOutcome) -> Result<(), Failure> {
        let ended: Result<_, Failure> = ask!(self, "ending a command", |db| db.finish_command(
            command,
            outcome,
            &self.host.settings.owner
        ));
        Status::counts_ended(&ended?);
        Ok(())
    }

    async fn report_progress(&mut self, command: u64, progress: &str) -> Result<(), Failure> {
        ask!(self, "recording how far a command is", |db| async {
            db.command_goes_on(command).await?;
            db.record_command_progress(command, progress, &self.host.settings.owner).await
        })
    }

    async fn waits(&mut self, command: u64, reason: &str) -> Result<u64, Failure> {
        ask!(self, "recording what a command waits for", |db| db.command_waits(command, reason))
    }

    async fn open(&mut self, generation: &Generation) -> Result<ShadowLanes, Failure> {
        let mut session = self.session().await?;
        let OnServers { servers, versions, .. } = &self.host;
        let getting = versions.get(&mut session, servers, &generation.digest);
        let loaded = within(LOAD_PATIENCE, "loading the generation's component", getting).await?;
        self.keep(session);
        Ok(ShadowLanes::new(self.host.clone(), self.term.clone(), generation.clone(), loaded))
    }

    async fn take_picture(
        &mut self,
        live: u32,
        generation: &Generation,
        lanes: BothLanes<'_>,
    ) -> Result<Picture, Failure> {
        Picture::take(&self.host, live, generation, lanes).await
    }

    async fn compare(
        &mut self,
        picture: Picture,
        generation: &Generation,
    ) -> Result<ComparisonReport, Failure> {
        picture.compare(&self.host, generation).await
    }
}
