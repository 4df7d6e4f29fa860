//! A simulated host: what the supervisor does around a run, with the real run inside.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::outbox::{Outbox, SimulatedSource, Trouble, decoder};
use super::projector::{SimulatedProjector, deployed};
use super::read_model::SimulatedReadModel;
use super::steps::{Life, Steps};
use super::store::{LEASE, Store};
use crate::failure::{Failure, Fault};
use crate::projection::run::{Ended, Parts, Run};
use crate::projection::startup::{Towards, towards};
use crate::projection::{Course, Orders, Status};
use crate::retry::Backoff;

/// As the supervisor waits.
const STANDBY_INTERVAL: Duration = Duration::from_millis(500);
const PAUSE_INTERVAL: Duration = Duration::from_secs(15);
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// Larger than any schedule: what leaves the window is the planner's own test.
const WINDOW: usize = 100_000;

#[derive(Clone)]
pub struct Host {
    pub name: &'static str,
    pub store: Store,
    pub outbox: Arc<Outbox>,
    pub steps: Steps,
    pub habits: Habits,
    pub version: u32,
    pub lanes: u32,
    pub life: Life,
    pub orders: Orders,
    pub stop: CancellationToken,
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
}

impl Host {
    /// As `Supervisor::run`.
    pub async fn run(self) {
        let mut backoff = Backoff::new();
        while !self.stop.is_cancelled() {
            let wait = match self.run_once().await {
                Ok(Ended::Arrived) => Duration::ZERO,
                Ok(Ended::Stopped) => break,
                Err(failure) => {
                    self.steps.note(|| format!("the run of {} ends: {failure}", self.name));
                    if failure.to_string().contains("ended abnormally") {
                        self.steps.violated(|| failure.to_string());
                    }
                    match failure.fault() {
                        Fault::Setup | Fault::Event => PAUSE_INTERVAL,
                        Fault::Environment => backoff.next_wait(),
                        Fault::Fenced => STANDBY_INTERVAL,
                    }
                }
            };
            tokio::select! {
                biased;
                () = self.stop.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    async fn run_once(&self) -> Result<Ended, Failure> {
        let epoch = loop {
            self.steps.step(&self.life, 1, || format!("{} asks for the lease", self.name)).await;
            match self.store.acquire(self.name) {
                Some(epoch) => break epoch,
                None => tokio::time::sleep(STANDBY_INTERVAL).await,
            }
            if self.stop.is_cancelled() {
                return Ok(Ended::Stopped);
            }
        };
        let ended = match self.prepare(epoch).await {
            Ok(course) => self.run_lanes(epoch, course).await,
            Err(failure) => Err(failure),
        };
        self.orders.replace(vec![]);
        ended
    }

    /// As `startup::prepare`, for what it decides about lanes.
    async fn prepare(&self, epoch: u64) -> Result<Course, Failure> {
        self.steps.step(&self.life, 1, || format!("{} prepares", self.name)).await;
        if self.store.is_broken() {
            return Err(Failure::SchemaMismatch { code: 1146, message: "no such table".to_owned() });
        }
        if self.steps.fails(self.habits.trouble) {
            return Err(Failure::ConnectionLost { message: "made up".to_owned() });
        }
        let rows = self.store.state().tables.lanes.clone();
        let until = match towards(&rows, self.lanes) {
            Some(Towards::Run) => None,
            Some(Towards::Meet(furthest)) => Some(furthest),
            Some(Towards::Replace(furthest)) => {
                self.store.replace_lanes(epoch, self.lanes, &furthest)?;
                self.steps.step(&self.life, 1, || "the lanes are replaced".to_owned()).await;
                None
            }
            None => return Err(Failure::Misconfigured { reason: "the checkpoints are gone".to_owned() }),
        };
        let rows = self.store.state().tables.lanes.clone();
        Ok(Course { rows, until })
    }

    async fn run_lanes(&self, epoch: u64, course: Course) -> Result<Ended, Failure> {
        let status = Arc::new(Status::new("simulated"));
        let deployed = deployed(self.version);
        status.starts("simulated", &deployed.digest, epoch, &course.rows);
        self.steps.note(|| format!("{} runs {:?}: {}", self.name, course.until, self.store.told()));
        let stop = self.stop.child_token();
        let run = Run {
            parts: &Simulated { host: self, epoch },
            deployed: &deployed,
            decoder: &decoder(),
            batch_max: self.habits.batch_max,
            window: WINDOW,
            status: &status,
            stop: &stop,
        };
        let (mut tasks, orders) = run.start(course).await?;
        self.orders.replace(orders);
        tasks.beside(self.clone().keep_lease(epoch));
        let ended = tasks.watch(&self.stop, STOP_TIMEOUT).await;
        stop.cancel();
        tasks.end().await;
        ended
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
}

impl Parts for Simulated<'_> {
    type Source = SimulatedSource;
    type Projector = SimulatedProjector;
    type ReadModel = SimulatedReadModel;

    fn source(&self) -> SimulatedSource {
        let Host { outbox, steps, life, habits, .. } = self.host.clone();
        let Habits { source, feed_max, .. } = habits;
        SimulatedSource { outbox, steps, life, trouble: source, feed_max, place: None }
    }

    fn projector(&self) -> Result<SimulatedProjector, Failure> {
        let Host { outbox, steps, life, version, habits, .. } = self.host.clone();
        Ok(SimulatedProjector { outbox, steps, life, version, slow: habits.slow })
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
            batch: 0,
            uncertain: None,
            over: None,
        }
    }
}
