//! A simulated host: the real supervisor and the real queue of commands, on the rows and the outbox that all share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::desk::SimulatedDesk;
use super::generations::OperatedGenerations;
use super::lanes::OperatedLane;
use super::rows::SharedWorld;
use crate::failure::Failure;
use crate::operation::queue::Queue;
use crate::pipeline::requests::LetterQueues;
use crate::pipeline::run::RunPlan;
use crate::readmodel::control::generation::{Generation, GenerationState};
use crate::readmodel::control::lease::Acquired;
use crate::status::Status;
use crate::supervisor::Supervisor;
use crate::supervisor::ports::ControlPorts;
use crate::supervisor::settings::Settings;
use crate::supervisor::simulation::steps::Life;
use crate::supervisor::term::Term;

/// Interval in which hosts look for work.
pub const INTERVAL: Duration = Duration::from_millis(300);

/// How many events, and how many ids, are read at a time.
pub const SOME: usize = 3;

#[derive(Clone)]
pub struct OperatedHost {
    pub number: u64,
    pub world: SharedWorld,
    pub life: Life,
    pub settings: Settings,
    pub status: Arc<Status>,
    /// How many of its live lanes are there.
    pub live_lanes: LaneCount,
}

/// A count of live lanes.
#[derive(Clone, Default)]
pub struct LaneCount(Arc<AtomicUsize>);

/// A live lane, as long as it is there.
pub struct CountedLane(LaneCount);

impl LaneCount {
    pub fn begin(&self) -> CountedLane {
        self.0.fetch_add(1, Ordering::Relaxed);
        CountedLane(self.clone())
    }

    pub fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for CountedLane {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl OperatedHost {
    /// Runs until it is aborted.
    pub async fn work(self) {
        let queue = Queue::new(SimulatedDesk { world: self.world.clone(), life: self.life.clone() });
        let (letter_queues, stop) = (LetterQueues::default(), CancellationToken::new());
        tokio::join!(Supervisor { ports: self, letter_queues, stop }.run(), carry_out(queue));
    }

    pub async fn step(&self, what: &str) {
        self.world.steps.step(&self.life, 1, || format!("host {} {what}", self.number)).await;
    }

    /// MySQL is asked for something.
    pub async fn ask(&self, what: &str) -> Result<(), Failure> {
        self.step(what).await;
        if self.world.steps.fails(self.world.schedule.trouble) {
            return Err(Failure::ConnectionLost { message: "made up".to_owned() });
        }
        Ok(())
    }
}

/// Looks for commands, and carries them out.
async fn carry_out(mut queue: Queue<SimulatedDesk>) {
    loop {
        tokio::time::sleep(INTERVAL).await;
        // Whatever failed is looked at again.
        let _ = queue.turn().await;
    }
}

impl ControlPorts for OperatedHost {
    type Session = ();
    type Lanes = OperatedLane;
    type Generations = OperatedGenerations;

    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn status(&self) -> &Arc<Status> {
        &self.status
    }

    async fn make_ready(&self) -> Result<(), Failure> {
        Ok(())
    }

    async fn acquire(&self, _: &mut Option<()>) -> Result<Acquired, Failure> {
        self.ask("asks for the lease").await?;
        Ok(self.world.rows().acquire(self.number))
    }

    async fn renew(&self, _: &mut Option<()>, epoch: u64) -> Result<(), Failure> {
        self.ask("renews the lease").await?;
        self.world.under(epoch, super::rows::Rows::renew)
    }

    async fn release(&self, epoch: u64) -> Result<(), Failure> {
        self.ask("gives the lease back").await?;
        self.world.under(epoch, super::rows::Rows::release)
    }

    async fn open_breaker(&self, _epoch: u64, _digest: &str, reason: &str) -> Result<(), Failure> {
        self.world.steps.violated(|| format!("the breaker opens, and no event is at fault: {reason}"));
        Ok(())
    }

    async fn explain(&self, failure: Failure) -> Failure {
        self.world.steps.note(|| format!("the run of host {} ends: {failure}", self.number));
        if matches!(failure, Failure::Bug { .. }) {
            self.world.steps.violated(|| failure.to_string());
        }
        failure
    }

    fn generations(&self, term: &Term) -> OperatedGenerations {
        OperatedGenerations { host: self.clone(), term: term.clone() }
    }

    async fn prepare(&self, term: &Term, _full: Option<Failure>) -> Result<(OperatedLane, RunPlan), Failure> {
        self.ask("makes its lanes ready").await?;
        let (live, rows, digest) = {
            let rows = self.world.rows();
            (rows.live, rows.lanes(rows.live), rows.in_force().1)
        };
        let live = Generation { digest, ..Generation::plain(live, GenerationState::Kept) };
        let lane = OperatedLane::new(self.clone(), term.epoch, live);
        Ok((lane, RunPlan { rows, until: None }))
    }

    async fn begin_rebuild(&self, term: &Term, lost: &Failure) -> Result<(), Failure> {
        self.rebuild(term.epoch).await.map_err(|why| match why {
            Failure::Misconfigured { .. } => lost.clone(),
            why => why,
        })
    }
}
