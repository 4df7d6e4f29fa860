//! Runs one projection: takes the lease, makes everything ready, runs reader and lanes, and starts them again from
//! the checkpoint when one of them ends. It owns every task of the projection.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::lane::{ApplyStage, ProjectStage, between, order_queue};
use super::plan::Planner;
use super::progress::Progress;
use super::reader::{Inbox, Reader};
use super::{Loaded, Orders, Phase, Servers, Settings, Status, startup, upkeep};
use crate::failure::{Failure, Fault};
use crate::projector::Worker;
use crate::readmodel::lease::{self, Acquired};
use crate::readmodel::{Lane, LaneModel, Session, within};
use crate::retry::Backoff;
use crate::source::OutboxReader;

/// How often a standby asks for the lease.
const STANDBY_INTERVAL: Duration = Duration::from_millis(250);

/// How long MySQL may take to answer a question about the lease.
const LEASE_PATIENCE: Duration = Duration::from_secs(15);

/// How long making everything ready may take.
const START_PATIENCE: Duration = Duration::from_secs(75);

/// How long a host that could not renew its lease leaves it to one that can.
const EXPIRED_INTERVAL: Duration = Duration::from_secs(2);

/// How often a paused projection looks whether its set-up was mended.
const PAUSE_INTERVAL: Duration = Duration::from_secs(15);

/// After a run of this length, what ended it is not a repetition of what ended the one before.
const GOOD_RUN: Duration = Duration::from_mins(1);

/// How long a stop waits for the lease to be given back.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(2);

pub struct Supervisor {
    pub servers: Servers,
    pub settings: Settings,
    pub loaded: Loaded,
    pub status: Arc<Status>,
    pub orders: Orders,
    pub stop: CancellationToken,
}

/// Why a run ended.
enum Ended {
    Stopped,
    /// The lanes came to the end of their course; the next one begins.
    Arrived,
}

impl Supervisor {
    /// Runs until a stop is asked for.
    pub async fn run(self) {
        let mut backoff = Backoff::new();
        while !self.stop.is_cancelled() {
            let began = Instant::now();
            let ended = self.run_once().await;
            if began.elapsed() > GOOD_RUN {
                backoff = Backoff::new();
            }
            let wait = match ended {
                Ok(Ended::Arrived) => Duration::ZERO,
                Ok(Ended::Stopped) => break,
                Err(failure) if self.stop.is_cancelled() => {
                    tracing::warn!(projection = self.settings.name, "{}", failure.without_values());
                    break;
                }
                Err(failure) => self.after(&failure, &mut backoff),
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.stop.cancelled() => {}
            }
        }
        self.status.enter(Phase::Stopped);
    }

    /// What a failure means for the projection: how long to wait before the next run.
    fn after(&self, failure: &Failure, backoff: &mut Backoff) -> Duration {
        let projection = &self.settings.name;
        match failure.fault() {
            Fault::Setup | Fault::Event => {
                self.status.pauses(failure);
                PAUSE_INTERVAL
            }
            Fault::Environment => {
                let wait = backoff.next_wait();
                tracing::warn!(projection, "{failure}; starting again from the checkpoint in {wait:?}");
                self.status.run_fails(failure);
                wait
            }
            Fault::Fenced => {
                tracing::warn!(projection, "{failure}; nothing more is written under the old epoch");
                self.status.run_fails(failure);
                *backoff = Backoff::new();
                if matches!(failure, Failure::LeaseExpired { .. }) {
                    EXPIRED_INTERVAL
                } else {
                    STANDBY_INTERVAL
                }
            }
        }
    }

    async fn run_once(&self) -> Result<Ended, Failure> {
        self.status.beat();
        let Some(taken) = self.stop.run_until_cancelled(self.take_lease()).await else {
            return Ok(Ended::Stopped);
        };
        let (epoch, session, good_until) = taken?;
        let mut tasks = Tasks::default();
        let (servers, settings) = (self.servers.clone(), self.settings.clone());
        tasks.upkeep.spawn(upkeep::keep_lease(servers, settings, epoch, session, good_until));
        // Not a child of `stop`: a stop is shown before anything ends because of it.
        let run = CancellationToken::new();
        let started = tokio::select! {
            started = self.start(&mut tasks.work, epoch, &run) => started,
            Some(joined) = tasks.upkeep.join_next() => finished(joined),
            () = self.stop.cancelled() => Ok(()),
        };
        let ended = match started {
            Ok(()) => self.watch(&mut tasks, &run).await,
            Err(failure) => Err(failure),
        };
        run.cancel();
        tasks.end().await;
        self.orders.replace(vec![]);
        if self.stop.is_cancelled() {
            self.release_lease(epoch).await;
        }
        ended
    }

    /// Waits as a standby until the lease is this host's, and says until when it is good by this host's clock.
    async fn take_lease(&self) -> Result<(u64, Session, Instant), Failure> {
        let Settings { name, owner, lease_ttl, .. } = &self.settings;
        let mut ddl = self.servers.ddl.connect().await?;
        within(START_PATIENCE, "creating the control schema", self.servers.control.migrate(&mut ddl)).await?;
        drop(ddl);
        let mut session = self.servers.applier.connect().await?;
        loop {
            let asked = Instant::now();
            let asking = lease::acquire(&mut session, &self.servers.control, name, owner, *lease_ttl);
            match within(LEASE_PATIENCE, "asking for the lease", asking).await? {
                Acquired::Mine { epoch } => {
                    tracing::info!(projection = name, epoch, "took the lease");
                    return Ok((epoch, session, asked + *lease_ttl));
                }
                Acquired::Taken { owner } => {
                    self.status.enter(Phase::Standby { owner });
                }
            }
            self.status.beat();
            tokio::time::sleep(STANDBY_INTERVAL).await;
        }
    }

    /// Best effort: a lease that is not given back runs out.
    async fn release_lease(&self, epoch: u64) {
        let releasing = async {
            let mut session = self.servers.applier.connect().await?;
            lease::release(&mut session, &self.servers.control, &self.settings.name, epoch).await
        };
        let silence = |_| Err(Failure::ConnectionLost { message: "MySQL does not answer".to_owned() });
        let projection = &self.settings.name;
        match tokio::time::timeout(RELEASE_TIMEOUT, releasing).await.unwrap_or_else(silence) {
            Ok(()) => tracing::info!(projection, "gave the lease back"),
            Err(failure) => tracing::warn!(projection, "the lease runs out: {failure}"),
        }
    }

    /// Makes everything ready, and starts the lanes, then the reader.
    async fn start(
        &self,
        work: &mut JoinSet<Result<(), Failure>>,
        epoch: u64,
        run: &CancellationToken,
    ) -> Result<(), Failure> {
        let preparing = startup::prepare(&self.servers, &self.settings, &self.loaded, epoch);
        let (generation, course) = within(START_PATIENCE, "making everything ready", preparing).await?;
        let manifest = &self.loaded.deployed.manifest;
        let component = format!("{} {}", manifest.name, manifest.version);
        self.status.starts(&component, &self.loaded.deployed.digest, epoch, &course.rows);
        let progress = Arc::new(Progress::new(course.rows.iter().map(|row| row.position.clone())));
        let (mut inboxes, mut orders) = (vec![], vec![]);
        for row in &course.rows {
            let lane = Lane { projection: self.settings.name.clone(), generation, lane: row.lane };
            let (inbox, order) = self.spawn_lane(work, run, lane, &progress, epoch).await?;
            inboxes.push(inbox);
            orders.push(order);
        }
        self.orders.replace(orders);
        let source = OutboxReader::new(self.servers.outbox.clone(), self.servers.decoder.clone());
        let reader = Reader::new(source, inboxes, self.status.clone(), progress, course.until);
        let stop = run.clone();
        work.spawn(async move { stop.run_until_cancelled(reader.run()).await.unwrap_or(Ok(())) });
        Ok(())
    }

    /// Waits for the end: of the work, by the first failure, or by a stop, which the work has some time to follow.
    async fn watch(&self, tasks: &mut Tasks, run: &CancellationToken) -> Result<Ended, Failure> {
        let (servers, name) = (self.servers.clone(), self.settings.name.clone());
        tasks.upkeep.spawn(upkeep::observe(servers, name, self.status.clone()));
        let deadline = async {
            self.stop.cancelled().await;
            self.status.stops();
            run.cancel();
            tokio::time::sleep(self.settings.stop_timeout).await;
        };
        tokio::pin!(deadline);
        loop {
            tokio::select! {
                joined = tasks.work.join_next() => match joined.map(finished) {
                    Some(Ok(())) => {}
                    // The others may finish what they have begun.
                    Some(Err(failure)) if run.is_cancelled() => self.gives_up(&failure),
                    Some(Err(failure)) => return Err(failure),
                    None if self.stop.is_cancelled() => return Ok(Ended::Stopped),
                    None => return Ok(Ended::Arrived),
                },
                Some(joined) = tasks.upkeep.join_next() => finished(joined)?,
                () = &mut deadline => {
                    self.name_stragglers();
                    return Ok(Ended::Stopped);
                }
            }
        }
    }

    fn gives_up(&self, failure: &Failure) {
        let (projection, failure) = (&self.settings.name, failure.without_values());
        tracing::warn!(
            projection,
            "a lane gave up while stopping; what it had open is rolled back: {failure}"
        );
    }

    /// Says who was not done by the deadline of a stop.
    fn name_stragglers(&self) {
        let projection = &self.settings.name;
        for (lane, doing) in self.status.stragglers() {
            tracing::warn!(projection, lane, "the stop took too long; what is open is rolled back: {doing}");
        }
    }

    /// Starts the two stages of a lane.
    async fn spawn_lane(
        &self,
        work: &mut JoinSet<Result<(), Failure>>,
        stop: &CancellationToken,
        lane: Lane,
        progress: &Arc<Progress>,
        epoch: u64,
    ) -> Result<(Inbox, tokio::sync::mpsc::Sender<super::letters::Order>), Failure> {
        let Servers { applier, control, decoder, .. } = self.servers.clone();
        let deployed = self.loaded.deployed.clone();
        let number = lane.lane as usize;
        let window = self.settings.window;
        let mut model = LaneModel::new(applier, control, lane, epoch, deployed.schema.clone(), window);
        let state = model.load().await?;
        let (inbox, chunks) = Inbox::new(state.row.position.clone());
        let (to_apply, projected) = between();
        let (order, orders) = order_queue();
        work.spawn(
            ProjectStage {
                projector: self.worker()?,
                deployed: deployed.clone(),
                batch_max: self.settings.batch_max,
                chunks,
                work: to_apply,
                status: self.status.clone(),
                lane: number,
                stop: stop.clone(),
            }
            .run(),
        );
        work.spawn(
            ApplyStage {
                model,
                projector: self.worker()?,
                deployed,
                planner: Planner::new(state, window),
                work: projected,
                orders,
                status: self.status.clone(),
                lane: number,
                progress: progress.clone(),
                decoder,
                stop: stop.clone(),
            }
            .run(),
        );
        Ok((inbox, order))
    }

    fn worker(&self) -> Result<Worker, Failure> {
        Worker::start(self.loaded.component.clone(), &self.settings.name).map_err(|error| {
            Failure::CannotWrite { code: 0, message: format!("starting a projector thread: {error}") }
        })
    }
}

/// The tasks of one run.
#[derive(Default)]
struct Tasks {
    /// Reader and lanes: the run ends when they all have.
    work: JoinSet<Result<(), Failure>>,
    /// What goes on beside them, and never ends by itself.
    upkeep: JoinSet<Result<(), Failure>>,
}

impl Tasks {
    /// Ends what still runs: a transaction that is open is rolled back by MySQL when its connection closes.
    async fn end(mut self) {
        self.work.shutdown().await;
        self.upkeep.shutdown().await;
    }
}

fn finished(joined: Result<Result<(), Failure>, tokio::task::JoinError>) -> Result<(), Failure> {
    joined.unwrap_or_else(|error| {
        Err(Failure::Unknown {
            code: 0,
            message: format!("a task of the projection ended abnormally: {error}"),
        })
    })
}
