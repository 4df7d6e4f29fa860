//! A simulated host: the real supervisor and the real run, on a made-up MySQL and MongoDB.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::generations::SimulatedGenerations;
use super::outbox::{OutboxModel, decoder};
use super::projector::{SimulatedVersion, deployed};
use super::read_model::{Rules, SimulatedReadModel};
use super::source::{SimulatedSource, SourceTrouble};
use super::steps::{Life, Steps};
use super::store::{LEASE, Store};
use crate::failure::Failure;
use crate::pipeline::breaker::{Breaker, BreakerSettings};
use crate::pipeline::hot_swap::{Canary, Desired, DesiredVersion};
use crate::pipeline::ports::Task;
use crate::pipeline::requests::LetterQueues;
use crate::pipeline::room::{QUEUED_BYTES_MAX, RoomPart};
use crate::pipeline::run::{Ports, RunPlan, TaskSet};
use crate::readmodel::control::lease::Acquired;
use crate::readmodel::lane::acknowledge::Acknowledge;
use crate::readmodel::lane::checkpoint::{self, LaneRow};
use crate::readmodel::lane::letter_limits::Limits;
use crate::source::{Anchored, Decoder, OnLost};
use crate::status::Status;
use crate::supervisor::Supervisor;
use crate::supervisor::ports::{ControlPorts, LanePorts};
use crate::supervisor::settings::{LetterSettings, Settings};
use crate::supervisor::startup::{ResizeStep, not_beyond, resize_step};
use crate::supervisor::term::Term;

const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// How often it is looked whether what holds the events is over.
const HELD_INTERVAL: Duration = Duration::from_millis(500);

/// Larger than any schedule: what leaves the window is the planner's own test.
const WINDOW: usize = 100_000;

#[derive(Clone)]
pub struct Host {
    pub name: &'static str,
    pub store: Store,
    pub outbox: Arc<OutboxModel>,
    pub steps: Steps,
    pub habits: Habits,
    pub version: u32,
    pub settings: Settings,
    pub status: Arc<Status>,
    pub life: Life,
    pub letter_queues: LetterQueues,
    /// What the lanes of the run that goes on work with.
    pub desired: Running,
    /// Until when MySQL does not hear that the lease is renewed.
    pub unheard: Arc<Mutex<Option<Instant>>>,
    pub stop: CancellationToken,
}

/// How a simulated host is to run, where nothing else is decided.
pub fn settings(owner: &str) -> Settings {
    Settings {
        name: "simulated".to_owned(),
        owner: owner.to_owned(),
        lanes: 1,
        batch_max: 10,
        window: WINDOW,
        room: RoomPart::of(QUEUED_BYTES_MAX, 1),
        acknowledge: Acknowledge::Keep,
        from_history: true,
        resume_lost: OnLost::Pause,
        lease_ttl: LEASE,
        stop_timeout: STOP_TIMEOUT,
        letters: LetterSettings {
            limits: Limits { letters_max: u64::MAX, bytes_max: u64::MAX },
            breaker: BreakerSettings { aggregates: 0, seconds: 0, percent: 0 },
            hold: None,
            retention_days: 0,
            replay_after_deployment: false,
        },
        audit_retention_days: 0,
        component_retention_days: 0,
        rebuild_percent: 100,
    }
}

/// The component version that the lanes of a run are to work with, while there is a run.
#[derive(Clone, Default)]
pub struct Running(Arc<Mutex<Option<Arc<DesiredVersion<SimulatedVersion>>>>>);

impl Running {
    fn get(&self) -> Option<Arc<DesiredVersion<SimulatedVersion>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, desired: Option<Arc<DesiredVersion<SimulatedVersion>>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = desired;
    }
}

/// What a schedule decides about hosts.
#[derive(Debug, Clone)]
pub struct Habits {
    pub batch_max: usize,
    pub feed_max: u64,
    pub source: SourceTrouble,
    /// One in so many projections, transactions and renewals of the lease that fails.
    pub slow: u32,
    pub trouble: u32,
    pub absent: u32,
    /// How much slower than the others one of the lanes may be.
    pub slowness: u64,
    /// Whether a parked event holds the whole stream.
    pub holds_stream: bool,
    /// How many letters there may be.
    pub letters_max: u64,
    /// How many operations a transaction may hold.
    pub operations_max: usize,
    pub breaker: Option<BreakerSettings>,
    /// Before one start of so many another generation takes the live one's place.
    pub take_overs: u32,
}

impl Host {
    /// Runs until it is stopped.
    pub async fn run(self) {
        let (letter_queues, stop) = (self.letter_queues.clone(), self.stop.clone());
        Supervisor { ports: self, letter_queues, stop }.run().await;
    }

    /// MySQL is asked for something.
    pub async fn ask(&self, what: &str) -> Result<(), Failure> {
        self.steps.step(&self.life, 1, || format!("{} {what}", self.name)).await;
        if self.steps.fails(self.habits.trouble) {
            return Err(Failure::ConnectionLost { message: "made up".to_owned() });
        }
        Ok(())
    }

    /// As `startup::prepare`, for what it decides about the lanes of a generation.
    pub async fn plan(&self, epoch: u64, generation: u32) -> Result<RunPlan, Failure> {
        self.ask(&format!("plans the lanes of generation {generation}")).await?;
        if self.store.is_broken() {
            return Err(Failure::SchemaMismatch { code: 1146, message: "no such table".to_owned() });
        }
        let lanes = || self.store.tables(generation).map(|tables| tables.lanes).unwrap_or_default();
        let rows = lanes();
        let until = match resize_step(&rows, self.settings.lanes) {
            Some(ResizeStep::Run) => None,
            Some(ResizeStep::Meet(furthest)) => Some(furthest),
            Some(ResizeStep::Replace(furthest)) => {
                self.store.replace_lanes(epoch, generation, self.settings.lanes, &furthest)?;
                self.steps.step(&self.life, 1, || "the lanes are replaced".to_owned()).await;
                None
            }
            None => return Err(Failure::misconfigured("the checkpoints are gone", "bring them back")),
        };
        let rows = lanes();
        not_beyond(self.outbox.holds().now(), &rows)?;
        Ok(RunPlan { rows, until })
    }

    pub fn version_of(&self, version: u32) -> SimulatedVersion {
        let Self { outbox, steps, life, habits, .. } = self.clone();
        SimulatedVersion {
            outbox,
            steps,
            life,
            version,
            slow: habits.slow,
            deployed: Arc::new(deployed(version)),
        }
    }

    /// Gives the lanes that run here the other version; with a canary, it may be taken back.
    pub fn swap(&self, canary: bool) {
        let Some(desired) = self.desired.get() else { return };
        let previous = desired.get().current;
        let current = self.version_of(3 - previous.version);
        self.steps.note(|| format!("{} goes over to version {}", self.name, current.version));
        let canary = canary.then(|| Canary {
            deployment: 1,
            previous,
            until: Instant::now() + Duration::from_secs(5),
        });
        desired.set(Desired { current, canary });
    }

    /// What holds the events back, as `HoldCheck` judges.
    fn holds(&self, full: Option<&Failure>) -> Option<Failure> {
        let state = self.store.state();
        if state.tables.breaker.as_ref().is_some_and(|breaker| !breaker.resumed) {
            return Some(Failure::BreakerOpen { reason: "made up".to_owned(), digest: None });
        }
        let letters = state.tables.letters.len() as u64;
        if self.habits.holds_stream && letters > 0 {
            return Some(Failure::StreamHeld { letters });
        }
        let is_full =
            |full: &&Failure| matches!(full, Failure::LettersFull { letters: then, .. } if letters >= *then);
        full.filter(is_full).cloned()
    }

    async fn until_released(&self, why: &Failure, full: Option<Failure>) {
        while !self.life.is_over() {
            tokio::time::sleep(HELD_INTERVAL).await;
            if self.holds(full.as_ref()).is_none_or(|now| now.class() != why.class()) {
                return;
            }
        }
        std::future::pending::<()>().await;
    }

    /// Now and then MySQL hears nothing of the host for a while; for MySQL's clock, the lease may run out meanwhile.
    async fn may_go_unheard(&self) {
        let now = Instant::now();
        let until = *self.unheard.lock().unwrap_or_else(PoisonError::into_inner);
        let until = match until.filter(|until| *until > now) {
            Some(until) => until,
            None if self.steps.fails(self.habits.absent) => {
                let until = now + Duration::from_millis(self.steps.pick(500..=30_000));
                *self.unheard.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
                let runs_out = self.steps.pick(0..=1) == 0;
                self.steps
                    .note(|| format!("MySQL does not hear {}; its lease runs out: {runs_out}", self.name));
                if runs_out {
                    self.store.expire(self.name);
                }
                until
            }
            None => return,
        };
        tokio::time::sleep_until(until).await;
    }
}

impl ControlPorts for Host {
    type Session = ();
    type Lanes = Simulated;
    type Generations = SimulatedGenerations;

    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn status(&self) -> &Arc<Status> {
        &self.status
    }

    async fn make_ready(&self) -> Result<(), Failure> {
        Ok(())
    }

    async fn acquire(&self, _: &mut Option<()>) -> Result<Acquired, Failure> {
        self.steps.step(&self.life, 1, || format!("{} asks for the lease", self.name)).await;
        Ok(self.store.acquire(self.name))
    }

    async fn renew(&self, _: &mut Option<()>, epoch: u64) -> Result<(), Failure> {
        self.may_go_unheard().await;
        self.steps.step(&self.life, 1, || format!("{} renews the lease", self.name)).await;
        self.store.renew(epoch)
    }

    async fn release(&self, epoch: u64) -> Result<(), Failure> {
        self.steps.step(&self.life, 1, || format!("{} gives the lease back", self.name)).await;
        self.store.release(epoch)
    }

    async fn open_breaker(&self, epoch: u64, digest: &str, _reason: &str) -> Result<(), Failure> {
        self.steps.step(&self.life, 1, || format!("{} records the open breaker", self.name)).await;
        self.store.open_breaker(epoch, digest)
    }

    async fn explain(&self, failure: Failure) -> Failure {
        self.steps.note(|| format!("the run of {} ends: {failure}", self.name));
        if matches!(failure, Failure::Bug { .. }) {
            self.steps.violated(|| failure.to_string());
        }
        if matches!(failure, Failure::ResumeLost { .. }) && self.outbox.restored.is_older() {
            self.store.state().notices += 1;
        }
        failure
    }

    fn generations(&self, term: &Term) -> SimulatedGenerations {
        SimulatedGenerations { host: self.clone(), term: term.clone() }
    }

    async fn prepare(&self, term: &Term, full: Option<Failure>) -> Result<(Simulated, RunPlan), Failure> {
        let epoch = term.epoch;
        if self.habits.take_overs > 0 && self.steps.pick(1..=self.habits.take_overs.into()) == 1 {
            self.store.take_over(epoch)?;
        }
        let generation = self.store.state().tables.generation;
        let run_plan = self.plan(epoch, generation).await?;
        let desired = Arc::new(DesiredVersion::new(self.version_of(self.version)));
        self.desired.replace(Some(desired.clone()));
        self.steps.note(|| format!("{} runs {:?}: {}", self.name, run_plan.until, self.store.told()));
        let is_muted = self.store.settle_breaker(epoch, &deployed(self.version).digest)?;
        let breaker = self.habits.breaker.filter(|_| !is_muted);
        let host = self.clone();
        Ok((
            Simulated { host, epoch, generation, is_muted, breaker, desired, full, decoder: decoder() },
            run_plan,
        ))
    }

    async fn begin_rebuild(&self, _: &Term, _: &Failure) -> Result<(), Failure> {
        Ok(())
    }
}

/// The lanes of a host that holds the lease.
pub struct Simulated {
    host: Host,
    epoch: u64,
    generation: u32,
    is_muted: bool,
    breaker: Option<BreakerSettings>,
    desired: Arc<DesiredVersion<SimulatedVersion>>,
    full: Option<Failure>,
    decoder: Decoder,
}

impl LanePorts for Simulated {
    async fn opening(&self) -> Result<(Breaker, Option<Failure>), Failure> {
        let host = &self.host;
        host.steps.step(&host.life, 1, || format!("{} asks what holds the events", host.name)).await;
        let breaker = match self.breaker {
            _ if self.is_muted => Breaker::muted(),
            Some(settings) => Breaker::new(settings),
            None => Breaker::off(),
        };
        let held = host.holds(self.full.as_ref());
        if let Some(why) = &held {
            host.steps.note(|| format!("{} is held: {why}", host.name));
        }
        Ok((breaker, held))
    }

    fn released(&self, held: Failure) -> impl Task<()> + 'static {
        let (host, full) = (self.host.clone(), self.full.clone());
        async move { host.until_released(&held, full).await }
    }

    fn start_beside(&self, _: &mut TaskSet, _: &CancellationToken, _: bool) {}
}

impl Ports for Simulated {
    type Source = Anchored<SimulatedSource>;
    type Version = SimulatedVersion;
    type ReadModel = SimulatedReadModel;

    fn source(&self, rows: &[LaneRow]) -> Anchored<SimulatedSource> {
        self.host.source(rows)
    }

    fn desired(&self) -> Arc<DesiredVersion<SimulatedVersion>> {
        self.desired.clone()
    }

    fn read_model(&self, lane: u32) -> SimulatedReadModel {
        self.host.read_model(lane, self.generation, self.epoch, self.breaker)
    }

    fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    fn holds_stream(&self) -> bool {
        self.host.habits.holds_stream
    }

    fn report(&self, status: &Status, run_plan: &RunPlan) {
        status.starts("simulated", &deployed(self.host.version).digest, self.epoch, &run_plan.rows);
    }
}

impl Host {
    /// A source for lanes that have come so far.
    pub fn source(&self, rows: &[LaneRow]) -> Anchored<SimulatedSource> {
        let Host { outbox, steps, life, habits, .. } = self.clone();
        let Habits { source, feed_max, .. } = habits;
        let source =
            SimulatedSource { outbox, steps, life, trouble: source, feed_max, place: None, openings: 0 };
        Anchored::new(source, checkpoint::anchor(rows))
    }

    /// The read model of a lane.
    pub fn read_model(
        &self,
        lane: u32,
        generation: u32,
        epoch: u64,
        breaker: Option<BreakerSettings>,
    ) -> SimulatedReadModel {
        let Host { store, steps, life, habits, .. } = self.clone();
        let slowness = if steps.pick(0..=2) == 0 { habits.slowness } else { 1 };
        SimulatedReadModel {
            store,
            steps,
            life,
            lane,
            generation,
            epoch,
            trouble: habits.trouble,
            slowness,
            rules: Rules {
                holds_stream: habits.holds_stream,
                letters_max: habits.letters_max,
                operations_max: habits.operations_max,
                breaker,
            },
            batch: 0,
            uncertain: None,
            over: None,
        }
    }
}
