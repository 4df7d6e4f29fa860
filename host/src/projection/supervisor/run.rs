//! One run of a projection under one epoch: from the rows in MySQL to reader and lanes, and back. It owns every task of
//! the projection.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Legacy, START_PATIENCE, Supervisor};
use crate::failure::Failure;
use crate::projection::acknowledge::Acknowledger;
use crate::projection::breaker::Breaker;
use crate::projection::lane::{ApplyStage, ProjectStage, between, order_queue};
use crate::projection::letters::Order;
use crate::projection::pause::{Question, holds_stream};
use crate::projection::plan::Planner;
use crate::projection::progress::Progress;
use crate::projection::reader::{Inbox, Reader};
use crate::projection::{Course, Servers, startup, upkeep};
use crate::projector::Worker;
use crate::readmodel::{Lane, LaneModel, Session, pause, within};
use crate::source::OutboxReader;

type TaskSet = JoinSet<Result<(), Failure>>;

/// Why a run ended.
pub enum Ended {
    Stopped,
    /// The lanes came to the end of their course; the next one begins.
    Arrived,
}

/// The tasks of one run.
pub struct Run<'a> {
    of: &'a Supervisor,
    epoch: u64,
    /// Ends reader and lanes when they have finished what they have begun. Not a child of the host's: a stop is shown
    /// before anything ends because of it.
    stop: CancellationToken,
    /// Keeps the lease, from before the first lane to after the last one.
    lease: TaskSet,
    /// Reader and lanes: the run ends when they all have.
    work: TaskSet,
    /// What goes on beside them, and never ends by itself.
    upkeep: TaskSet,
}

/// What the lanes of one run have in common.
struct Shared {
    progress: Arc<Progress>,
    breaker: Arc<Breaker>,
    holds_stream: bool,
}

impl<'a> Run<'a> {
    /// A run under a lease that is good until then, by this host's clock, unless it is renewed.
    pub fn new(of: &'a Supervisor, epoch: u64, session: Session, good_until: Instant) -> Self {
        let mut lease = TaskSet::new();
        let (servers, settings) = (of.servers.clone(), of.settings.clone());
        lease.spawn(upkeep::keep_lease(servers, settings, epoch, session, good_until));
        lease.spawn(upkeep::beat(of.status.clone()));
        let (work, upkeep) = (TaskSet::new(), TaskSet::new());
        Self { of, epoch, stop: CancellationToken::new(), lease, work, upkeep }
    }

    /// Runs to the end: of the course, by the first failure, or by a stop.
    pub async fn until_it_ends(mut self, legacy: &mut Legacy) -> Result<Ended, Failure> {
        let (of, epoch, stop) = (self.of, self.epoch, self.stop.clone());
        let starting = Start { of, epoch, stop, work: &mut self.work, upkeep: &mut self.upkeep };
        let started = tokio::select! {
            started = starting.start(legacy) => started,
            Some(joined) = self.lease.join_next() => finished(joined),
            () = self.of.stop.cancelled() => Ok(()),
        };
        let ended = match started {
            Ok(()) => self.watch().await,
            Err(failure) => Err(failure),
        };
        self.end().await;
        ended
    }

    /// Waits for the end. A stop leaves the work some time to follow it.
    async fn watch(&mut self) -> Result<Ended, Failure> {
        let (servers, name) = (self.of.servers.clone(), self.of.settings.name.clone());
        self.upkeep.spawn(upkeep::observe(servers, name, self.of.status.clone()));
        let deadline = async {
            self.of.stop.cancelled().await;
            self.of.status.stops();
            self.stop.cancel();
            tokio::time::sleep(self.of.settings.stop_timeout).await;
        };
        tokio::pin!(deadline);
        loop {
            tokio::select! {
                joined = self.work.join_next() => match joined.map(finished) {
                    Some(Ok(())) => {}
                    // The others may finish what they have begun.
                    Some(Err(failure)) if self.stop.is_cancelled() => gives_up(&self.of.settings.name, &failure),
                    Some(Err(failure)) => return Err(failure),
                    None if self.of.stop.is_cancelled() => return Ok(Ended::Stopped),
                    None => return Ok(Ended::Arrived),
                },
                Some(joined) = self.lease.join_next() => finished(joined)?,
                Some(joined) = self.upkeep.join_next() => finished(joined)?,
                () = &mut deadline => {
                    name_stragglers(self.of);
                    return Ok(Ended::Stopped);
                }
            }
        }
    }

    /// Ends what still runs: a transaction that is open is rolled back by MySQL when its connection closes.
    async fn end(mut self) {
        self.stop.cancel();
        self.work.shutdown().await;
        self.upkeep.shutdown().await;
        self.lease.shutdown().await;
    }
}

/// What makes a run ready, and starts its tasks.
struct Start<'a> {
    of: &'a Supervisor,
    epoch: u64,
    stop: CancellationToken,
    work: &'a mut TaskSet,
    upkeep: &'a mut TaskSet,
}

impl Start<'_> {
    /// Makes everything ready, and starts the lanes, then what feeds them.
    async fn start(mut self, legacy: &mut Legacy) -> Result<(), Failure> {
        let Supervisor { servers, settings, loaded, status, .. } = self.of;
        let lost = legacy.lost.as_ref();
        let preparing = startup::prepare(servers, settings, loaded, self.epoch, lost);
        let (generation, course) = match lost {
            None => within(START_PATIENCE, "making everything ready", preparing).await?,
            // Large tables take their time to be emptied.
            Some(_) => preparing.await?,
        };
        legacy.refilling |= legacy.lost.take().is_some();
        let question = Question {
            servers: servers.clone(),
            projection: settings.name.clone(),
            generation,
            holds_stream: holds_stream(settings, loaded),
            full: legacy.full.take(),
        };
        let mut session = servers.applier.connect().await?;
        let breaker = self.breaker(&mut session).await?;
        let manifest = &loaded.deployed.manifest;
        let component = format!("{} {}", manifest.name, manifest.version);
        status.starts(&component, &loaded.deployed.digest, self.epoch, &course.rows);
        let pause = question.ask(&mut session).await?;
        drop(session);
        self.spawn_all(breaker, question, pause, course).await
    }

    /// The breaker of a run. One that is open for another component is closed: this one may do better. One that an
    /// operator resumed does not open again for the same component.
    async fn breaker(&self, session: &mut Session) -> Result<Breaker, Failure> {
        let Supervisor { servers, settings, loaded, .. } = self.of;
        let (control, name, digest) = (&servers.control, &settings.name, &loaded.deployed.digest);
        if pause::close_breaker_of_others(session, control, name, self.epoch, digest).await? {
            tracing::info!(projection = name, digest, "another component: the breaker is closed");
        }
        let muted = pause::breaker_is_muted(session, control, name, digest).await?;
        Ok(if muted { Breaker::off() } else { Breaker::new(settings.letters.breaker) })
    }

    async fn spawn_all(
        &mut self,
        breaker: Breaker,
        question: Question,
        pause: Option<Failure>,
        course: Course,
    ) -> Result<(), Failure> {
        let shared = Shared {
            progress: Arc::new(Progress::new(course.rows.iter().map(|row| row.position.clone()))),
            breaker: Arc::new(breaker),
            holds_stream: question.holds_stream,
        };
        let (mut inboxes, mut orders, mut lanes) = (vec![], vec![], vec![]);
        for row in &course.rows {
            let (projection, generation) = (self.of.settings.name.clone(), question.generation);
            let lane = Lane { projection, generation, lane: row.lane };
            lanes.push(lane.clone());
            let (inbox, order) = self.spawn_lane(&shared, lane).await?;
            inboxes.push(inbox);
            orders.push(order);
        }
        self.of.orders.replace(orders);
        let Supervisor { servers, settings, status, .. } = self.of;
        let acknowledger = Acknowledger::new(servers.clone(), status.clone(), settings.acknowledge, lanes);
        self.upkeep.spawn(acknowledger.run());
        let stop = self.stop.clone();
        if let Some(pause) = pause {
            status.pauses(&pause, pause.to_string());
            self.work.spawn(async move {
                // The lanes end with their inboxes: until then they take operators' orders, and no events.
                let _inboxes = inboxes;
                stop.run_until_cancelled(question.until_it_changes(Some(pause))).await;
                Ok(())
            });
            return Ok(());
        }
        let source = OutboxReader::new(servers.outbox.clone(), servers.decoder.clone());
        let reader = Reader::new(source, inboxes, status.clone(), shared.progress, course.until);
        self.work.spawn(async move { stop.run_until_cancelled(reader.run()).await.unwrap_or(Ok(())) });
        self.upkeep.spawn(upkeep::watch_pause(question));
        Ok(())
    }

    /// Starts the two stages of a lane.
    async fn spawn_lane(
        &mut self,
        shared: &Shared,
        lane: Lane,
    ) -> Result<(Inbox, mpsc::Sender<Order>), Failure> {
        let Servers { applier, control, decoder, .. } = self.of.servers.clone();
        let settings = &self.of.settings;
        let deployed = self.of.loaded.deployed.clone();
        let (number, window) = (lane.lane as usize, settings.window);
        let model = LaneModel::new(applier, control, lane, self.epoch, deployed.schema.clone(), window);
        let model = model.with_limits(settings.letters.limits);
        let mut model = model.acknowledging(settings.acknowledge);
        let state = model.load().await?;
        let (inbox, chunks) = Inbox::new(state.row.position.clone());
        let (to_apply, projected) = between();
        let (order, orders) = order_queue();
        self.work.spawn(
            ProjectStage {
                projector: self.worker()?,
                deployed: deployed.clone(),
                batch_max: settings.batch_max,
                chunks,
                work: to_apply,
                status: self.of.status.clone(),
                lane: number,
                stop: self.stop.clone(),
            }
            .run(),
        );
        self.work.spawn(
            ApplyStage {
                model,
                projector: self.worker()?,
                deployed,
                planner: Planner::new(state, window),
                work: projected,
                orders,
                status: self.of.status.clone(),
                lane: number,
                progress: shared.progress.clone(),
                decoder,
                breaker: shared.breaker.clone(),
                holds_stream: shared.holds_stream,
                stop: self.stop.clone(),
            }
            .run(),
        );
        Ok((inbox, order))
    }

    fn worker(&self) -> Result<Worker, Failure> {
        Worker::start(self.of.loaded.component.clone(), &self.of.settings.name).map_err(|error| {
            Failure::CannotWrite { code: 0, message: format!("starting a projector thread: {error}") }
        })
    }
}

fn gives_up(projection: &str, failure: &Failure) {
    let failure = failure.without_values();
    tracing::warn!(projection, "a lane gave up while stopping; what it had open is rolled back: {failure}");
}

/// Says who was not done by the deadline of a stop.
fn name_stragglers(of: &Supervisor) {
    let projection = &of.settings.name;
    for (lane, doing) in of.status.stragglers() {
        tracing::warn!(projection, lane, "the stop took too long; what is open is rolled back: {doing}");
    }
}

fn finished(joined: Result<Result<(), Failure>, JoinError>) -> Result<(), Failure> {
    joined.unwrap_or_else(|error| {
        Err(Failure::Unknown {
            code: 0,
            message: format!("a task of the projection ended abnormally: {error}"),
        })
    })
}
