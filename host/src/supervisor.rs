//! Runs one projection: takes the lease, makes everything ready, runs reader and lanes, and starts them again from
//! the checkpoint when one of them ends.

pub mod settings;
pub mod startup;
pub mod refill;
mod leader;
mod adapters;
mod hold;
mod monitor;
pub mod acknowledger;
pub mod generations;
#[cfg(test)]
pub mod simulation;

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::component::registry::Versions;
use crate::failure::{Failure, Fault};
use crate::pipeline::requests::LetterQueues;
use crate::pipeline::run::{Ended, TaskSet, Tasks, finished};
use crate::pipeline::suspects::Suspects;
use crate::readmodel::control::lease::{self, Acquired};
use crate::readmodel::control::pause;
use crate::readmodel::control::poller::ControlFeed;
use crate::readmodel::mysql::session::{Session, within};
use crate::retry::Backoff;
use crate::servers::Servers;
use crate::source::{OnLost, ResumePlan, resume};
use crate::status::Status;
use crate::status::snapshot::Phase;
use generations::context::GenerationContext;
use settings::Settings;

/// How often a standby asks for the lease.
const STANDBY_INTERVAL: Duration = Duration::from_millis(250);

/// How long MySQL may take to answer a question about the lease: it waits for rows that an old host's last transaction
/// still holds.
const LEASE_PATIENCE: Duration = Duration::from_secs(15);

/// How long making everything ready may take.
const START_PATIENCE: Duration = Duration::from_secs(75);

/// How long looking after other generations may take before lanes begin: where these cannot, the ids of the whole outbox are
/// read, some 100,000 a second.
const ASIDE_PATIENCE: Duration = Duration::from_mins(15);

/// How long reading, compiling and checking what is deployed may take.
const SETTLE_PATIENCE: Duration = Duration::from_mins(5);

/// How long a host that could not renew its lease leaves it to one that can.
const EXPIRED_INTERVAL: Duration = Duration::from_secs(2);

/// How often a paused projection looks whether its set-up was mended.
const PAUSE_INTERVAL: Duration = Duration::from_secs(15);

/// The same while something is built beside its tables: with each try, reading history is opened anew.
const ASIDE_INTERVAL: Duration = Duration::from_mins(5);

/// How long a host that reaches no primary leaves the lease to one that does.
const NO_PRIMARY_INTERVAL: Duration = Duration::from_secs(10);

/// After a run of this length, what ended it is not a repetition of what ended the one before.
const GOOD_RUN: Duration = Duration::from_mins(1);

/// How long a stop waits for the lease to be given back.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(2);

pub struct Supervisor {
    pub servers: Servers,
    pub settings: Settings,
    pub versions: Arc<Versions>,
    pub status: Arc<Status>,
    /// How the control schema says that the projection stands.
    pub feed: ControlFeed,
    pub orders: LetterQueues,
    pub stop: CancellationToken,
}

/// Why a projection pauses, with the choices that there are.
pub fn reason(failure: &Failure, wish: OnLost) -> String {
    match resume::plan(failure, wish) {
        ResumePlan::Pause { reason } => reason,
        // It was tried, and refused for what the failure says.
        ResumePlan::Rebuild | ResumePlan::Rescue | ResumePlan::Reopen => failure.to_string(),
    }
}

/// What one run leaves to the next.
#[derive(Default)]
struct Carryover {
    /// There was no room for a dead letter.
    full: Option<Failure>,
    suspects: Arc<Suspects>,
    /// That this host reaches no primary was told.
    told_of_no_primary: bool,
    /// The generation that the live lanes did not come to one position with.
    waited_for: Arc<AtomicU32>,
}

impl Supervisor {
    /// Runs until a stop is asked for.
    pub async fn run(self) {
        let mut backoff = Backoff::new();
        let mut carryover = Carryover::default();
        while !self.stop.is_cancelled() {
            let began = Instant::now();
            let ended = self.run_once(&mut carryover).await;
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
                Err(failure) => self.after(self.explained(failure).await, &mut backoff, &mut carryover),
            };
            self.stop.run_until_cancelled(tokio::time::sleep(wait)).await;
        }
        self.status.enter(Phase::Stopped);
    }

    /// What a failure means for the projection: how long to wait before the next run.
    fn after(&self, failure: Failure, backoff: &mut Backoff, carryover: &mut Carryover) -> Duration {
        let projection = &self.settings.name;
        let failure = failure.of_the_host();
        carryover.full =
            Some(failure.clone()).filter(|failure| matches!(failure, Failure::LettersFull { .. }));
        match failure.fault() {
            // The next run takes no events, but letters can be dealt with.
            _ if failure.holds_events_only() => {
                self.status.pauses(&failure, failure.to_string());
                Duration::ZERO
            }
            Fault::Setup | Fault::Event => {
                self.status.pauses(&failure, reason(&failure, self.settings.resume_lost));
                PAUSE_INTERVAL
            }
            Fault::Environment if matches!(failure, Failure::NoPrimary { .. }) => {
                if !std::mem::replace(&mut carryover.told_of_no_primary, true) {
                    let remedy = failure.remedy();
                    tracing::warn!(
                        projection,
                        "{failure}; {remedy}; the lease is left to a host that reaches it, and until then this is tried again"
                    );
                }
                self.status.run_fails(&failure);
                NO_PRIMARY_INTERVAL
            }
            Fault::Environment => {
                let wait = backoff.next_wait();
                let told = failure.without_values();
                tracing::warn!(projection, "{told}; starting again from the checkpoint in {wait:?}");
                self.status.run_fails(&failure);
                wait
            }
            Fault::Fenced => {
                let told = failure.without_values();
                tracing::warn!(projection, "{told}; nothing more is written under the old epoch");
                self.status.run_fails(&failure);
                *carryover = Carryover::default();
                *backoff = Backoff::new();
                let expired = matches!(failure, Failure::LeaseExpired { .. });
                if expired { EXPIRED_INTERVAL } else { STANDBY_INTERVAL }
            }
        }
    }

    async fn run_once(&self, carryover: &mut Carryover) -> Result<Ended, Failure> {
        self.status.beat();
        let Some(taken) = self.stop.run_until_cancelled(self.take_lease(carryover)).await else {
            return Ok(Ended::Stopped);
        };
        let (epoch, session, good_until) = taken?;
        let ended = self.run_under(epoch, session, good_until, carryover).await;
        self.orders.replace(vec![]);
        if let Err(Failure::BreakerOpen { reason }) = &ended {
            self.record_open_breaker(epoch, reason).await?;
        }
        if self.stop.is_cancelled() || matches!(ended, Err(Failure::NoPrimary { .. })) {
            self.release_lease(epoch).await;
        }
        ended
    }

    /// One run, under a lease that is good until then, by this host's clock, unless it is renewed.
    async fn run_under(
        &self,
        epoch: u64,
        session: Session,
        good_until: Instant,
        carryover: &mut Carryover,
    ) -> Result<Ended, Failure> {
        let mut tasks = Tasks::default();
        let (servers, settings) = (self.servers.clone(), self.settings.clone());
        tasks.lease.spawn(monitor::keep_lease(servers, settings, epoch, session, good_until));
        tasks.lease.spawn(monitor::beat(self.status.clone()));
        let (run, context) = (CancellationToken::new(), self.context(epoch, carryover));
        // It is large, and handed on through a few functions.
        let starting = Box::pin(self.start(&context, (&mut tasks.work, &mut tasks.beside), &run, carryover));
        let started = tokio::select! {
            started = starting => started,
            Some(joined) = tasks.lease.join_next() => finished(joined),
            () = self.stop.cancelled() => Ok(()),
        };
        let timeout = self.settings.stop_timeout;
        let mut ended = match started {
            Ok(()) => tasks.watch(&self.stop, &run, &self.status, timeout).await,
            Err(failure) => Err(failure),
        };
        if let Err(failure) = &ended {
            let waiting = self.waits_for_another_generation(&context, failure);
            let waits = self.stop.run_until_cancelled(waiting).await.unwrap_or(Ok(false));
            if let Err(refused) = waits {
                ended = Err(refused);
            } else if waits == Ok(true) {
                tasks.go_on_beside(&run, ASIDE_INTERVAL).await;
                context.alone.cancel();
                ended = tasks.watch(&self.stop, &run, &self.status, timeout).await;
            }
        }
        run.cancel();
        tasks.end().await;
        ended
    }

    /// A failure of privileges with all that the accounts lack, and not only what was met first.
    async fn explained(&self, failure: Failure) -> Failure {
        let loaded = self.versions.desired.get().current;
        let explaining =
            startup::readiness::explained(&self.servers, &self.settings.name, &loaded, failure.clone());
        tokio::time::timeout(LEASE_PATIENCE, explaining).await.unwrap_or(failure)
    }

    fn context(&self, epoch: u64, carryover: &Carryover) -> GenerationContext {
        GenerationContext {
            servers: self.servers.clone(),
            settings: self.settings.clone(),
            versions: self.versions.clone(),
            epoch,
            live: self.status.clone(),
            feed: self.feed.clone(),
            alone: CancellationToken::new(),
            waited_for: carryover.waited_for.clone(),
        }
    }

    /// Starts the lanes, and what goes on beside them, which also goes on where the lanes cannot.
    async fn start(
        &self,
        context: &GenerationContext,
        (work, beside): (&mut TaskSet, &mut TaskSet),
        run: &CancellationToken,
        carryover: &mut Carryover,
    ) -> Result<(), Failure> {
        let settling = generations::next_step(context);
        let next_step = within(ASIDE_PATIENCE, "looking for other generations", settling).await?;
        let started = leader::start(
            self,
            context.epoch,
            (work, beside),
            run,
            carryover,
            (next_step.until(), &context.alone),
        )
        .await;
        next_step.start(context.clone(), work, beside, run);
        started
    }

    /// Whether the live lanes cannot go on, and what is built beside their tables may be the cure. Where `resume_lost` says so,
    /// it is begun.
    async fn waits_for_another_generation(
        &self,
        context: &GenerationContext,
        failure: &Failure,
    ) -> Result<bool, Failure> {
        if failure.fault() != Fault::Setup || failure.holds_events_only() {
            return Ok(false);
        }
        let rebuilds = resume::plan(failure, self.settings.resume_lost) == ResumePlan::Rebuild;
        if rebuilds {
            let beginning = Box::pin(refill::begin(context, failure));
            within(ASIDE_PATIENCE, "beginning a rebuild", beginning).await?;
        }
        let needed = generations::is_needed(context).await.unwrap_or(false);
        if needed {
            let how = "; the tables are made anew beside these, and take their place: `laterna generations list` tells how far";
            let how = if rebuilds { how } else { "" };
            self.status.pauses(failure, format!("{failure}{how}"));
        }
        Ok(needed)
    }

    /// Nothing of what opened it is committed: where this fails, the next run opens it again.
    async fn record_open_breaker(&self, epoch: u64, reason: &str) -> Result<(), Failure> {
        let mut session = self.servers.applier.connect().await?;
        let (control, name) = (&self.servers.control, &self.settings.name);
        let current = self.versions.desired.get().current;
        pause::open_breaker(&mut session, control, name, epoch, current.digest(), reason).await
    }

    /// Waits as a standby until the lease is this host's, and says until when it is good by this host's clock.
    async fn take_lease(&self, carryover: &mut Carryover) -> Result<(u64, Session, Instant), Failure> {
        let Settings { name, owner, lease_ttl, .. } = &self.settings;
        let mut ddl = self.servers.ddl.connect().await?;
        within(START_PATIENCE, "creating the control schema", self.servers.control.migrate(&mut ddl)).await?;
        drop(ddl);
        let mut session = self.servers.applier.connect().await?;
        loop {
            let asked = Instant::now();
            let asking = lease::acquire(
                &mut session,
                &self.servers.ddl,
                &self.servers.control,
                name,
                owner,
                *lease_ttl,
            );
            match within(LEASE_PATIENCE, "asking for the lease", asking).await? {
                Acquired::Mine { epoch } => {
                    tracing::info!(projection = name, epoch, "took the lease");
                    // Earlier epochs commit nothing any more, and no lane of this one begins while a pause stands.
                    let recording = pause::record_still(&mut session, &self.servers.control, name, epoch);
                    within(LEASE_PATIENCE, "recording that the lanes stand still", recording).await?;
                    return Ok((epoch, session, asked + *lease_ttl));
                }
                Acquired::Taken { owner: other } => {
                    // What was lost is the other host's business now.
                    if other != *owner {
                        let told_of_no_primary = carryover.told_of_no_primary;
                        *carryover = Carryover { told_of_no_primary, ..Carryover::default() };
                    }
                    self.status.enter(Phase::Standby { owner: other });
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
            Err(failure) => {
                tracing::warn!(projection, "the lease runs out: {}", failure.without_values());
            }
        }
    }
}
