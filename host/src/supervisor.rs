//! Runs one projection: takes the lease, makes everything ready, runs reader and lanes, and starts them again from the checkpoint
//! when one of them ends. How long a standby, a pause or an outage waits is a constant here.

pub mod settings;
pub mod term;
pub mod on_servers;
mod data_adapters;
mod hold;
pub mod startup;
pub mod acknowledger;
pub mod generations;
pub mod ports;
mod leader;
mod keep_lease;
mod monitor;
mod live_lanes;
mod control_adapters;
#[cfg(test)]
pub mod simulation;

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::failure::{Failure, Fault};
use crate::pipeline::requests::LetterQueues;
use crate::pipeline::run::{Ended, TaskSet, Tasks, finished};
use crate::pipeline::suspects::Suspects;
use crate::readmodel::control::lease::Acquired;
use crate::readmodel::mysql::session::within;
use crate::retry::{self, Backoff};
use crate::source::{OnLost, ResumePlan, resume};
use crate::status::snapshot::Phase;
use generations::BesideLanes;
use ports::{ControlPorts, Lease};
use settings::Settings;
use term::Term;

/// How long looking after other generations may take before lanes begin: where these cannot, the ids of the whole outbox are
/// read, some 100,000 a second.
const GENERATIONS_PATIENCE: Duration = Duration::from_mins(15);

/// How often a standby asks for the lease.
const STANDBY_INTERVAL: Duration = Duration::from_millis(250);

/// How often a host asks whose own session of the run before has not ended yet.
const OWN_INTERVAL: Duration = Duration::from_millis(25);

/// How long MySQL may take to answer a question about the lease: it waits for rows that an old host's last transaction
/// still holds.
const LEASE_PATIENCE: Duration = Duration::from_secs(15);

/// How long making everything ready may take.
const START_PATIENCE: Duration = Duration::from_secs(75);

/// How long a host that could not renew its lease leaves it to one that can.
const EXPIRED_INTERVAL: Duration = Duration::from_secs(2);

/// Retry interval while a generation is built: each retry reopens the scan of history.
const BESIDE_INTERVAL: Duration = Duration::from_mins(5);

/// How long a host that reaches no primary leaves the lease to one that does.
const NO_PRIMARY_INTERVAL: Duration = Duration::from_secs(10);

/// After a run of this length, what ended it is not a repetition of what ended the one before.
const GOOD_RUN: Duration = Duration::from_mins(1);

/// How long a stop waits for the lease to be given back.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(2);

/// Keeps one projection running, on the servers or, in the simulation, on made-up ones.
pub struct Supervisor<P> {
    pub ports: P,
    pub letter_queues: LetterQueues,
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

impl Carryover {
    /// Forgets what was about the lanes of this host, because another one runs them. What was learnt about events stays: a host
    /// that forgot whom MySQL refuses would park another event after each take-over.
    fn give_up_place(&mut self) {
        self.full = None;
        self.waited_for = Arc::default();
    }
}

impl<P: ControlPorts> Supervisor<P> {
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
                    tracing::warn!(projection = self.ports.settings().name, "{}", failure.without_values());
                    break;
                }
                Err(failure) => {
                    let failure = self.ports.explain(failure).await;
                    self.after(failure, &mut backoff, &mut carryover)
                }
            };
            self.stop.run_until_cancelled(tokio::time::sleep(wait)).await;
        }
        self.ports.status().enter(Phase::Stopped);
    }

    /// What a failure means for the projection: how long to wait before the next run.
    fn after(&self, failure: Failure, backoff: &mut Backoff, carryover: &mut Carryover) -> Duration {
        let projection = &self.ports.settings().name;
        let failure = failure.of_the_host();
        carryover.full =
            Some(failure.clone()).filter(|failure| matches!(failure, Failure::LettersFull { .. }));
        match failure.fault() {
            // The next run takes no events, but letters can be dealt with.
            _ if failure.holds_events_only() => {
                self.ports.status().pauses(&failure, failure.to_string());
                Duration::ZERO
            }
            Fault::Setup | Fault::Event => {
                self.ports.status().pauses(&failure, reason(&failure, self.ports.settings().resume_lost));
                retry::PAUSED
            }
            Fault::Environment if matches!(failure, Failure::NoPrimary { .. }) => {
                if !std::mem::replace(&mut carryover.told_of_no_primary, true) {
                    let remedy = failure.remedy();
                    tracing::warn!(
                        projection,
                        "{failure}; {remedy}; the lease is left to a host that reaches it, and until then this is tried again"
                    );
                }
                self.ports.status().run_fails(&failure);
                NO_PRIMARY_INTERVAL
            }
            Fault::Environment => {
                let wait = backoff.next_wait();
                let told = failure.without_values();
                tracing::warn!(projection, "{told}; starting again from the checkpoint in {wait:?}");
                self.ports.status().run_fails(&failure);
                wait
            }
            Fault::Fenced => {
                let told = failure.without_values();
                tracing::warn!(projection, "{told}; nothing more is written under the old epoch");
                self.ports.status().run_fails(&failure);
                carryover.give_up_place();
                carryover.told_of_no_primary = false;
                *backoff = Backoff::new();
                let expired = matches!(failure, Failure::LeaseExpired { .. });
                if expired { EXPIRED_INTERVAL } else { STANDBY_INTERVAL }
            }
        }
    }

    async fn run_once(&self, carryover: &mut Carryover) -> Result<Ended, Failure> {
        self.ports.status().beat();
        let Some(lease) = self.take_lease(carryover).await? else { return Ok(Ended::Stopped) };
        let epoch = lease.epoch;
        let ended = self.run_under(lease, carryover).await;
        self.letter_queues.replace(vec![]);
        if let Err(Failure::BreakerOpen { reason, digest: Some(digest) }) = &ended {
            // Nothing of what opened it is committed: where this fails, the next run opens it again.
            self.ports.open_breaker(epoch, digest, reason).await?;
        }
        if self.stop.is_cancelled() || matches!(ended, Err(Failure::NoPrimary { .. })) {
            self.release_lease(epoch).await;
        }
        ended
    }

    /// One run under a lease, which is renewed meanwhile.
    async fn run_under(&self, lease: Lease<P::Session>, carryover: &mut Carryover) -> Result<Ended, Failure> {
        let (ports, epoch, mut tasks) = (&self.ports, lease.epoch, Tasks::default());
        tasks.lease.spawn(keep_lease::keep_lease(ports.clone(), lease));
        tasks.lease.spawn(monitor::beat(ports.status().clone()));
        let run = CancellationToken::new();
        let (alone, waited_for) = (CancellationToken::new(), carryover.waited_for.clone());
        let term = Term { epoch, alone, waited_for, rendezvous: Arc::default() };
        // It is large, and handed on through a few functions.
        let starting = Box::pin(self.start(&term, &mut tasks.work, &mut tasks.beside, &run, carryover));
        let started = tokio::select! {
            biased;
            started = starting => started,
            Some(joined) = tasks.lease.join_next() => finished(joined),
            () = self.stop.cancelled() => Ok(()),
        };
        let timeout = ports.settings().stop_timeout;
        let mut ended = match started {
            Ok(()) => tasks.watch(&self.stop, &run, ports.status(), timeout).await,
            Err(failure) => Err(failure),
        };
        if let Err(failure) = &ended {
            // What is begun is judged by what the live lanes have committed.
            tasks.work.shutdown().await;
            let waiting = self.waits_for_another_generation(&term, failure);
            let waits = self.stop.run_until_cancelled(waiting).await.unwrap_or(Ok(false));
            if let Err(refused) = waits {
                ended = Err(refused);
            } else if waits == Ok(true) {
                tasks.go_on_beside(&run, BESIDE_INTERVAL);
                term.alone.cancel();
                ended = tasks.watch(&self.stop, &run, ports.status(), timeout).await;
            }
        }
        run.cancel();
        tasks.end().await;
        ended
    }

    /// Starts the lanes, and what goes on beside them, which also goes on where the lanes cannot.
    async fn start(
        &self,
        term: &Term,
        work: &mut TaskSet,
        beside: &mut TaskSet,
        run: &CancellationToken,
        carryover: &mut Carryover,
    ) -> Result<(), Failure> {
        let mut ports = self.ports.generations(term);
        let looking = generations::next_step(&mut ports);
        let step = within(GENERATIONS_PATIENCE, "looking for other generations", looking).await?;
        let step = BesideLanes { ports, step };
        let started = leader::start(self, term, work, beside, run, carryover, step.until()).await;
        step.start(work, beside, run);
        started
    }

    /// Returns true where the live lanes cannot go on, and a generation that is built beside them may be the cure. Where
    /// `resume_lost` says so, one is begun.
    async fn waits_for_another_generation(&self, term: &Term, failure: &Failure) -> Result<bool, Failure> {
        if failure.fault() != Fault::Setup || failure.holds_events_only() {
            return Ok(false);
        }
        let rebuilds = resume::plan(failure, self.ports.settings().resume_lost) == ResumePlan::Rebuild;
        if rebuilds {
            let beginning = Box::pin(self.ports.begin_rebuild(term, failure));
            within(GENERATIONS_PATIENCE, "beginning a rebuild", beginning).await?;
        }
        let needed = generations::is_needed(&mut self.ports.generations(term)).await.unwrap_or(false);
        if needed {
            let how = "; the tables are made anew beside these, and take their place: `laterna generations list` tells how far";
            let how = if rebuilds { how } else { "" };
            self.ports.status().pauses(failure, format!("{failure}{how}"));
        }
        Ok(needed)
    }

    /// Waits as a standby until the lease is this host's; none where a stop comes before.
    async fn take_lease(&self, carryover: &mut Carryover) -> Result<Option<Lease<P::Session>>, Failure> {
        let Settings { name, owner, lease_ttl, .. } = self.ports.settings();
        let Some(ready) = self.stop.run_until_cancelled(self.ports.make_ready()).await else {
            return Ok(None);
        };
        ready?;
        let mut session = None;
        loop {
            let asked = Instant::now();
            let Some(acquired) = self.acquire(&mut session).await else { return Ok(None) };
            let is_another = match acquired? {
                Acquired::Mine { epoch } => {
                    tracing::info!(projection = name, epoch, "took the lease");
                    return Ok(Some(Lease { epoch, session, good_until: asked + *lease_ttl }));
                }
                Acquired::Taken { owner: other } => {
                    // What was lost is the other host's business now.
                    let is_another = other != *owner;
                    if is_another {
                        carryover.give_up_place();
                    }
                    // A host that paused may find its own session of a moment ago, which is no reason to look well.
                    if is_another || !self.ports.status().is_paused() {
                        self.ports.status().enter(Phase::Standby { owner: other });
                    }
                    is_another
                }
            };
            self.ports.status().beat();
            let waiting = tokio::time::sleep(if is_another { STANDBY_INTERVAL } else { OWN_INTERVAL });
            if self.stop.run_until_cancelled(waiting).await.is_none() {
                return Ok(None);
            }
        }
    }

    /// Asks for the lease. Where a stop comes meanwhile, it may be granted already: the answer is waited for, and whoever is granted
    /// it gives it back.
    async fn acquire(&self, session: &mut Option<P::Session>) -> Option<Result<Acquired, Failure>> {
        let asking = within(LEASE_PATIENCE, "asking for the lease", self.ports.acquire(session));
        tokio::pin!(asking);
        match self.stop.run_until_cancelled(&mut asking).await {
            Some(acquired) => Some(acquired),
            None => tokio::time::timeout(RELEASE_TIMEOUT, asking).await.ok(),
        }
    }

    /// Best effort: a lease that is not given back runs out.
    async fn release_lease(&self, epoch: u64) {
        let silence = |_| Err(Failure::ConnectionLost { message: "MySQL does not answer".to_owned() });
        let (projection, releasing) = (&self.ports.settings().name, self.ports.release(epoch));
        match tokio::time::timeout(RELEASE_TIMEOUT, releasing).await.unwrap_or_else(silence) {
            Ok(()) => tracing::info!(projection, "gave the lease back"),
            Err(failure) => {
                tracing::warn!(projection, "the lease runs out: {}", failure.without_values());
            }
        }
    }
}
