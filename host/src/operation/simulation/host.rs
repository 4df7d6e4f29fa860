//! A simulated host: what the supervisor does with the live tables and those beside them, and the queue of commands.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use super::desk::SimulatedDesk;
use super::examine;
use super::rows::{PROJECTION, Rows, SharedWorld, seed, taken};
use crate::event::Id;
use crate::failure::{Failure, Fault};
use crate::operation::queue::Queue;
use crate::readmodel::control::command::{self, CommandOutcome};
use crate::readmodel::control::generation::{Generation, GenerationState, Purpose};
use crate::readmodel::lane::checkpoint::{self, LaneRow};
use crate::source::{BY_ID, STORED};
use crate::supervisor::generations::completeness::{self, Inventory, Taken};
use crate::supervisor::generations::meeting::{self, Next, OutboxAnswer};
use crate::supervisor::rebuild_after_loss::may_begin;
use crate::supervisor::simulation::steps::Life;

/// Interval in which hosts look for work.
const INTERVAL: Duration = Duration::from_millis(300);
const PAUSE_INTERVAL: Duration = Duration::from_secs(15);

/// How many events lanes take at a time, and how many ids are read at a time.
const SOME: usize = 3;

/// How often lanes move until they are taken not to come to one position: for less time than a lease holds without renewal.
const MEETING_MOVES: usize = 20;

#[derive(Clone)]
pub struct Host {
    pub number: u64,
    pub world: SharedWorld,
    pub life: Life,
}

/// A host's memory from run to run.
#[derive(Default)]
struct HostMemory {
    /// The generation that the live lanes did not come to one position with.
    waited_for: u32,
}

impl Host {
    pub async fn work(self) {
        let desk = SimulatedDesk { world: self.world.clone(), life: self.life.clone() };
        tokio::join!(self.supervise(), carry_out(Queue::new(desk)));
    }

    async fn step(&self, what: &str) {
        self.world.steps.step(&self.life, 1, || format!("host {} {what}", self.number)).await;
    }

    async fn supervise(&self) {
        let mut carryover = HostMemory::default();
        loop {
            self.step("asks for the lease").await;
            let epoch = self.world.rows().acquire(self.number);
            let wait = match epoch {
                None => {
                    carryover = HostMemory::default();
                    INTERVAL
                }
                Some(epoch) => match self.run(epoch, &mut carryover).await {
                    Ok(()) => Duration::ZERO,
                    Err(failure) => {
                        self.world.steps.note(|| format!("the run of host {} ends: {failure}", self.number));
                        if failure.fault() == Fault::Setup { PAUSE_INTERVAL / 5 } else { INTERVAL }
                    }
                },
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// One run: what is due before lanes begin, then lanes, and what is built beside them.
    async fn run(&self, epoch: u64, carryover: &mut HostMemory) -> Result<(), Failure> {
        self.step("settles").await;
        let comes =
            |one: &&Generation| !matches!(one.state, GenerationState::Kept | GenerationState::Dropping);
        let next = self.world.rows().standing.iter().find(comes).cloned();
        match &next {
            Some(next) if next.state == GenerationState::CuttingOver => {
                return self.cut_over(epoch, next).await;
            }
            Some(next) if next.state == GenerationState::Comparing => {
                let why = Some("the comparison was interrupted");
                self.world.under(epoch, |rows| {
                    rows.advance(next, (GenerationState::Building, next.purpose), why)
                })?;
            }
            Some(next) if next.state == GenerationState::Meeting => {
                return self.meet(epoch, next, carryover).await;
            }
            _ => {}
        }
        for _ in 0..4 {
            tokio::time::sleep(INTERVAL).await;
            self.step("has lanes move").await;
            let live = self.world.rows().live;
            let moved = self.moves(epoch, live, None);
            self.builds(epoch).await?;
            match moved {
                Err(Failure::ResumeLost { .. }) if self.world.schedule.rebuilds => {
                    self.rebuild(epoch).await?;
                }
                // What is built beside them may be the cure.
                Err(Failure::ResumeLost { .. } | Failure::SourceUnavailable { .. }) | Ok(()) => {}
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }

    fn moves(&self, epoch: u64, generation: u32, until: Option<usize>) -> Result<(), Failure> {
        if self.world.is_away() {
            return Err(Failure::SourceUnavailable { message: "made up".to_owned() });
        }
        self.world.under(epoch, |rows| rows.take(generation, SOME, until))?
    }

    async fn meet(&self, epoch: u64, next: &Generation, carryover: &mut HostMemory) -> Result<(), Failure> {
        let mut outbox = OutboxAnswer::default();
        let waited = std::mem::take(&mut carryover.waited_for) == next.generation;
        loop {
            let (here, there) = {
                let rows = self.world.rows();
                (rows.lanes(rows.live), rows.lanes(next.generation))
            };
            let decided = meeting::next(next, (&here, &there), waited, (None, std::mem::take(&mut outbox)));
            self.world.steps.note(|| format!("generation {}: {decided:?}", next.generation));
            let lacks = |why: String| move |rows: &mut Rows| rows.record_lacks(next, next.purpose, &why);
            match decided {
                Next::AskOutbox => {
                    outbox = OutboxAnswer::Asked(self.outbox_lacks(&here, &mut BTreeSet::new()).await?);
                    continue;
                }
                Next::BackToWork(why) => {
                    let to = (GenerationState::Building, next.purpose);
                    self.world.under(epoch, |rows| rows.advance(next, to, Some(&why)))?;
                }
                Next::Wait(why) => self.world.under(epoch, lacks(why))?,
                Next::CutOver => {
                    let to = (GenerationState::CuttingOver, next.purpose);
                    if self.world.under(epoch, |rows| rows.advance(next, to, None))? {
                        self.cut_over(epoch, next).await?;
                    }
                }
                Next::Compare => self.compare(epoch, next, (&here, &there)).await?,
                Next::Meet(until) => {
                    let until = taken(&until).unwrap_or_default();
                    self.come_to(epoch, next, until, carryover).await?;
                }
            }
            return Ok(());
        }
    }

    /// Both generations come to one position, if they can.
    async fn come_to(
        &self,
        epoch: u64,
        next: &Generation,
        until: usize,
        carryover: &mut HostMemory,
    ) -> Result<(), Failure> {
        let live = self.world.rows().live;
        let is_there = |generation| {
            let rows = self.world.rows().lanes(generation);
            rows.iter().all(|row| taken(&row.position) == Some(until))
        };
        for _ in 0..MEETING_MOVES {
            tokio::time::sleep(INTERVAL).await;
            self.step("has both come to one position").await;
            for generation in [live, next.generation] {
                let moved = self.moves(epoch, generation, Some(until));
                if matches!(moved, Err(Failure::Fenced { .. })) {
                    return moved;
                }
            }
            if is_there(live) && is_there(next.generation) {
                return Ok(());
            }
        }
        if is_there(next.generation) && !next.purpose.is_compared() {
            carryover.waited_for = next.generation;
            return Ok(());
        }
        let why = Some("both did not come to one position");
        self.world
            .under(epoch, |rows| rows.advance(next, (GenerationState::Building, next.purpose), why))
            .map(|_| ())
    }

    async fn cut_over(&self, epoch: u64, next: &Generation) -> Result<(), Failure> {
        self.step("renames tables").await;
        let wrong = self.world.under(epoch, |rows| {
            let found = rows.standing.iter().find(|one| one.generation == next.generation).cloned();
            let found = found.filter(|one| one.state == GenerationState::CuttingOver)?;
            let wrong = examine::cut_over(rows, &found).err();
            rows.cut_over(&found);
            wrong
        })?;
        if let Some(wrong) = wrong {
            self.world.steps.violated(|| wrong);
        }
        self.world.steps.note(|| format!("generation {} is live", next.generation));
        Ok(())
    }

    async fn compare(
        &self,
        epoch: u64,
        next: &Generation,
        (here, there): (&[LaneRow], &[LaneRow]),
    ) -> Result<(), Failure> {
        let lacks = completeness::lacks(here, there, false);
        let is_clean = {
            let rows = self.world.rows();
            let events = |number: u32| rows.tables.get(&number).map(super::rows::GenerationTables::events);
            events(rows.live) == events(next.generation)
        };
        let comparing = Generation { state: GenerationState::Comparing, ..next.clone() };
        self.world
            .under(epoch, |rows| rows.advance(next, (GenerationState::Comparing, next.purpose), None))?;
        self.step("compares").await;
        self.step("has compared").await;
        self.world.under(epoch, |rows| {
            let (to, lacks) = meeting::compared(next.purpose, is_clean, lacks.as_ref());
            if let Some(command) = next.command {
                rows.finish(command, CommandOutcome::Done("compared".to_owned()));
            }
            match lacks {
                Some(lacks) if to.1 == Purpose::Replace => rows.record_lacks(&comparing, to.1, &lacks),
                _ => {
                    rows.advance(&comparing, to, None);
                }
            }
        })
    }

    /// Builds beside the live tables what the rows ask for.
    async fn builds(&self, epoch: u64) -> Result<(), Failure> {
        let next = meeting::first(&self.world.rows().standing).cloned();
        let Some(next) = next else { return Ok(()) };
        self.step(&format!("works at generation {}", next.generation)).await;
        match next.state {
            GenerationState::Dropping => self.world.under(epoch, |rows| {
                if let Some(command) = next.command {
                    let why = next.reason.clone().unwrap_or_else(|| "it was given up".to_owned());
                    rows.finish(command, CommandOutcome::Failed(why));
                }
                rows.standing.retain(|one| one.generation != next.generation);
                rows.tables.remove(&next.generation);
            }),
            GenerationState::Building if self.world.is_away() => {
                self.explains(epoch, &next, "MongoDB is away")
            }
            GenerationState::Building => match self.grows(epoch, &next) {
                Err(failure @ Failure::ResumeLost { .. }) => {
                    self.explains(epoch, &next, &failure.to_string())
                }
                grown => grown,
            },
            _ => Ok(()),
        }
    }

    fn grows(&self, epoch: u64, next: &Generation) -> Result<(), Failure> {
        if self.world.rows().lanes(next.generation).is_empty() {
            return self.world.under(epoch, |rows| rows.begin(next.generation));
        }
        self.moves(epoch, next.generation, None)?;
        let rows = self.world.rows().lanes(next.generation);
        let end = self.world.rows().log.len();
        let has_caught_up = |row: &LaneRow| taken(&row.position).is_some_and(|taken| taken + 2 * SOME >= end);
        if !rows.iter().all(has_caught_up) {
            return Ok(());
        }
        if let Some(word) = meeting::awaits_word(PROJECTION, next) {
            return self.explains(epoch, next, &word);
        }
        self.world
            .under(epoch, |rows| rows.advance(next, (GenerationState::Meeting, next.purpose), None))
            .map(|_| ())
    }

    /// As `Building::waits`: what a command waits for whose generation does not come on.
    fn explains(&self, epoch: u64, next: &Generation, why: &str) -> Result<(), Failure> {
        self.world.under(epoch, |rows| {
            let found = rows.standing.iter_mut().find(|one| one.generation == next.generation);
            if let Some(found) = found.filter(|one| one.state == next.state) {
                found.reason = Some(why.to_owned());
            }
            let asked = next.command.and_then(|command| rows.commands.get_mut(&command));
            let Some(asked) = asked.filter(|asked| asked.ended.is_none()) else { return };
            let since = asked.waits.as_ref().map_or_else(tokio::time::Instant::now, |(_, since)| *since);
            asked.waits = Some((why.to_owned(), since));
            if let Some(why) = command::bound(since.elapsed(), why) {
                rows.advance(next, (GenerationState::Dropping, next.purpose), Some(&why));
            }
        })
    }

    /// As `rebuild::begin`: other tables are made unasked, beside the live ones, if the outbox holds all that those were made
    /// from.
    async fn rebuild(&self, epoch: u64) -> Result<(), Failure> {
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

/// Looks for commands, and carries them out.
async fn carry_out(mut queue: Queue<SimulatedDesk>) {
    loop {
        tokio::time::sleep(INTERVAL).await;
        // Whatever failed is looked at again.
        let _ = queue.turn().await;
    }
}

/// The ids of the outbox, page by page, while documents come and go.
struct SimulatedInventory<'a> {
    host: &'a Host,
    held: &'a mut BTreeSet<i64>,
    left: Vec<i64>,
}

impl Inventory for SimulatedInventory<'_> {
    async fn open(&mut self, order: &str) -> Result<(), Failure> {
        self.host.step("reads which documents there are").await;
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
