//! The lanes of a generation beside the live one on real servers: its schema, its tables and its component.

use std::sync::Arc;

use super::filtered_source::FilteredSource;
use super::ports::ShadowPorts;
use super::rebuild_after_loss;
use crate::component::version::Loaded;
use crate::failure::Failure;
use crate::pipeline::hot_swap::DesiredVersion;
use crate::pipeline::run::{Ports, RunPlan};
use crate::position::Position;
use crate::readmodel::control::generation::Generation;
use crate::readmodel::lane::Lane;
use crate::readmodel::lane::apply::LaneModel;
use crate::readmodel::lane::checkpoint::{self, LaneRow};
use crate::readmodel::lane::dead_letter::GivenUp;
use crate::readmodel::lane::time_share::TimeShare;
use crate::readmodel::mysql::session::Session;
use crate::readmodel::{cut_over, tables};
use crate::servers::Servers;
use crate::source::{Anchored, Decoder, OutboxReader};
use crate::status::Status;
use crate::supervisor::hold::holds_stream;
use crate::supervisor::on_servers::OnServers;
use crate::supervisor::startup;
use crate::supervisor::term::Term;

/// How many letters are given up at a time.
pub const GIVEN_UP_PAGE: u32 = 100;

pub struct ShadowLanes {
    host: OnServers,
    term: Term,
    /// The same servers; the accounts work in the generation's place.
    servers: Servers,
    generation: Generation,
    loaded: Loaded,
    desired: Arc<DesiredVersion<Loaded>>,
    share: TimeShare,
}

impl ShadowLanes {
    pub fn new(host: OnServers, term: Term, generation: Generation, loaded: Loaded) -> Self {
        let mut servers = host.servers.clone();
        servers.applier = servers.applier.in_database(&generation.place);
        servers.ddl = servers.ddl.in_database(&generation.place);
        let desired = Arc::new(DesiredVersion::new(loaded.clone()));
        let share = TimeShare::of(host.settings.rebuild_percent);
        Self { host, term, servers, generation, loaded, desired, share }
    }

    /// Gives letters up as a shadow run does, where no lane can run as long as they are there.
    async fn give_up_alone(&self, session: &mut Session) -> Result<(), Failure> {
        let (control, name) = (&self.servers.control, self.host.settings.name.as_str());
        let number = self.generation.generation;
        loop {
            let found = control.of(session, name).given_up_letters(number, GIVEN_UP_PAGE).await?;
            if found.is_empty() {
                return Ok(());
            }
            let mut lane = self.read_model(0);
            lane.load().await?;
            for GivenUp { letter, who, why } in &found {
                lane.discard_letter(letter, who, why).await?;
            }
        }
    }

    /// The tables, empty, and the lanes at the beginning of history.
    async fn begin(&self, session: &mut Session) -> Result<(), Failure> {
        let OnServers { servers, settings, .. } = &self.host;
        let (control, name) = (&servers.control, settings.name.as_str());
        let schema = &self.loaded.deployed.schema;
        let mut db = control.of(session, name);
        let found = db.registration().await?;
        let gone = || startup::not_registered(name);
        let found = found.ok_or_else(gone)?;
        let identity = startup::same_source(name, &found, servers.outbox.identify().await?)?;
        rebuild_after_loss::is_possible(servers, settings, &self.loaded, &identity).await?;
        db.tables_are_not_anothers(schema).await?;
        db.constraints_are_free(schema).await?;
        let mut ddl = servers.ddl.connect().await?;
        // What is compared with the live tables, row for row, compares texts as they do.
        let order = if self.generation.purpose.is_compared() {
            tables::text_order_of(&mut ddl, servers.applier.database(), schema).await?
        } else {
            ddl.text_order()
        };
        cut_over::make_place(&mut ddl, servers.applier.database(), &self.generation.place).await?;
        cut_over::mark_place(&mut ddl, &self.generation.place).await?;
        let mut ddl = self.servers.ddl.connect().await?;
        control.of(&mut ddl, name).create_missing_tables(schema, order).await?;
        let start = servers.outbox.current_token().await?;
        let position = Position::Scan { start, key: None, beside: 0 };
        let (number, lanes) = (self.generation.generation, startup::lanes(settings, &self.loaded));
        let mut there = self.servers.applier.connect().await?;
        let mut db = control.of(&mut there, name);
        db.under(self.term.epoch).replace_lanes(number, lanes, &position).await
    }
}

impl ShadowPorts for ShadowLanes {
    fn generation(&self) -> &Generation {
        &self.generation
    }

    fn takes_share(&self, percent: u32) {
        self.share.set(percent);
    }

    async fn prepare(&self, until: Option<Position>) -> Result<RunPlan, Failure> {
        let (control, settings, epoch) = (&self.servers.control, &self.host.settings, self.term.epoch);
        let number = self.generation.generation;
        let mut session = self.host.servers.applier.connect().await?;
        if control.of(&mut session, &settings.name).lane_rows(number).await?.is_empty() {
            self.begin(&mut session).await?;
        }
        let mut session = self.servers.applier.connect().await?;
        let mut db = control.of(&mut session, &settings.name);
        db.under(epoch).demand_witness(&self.servers.ddl, number).await?;
        let schema = &self.loaded.deployed.schema;
        tables::prepare(&mut session, schema).await?;
        let mut db = control.of(&mut session, &settings.name);
        db.under(epoch).recount_letters(number).await?;
        let mut letters = db.letters_used(number).await?.letters;
        if letters > 0 && holds_stream(settings, &self.loaded) {
            self.give_up_alone(&mut session).await?;
            letters = control.of(&mut session, &settings.name).letters_used(number).await?.letters;
        }
        if letters > 0 && holds_stream(settings, &self.loaded) {
            return Err(Failure::misconfigured(
                format!(
                    "{letters} dead letter(s) of the generation hold back all that comes behind them (`hold = \"stream\"`)"
                ),
                "deploy a component that takes these events, or discard them in the live generation first",
            ));
        }
        let rows = control.of(&mut session, &settings.name).lane_rows(number).await?;
        startup::not_from_the_future(&self.servers, &rows).await?;
        let (servers, loaded) = (&self.servers, &self.loaded);
        let run_plan =
            startup::run_plan(servers, settings, loaded, epoch, number, rows, &mut session).await?;
        Ok(RunPlan { until: run_plan.until.or(until), ..run_plan })
    }
}

impl Ports for ShadowLanes {
    type Source = FilteredSource<Anchored<OutboxReader>>;
    type Version = Loaded;
    type ReadModel = LaneModel;

    fn source(&self, rows: &[LaneRow]) -> FilteredSource<Anchored<OutboxReader>> {
        let Servers { outbox, decoder, .. } = &self.servers;
        let reader = OutboxReader::new(outbox.clone(), decoder.clone()).anchored(checkpoint::anchor(rows));
        FilteredSource::new(reader, self.generation.part.clone())
    }

    fn desired(&self) -> Arc<DesiredVersion<Loaded>> {
        self.desired.clone()
    }

    fn read_model(&self, lane: u32) -> LaneModel {
        let settings = &self.host.settings;
        let Servers { applier, control, .. } = self.servers.clone();
        let lane = Lane { projection: settings.name.clone(), generation: self.generation.generation, lane };
        LaneModel::new(applier, control, lane, self.term.epoch, settings.window)
            .with_limits(settings.letters.limits)
            // Nobody is told of what it applied before it is live; until then its marks stay.
            .acknowledging(settings.acknowledge)
            .with_share(self.share.clone())
    }

    fn decoder(&self) -> &Decoder {
        &self.servers.decoder
    }

    fn holds_stream(&self) -> bool {
        holds_stream(&self.host.settings, &self.loaded)
    }

    fn report(&self, status: &Status, run_plan: &RunPlan) {
        let manifest = &self.loaded.deployed.manifest;
        let component = format!("{} {}", manifest.name, manifest.version);
        status.starts(&component, self.loaded.digest(), self.term.epoch, &run_plan.rows);
    }
}
