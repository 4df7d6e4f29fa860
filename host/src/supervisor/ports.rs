//! The traits between the control plane and what it acts on. `control_adapters` and `live_lanes` have the real ones, the simulation
//! made-up ones.

use std::sync::Arc;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::generations::ports::GenerationPorts;
use super::settings::Settings;
use super::term::Term;
use crate::failure::Failure;
use crate::pipeline::breaker::Breaker;
use crate::pipeline::ports::Task;
use crate::pipeline::run::{Ports, RunPlan, TaskSet};
use crate::readmodel::control::lease::Acquired;
use crate::status::Status;

/// A lease that this host holds.
pub struct Lease<S> {
    pub epoch: u64,
    pub session: Option<S>,
    /// Until when it is good, by this host's clock, unless it is renewed.
    pub good_until: Instant,
}

/// What a supervisor acts on.
pub trait ControlPorts: Clone + Send + Sync + 'static {
    /// A session in which the lease is asked for, and then renewed. Another host may take the lease when it is gone.
    type Session: Send + 'static;
    type Lanes: LanePorts;
    type Generations: GenerationPorts;

    fn settings(&self) -> &Settings;
    fn status(&self) -> &Arc<Status>;

    /// Makes the control schema where it is missing, before the lease is asked for.
    fn make_ready(&self) -> impl Task<Result<(), Failure>>;
    /// Asks for the lease once, in this session or, where there is none, a new one. One in which that fails, or is given up,
    /// is not kept.
    fn acquire(&self, session: &mut Option<Self::Session>) -> impl Task<Result<Acquired, Failure>>;
    /// Renews the lease once. The session is kept only where that succeeds.
    fn renew(&self, session: &mut Option<Self::Session>, epoch: u64) -> impl Task<Result<(), Failure>>;
    /// Gives the lease back.
    fn release(&self, epoch: u64) -> impl Task<Result<(), Failure>>;
    /// Records that the breaker of this epoch opened.
    fn open_breaker(&self, epoch: u64, digest: &str, reason: &str) -> impl Task<Result<(), Failure>>;
    /// A failure that ended a run, with all that can be said about its cause.
    fn explain(&self, failure: Failure) -> impl Task<Failure>;

    /// The projection's generations under an epoch.
    fn generations(&self, term: &Term) -> Self::Generations;
    /// Loads what is deployed, and makes everything ready for the lanes. `full` is the failure of the run before, where it
    /// had no room for a dead letter.
    fn prepare(
        &self,
        term: &Term,
        full: Option<Failure>,
    ) -> impl Task<Result<(Self::Lanes, RunPlan), Failure>>;
    /// Begins a generation that replaces the live one, which cannot go on for what it lost.
    fn begin_rebuild(&self, term: &Term, lost: &Failure) -> impl Task<Result<(), Failure>>;
}

/// The live lanes of one run, ready to start.
pub trait LanePorts: Ports + Send + Sync {
    /// The breaker of the run, and what holds the events back, if anything does.
    fn opening(&self) -> impl Task<Result<(Breaker, Option<Failure>), Failure>>;
    /// Waits until something else, or nothing, holds the events back.
    fn released(&self, held: Failure) -> impl Task<()> + 'static;
    /// Starts what goes on beside the lanes until `run` ends.
    fn start_beside(&self, beside: &mut TaskSet, run: &CancellationToken, takes_events: bool);
}
