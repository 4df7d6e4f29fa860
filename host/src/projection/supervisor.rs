//! Runs one projection: takes the lease, makes everything ready, runs reader and lanes, and starts them again from
//! the checkpoint when one of them ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::run::{Ended, Parts, Run};
use super::{Course, Loaded, Orders, Phase, Servers, Settings, Status, startup, upkeep};
use crate::failure::{Failure, Fault};
use crate::projector::Worker;
use crate::readmodel::lease::{self, Acquired};
use crate::readmodel::{Lane, LaneModel, Session};
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

    async fn run_once(&self) -> Result<Ended, Failure> {
        self.status.beat();
        let Some((epoch, session)) = self.take_lease().await? else { return Ok(Ended::Stopped) };
        let prepared = startup::prepare(&self.servers, &self.settings, &self.loaded, epoch).await;
        let ended = match prepared {
            Ok((generation, course)) => self.run_lanes(epoch, generation, course, session).await,
            Err(failure) => Err(failure),
        };
        self.orders.replace(vec![]);
        if self.stop.is_cancelled() {
            self.release_lease(epoch).await;
        }
        ended
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
        generation: u32,
        course: Course,
        session: Session,
    ) -> Result<Ended, Failure> {
        let manifest = &self.loaded.deployed.manifest;
        let component = format!("{} {}", manifest.name, manifest.version);
        self.status.starts(&component, &self.loaded.deployed.digest, epoch, &course.rows);
        let stop = self.stop.child_token();
        let run = Run {
            parts: &Writer { supervisor: self, epoch, generation },
            deployed: &self.loaded.deployed,
            decoder: &self.servers.decoder,
            batch_max: self.settings.batch_max,
            window: self.settings.window,
            status: &self.status,
            stop: &stop,
        };
        let (mut tasks, orders) = run.start(course).await?;
        self.orders.replace(orders);
        tasks.beside(upkeep::keep_lease(self.servers.clone(), self.settings.clone(), epoch, session));
        let (servers, name) = (self.servers.clone(), self.settings.name.clone());
        tasks.beside(upkeep::observe(servers, name, self.status.clone()));
        let ended = tasks.watch(&self.stop, self.settings.stop_timeout).await;
        stop.cancel();
        tasks.end().await;
        ended
    }
}

/// A supervisor that holds the lease.
struct Writer<'a> {
    supervisor: &'a Supervisor,
    epoch: u64,
    generation: u32,
}

impl Parts for Writer<'_> {
    type Source = OutboxReader;
    type Projector = Worker;
    type ReadModel = LaneModel;

    fn source(&self) -> OutboxReader {
        let Servers { outbox, decoder, .. } = &self.supervisor.servers;
        OutboxReader::new(outbox.clone(), decoder.clone())
    }

    fn projector(&self) -> Result<Worker, Failure> {
        let Supervisor { loaded, settings, .. } = self.supervisor;
        Worker::start(loaded.component.clone(), &settings.name).map_err(|error| {
            Failure::CannotWrite { code: 0, message: format!("starting a projector thread: {error}") }
        })
    }

    fn read_model(&self, lane: u32) -> LaneModel {
        let Supervisor { servers, settings, loaded, .. } = self.supervisor;
        let lane = Lane { projection: settings.name.clone(), generation: self.generation, lane };
        let Servers { applier, control, .. } = servers.clone();
        LaneModel::new(applier, control, lane, self.epoch, loaded.deployed.schema.clone(), settings.window)
    }
}
