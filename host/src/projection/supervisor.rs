//! Runs one projection: takes the lease, makes everything ready, runs reader and lanes, and starts them again from
//! the checkpoint when one of them ends. It owns every task of the projection.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::acknowledge::Acknowledger;
use super::lane::{ApplyStage, ProjectStage, between, order_queue};
use super::plan::Planner;
use super::progress::Progress;
use super::reader::{Inbox, Reader};
use super::{Course, Loaded, Orders, Phase, Servers, Settings, Status, startup, upkeep};
use crate::failure::{Failure, Fault};
use crate::projector::Worker;
use crate::readmodel::lease::{self, Acquired};
use crate::readmodel::{Lane, LaneModel, Session, within};
use crate::retry::Backoff;
use crate::source::{OutboxReader, Plan, resume};

/// How often a standby asks for the lease.
const STANDBY_INTERVAL: Duration = Duration::from_millis(500);

/// How often a paused projection looks whether its set-up was mended.
const PAUSE_INTERVAL: Duration = Duration::from_secs(15);

/// After a run of this length, what ended it is not a repetition of what ended the one before.
const GOOD_RUN: Duration = Duration::from_mins(1);

/// How long asking for the lease may take: it waits for rows that an old host's last transaction still holds.
const LEASE_TIMEOUT: Duration = Duration::from_secs(15);

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

/// What a lost place in the stream has led to.
#[derive(Default)]
struct Rebuild {
    /// What was lost: the next run begins with a rebuild.
    wanted: Option<Failure>,
    /// A rebuild was begun, and history has not come to its end since.
    began: bool,
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
        let mut rebuild = Rebuild::default();
        while !self.stop.is_cancelled() {
            let began = Instant::now();
            let ended = self.run_once(&mut rebuild).await;
            if began.elapsed() > GOOD_RUN {
                backoff = Backoff::new();
            }
            let wait = match ended {
                Ok(Ended::Arrived) => Duration::ZERO,
                Ok(Ended::Stopped) => break,
                Err(failure) => self.after(failure, &mut backoff, &mut rebuild),
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.stop.cancelled() => {}
            }
        }
        self.status.enter(Phase::Stopped);
    }

    /// What a failure means for the projection: how long to wait before the next run.
    fn after(&self, failure: Failure, backoff: &mut Backoff, rebuild: &mut Rebuild) -> Duration {
        let projection = &self.settings.name;
        if rebuild.began && self.status.is_streaming() {
            rebuild.began = false;
        }
        match failure.fault() {
            Fault::Setup | Fault::Event => {
                match resume::plan(&failure, self.settings.resume_lost, rebuild.began) {
                    Plan::Rebuild if rebuild.wanted.is_none() => {
                        rebuild.wanted = Some(failure);
                        self.status.enter(Phase::Starting);
                        return Duration::ZERO;
                    }
                    Plan::Pause { reason } => self.status.enter(Phase::Paused { reason }),
                    // It was tried, and refused for what the failure says.
                    Plan::Rebuild | Plan::Rescue | Plan::Reopen => {
                        self.status.enter(Phase::Paused { reason: failure.to_string() });
                    }
                }
                PAUSE_INTERVAL
            }
            Fault::Environment => {
                let wait = backoff.next_wait();
                tracing::warn!(projection, "{failure}; starting again from the checkpoint in {wait:?}");
                self.status.source_fails(&failure);
                wait
            }
            Fault::Fenced => {
                tracing::warn!(projection, "{failure}; nothing more is written under the old epoch");
                *rebuild = Rebuild::default();
                *backoff = Backoff::new();
                STANDBY_INTERVAL
            }
        }
    }

    async fn run_once(&self, rebuild: &mut Rebuild) -> Result<Ended, Failure> {
        self.status.beat();
        let Some((epoch, session)) = self.take_lease(rebuild).await? else { return Ok(Ended::Stopped) };
        let mut tasks = Tasks::default();
        tasks.upkeep.spawn(upkeep::keep_lease(self.servers.clone(), self.settings.clone(), epoch, session));
        tasks.upkeep.spawn(upkeep::beat(self.status.clone()));
        let wanted = rebuild.wanted.as_ref();
        let prepared = tokio::select! {
            prepared = startup::prepare(&self.servers, &self.settings, &self.loaded, epoch, wanted) => prepared,
            Some(ended) = tasks.upkeep.join_next() => finished(ended).and(Err(Failure::Fenced { mine: epoch, found: 0 })),
        };
        let ended = match prepared {
            Ok((generation, course)) => {
                rebuild.began |= rebuild.wanted.take().is_some();
                self.run_lanes(tasks, epoch, generation, course).await
            }
            Err(failure) => Err(failure),
        };
        self.orders.replace(vec![]);
        if self.stop.is_cancelled() {
            self.release_lease(epoch).await;
        }
        ended
    }

    /// Waits as a standby until the lease is this host's. Nothing when a stop comes first.
    async fn take_lease(&self, rebuild: &mut Rebuild) -> Result<Option<(u64, Session)>, Failure> {
        let Settings { name, owner, lease_ttl, .. } = &self.settings;
        let mut ddl = self.servers.ddl.connect().await?;
        self.servers.control.migrate(&mut ddl).await?;
        drop(ddl);
        let mut session = self.servers.applier.connect().await?;
        loop {
            let asked = lease::acquire(&mut session, &self.servers.control, name, owner, *lease_ttl);
            match within(LEASE_TIMEOUT, "asking for the lease", asked).await? {
                Acquired::Mine { epoch } => {
                    tracing::info!(projection = name, epoch, "took the lease");
                    return Ok(Some((epoch, session)));
                }
                Acquired::Taken { owner: other } => {
                    // What was lost is the other host's business now.
                    if other != *owner {
                        *rebuild = Rebuild::default();
                    }
                    let owner = other;
                    self.status.enter(Phase::Standby { owner });
                }
            }
            self.status.beat();
            tokio::select! {
                () = tokio::time::sleep(STANDBY_INTERVAL) => {}
                () = self.stop.cancelled() => return Ok(None),
            }
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

    async fn run_lanes(
        &self,
        mut tasks: Tasks,
        epoch: u64,
        generation: u32,
        course: Course,
    ) -> Result<Ended, Failure> {
        let manifest = &self.loaded.deployed.manifest;
        let component = format!("{} {}", manifest.name, manifest.version);
        self.status.starts(&component, &self.loaded.deployed.digest, epoch, &course.rows);
        let stop = self.stop.child_token();
        let progress = Arc::new(Progress::new(course.rows.iter().map(|row| row.position.clone())));
        let (mut inboxes, mut orders, mut lanes) = (vec![], vec![], vec![]);
        for row in &course.rows {
            let lane = Lane { projection: self.settings.name.clone(), generation, lane: row.lane };
            lanes.push(lane.clone());
            let (inbox, order) = self.spawn_lane(&mut tasks, &stop, lane, &progress, epoch).await?;
            inboxes.push(inbox);
            orders.push(order);
        }
        self.orders.replace(orders);
        let source = OutboxReader::new(self.servers.outbox.clone(), self.servers.decoder.clone());
        let reader = Reader::new(source, inboxes, self.status.clone(), progress, course.until);
        let reader_stop = stop.clone();
        tasks.work.spawn(async move {
            tokio::select! {
                ended = reader.run() => ended,
                () = reader_stop.cancelled() => Ok(()),
            }
        });
        let (servers, name) = (self.servers.clone(), self.settings.name.clone());
        tasks.upkeep.spawn(upkeep::observe(servers, name, self.status.clone()));
        let (servers, status) = (self.servers.clone(), self.status.clone());
        tasks.upkeep.spawn(Acknowledger::new(servers, status, self.settings.acknowledge, lanes).run());
        let ended = tasks.watch(&self.stop, self.settings.stop_timeout).await;
        stop.cancel();
        tasks.end().await;
        ended
    }

    /// Starts the two stages of a lane.
    async fn spawn_lane(
        &self,
        tasks: &mut Tasks,
        stop: &CancellationToken,
        lane: Lane,
        progress: &Arc<Progress>,
        epoch: u64,
    ) -> Result<(Inbox, tokio::sync::mpsc::Sender<super::letters::Order>), Failure> {
        let Servers { applier, control, decoder, .. } = self.servers.clone();
        let deployed = self.loaded.deployed.clone();
        let number = lane.lane as usize;
        let window = self.settings.window;
        let model = LaneModel::new(applier, control, lane, epoch, deployed.schema.clone(), window);
        let mut model = model.acknowledging(self.settings.acknowledge);
        let state = model.load().await?;
        let (inbox, chunks) = Inbox::new(state.row.position.clone());
        let (to_apply, work) = between();
        let (order, orders) = order_queue();
        tasks.work.spawn(
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
        tasks.work.spawn(
            ApplyStage {
                model,
                projector: self.worker()?,
                deployed,
                planner: Planner::new(state, window),
                work,
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
    /// Waits for the end: of the work, by the first failure, or by a stop, which the work has some time to follow.
    async fn watch(&mut self, stop: &CancellationToken, timeout: Duration) -> Result<Ended, Failure> {
        let stopped = async {
            stop.cancelled().await;
            tokio::time::sleep(timeout).await;
        };
        tokio::pin!(stopped);
        loop {
            tokio::select! {
                joined = self.work.join_next() => match joined {
                    Some(joined) => finished(joined)?,
                    None if stop.is_cancelled() => return Ok(Ended::Stopped),
                    None => return Ok(Ended::Arrived),
                },
                Some(joined) = self.upkeep.join_next() => finished(joined)?,
                () = &mut stopped => {
                    tracing::warn!(tasks = self.work.len(), "the stop took too long; what is open is rolled back");
                    return Ok(Ended::Stopped);
                }
            }
        }
    }
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
