//! Generations of the shared rows, for the real rules: every change is one transaction under the lease.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::time::Instant;

use super::examine;
use super::host::{INTERVAL, OperatedHost, SOME};
use super::lanes::OperatedLane;
use super::rows::{FIRST, GenerationTables, PROJECTION, Rows, seed};
use crate::event::Id;
use crate::failure::Failure;
use crate::position::ClusterTime;
use crate::readmodel::compare::{ComparisonReport, TableReport};
use crate::readmodel::control::command::CommandOutcome;
use crate::readmodel::control::generation::{Generation, GenerationState, Purpose};
use crate::readmodel::cut_over::CutOverOutcome;
use crate::readmodel::lane::checkpoint::{self, LaneRow};
use crate::readmodel::lane::dead_letter::GivenUp;
use crate::source::{BY_ID, STORED};
use crate::status::Status;
use crate::supervisor::generations::completeness::{self, Inventory, Taken};
use crate::supervisor::generations::meeting::BothLanes;
use crate::supervisor::generations::ports::GenerationPorts;
use crate::supervisor::generations::rebuild_after_loss::may_begin;
use crate::supervisor::settings::Settings;
use crate::supervisor::term::Term;

/// The ports of generations of a simulated host.
#[derive(Clone)]
pub struct OperatedGenerations {
    pub host: OperatedHost,
    pub term: Term,
}

impl OperatedGenerations {
    fn under<T>(&self, write: impl FnOnce(&mut Rows) -> T) -> Result<T, Failure> {
        self.host.world.under(self.term.epoch, write)
    }
}

impl GenerationPorts for OperatedGenerations {
    type Shadow = OperatedLane;
    /// The events of the live tables, and of the others.
    type Picture = [Option<BTreeSet<i64>>; 2];

    fn term(&self) -> &Term {
        &self.term
    }

    fn settings(&self) -> &Settings {
        &self.host.settings
    }

    fn status(&self) -> &Arc<Status> {
        &self.host.status
    }

    fn background(&self) -> Handle {
        Handle::current()
    }

    async fn live(&mut self) -> Result<Option<u32>, Failure> {
        Ok(Some(self.host.world.rows().live))
    }

    async fn list(&mut self) -> Result<Vec<Generation>, Failure> {
        self.host.ask("looks which generations there are").await?;
        Ok(self.host.world.rows().standing.to_vec())
    }

    async fn rows(&mut self, generation: u32) -> Result<Vec<LaneRow>, Failure> {
        Ok(self.host.world.rows().lanes(generation))
    }

    async fn progress(&mut self, generation: u32) -> Result<(u64, u64), Failure> {
        Ok((self.host.world.rows().lanes(generation).iter().map(|row| row.events).sum(), 0))
    }

    async fn first_new_letter(&mut self, _generation: u32, _live: u32) -> Result<Option<String>, Failure> {
        Ok(None)
    }

    async fn given_up(&mut self, _generation: u32) -> Result<Vec<GivenUp>, Failure> {
        Ok(vec![])
    }

    async fn untold(&mut self, _live: u32) -> Result<Option<String>, Failure> {
        Ok(None)
    }

    async fn outbox_lacks(&mut self, _live: u32, rows: &[LaneRow]) -> Result<Option<String>, Failure> {
        self.host.outbox_lacks(rows, &mut BTreeSet::new()).await
    }

    async fn source_now(&mut self) -> Result<ClusterTime, Failure> {
        self.host.world.answers()?;
        let written = u32::try_from(self.host.world.rows().log.len()).expect("a schedule is small");
        Ok(ClusterTime { seconds: FIRST + written, increment: u32::MAX })
    }

    async fn until_wanted(&mut self) {
        let is_kept = |row: &Generation| row.state == GenerationState::Kept;
        while self.host.world.rows().standing.iter().all(is_kept) {
            tokio::time::sleep(INTERVAL).await;
        }
    }

    async fn advance(
        &mut self,
        generation: &Generation,
        state: GenerationState,
        purpose: Purpose,
        reason: Option<&str>,
    ) -> Result<bool, Failure> {
        let to = (state, purpose);
        self.host.ask(&format!("has generation {} become {to:?}", generation.generation)).await?;
        let moved = self.under(|rows| rows.standing.advance(generation, state, purpose, reason))?;
        self.host.step("has recorded it").await;
        Ok(moved)
    }

    async fn record_lacks(
        &mut self,
        generation: &Generation,
        purpose: Purpose,
        lacks: &str,
    ) -> Result<bool, Failure> {
        self.host.ask(&format!("records what generation {} lacks", generation.generation)).await?;
        self.under(|rows| rows.record_lacks(generation, purpose, lacks))
    }

    async fn record_left(&mut self, _generation: u32, _seconds: Option<u64>) -> Result<(), Failure> {
        Ok(())
    }

    async fn explain(&mut self, generation: u32, reason: Option<&str>) -> Result<(), Failure> {
        self.host.ask(&format!("records what generation {generation} waits for: {reason:?}")).await?;
        self.under(|rows| rows.standing.explain(generation, reason))
    }

    async fn cut_over(&mut self, _live: u32, next: &Generation) -> Result<CutOverOutcome, Failure> {
        self.host.ask("cuts over").await?;
        let to = GenerationState::CuttingOver;
        if !self.under(|rows| rows.standing.advance(next, to, next.purpose, None))? {
            return Ok(CutOverOutcome::NotYet("it is not to take the live one's place any more".to_owned()));
        }
        self.host.step("renames tables").await;
        let wrong = self.under(|rows| {
            let found = rows.standing.row(next.generation).cloned()?;
            let wrong = examine::cut_over(rows, &found).err();
            rows.cut_over(&found);
            wrong
        })?;
        if let Some(wrong) = wrong {
            self.host.world.steps.violated(|| wrong);
        }
        self.host.step("has cut over").await;
        Ok(CutOverOutcome::Done)
    }

    async fn drop_tables(&mut self, gone: &Generation) -> Result<(), Failure> {
        self.host.ask(&format!("drops generation {}", gone.generation)).await?;
        self.under(|rows| {
            if let Some(command) = gone.command {
                let why = gone.reason.clone().unwrap_or_else(|| "it was given up".to_owned());
                rows.finish(command, CommandOutcome::Failed(why));
            }
            rows.standing.forget(gone.generation);
            rows.tables.remove(&gone.generation);
        })
    }

    async fn finish(&mut self, command: u64, outcome: &CommandOutcome) -> Result<(), Failure> {
        self.host.ask(&format!("ends command {command}")).await?;
        self.under(|rows| rows.finish(command, outcome.clone()))
    }

    async fn report_progress(&mut self, command: u64, _progress: &str) -> Result<(), Failure> {
        self.under(|rows| rows.goes_on(command))
    }

    async fn waits(&mut self, command: u64, reason: &str) -> Result<u64, Failure> {
        let since = self.under(|rows| rows.waits(command, reason))?;
        Ok(since.map_or(0, |since: Instant| since.elapsed().as_secs()))
    }

    async fn open(&mut self, generation: &Generation) -> Result<OperatedLane, Failure> {
        Ok(OperatedLane::new(self.host.clone(), self.term.epoch, generation.clone()))
    }

    async fn take_picture(
        &mut self,
        live: u32,
        generation: &Generation,
        BothLanes { live: here, beside }: BothLanes<'_>,
    ) -> Result<Self::Picture, Failure> {
        if here.iter().zip(beside).any(|(one, other)| one.position.compare(&other.position).is_ne()) {
            let wrong = || "two generations are compared at different positions".to_owned();
            self.host.world.steps.violated(wrong);
        }
        let rows = self.host.world.rows();
        Ok([live, generation.generation].map(|number| rows.tables.get(&number).map(GenerationTables::events)))
    }

    async fn compare(
        &mut self,
        [live, next]: Self::Picture,
        _generation: &Generation,
    ) -> Result<ComparisonReport, Failure> {
        self.host.ask("compares").await?;
        self.host.ask("has compared").await?;
        let mut report = TableReport::default();
        report.different.rows = u64::from(live != next);
        let lacks = (live != next).then(|| "made from other events".to_owned());
        Ok(ComparisonReport { tables: vec![report], lacks, ..ComparisonReport::default() })
    }
}

impl OperatedHost {
    /// As `rebuild_after_loss::begin`: other tables are made unasked, beside the live ones, if the outbox holds all that
    /// those were made from.
    pub async fn rebuild(&self, epoch: u64) -> Result<(), Failure> {
        if self.live_lanes.count() > 0 {
            self.world
                .steps
                .violated(|| "a rebuild begins while live lanes run, which may commit on".to_owned());
        }
        let replaces = |one: &Generation| {
            one.purpose == Purpose::Replace
                && !matches!(one.state, GenerationState::Kept | GenerationState::Dropping)
        };
        let (rows, is_begun) = {
            let rows = self.world.rows();
            (rows.lanes(rows.live), rows.standing.iter().any(replaces))
        };
        if is_begun {
            return Ok(());
        }
        let mut held = BTreeSet::new();
        may_begin(PROJECTION, self.outbox_lacks(&rows, &mut held).await?)?;
        self.step("begins to make the tables anew").await;
        let wrong = self.world.under(epoch, |rows| {
            let wrong = examine::begun(rows, &held).err();
            rows.replace_unasked();
            wrong
        })?;
        if let Some(wrong) = wrong {
            self.world.steps.violated(|| wrong);
        }
        Ok(())
    }

    /// The live tables' events that the outbox lacks; and all that was seen in it meanwhile.
    async fn outbox_lacks(
        &self,
        live: &[LaneRow],
        held: &mut BTreeSet<i64>,
    ) -> Result<Option<String>, Failure> {
        let made = {
            let rows = self.world.rows();
            rows.tables.get(&rows.live).map(|tables| tables.made.clone()).unwrap_or_default()
        };
        let newest: HashSet<u128> = made[made.len().saturating_sub(self.world.schedule.window)..]
            .iter()
            .map(|id| seed().mark(&Id::Integer(*id)))
            .collect();
        let wanted = Taken { seed: seed(), all: checkpoint::fingerprint(live), newest };
        let mut outbox = SimulatedInventory { host: self, held, left: vec![] };
        completeness::lacks_now(&mut outbox, &wanted, [STORED, BY_ID]).await
    }
}

/// The ids of the outbox, page by page, while documents come and go.
struct SimulatedInventory<'a> {
    host: &'a OperatedHost,
    held: &'a mut BTreeSet<i64>,
    left: Vec<i64>,
}

impl Inventory for SimulatedInventory<'_> {
    async fn open(&mut self, order: &str) -> Result<(), Failure> {
        self.host.step("reads which documents there are").await;
        self.host.world.answers()?;
        self.left = self.host.world.rows().documents.clone();
        if order == BY_ID {
            self.left.sort_unstable();
        }
        self.left.reverse();
        Ok(())
    }

    async fn next(&mut self) -> Result<Option<Vec<Id>>, Failure> {
        self.host.step("reads more ids").await;
        if self.left.is_empty() {
            return Ok(None);
        }
        let page = self.left.split_off(self.left.len().saturating_sub(SOME));
        let rows = self.host.world.rows();
        let there: Vec<i64> = page.into_iter().rev().filter(|id| rows.documents.contains(id)).collect();
        self.held.extend(&there);
        Ok(Some(there.into_iter().map(Id::Integer).collect()))
    }
}
