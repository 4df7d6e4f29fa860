//! The lanes of a simulated host, live or beside: a source that reads the shared outbox, and a read model that keeps which
//! events its rows were made from. The loop between them is the real one.

use std::sync::Arc;

use bson::doc;
use tokio_util::sync::CancellationToken;

use super::host::{CountedLane, INTERVAL, OperatedHost, SOME};
use super::rows::{FIRST, Rows, SharedWorld, seed, stream, taken};
use crate::event::{Event, Id};
use crate::failure::{Failure, Lost};
use crate::pipeline::breaker::Breaker;
use crate::pipeline::hot_swap::{Desired, DesiredVersion};
use crate::pipeline::ports::{Outcome, Projector, ReadModel, Source, Task, Version};
use crate::pipeline::run::{Ports, RunPlan, TaskSet};
use crate::position::{KeyPart, Position, ScanKey};
use crate::readmodel::control::generation::{Generation, GenerationState};
use crate::readmodel::lane::apply::{Final, LoadedLane};
use crate::readmodel::lane::batch::{Batch, Passed, Verdict};
use crate::readmodel::lane::checkpoint::LaneRow;
use crate::readmodel::lane::dead_letter::{Attempt, Discarded, Letter};
use crate::readmodel::lane::dedupe::Remembered;
use crate::source::{AWAIT, Decoder, Feed};
use crate::statement::{Deployed, FittedOperation};
use crate::status::Status;
use crate::supervisor::generations::ports::ShadowPorts;
use crate::supervisor::ports::LanePorts;
use crate::supervisor::simulation::outbox::{decoder, delivery};
use crate::supervisor::simulation::projector::deployed;
use crate::supervisor::simulation::steps::Life;

/// The one lane of a generation.
pub struct OperatedLane {
    host: OperatedHost,
    epoch: u64,
    generation: Generation,
    desired: Arc<DesiredVersion<OperatedVersion>>,
    decoder: Decoder,
}

impl OperatedLane {
    pub fn new(host: OperatedHost, epoch: u64, generation: Generation) -> Self {
        let desired = Arc::new(DesiredVersion::new(OperatedVersion::of(&generation.digest)));
        Self { host, epoch, generation, desired, decoder: decoder() }
    }
}

impl LanePorts for OperatedLane {
    async fn opening(&self) -> Result<(Breaker, Option<Failure>), Failure> {
        Ok((Breaker::off(), None))
    }

    fn released(&self, _held: Failure) -> impl Task<()> + 'static {
        std::future::pending()
    }

    /// The lanes follow a deployment on their tables.
    fn start_beside(&self, beside: &mut TaskSet, _run: &CancellationToken, _takes_events: bool) {
        let (world, desired) = (self.host.world.clone(), self.desired.clone());
        beside.spawn(async move {
            loop {
                tokio::time::sleep(INTERVAL).await;
                let (_, digest) = world.rows().in_force();
                if digest != desired.get().current.deployed.digest {
                    desired.set(Desired { current: OperatedVersion::of(&digest), canary: None });
                }
            }
        });
    }
}

impl ShadowPorts for OperatedLane {
    fn generation(&self) -> &Generation {
        &self.generation
    }

    fn takes_share(&self, _percent: u32) {}

    async fn prepare(&self, until: Option<Position>) -> Result<RunPlan, Failure> {
        let number = self.generation.generation;
        self.host.ask(&format!("prepares generation {number}")).await?;
        let is_new = self.host.world.rows().lanes(number).is_empty();
        if is_new {
            self.host.world.answers()?;
            self.host.world.under(self.epoch, |rows| rows.begin(number))?;
        }
        Ok(RunPlan { rows: self.host.world.rows().lanes(number), until })
    }
}

impl Ports for OperatedLane {
    type Source = OperatedSource;
    type Version = OperatedVersion;
    type ReadModel = OperatedReadModel;

    fn source(&self, _rows: &[LaneRow]) -> OperatedSource {
        OperatedSource { world: self.host.world.clone(), life: self.host.life.clone(), place: None }
    }

    fn desired(&self) -> Arc<DesiredVersion<OperatedVersion>> {
        self.desired.clone()
    }

    fn read_model(&self, _lane: u32) -> OperatedReadModel {
        let (host, epoch, generation) = (self.host.clone(), self.epoch, self.generation.generation);
        let live = (self.generation.state == GenerationState::Kept).then(|| host.live_lanes.begin());
        OperatedReadModel { host, epoch, generation, batch: 0, _live: live }
    }

    fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    fn holds_stream(&self) -> bool {
        false
    }

    fn report(&self, status: &Status, run_plan: &RunPlan) {
        status.starts("operated", &self.generation.digest, self.epoch, &run_plan.rows);
    }
}

/// A component that makes no operation of any event.
#[derive(Clone)]
pub struct OperatedVersion {
    deployed: Arc<Deployed>,
}

impl OperatedVersion {
    fn of(digest: &str) -> Self {
        Self { deployed: Arc::new(Deployed { digest: digest.to_owned(), ..deployed(1) }) }
    }
}

impl Version for OperatedVersion {
    type Projector = Self;

    fn deployed(&self) -> &Arc<Deployed> {
        &self.deployed
    }

    fn start(&self) -> Result<Self, Failure> {
        Ok(self.clone())
    }
}

impl Projector for OperatedVersion {
    async fn project(&mut self, events: Vec<Arc<Event>>) -> Result<Vec<Outcome>, Failure> {
        Ok(events.iter().map(|_| Outcome::Apply(vec![])).collect())
    }
}

/// Reads history and then the log of what was ever inserted.
pub struct OperatedSource {
    world: SharedWorld,
    life: Life,
    place: Option<Position>,
}

impl Source for OperatedSource {
    async fn open(&mut self, from: &Position) -> Result<(), Failure> {
        self.place = None;
        self.world.steps.step(&self.life, 1, || format!("source opens behind {from}")).await;
        self.world.answers()?;
        if taken(from).is_some_and(|taken| taken < self.world.rows().lost_before) {
            return Err(Failure::ResumeLost { cause: Lost::History, reason: "made up".to_owned() });
        }
        self.place = Some(from.clone());
        Ok(())
    }

    async fn next(&mut self) -> Result<Feed, Failure> {
        let Some(place) = self.place.take() else {
            self.world.steps.violated(|| "the source is read without being open".to_owned());
            return Err(Failure::SourceUnavailable { message: "it is not open".to_owned() });
        };
        self.world.steps.step(&self.life, 1, || "source is asked".to_owned()).await;
        self.world.answers()?;
        let feed = feed(&self.world.rows(), &place);
        if feed.deliveries.is_empty() && matches!(place, Position::Stream { .. }) {
            tokio::time::sleep(AWAIT).await;
        }
        self.place = Some(feed.position.clone());
        Ok(feed)
    }
}

/// What stands behind a position.
fn feed(rows: &Rows, place: &Position) -> Feed {
    let (ids, end): (Vec<(i64, Position)>, Position) = match place {
        Position::Stream { .. } => {
            let from = taken(place).unwrap_or_default().min(rows.log.len());
            let some = rows.log[from..].iter().take(SOME).enumerate();
            (some.map(|(at, id)| (*id, stream(from + at + 1))).collect(), place.clone())
        }
        Position::Scan { start, key, .. } => {
            // What the stream shows since the scan began is left to the stream.
            let since = start.time().map_or(0, |time| (time.seconds - FIRST) as usize);
            let is_behind =
                |id: i64| !matches!(key, Some(ScanKey([_, KeyPart::Integer(last), ..])) if *last >= id);
            let is_history = |id: &&i64| is_behind(**id) && !rows.log[since..].contains(id);
            let mut ids: Vec<i64> = rows.documents.iter().filter(is_history).copied().collect();
            ids.sort_unstable();
            let at = |id: i64| {
                let [aggregate, sequence, document] = [id, 1, id].map(KeyPart::Integer);
                let key = ScanKey([KeyPart::Text("account".to_owned()), aggregate, sequence, document]);
                (id, Position::Scan { start: start.clone(), key: Some(key), beside: 0 })
            };
            (ids.into_iter().take(SOME).map(at).collect(), Position::Stream { token: start.clone() })
        }
    };
    let decoder = decoder();
    let deliveries = ids.into_iter().map(|(id, position)| {
        let document = doc! {
            "_id": id, "type": "Opened", "aggregateType": "account", "aggregateId": id, "sequence": 1_i64,
            "payload": {},
        };
        delivery(&document, position, &decoder)
    });
    let deliveries: Vec<_> = deliveries.collect();
    let position = deliveries.last().map_or(end, |last| last.position.clone());
    Feed { deliveries, position }
}

/// Keeps which events the rows of a generation were made from.
pub struct OperatedReadModel {
    host: OperatedHost,
    epoch: u64,
    generation: u32,
    batch: u64,
    /// Counted as long as it is there.
    _live: Option<CountedLane>,
}

impl OperatedReadModel {
    /// No event of this outbox is at fault, so nobody has to ask this.
    fn has_no_letters<T>(&self) -> Result<T, Failure> {
        self.host.world.steps.violated(|| "a letter is asked for, and there is none".to_owned());
        Err(Failure::misconfigured("there are no letters", "look for the one who asks"))
    }
}

fn gone() -> Failure {
    Failure::misconfigured("the checkpoint is gone", "bring it back")
}

/// Writes a batch. What is wrong with it, if anything is.
fn write(rows: &mut Rows, generation: u32, number: u64, batch: &Batch) -> Result<Option<String>, Failure> {
    let tables = rows.tables.get_mut(&generation).ok_or_else(gone)?;
    let mut wrong = None;
    if tables.row.batch != number {
        wrong = Some(format!("two lanes of one epoch write generation {generation}"));
    }
    if !batch.position.covers(&tables.row.position) {
        wrong = Some(format!("generation {generation} goes back to {}", batch.position));
    }
    for entry in &batch.entries {
        let Some(Id::Integer(id)) = entry.delivery.id() else { continue };
        let is_right = match entry.verdict {
            Verdict::Apply(_) => true,
            Verdict::Pass(Passed::Duplicate) => tables.made.contains(id),
            _ => false,
        };
        if !is_right {
            wrong = Some(format!("event {id} is {} in generation {generation}", entry.verdict.name()));
        }
        tables.add(*id);
    }
    tables.row.position = batch.position.clone();
    tables.row.batch += 1;
    Ok(wrong)
}

impl ReadModel for OperatedReadModel {
    async fn load(&mut self) -> Result<LoadedLane, Failure> {
        self.host.ask("loads a lane").await?;
        let rows = self.host.world.under(self.epoch, |rows| rows.lanes(self.generation))?;
        let row = rows.into_iter().next().ok_or_else(gone)?;
        self.batch = row.batch;
        Ok(LoadedLane { row, seed: seed(), blocked: vec![], discarded: Discarded::default() })
    }

    async fn remembered(&mut self) -> Result<Remembered, Failure> {
        let rows = self.host.world.rows();
        let made = rows.tables.get(&self.generation).map(|tables| tables.made.clone()).unwrap_or_default();
        let marks = made.into_iter().map(|id| seed().mark(&Id::Integer(id))).collect();
        Ok(Remembered { marks, rows: vec![] })
    }

    fn keeps(&mut self, _remembered: &Remembered) {}

    async fn commit(&mut self, batch: &Arc<Batch>) -> Result<(), Failure> {
        self.host.ask(&format!("commits {} of generation {}", batch.entries.len(), self.generation)).await?;
        let wrong =
            self.host.world.under(self.epoch, |rows| write(rows, self.generation, self.batch, batch))??;
        if let Some(wrong) = wrong {
            self.host.world.steps.violated(|| wrong);
        }
        self.batch += 1;
        self.host.step("has committed").await;
        Ok(())
    }

    async fn probe(
        &mut self,
        _batch: &Batch,
        _is_final: Final<'_>,
    ) -> Result<Vec<(usize, Failure)>, Failure> {
        self.has_no_letters()
    }

    async fn letter_behind(&mut self, _key: &[u8], _after: u64) -> Result<Option<Letter>, Failure> {
        self.has_no_letters()
    }

    async fn document(&mut self, _letter: &Letter) -> Result<Option<Vec<u8>>, Failure> {
        self.has_no_letters()
    }

    async fn apply_letter(
        &mut self,
        _letter: &Letter,
        _operations: &[FittedOperation],
        _version: &Deployed,
    ) -> Result<(), Failure> {
        self.has_no_letters()
    }

    async fn keep_letter(&mut self, _letter: &Letter, _attempt: Attempt<'_>) -> Result<(), Failure> {
        self.has_no_letters()
    }

    async fn discard_letter(&mut self, _letter: &Letter, _who: &str, _why: &str) -> Result<bool, Failure> {
        self.has_no_letters()
    }

    async fn erase_letter(&mut self, _letter: &Letter, _who: &str, _why: &str) -> Result<bool, Failure> {
        self.has_no_letters()
    }

    async fn dry_run_letters(
        &mut self,
        _letters: &[Vec<FittedOperation>],
        _version: &Deployed,
    ) -> Result<Option<(usize, Failure)>, Failure> {
        self.has_no_letters()
    }
}
