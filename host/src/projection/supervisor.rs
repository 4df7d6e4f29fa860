//! Runs one projection: takes the lease, makes everything ready, runs reader and lanes, and starts them again from
//! the checkpoint when one of them ends. It owns every task of the projection.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::breaker::Breaker;
use super::lane::{ApplyStage, ProjectStage, between, order_queue};
use super::pause::{Question, holds_stream};
use super::plan::Planner;
use super::progress::Progress;
use super::reader::{Inbox, Reader};
use super::{Course, Loaded, Orders, Phase, Servers, Settings, Status, startup, upkeep};
use crate::failure::{Failure, Fault};
use crate::position::Position;
use crate::projector::Worker;
use crate::readmodel::lease::{self, Acquired};
use crate::readmodel::{Lane, LaneModel, Session, pause};
use crate::retry::Backoff;
use crate::source::OutboxReader;

/// How often a standby asks for the lease.
const STANDBY_INTERVAL: Duration = Duration::from_millis(500);

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
        // There was no room for a dead letter.
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
                    let wait = self.after(&failure, &mut backoff);
                    full = Some(failure).filter(|failure| matches!(failure, Failure::LettersFull { .. }));
                    wait
                }
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
            // The next run takes no events, but letters can be dealt with.
            _ if failure.holds_events_only() => {
                self.status.enter(Phase::Paused { reason: failure.to_string() });
                Duration::ZERO
            }
            Fault::Setup | Fault::Event => {
                self.status.enter(Phase::Paused { reason: failure.to_string() });
                PAUSE_INTERVAL
            }
            Fault::Environment => {
                let wait = backoff.next_wait();
                tracing::warn!(projection, "{failure}; starting again from the checkpoint in {wait:?}");
                self.status.source_fails(failure);
                wait
            }
            Fault::Fenced => {
                tracing::warn!(projection, "{failure}; nothing more is written under the old epoch");
                *backoff = Backoff::new();
                STANDBY_INTERVAL
            }
        }
    }

    async fn run_once(&self, full: Option<Failure>) -> Result<Ended, Failure> {
        self.status.beat();
        let Some((epoch, mut session)) = self.take_lease().await? else { return Ok(Ended::Stopped) };
        let prepared = startup::prepare(&self.servers, &self.settings, &self.loaded, epoch).await;
        let ended = match prepared {
            Ok((generation, course)) => {
                let question = Question {
                    servers: self.servers.clone(),
                    projection: self.settings.name.clone(),
                    generation,
                    holds_stream: holds_stream(&self.settings, &self.loaded),
                    full,
                };
                let breaker = self.breaker(epoch, &mut session).await?;
                self.run_lanes(epoch, question, breaker, course, session).await
            }
            Err(failure) => Err(failure),
        };
        self.orders.replace(vec![]);
        if let Err(Failure::BreakerOpen { reason }) = &ended {
            self.record_open_breaker(epoch, reason).await?;
        }
        if self.stop.is_cancelled() {
            self.release_lease(epoch).await;
        }
        ended
    }

    /// The breaker of a run. One that is open for another component is closed: this one may do better. One that an
    /// operator resumed does not open again for the same component.
    async fn breaker(&self, epoch: u64, session: &mut Session) -> Result<Breaker, Failure> {
        let (control, name, digest) =
            (&self.servers.control, &self.settings.name, &self.loaded.deployed.digest);
        if pause::close_breaker_of_others(session, control, name, epoch, digest).await? {
            tracing::info!(projection = name, digest, "another component: the breaker is closed");
        }
        let muted = pause::breaker_is_muted(session, control, name, digest).await?;
        Ok(if muted { Breaker::off() } else { Breaker::new(self.settings.letters.breaker) })
    }

    /// Nothing of what opened it is committed: where this fails, the next run opens it again.
    async fn record_open_breaker(&self, epoch: u64, reason: &str) -> Result<(), Failure> {
        let mut session = self.servers.applier.connect().await?;
        let (control, name) = (&self.servers.control, &self.settings.name);
        pause::open_breaker(&mut session, control, name, epoch, &self.loaded.deployed.digest, reason).await
    }

    /// Waits as a standby until the lease is this host's. Nothing when a stop comes first.
    async fn take_lease(&self) -> Result<Option<(u64, Session)>, Failure> {
        let Settings { name, owner, lease_ttl, .. } = &self.settings;
        let mut ddl = self.servers.ddl.connect().await?;
        self.servers.control.migrate(&mut ddl).await?;
        drop(ddl);
        let mut session = self.servers.applier.connect().await?;
        loop {
            match lease::acquire(&mut session, &self.servers.control, name, owner, *lease_ttl).await? {
                Acquired::Mine { epoch } => {
                    tracing::info!(projection = name, epoch, "took the lease");
                    return Ok(Some((epoch, session)));
                }
                Acquired::Taken { owner } => {
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
        epoch: u64,
        question: Question,
        breaker: Breaker,
        course: Course,
        mut session: Session,
    ) -> Result<Ended, Failure> {
        let manifest = &self.loaded.deployed.manifest;
        let component = format!("{} {}", manifest.name, manifest.version);
        self.status.starts(&component, &self.loaded.deployed.digest, epoch, &course.rows);
        let pause = question.ask(&mut session).await?;
        let stop = self.stop.child_token();
        let mut tasks = Tasks::default();
        let shared = Shared {
            progress: Arc::new(Progress::new(course.rows.iter().map(|row| row.position.clone()))),
            breaker: Arc::new(breaker),
            holds_stream: question.holds_stream,
            stop: stop.clone(),
        };
        let (mut inboxes, mut orders) = (vec![], vec![]);
        for row in &course.rows {
            let (projection, generation) = (self.settings.name.clone(), question.generation);
            let lane = Lane { projection, generation, lane: row.lane };
            let (inbox, order) = self.spawn_lane(&mut tasks, &shared, lane, epoch).await?;
            inboxes.push(inbox);
            orders.push(order);
        }
        self.orders.replace(orders);
        self.spawn_feed(&mut tasks, &shared, pause, question, inboxes, course.until);
        tasks.upkeep.spawn(upkeep::keep_lease(self.servers.clone(), self.settings.clone(), epoch, session));
        let (servers, name) = (self.servers.clone(), self.settings.name.clone());
        tasks.upkeep.spawn(upkeep::observe(servers, name, self.status.clone()));
        let ended = tasks.watch(&self.stop, self.settings.stop_timeout).await;
        stop.cancel();
        tasks.end().await;
        ended
    }

    /// Starts what feeds the lanes: the reader; or, while something holds the events back, nobody.
    fn spawn_feed(
        &self,
        tasks: &mut Tasks,
        shared: &Shared,
        pause: Option<Failure>,
        question: Question,
        inboxes: Vec<Inbox>,
        until: Option<Position>,
    ) {
        let stop = shared.stop.clone();
        if let Some(pause) = pause {
            self.status.enter(Phase::Paused { reason: pause.to_string() });
            tasks.work.spawn(async move {
                // The lanes end with their inboxes.
                let _inboxes = inboxes;
                tokio::select! {
                    () = question.until_it_changes(Some(pause)) => Ok(()),
                    () = stop.cancelled() => Ok(()),
                }
            });
            return;
        }
        let source = OutboxReader::new(self.servers.outbox.clone(), self.servers.decoder.clone());
        let reader = Reader::new(source, inboxes, self.status.clone(), shared.progress.clone(), until);
        tasks.work.spawn(async move {
            tokio::select! {
                ended = reader.run() => ended,
                () = stop.cancelled() => Ok(()),
            }
        });
        tasks.upkeep.spawn(upkeep::watch_pause(question));
    }

    /// Starts the two stages of a lane.
    async fn spawn_lane(
        &self,
        tasks: &mut Tasks,
        shared: &Shared,
        lane: Lane,
        epoch: u64,
    ) -> Result<(Inbox, tokio::sync::mpsc::Sender<super::letters::Order>), Failure> {
        let Servers { applier, control, decoder, .. } = self.servers.clone();
        let deployed = self.loaded.deployed.clone();
        let number = lane.lane as usize;
        let window = self.settings.window;
        let mut model = LaneModel::new(applier, control, lane, epoch, deployed.schema.clone(), window)
            .with_limits(self.settings.letters.limits);
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
                stop: shared.stop.clone(),
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
                progress: shared.progress.clone(),
                decoder,
                breaker: shared.breaker.clone(),
                holds_stream: shared.holds_stream,
                stop: shared.stop.clone(),
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

/// What the lanes of one run have in common.
struct Shared {
    progress: Arc<Progress>,
    breaker: Arc<Breaker>,
    holds_stream: bool,
    stop: CancellationToken,
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
