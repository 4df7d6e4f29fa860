//! One generation beside the live one: its lanes, run as those of the live one are.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::ports::ShadowPorts;
use crate::failure::Failure;
use crate::pipeline::breaker::Breaker;
use crate::pipeline::reader::ADVANCE_INTERVAL;
use crate::pipeline::rendezvous::{Rendezvous, Side};
use crate::pipeline::requests::{self, LetterAction, LetterQueues};
use crate::pipeline::run::{Run, RunPlan, TaskSet, finished};
use crate::position::Position;
use crate::readmodel::lane::dead_letter::GivenUp;
use crate::readmodel::mysql::session::within;
use crate::status::Status;
use crate::supervisor::settings::Settings;

/// How long making its schema, tables and lanes may take.
const START_PATIENCE: Duration = Duration::from_secs(75);

pub struct ShadowRun<S> {
    pub lanes: S,
    rendezvous: Arc<Rendezvous>,
    settings: Settings,
    status: Arc<Status>,
    requests: LetterQueues,
}

impl<S: ShadowPorts> ShadowRun<S> {
    pub fn new(lanes: S, settings: &Settings, rendezvous: Arc<Rendezvous>) -> Self {
        let name = format!("{}@{}", settings.name, lanes.generation().generation);
        let (status, requests) = (Arc::new(Status::new(&name)), LetterQueues::default());
        Self { lanes, rendezvous, settings: settings.clone(), status, requests }
    }

    /// Fills the tables up to a position, up to where they meet the live ones, or for ever.
    pub async fn run(&self, until: Option<Position>) -> Result<(), Failure> {
        loop {
            let preparing = self.lanes.prepare(until.clone());
            let run_plan = within(START_PATIENCE, "making the generation ready", preparing).await?;
            let changes_lanes = run_plan.until != until;
            self.run_lanes(run_plan).await?;
            if !changes_lanes {
                return Ok(());
            }
        }
    }

    async fn run_lanes(&self, run_plan: RunPlan) -> Result<(), Failure> {
        self.lanes.report(&self.status, &run_plan);
        let (mut work, stop) = (TaskSet::new(), CancellationToken::new());
        let run = Run {
            parts: &self.lanes,
            batch_max: self.settings.batch_max,
            window: self.settings.window,
            room: &self.settings.room,
            // Whether it has caught up is judged by its checkpoints.
            rest: ADVANCE_INTERVAL,
            // Whether its letters are too many is judged at the end.
            breaker: Arc::new(Breaker::off()),
            suspects: Arc::default(),
            status: &self.status,
            rendezvous: &self.rendezvous,
            side: Side::Beside,
            stop: &stop,
        };
        self.requests.replace(run.start(&mut work, run_plan).await?);
        let ended = async {
            while let Some(joined) = work.join_next().await {
                finished(joined)?;
            }
            Ok(())
        };
        let ended = ended.await;
        self.requests.replace(vec![]);
        ended
    }

    /// Gives letters up whose events were given up in the live generation meanwhile, and lets follow what they held back.
    pub async fn give_up(&self, given_up: &[GivenUp]) -> Result<(), Failure> {
        let lanes = self.requests.lanes();
        // Until the lanes run, there is nobody to give the orders to.
        for GivenUp { letter, who, why } in given_up.iter().filter(|_| !lanes.is_empty()) {
            let action = LetterAction::Discard { who: who.clone(), why: why.clone() };
            requests::give(&lanes, letter.clone(), action, None).await?;
        }
        Ok(())
    }
}

impl<S> Drop for ShadowRun<S> {
    fn drop(&mut self) {
        self.status.gives_up_component();
    }
}
