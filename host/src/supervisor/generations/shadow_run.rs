//! One generation beside the live one: its tables, its lanes and its component, run as those of the live one are.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::context::GenerationContext;
use super::filtered_source::FilteredSource;
use crate::component::version::Loaded;
use crate::failure::Failure;
use crate::pipeline::breaker::Breaker;
use crate::pipeline::hot_swap::DesiredVersion;
use crate::pipeline::reader::ADVANCE_INTERVAL;
use crate::pipeline::requests::{self, LetterAction, LetterQueues};
use crate::pipeline::run::{Ports, Run, RunPlan, TaskSet, finished};
use crate::position::Position;
use crate::readmodel::control::generation::Generation;
use crate::readmodel::control::{constraint, ownership, registration};
use crate::readmodel::lane::apply::LaneModel;
use crate::readmodel::lane::checkpoint::{self, LaneRow};
use crate::readmodel::lane::dead_letter::{self, GivenUp};
use crate::readmodel::lane::{Lane, volume, witness};
use crate::readmodel::mysql::session::{Session, within};
use crate::readmodel::{cut_over, tables};
use crate::servers::Servers;
use crate::source::{Anchored, OutboxReader};
use crate::status::Status;
use crate::supervisor::hold::holds_stream;
use crate::supervisor::{refill, startup};

/// How long making its schema, tables and lanes may take.
const START_PATIENCE: Duration = Duration::from_secs(75);

/// How long reading and compiling its component may take.
const LOAD_PATIENCE: Duration = Duration::from_mins(5);

/// How many letters are given up at a time.
const GIVEN_UP_PAGE: u32 = 100;

pub struct ShadowRun {
    context: GenerationContext,
    /// The same servers; the accounts work in the generation's place.
    servers: Servers,
    pub generation: Generation,
    loaded: Loaded,
    desired: Arc<DesiredVersion<Loaded>>,
    pub status: Arc<Status>,
    orders: LetterQueues,
}

impl ShadowRun {
    /// Loads its component. Nothing runs yet.
    pub async fn open(context: &GenerationContext, generation: Generation) -> Result<Self, Failure> {
        let mut session = context.servers.applier.connect().await?;
        let getting = context.versions.get(&mut session, &context.servers, &generation.digest);
        let loaded = within(LOAD_PATIENCE, "loading the generation's component", getting).await?;
        let mut servers = context.servers.clone();
        servers.applier = servers.applier.in_database(&generation.place);
        servers.ddl = servers.ddl.in_database(&generation.place);
        let name = format!("{}@{}", context.settings.name, generation.generation);
        Ok(Self {
            context: context.clone(),
            servers,
            desired: Arc::new(DesiredVersion::new(loaded.clone())),
            status: Arc::new(Status::new(&name)),
            orders: LetterQueues::default(),
            loaded,
            generation,
        })
    }

    /// Fills the tables up to a position, or for ever.
    pub async fn run(&self, until: Option<Position>) -> Result<(), Failure> {
        loop {
            let run_plan =
                within(START_PATIENCE, "making the generation ready", self.prepare(until.clone())).await?;
            let changes_lanes = run_plan.until != until;
            self.run_lanes(run_plan).await?;
            if !changes_lanes {
                return Ok(());
            }
        }
    }

    async fn run_lanes(&self, run_plan: RunPlan) -> Result<(), Failure> {
        let settings = &self.context.settings;
        let manifest = &self.loaded.deployed.manifest;
        let component = format!("{} {}", manifest.name, manifest.version);
        self.status.starts(&component, self.loaded.digest(), self.context.epoch, &run_plan.rows);
        let (mut work, stop) = (TaskSet::new(), CancellationToken::new());
        let run = Run {
            parts: self,
            decoder: &self.servers.decoder,
            batch_max: settings.batch_max,
            window: settings.window,
            // Whether it has caught up is judged by its checkpoints.
            rest: ADVANCE_INTERVAL,
            // Whether its letters are too many is judged at the end.
            breaker: Arc::new(Breaker::off()),
            suspects: Arc::default(),
            holds_stream: holds_stream(settings, &self.loaded),
            status: &self.status,
            stop: &stop,
        };
        self.orders.replace(run.start(&mut work, run_plan).await?);
        let ended = async {
            while let Some(joined) = work.join_next().await {
                finished(joined)?;
            }
            Ok(())
        };
        let ended = ended.await;
        self.orders.replace(vec![]);
        ended
    }

    /// Gives letters up whose events were given up in the live generation meanwhile, and lets follow what they held back.
    /// Whether there was any.
    pub async fn give_up(&self, session: &mut Session) -> Result<bool, Failure> {
        let (control, name) = (&self.servers.control, self.context.settings.name.as_str());
        let number = self.generation.generation;
        let found = dead_letter::given_up(session, control, name, number, GIVEN_UP_PAGE).await?;
        let lanes = self.orders.lanes();
        // Until the lanes run, there is nobody to give the orders to.
        for GivenUp { letter, who, why } in found.iter().filter(|_| !lanes.is_empty()) {
            requests::give(
                &lanes,
                letter.clone(),
                LetterAction::Discard { who: who.clone(), why: why.clone() },
                None,
            )
            .await?;
        }
        Ok(!found.is_empty())
    }

    /// Makes schema, tables and lanes where there are none yet, and says where the lanes stand.
    async fn prepare(&self, until: Option<Position>) -> Result<RunPlan, Failure> {
        let (control, settings, epoch) = (&self.servers.control, &self.context.settings, self.context.epoch);
        let number = self.generation.generation;
        let mut session = self.context.servers.applier.connect().await?;
        if checkpoint::rows(&mut session, control, &settings.name, number).await?.is_empty() {
            self.begin(&mut session).await?;
        }
        let mut session = self.servers.applier.connect().await?;
        let (ddl, lease) = (&self.servers.ddl, (settings.name.as_str(), epoch));
        witness::demand(&mut session, ddl, control, lease, number).await?;
        let schema = &self.loaded.deployed.schema;
        tables::prepare(&mut session, schema).await?;
        volume::recount(&mut session, control, &settings.name, number, epoch).await?;
        let mut letters =
            volume::used(&mut session.connection, control, &settings.name, number).await?.letters;
        if letters > 0 && holds_stream(settings, &self.loaded) {
            self.give_up_alone(&mut session).await?;
            letters = volume::used(&mut session.connection, control, &settings.name, number).await?.letters;
        }
        if letters > 0 && holds_stream(settings, &self.loaded) {
            return Err(Failure::misconfigured(
                format!(
                    "{letters} dead letter(s) of the generation hold back all that comes behind them (`hold = \"stream\"`)"
                ),
                "deploy a component that takes these events, or discard them in the live generation first",
            ));
        }
        let rows = checkpoint::rows(&mut session, control, &settings.name, number).await?;
        startup::not_from_the_future(&self.servers, &rows).await?;
        let parts = (&self.servers, settings, &self.loaded);
        let run_plan = startup::run_plan(parts, epoch, number, rows, &mut session).await?;
        Ok(RunPlan { until: run_plan.until.or(until), ..run_plan })
    }

    /// Gives letters up as [`ShadowRun::give_up`] does, where no lane can run as long as they are there.
    async fn give_up_alone(&self, session: &mut Session) -> Result<(), Failure> {
        let (control, name) = (&self.servers.control, self.context.settings.name.as_str());
        let number = self.generation.generation;
        loop {
            let found = dead_letter::given_up(session, control, name, number, GIVEN_UP_PAGE).await?;
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
        let GenerationContext { servers, settings, epoch, .. } = &self.context;
        let (control, name) = (&servers.control, settings.name.as_str());
        if !settings.from_history {
            return Err(Failure::misconfigured(
                format!("`{name}` began with `start = \"now\"`, so its tables are not made from history"),
                "configure a projection of another name, with other tables, that begins with `start = \"history\"`",
            ));
        }
        let schema = &self.loaded.deployed.schema;
        let found = registration::find(session, control, name).await?;
        let gone = || startup::not_registered(name);
        let found = found.ok_or_else(gone)?;
        let identity = startup::same_source(name, &found, servers.outbox.identify().await?)?;
        refill::is_possible(servers, &self.loaded, &identity).await?;
        ownership::not_anothers(session, control, name, schema).await?;
        constraint::are_free(session, control, name, schema).await?;
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
        tables::create_missing(&mut ddl, control, name, schema, order).await?;
        let start = servers.outbox.current_token().await?;
        let position = Position::Scan { start, key: None, beside: 0 };
        let (number, lanes) = (self.generation.generation, startup::lanes(settings, &self.loaded));
        let mut there = self.servers.applier.connect().await?;
        checkpoint::replace(&mut there, control, name, number, *epoch, lanes, &position).await
    }
}

impl Drop for ShadowRun {
    fn drop(&mut self) {
        self.status.gives_up_component();
    }
}

impl Ports for ShadowRun {
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
        let GenerationContext { settings, epoch, .. } = &self.context;
        let Servers { applier, control, .. } = self.servers.clone();
        let lane = Lane { projection: settings.name.clone(), generation: self.generation.generation, lane };
        let schema = self.loaded.deployed.schema.clone();
        LaneModel::new(applier, control, lane, *epoch, schema, settings.window)
            .with_limits(settings.letters.limits)
            // Nobody is told of what it applied before it is live; until then its marks stay.
            .acknowledging(settings.acknowledge)
            .with_share(settings.rebuild_percent)
    }
}
