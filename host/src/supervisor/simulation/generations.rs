//! Generations of the simulated read model: the real rules for them, over made-up tables beside the live ones.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::runtime::Handle;

use super::examine;
use super::generation_rows::GenerationRows;
use super::host::Host;
use super::outbox::decoder;
use super::projector::SimulatedVersion;
use super::read_model::SimulatedReadModel;
use super::source::SimulatedSource;
use super::store::{Store, Tables};
use crate::failure::Failure;
use crate::pipeline::hot_swap::DesiredVersion;
use crate::pipeline::run::{Ports, RunPlan};
use crate::position::{ClusterTime, Position};
use crate::readmodel::compare::{ComparisonReport, TableReport};
use crate::readmodel::control::command::CommandOutcome;
use crate::readmodel::control::deployment::Origin;
use crate::readmodel::control::generation::{Generation, GenerationState, Purpose};
use crate::readmodel::cut_over::CutOverOutcome;
use crate::readmodel::lane::checkpoint::LaneRow;
use crate::readmodel::lane::dead_letter::{GivenUp, Letter};
use crate::source::{Anchored, Decoder};
use crate::status::Status;
use crate::supervisor::generations::meeting::BothLanes;
use crate::supervisor::generations::ports::{GenerationPorts, ShadowPorts};
use crate::supervisor::settings::Settings;
use crate::supervisor::term::Term;

/// Interval in which a host looks whether there are generations.
const INTERVAL: std::time::Duration = std::time::Duration::from_millis(300);

/// What is noted of a generation that meets the live one in a run of its own, and of one that is live.
pub const APART: &str = "meets the live one in a run of its own";
pub const LIVE: &str = "is live";

/// The generations beside the live one: their rows in the control schema, and their tables.
#[derive(Default)]
pub struct BesideTables {
    pub rows: GenerationRows,
    pub tables: BTreeMap<u32, Tables>,
    /// The greatest number that one had.
    newest: u32,
}

impl Store {
    /// The tables of a generation, live or not.
    pub fn tables(&self, generation: u32) -> Option<Tables> {
        let state = self.state();
        if state.tables.generation == generation {
            return Some(state.tables.clone());
        }
        state.beside.tables.get(&generation).cloned()
    }

    /// The commit of a transaction in the tables of a generation.
    pub fn commit_to(&self, tables: Tables) {
        if self.state().tables.generation == tables.generation {
            return self.commit(tables);
        }
        self.state().beside.tables.insert(tables.generation, tables);
    }

    /// An operator, or a deployment, asks for another generation.
    pub fn begin_generation(&self, purpose: Purpose, digest: &str, accepted: bool) {
        let mut state = self.state();
        let live = state.tables.generation;
        state.beside.newest = state.beside.newest.max(live) + 1;
        let number = state.beside.newest;
        let plain = Generation::plain(number, GenerationState::Building);
        let digest = digest.to_owned();
        state.beside.rows.push(Generation { purpose, digest, accepted, ..plain });
        drop(state);
        self.steps.note(|| format!("operator: generation {number}, to {}", purpose.name()));
    }

    /// An operator changes the row of a generation.
    pub fn change_generation(&self, number: u32, what: &str, change: impl FnOnce(&mut Generation)) {
        self.steps.note(|| format!("operator: generation {number}: {what}"));
        let mut state = self.state();
        if let Some(row) = state.beside.rows.row(number) {
            change(row);
        }
    }

    /// Returns true where no generation is anything but kept.
    pub fn is_settled(&self) -> bool {
        self.state().beside.rows.iter().all(|row| row.state == GenerationState::Kept)
    }

    /// Moves a generation on that is still in the state in which it was read.
    fn advance(
        &self,
        epoch: u64,
        of: &Generation,
        state: GenerationState,
        purpose: Purpose,
        reason: Option<&str>,
    ) -> Result<bool, Failure> {
        self.proven(epoch)?;
        let moved = self.state().beside.rows.advance(of, state, purpose, reason);
        if moved {
            self.steps.note(|| format!("generation {} is {state:?}", of.generation));
        }
        Ok(moved)
    }

    /// The tables change places.
    fn swap(&self, epoch: u64, next: &Generation) -> Result<(), Failure> {
        let mut live = self.proven(epoch)?;
        let number = next.generation;
        let mut state = self.state();
        let Some(mut tables) = state.beside.tables.remove(&number) else { return Ok(()) };
        if let Err(wrong) = examine::cut_over(&live, &tables) {
            drop(state);
            self.steps.violated(|| format!("generation {number}: {wrong}"));
            return Ok(());
        }
        tables.take_lease_of(&live);
        // The breaker is the projection's.
        live.breaker = None;
        let kept = live.generation;
        state.beside.rows.change_places(number, kept, next.digest.clone());
        state.beside.tables.insert(kept, live);
        drop(state);
        self.steps.note(|| format!("generation {number} {LIVE}"));
        self.replace_live(tables);
        Ok(())
    }
}

/// The ports of generations of a simulated host.
#[derive(Clone)]
pub struct SimulatedGenerations {
    pub host: Host,
    pub term: Term,
}

impl SimulatedGenerations {
    /// MySQL is asked for something about generations.
    async fn ask(&self, what: &str) -> Result<(), Failure> {
        self.host.ask(&format!("generations: {what}")).await
    }

    fn epoch(&self) -> u64 {
        self.term.epoch
    }
}

impl GenerationPorts for SimulatedGenerations {
    type Shadow = SimulatedShadow;
    /// The live tables, and the others.
    type Picture = Box<[Tables; 2]>;

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
        self.ask("which one is live").await?;
        Ok(Some(self.host.store.state().tables.generation))
    }

    async fn list(&mut self) -> Result<Vec<Generation>, Failure> {
        self.ask("which there are").await?;
        Ok(self.host.store.state().beside.rows.to_vec())
    }

    async fn rows(&mut self, generation: u32) -> Result<Vec<LaneRow>, Failure> {
        self.ask("where lanes are").await?;
        Ok(self.host.store.tables(generation).map(|tables| tables.lanes).unwrap_or_default())
    }

    async fn progress(&mut self, generation: u32) -> Result<(u64, u64), Failure> {
        self.ask("how far one is").await?;
        let Some(tables) = self.host.store.tables(generation) else { return Ok((0, 0)) };
        let events = tables.marked.iter().filter(|marked| **marked).count();
        Ok((events as u64, tables.letters.len() as u64))
    }

    async fn first_new_letter(&mut self, generation: u32, live: u32) -> Result<Option<String>, Failure> {
        self.ask("whether one has new letters").await?;
        let (next, live) = (self.host.store.tables(generation), self.host.store.tables(live));
        let (Some(next), Some(live)) = (next, live) else { return Ok(None) };
        let is_new = |number: &usize| matches!(live.settled[*number], Some("applied" | "replayed"));
        let mut numbers = next.letters.values().map(|(number, _)| *number);
        Ok(numbers.find(is_new).map(|number| format!("event {number}")))
    }

    async fn given_up(&mut self, generation: u32) -> Result<Vec<GivenUp>, Failure> {
        self.ask("what was given up").await?;
        let Some(tables) = self.host.store.tables(generation) else { return Ok(vec![]) };
        let state = self.host.store.state();
        let is_given_up = |(number, letter): &&(usize, Arc<Letter>)| {
            let head = letter.aggregate_key.as_ref().and_then(|key| tables.head(key));
            state.tables.settled[*number] == Some("discarded") && head.is_none_or(|head| head.id == letter.id)
        };
        let given_up = tables.letters.values().filter(is_given_up).map(|(_, letter)| GivenUp {
            letter: (**letter).clone(),
            who: "an operator".to_owned(),
            why: "made up".to_owned(),
        });
        Ok(given_up.collect())
    }

    async fn untold(&mut self, _live: u32) -> Result<Option<String>, Failure> {
        Ok(None)
    }

    async fn outbox_lacks(&mut self, _live: u32, _rows: &[LaneRow]) -> Result<Option<String>, Failure> {
        // Nothing is ever deleted from this outbox.
        self.ask("what the outbox lacks").await?;
        Ok(None)
    }

    async fn source_now(&mut self) -> Result<ClusterTime, Failure> {
        self.ask("the source's time").await?;
        Ok(self.host.outbox.holds().now())
    }

    async fn until_wanted(&mut self) {
        while self.host.store.state().beside.rows.is_empty() {
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
        self.ask("moves one on").await?;
        let moved = self.host.store.advance(self.epoch(), generation, state, purpose, reason);
        self.ask("has moved one on").await?;
        moved
    }

    async fn record_lacks(
        &mut self,
        generation: &Generation,
        _purpose: Purpose,
        lacks: &str,
    ) -> Result<bool, Failure> {
        let number = generation.generation;
        self.host.steps.violated(|| format!("generation {number} lacks what nobody deleted: {lacks}"));
        Ok(false)
    }

    async fn record_left(&mut self, _generation: u32, _seconds: Option<u64>) -> Result<(), Failure> {
        Ok(())
    }

    async fn explain(&mut self, generation: u32, reason: Option<&str>) -> Result<(), Failure> {
        self.ask("records what one waits for").await?;
        self.host.store.state().beside.rows.explain(generation, reason);
        Ok(())
    }

    async fn cut_over(&mut self, _live: u32, next: &Generation) -> Result<CutOverOutcome, Failure> {
        self.ask("cuts over").await?;
        let store = &self.host.store;
        if !store.advance(self.epoch(), next, GenerationState::CuttingOver, next.purpose, None)? {
            return Ok(CutOverOutcome::NotYet("it is not to take the live one's place any more".to_owned()));
        }
        self.ask("renames tables").await?;
        store.swap(self.epoch(), next)?;
        self.ask("has cut over").await?;
        Ok(CutOverOutcome::Done)
    }

    async fn drop_tables(&mut self, gone: &Generation) -> Result<(), Failure> {
        self.ask("drops one").await?;
        self.host.store.proven(self.epoch())?;
        {
            let mut state = self.host.store.state();
            state.beside.tables.remove(&gone.generation);
            state.beside.rows.forget(gone.generation);
        }
        self.ask("has dropped one").await
    }

    async fn finish(&mut self, _command: u64, _outcome: &CommandOutcome) -> Result<(), Failure> {
        Ok(())
    }

    async fn report_progress(&mut self, _command: u64, _progress: &str) -> Result<(), Failure> {
        Ok(())
    }

    async fn waits(&mut self, _command: u64, _reason: &str) -> Result<u64, Failure> {
        Ok(0)
    }

    async fn open(&mut self, generation: &Generation) -> Result<SimulatedShadow, Failure> {
        self.ask("loads a component").await?;
        if generation.state == GenerationState::Meeting {
            self.host.steps.note(|| format!("generation {} {APART}", generation.generation));
        }
        let version = self.host.version_of(generation.digest.parse().unwrap_or(1));
        let desired = Arc::new(DesiredVersion::new(version));
        let (host, epoch) = (self.host.clone(), self.epoch());
        Ok(SimulatedShadow { host, epoch, generation: generation.clone(), desired, decoder: decoder() })
    }

    async fn take_picture(
        &mut self,
        live: u32,
        generation: &Generation,
        _lanes: BothLanes<'_>,
    ) -> Result<Self::Picture, Failure> {
        self.ask("takes a picture").await?;
        let both = (self.host.store.tables(live), self.host.store.tables(generation.generation));
        let (Some(live), Some(next)) = both else {
            return Err(Failure::misconfigured("one of both is gone", "ask again"));
        };
        let places = || live.lanes.iter().chain(&next.lanes).map(|row| &row.position);
        if places().any(|one| places().any(|other| one.compare(other).is_ne())) {
            self.host.steps.violated(|| "two generations are compared at different positions".to_owned());
        }
        Ok(Box::new([live, next]))
    }

    async fn compare(
        &mut self,
        picture: Self::Picture,
        _generation: &Generation,
    ) -> Result<ComparisonReport, Failure> {
        self.ask("compares").await?;
        self.ask("has compared").await?;
        let [live, next] = *picture;
        let mut report = TableReport::default();
        report.different.rows = u64::from(live.rows != next.rows);
        Ok(ComparisonReport { tables: vec![report], ..ComparisonReport::default() })
    }
}

/// The lanes of a generation beside the live one.
pub struct SimulatedShadow {
    host: Host,
    epoch: u64,
    generation: Generation,
    desired: Arc<DesiredVersion<SimulatedVersion>>,
    decoder: Decoder,
}

impl ShadowPorts for SimulatedShadow {
    fn generation(&self) -> &Generation {
        &self.generation
    }

    fn takes_share(&self, _percent: u32) {}

    async fn prepare(&self, until: Option<Position>) -> Result<RunPlan, Failure> {
        let (store, number) = (&self.host.store, self.generation.generation);
        self.host.ask(&format!("prepares generation {number}")).await?;
        if store.tables(number).is_none() {
            let live = store.proven(self.epoch)?;
            let lanes = self.host.settings.lanes;
            store.commit_to(live.made_anew(number, lanes, &self.host.outbox.beginning()));
        }
        let letters = store.tables(number).map_or(0, |tables| tables.letters.len());
        if letters > 0 && self.holds_stream() {
            return Err(Failure::misconfigured(
                format!("{letters} letters hold back all that comes behind them"),
                "discard them in the live generation first",
            ));
        }
        let run_plan = self.host.plan(self.epoch, number).await?;
        Ok(RunPlan { until: run_plan.until.or(until), ..run_plan })
    }
}

impl Ports for SimulatedShadow {
    type Source = Anchored<SimulatedSource>;
    type Version = SimulatedVersion;
    type ReadModel = SimulatedReadModel;

    fn source(&self, rows: &[LaneRow]) -> Anchored<SimulatedSource> {
        self.host.source(rows)
    }

    fn desired(&self) -> Arc<DesiredVersion<SimulatedVersion>> {
        self.desired.clone()
    }

    fn read_model(&self, lane: u32) -> SimulatedReadModel {
        self.host.read_model(lane, self.generation.generation, self.epoch, None)
    }

    fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    fn holds_stream(&self) -> bool {
        self.host.habits.holds_stream
    }

    fn report(&self, status: &Status, run_plan: &RunPlan) {
        status.starts("simulated", &self.generation.digest, self.epoch, &run_plan.rows);
    }
}

/// A kept generation takes the live one's place again, as `changing` has it.
pub fn returns(row: &mut Generation) {
    (row.state, row.purpose, row.accepted) = (GenerationState::Building, Purpose::Replace, true);
    (row.attempts, row.reason, row.origin) = (0, None, Origin::Rollback);
}
