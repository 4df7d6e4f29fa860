//! A simulated host: what the supervisor does around a run, with the real run inside.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::outbox::{OutboxModel, decoder};
use super::projector::{SimulatedVersion, deployed};
use super::read_model::{Rules, SimulatedReadModel};
use super::source::{SimulatedSource, Trouble};
use super::steps::{Life, Steps};
use super::store::{LEASE, Store};
use crate::failure::{Failure, Fault};
use crate::pipeline::breaker::{Breaker, BreakerSettings};
use crate::pipeline::hot_swap::{Canary, Desired, DesiredVersion};
use crate::pipeline::reader::REST_INTERVAL;
use crate::pipeline::requests::LetterQueues;
use crate::pipeline::run::{Ended, Ports, Run, RunPlan, TaskSet, Tasks, finished};
use crate::pipeline::suspects::Suspects;
use crate::readmodel::lane::checkpoint::{self, LaneRow};
use crate::retry::Backoff;
use crate::source::Anchored;
use crate::status::Status;
use crate::supervisor::startup::{ResizeStep, not_beyond, resize_step};

/// As the supervisor waits.
const STANDBY_INTERVAL: Duration = Duration::from_millis(500);
const PAUSE_INTERVAL: Duration = Duration::from_secs(15);
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
const GOOD_RUN: Duration = Duration::from_mins(1);

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
    pub lanes: u32,
    pub life: Life,
    pub orders: LetterQueues,
    /// What the lanes of the run that goes on work with.
    pub desired: Running,
    pub suspects: Arc<Suspects>,
    pub stop: CancellationToken,
}

/// Where the targets of a run are, while there is one.
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
    pub source: Trouble,
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
    /// As `Supervisor::run`.
    pub async fn run(self) {
        let mut backoff = Backoff::new();
        let mut full = None;
        while !self.stop.is_cancelled() {
            let began = Instant::now();
            let ended = self.run_once(full.take()).await;
            if began.elapsed() > GOOD_RUN {
                backoff = Backoff::new();
            }
            let wait = match ended {
                Ok(Ended::Arrived) => Duration::ZERO,
                Ok(Ended::Stopped) => break,
                Err(failure) => {
                    self.steps.note(|| format!("the run of {} ends: {failure}", self.name));
                    if matches!(failure, Failure::Bug { .. }) {
                        self.steps.violated(|| failure.to_string());
                    }
                    if matches!(failure, Failure::ResumeLost { .. }) && self.outbox.restored.is_older() {
                        self.store.state().notices += 1;
                    }
                    full = Some(failure.clone()).filter(|one| matches!(one, Failure::LettersFull { .. }));
                    match failure.fault() {
                        _ if failure.holds_events_only() => Duration::ZERO,
                        Fault::Setup | Fault::Event => PAUSE_INTERVAL,
                        Fault::Environment => backoff.next_wait(),
                        Fault::Fenced => STANDBY_INTERVAL,
                    }
                }
            };
            self.stop.run_until_cancelled(tokio::time::sleep(wait)).await;
        }
    }

    async fn run_once(&self, full: Option<Failure>) -> Result<Ended, Failure> {
        let Some(epoch) = self.stop.run_until_cancelled(self.take_lease()).await else {
            return Ok(Ended::Stopped);
        };
        let ended = self.run_under(epoch, full).await;
        self.orders.replace(vec![]);
        if let Err(Failure::BreakerOpen { .. }) = &ended {
            self.steps.step(&self.life, 1, || format!("{} records the open breaker", self.name)).await;
            self.store.open_breaker(epoch, &self.version.to_string())?;
        }
        ended
    }

    async fn take_lease(&self) -> u64 {
        loop {
            self.steps.step(&self.life, 1, || format!("{} asks for the lease", self.name)).await;
            if let Some(epoch) = self.store.acquire(self.name) {
                return epoch;
            }
            tokio::time::sleep(STANDBY_INTERVAL).await;
        }
    }

    async fn run_under(&self, epoch: u64, full: Option<Failure>) -> Result<Ended, Failure> {
        let mut tasks = Tasks::default();
        tasks.lease.spawn(self.clone().keep_lease(epoch));
        let run = CancellationToken::new();
        let status = Arc::new(Status::new("simulated"));
        let starting = self.start(epoch, &mut tasks.work, &status, &run, full);
        let started = tokio::select! {
            biased;
            started = starting => started,
            Some(joined) = tasks.lease.join_next() => finished(joined),
            () = self.stop.cancelled() => Ok(()),
        };
        let ended = match started {
            Ok(()) => tasks.watch(&self.stop, &run, &status, STOP_TIMEOUT).await,
            Err(failure) => Err(failure),
        };
        run.cancel();
        tasks.end().await;
        ended
    }

    /// As `startup::prepare`, for what it decides about lanes.
    async fn prepare(&self, epoch: u64) -> Result<RunPlan, Failure> {
        self.steps.step(&self.life, 1, || format!("{} prepares", self.name)).await;
        if self.store.is_broken() {
            return Err(Failure::SchemaMismatch { code: 1146, message: "no such table".to_owned() });
        }
        if self.steps.fails(self.habits.trouble) {
            return Err(Failure::ConnectionLost { message: "made up".to_owned() });
        }
        if self.habits.take_overs > 0 && self.steps.pick(1..=self.habits.take_overs.into()) == 1 {
            self.store.take_over(epoch)?;
        }
        let rows = self.store.state().tables.lanes.clone();
        let until = match resize_step(&rows, self.lanes) {
            Some(ResizeStep::Run) => None,
            Some(ResizeStep::Meet(furthest)) => Some(furthest),
            Some(ResizeStep::Replace(furthest)) => {
                self.store.replace_lanes(epoch, self.lanes, &furthest)?;
                self.steps.step(&self.life, 1, || "the lanes are replaced".to_owned()).await;
                None
            }
            None => return Err(Failure::misconfigured("the checkpoints are gone", "bring them back")),
        };
        let rows = self.store.state().tables.lanes.clone();
        not_beyond(self.outbox.holds().now(), &rows)?;
        Ok(RunPlan { rows, until })
    }

    fn version(&self, version: u32) -> SimulatedVersion {
        let Self { outbox, steps, life, habits, .. } = self.clone();
        SimulatedVersion { outbox, steps, life, version, slow: habits.slow, deployed: deployed(version) }
    }

    /// Gives the lanes that run here the other version; with a canary, it may be taken back.
    pub fn swap(&self, canary: bool) {
        let Some(desired) = self.desired.get() else { return };
        let previous = desired.get().current;
        let current = self.version(3 - previous.version);
        self.steps.note(|| format!("{} goes over to version {}", self.name, current.version));
        let canary = canary.then(|| Canary { previous, until: Instant::now() + Duration::from_secs(5) });
        desired.set(Desired { current, canary });
    }

    /// As the supervisor's writer starts a run: one that takes events, or one that is held.
    async fn start(
        &self,
        epoch: u64,
        work: &mut TaskSet,
        status: &Arc<Status>,
        stop: &CancellationToken,
        full: Option<Failure>,
    ) -> Result<(), Failure> {
        let run_plan = self.prepare(epoch).await?;
        let (desired, deployed) =
            (Arc::new(DesiredVersion::new(self.version(self.version))), deployed(self.version));
        self.desired.replace(Some(desired.clone()));
        status.starts("simulated", &deployed.digest, epoch, &run_plan.rows);
        self.steps.note(|| format!("{} runs {:?}: {}", self.name, run_plan.until, self.store.told()));
        let is_muted = self.store.settle_breaker(epoch, &deployed.digest)?;
        let breaker = self.habits.breaker.filter(|_| !is_muted);
        let run = Run {
            parts: &Simulated { host: self, epoch, breaker, desired },
            decoder: &decoder(),
            batch_max: self.habits.batch_max,
            window: WINDOW,
            rest: REST_INTERVAL,
            breaker: Arc::new(if is_muted {
                Breaker::muted()
            } else {
                breaker.map_or_else(Breaker::off, Breaker::new)
            }),
            suspects: self.suspects.clone(),
            holds_stream: self.habits.holds_stream,
            status,
            stop,
        };
        self.steps.step(&self.life, 1, || format!("{} asks what holds the events", self.name)).await;
        let orders = match self.holds(full.as_ref()) {
            Some(why) => {
                self.steps.note(|| format!("{} is held: {why}", self.name));
                let host = self.clone();
                run.start_held(work, run_plan, async move { host.until_released(&why, full).await }).await?
            }
            None => run.start(work, run_plan).await?,
        };
        self.orders.replace(orders);
        Ok(())
    }

    /// What keeps the events back, as `pause::Question` asks.
    fn holds(&self, full: Option<&Failure>) -> Option<Failure> {
        let state = self.store.state();
        if state.tables.breaker.as_ref().is_some_and(|breaker| !breaker.resumed) {
            return Some(Failure::BreakerOpen { reason: "made up".to_owned() });
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

    /// Renews the lease, unless the host is absent for so long that another one takes it.
    async fn keep_lease(self, epoch: u64) -> Result<(), Failure> {
        loop {
            let absent = self.steps.fails(self.habits.absent);
            if absent {
                self.steps.note(|| format!("{} forgets to renew the lease", self.name));
            }
            tokio::time::sleep(if absent { LEASE * 3 } else { LEASE / 3 }).await;
            if self.life.is_over() {
                std::future::pending::<()>().await;
            }
            self.store.renew(epoch)?;
        }
    }
}

/// A host that holds the lease.
struct Simulated<'a> {
    host: &'a Host,
    epoch: u64,
    breaker: Option<BreakerSettings>,
    desired: Arc<DesiredVersion<SimulatedVersion>>,
}

impl Ports for Simulated<'_> {
    type Source = Anchored<SimulatedSource>;
    type Version = SimulatedVersion;
    type ReadModel = SimulatedReadModel;

    fn source(&self, rows: &[LaneRow]) -> Anchored<SimulatedSource> {
        let Host { outbox, steps, life, habits, .. } = self.host.clone();
        let Habits { source, feed_max, .. } = habits;
        let source =
            SimulatedSource { outbox, steps, life, trouble: source, feed_max, place: None, openings: 0 };
        Anchored::new(source, checkpoint::anchor(rows))
    }

    fn desired(&self) -> Arc<DesiredVersion<SimulatedVersion>> {
        self.desired.clone()
    }

    fn read_model(&self, lane: u32) -> SimulatedReadModel {
        let Host { store, steps, life, habits, .. } = self.host.clone();
        let slowness = if steps.pick(0..=2) == 0 { habits.slowness } else { 1 };
        SimulatedReadModel {
            store,
            steps,
            life,
            lane,
            epoch: self.epoch,
            trouble: habits.trouble,
            slowness,
            rules: Rules {
                holds_stream: habits.holds_stream,
                letters_max: habits.letters_max,
                operations_max: habits.operations_max,
                breaker: self.breaker,
            },
            batch: 0,
            uncertain: None,
            over: None,
        }
    }
}
