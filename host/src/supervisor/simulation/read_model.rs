//! The simulated read model: what `readmodel/lane/apply.rs` promises of a lane's writing, over a store that fails in every way.
//!
//! An uncertain commit is settled before the next one and reported done once; another epoch fences; a lower batch
//! number means that commits were lost.

use std::sync::Arc;

use super::outbox::place;
use super::steps::{Life, Steps};
use super::store::{Store, Tables, WishedTry, seed, wish};
use super::{commands, examine};
use crate::event::Aggregate;
use crate::failure::{Failure, Fault};
use crate::pipeline::breaker::BreakerSettings;
use crate::pipeline::ports::ReadModel;
use crate::position::Position;
use crate::readmodel::lane::apply::{Final, LoadedLane};
use crate::readmodel::lane::batch::{Batch, Entry, Passed, Verdict};
use crate::readmodel::lane::dead_letter::{Attempt, Letter, LetterState};
use crate::readmodel::lane::dedupe::Remembered;
use crate::statement::{Deployed, FittedOperation};

pub struct SimulatedReadModel {
    pub store: Store,
    pub steps: Steps,
    pub life: Life,
    pub lane: u32,
    pub generation: u32,
    pub epoch: u64,
    /// One transaction in so many fails.
    pub trouble: u32,
    /// How much slower than others this lane is.
    pub slowness: u64,
    pub rules: Rules,
    pub batch: u64,
    /// What a commit was given whose outcome is not known.
    pub uncertain: Option<Uncertain>,
    /// Why the lane has to end.
    pub over: Option<Failure>,
}

/// What the run keeps to, beside what always holds.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    pub holds_stream: bool,
    pub letters_max: u64,
    /// How much a transaction may hold.
    pub operations_max: usize,
    pub breaker: Option<BreakerSettings>,
}

/// What may have been committed: nothing, a batch up to a position, or something about a letter.
#[derive(Debug, Clone, PartialEq)]
pub enum Uncertain {
    Nothing,
    Batch(Position),
    Letter(u64),
}

/// How far a transaction comes that fails.
#[derive(Clone, Copy, PartialEq)]
enum Point {
    Before,
    Within,
    Behind,
}

impl SimulatedReadModel {
    fn told(&self, what: &str) -> String {
        format!(
            "lane {} of {} (epoch {}, batch {}) {what}",
            self.lane, self.generation, self.epoch, self.batch
        )
    }

    async fn step(&self, what: impl FnOnce() -> String) {
        self.steps.step(&self.life, self.slowness, || self.told(&what())).await;
    }

    /// Fails as MySQL does, now and then. What lost its connection is uncertain.
    fn fail(&mut self, point: Point, uncertain: &Uncertain) -> Result<(), Failure> {
        if self.store.is_broken() && point == Point::Within {
            return self.ended(Failure::SchemaMismatch { code: 1146, message: "no such table".to_owned() });
        }
        if !self.steps.fails(self.trouble) {
            return Ok(());
        }
        let message = "made up".to_owned();
        let failure = match (point, self.steps.pick(0..=5)) {
            (Point::Behind, _) | (_, 0 | 1) => {
                self.uncertain = Some(uncertain.clone());
                if self.steps.pick(0..=1) == 0 {
                    Failure::ConnectionLost { message }
                } else {
                    Failure::TimedOut { message }
                }
            }
            (_, 2) => Failure::CannotWrite { code: 1290, message },
            (_, 3) => Failure::Unknown { code: 9999, message },
            _ => Failure::TransactionLost { code: 1213, message },
        };
        self.steps.note(|| self.told(&failure.to_string()));
        Err(failure)
    }

    /// The tables that the lane writes, which may be gone.
    fn tables(&self) -> Result<Tables, Failure> {
        let gone = || Failure::misconfigured("the checkpoint is gone", "bring it back");
        self.store.tables(self.generation).ok_or_else(gone)
    }

    /// Returns true where others than the live tables are written.
    fn is_beside(&self) -> bool {
        self.store.state().tables.generation != self.generation
    }

    /// A failure after which this lane must not come again.
    fn ended<T>(&mut self, failure: Failure) -> Result<T, Failure> {
        self.steps.note(|| self.told(&failure.to_string()));
        self.over = Some(failure.clone());
        Err(failure)
    }

    fn comes_again(&self) {
        if let Some(failure) = &self.over {
            self.steps.violated(|| self.told(&format!("comes again after: {failure}")));
        }
    }

    /// Opens a transaction. After an uncertain one it is settled first: false when it did happen.
    fn begin(&mut self, uncertain: &Uncertain) -> Result<bool, Failure> {
        let tables = self.store.tables(self.generation);
        let row = tables.as_ref().and_then(|tables| tables.lanes.get(self.lane as usize));
        let row = row.map(|row| (row.epoch, row.batch));
        let Some((epoch, batch)) = row else {
            return self.ended(Failure::misconfigured("the checkpoint is gone", "bring it back"));
        };
        if epoch != self.epoch {
            return self.ended(Failure::Fenced { mine: self.epoch, found: epoch });
        }
        if batch < self.batch {
            return self.ended(Failure::CommitsLost { committed: self.batch, found: batch });
        }
        let was = self.uncertain.take().unwrap_or(Uncertain::Nothing);
        if batch == self.batch {
            return Ok(true);
        }
        if was == Uncertain::Nothing {
            return self.ended(Failure::Fenced { mine: self.epoch, found: epoch });
        }
        if was != *uncertain {
            self.steps.violated(|| self.told(&format!("does {uncertain:?} after {was:?} became uncertain")));
        }
        self.batch = batch;
        self.steps.note(|| self.told("finds it committed"));
        Ok(false)
    }

    /// A transaction: all of it or nothing, and its answer may be lost.
    async fn transaction<T>(
        &mut self,
        uncertain: Uncertain,
        done: T,
        work: impl FnOnce(&Self, &mut Tables) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.comes_again();
        self.step(|| format!("begins {uncertain:?}")).await;
        self.fail(Point::Before, &Uncertain::Nothing)?;
        if !self.begin(&uncertain)? {
            return Ok(done);
        }
        self.step(|| "writes".to_owned()).await;
        self.fail(Point::Within, &Uncertain::Nothing)?;
        // Nobody else writes what a lane reads, but for other rows and a take-over.
        self.begin(&Uncertain::Nothing)?;
        let mut tables = self.tables()?;
        let answer = work(self, &mut tables).inspect_err(|failure| {
            self.steps.note(|| self.told(&failure.to_string()));
        })?;
        if self.steps.violation().is_none()
            && let Err(wrong) = examine::order(&self.store.outbox, &tables)
        {
            self.steps.violated(|| self.told(&wrong));
        }
        tables.lanes[self.lane as usize].batch += 1;
        self.store.commit_to(tables);
        self.step(|| "committed".to_owned()).await;
        self.fail(Point::Behind, &uncertain)?;
        self.batch += 1;
        Ok(answer)
    }

    /// A transaction about a letter.
    async fn about<T>(
        &mut self,
        letter: &Letter,
        done: T,
        work: impl FnOnce(&Self, &mut Tables) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.transaction(Uncertain::Letter(letter.id), done, work).await
    }

    /// Something that only looks.
    async fn look(&mut self, what: &str) -> Result<Tables, Failure> {
        self.comes_again();
        self.step(|| what.to_owned()).await;
        self.fail(Point::Before, &Uncertain::Nothing)?;
        self.tables()
    }

    /// Writes a batch, entry by entry, each of which is examined.
    fn write(&self, tables: &mut Tables, batch: &Batch) -> Result<(), Failure> {
        let (outbox, steps) = (&self.store.outbox, &self.steps);
        let now = self.store.refuses();
        if batch.operations().count() > self.rules.operations_max {
            return Err(Failure::TooLarge { code: 1197, message: "made up".to_owned() });
        }
        let state = self.store.state();
        let indices = examine::indices(outbox, tables, self.lane, batch).unwrap_or_else(|wrong| {
            steps.violated(|| wrong);
            vec![]
        });
        if let Err(wrong) = examine::put_back(outbox, batch) {
            steps.violated(|| self.told(&wrong));
        }
        if let Err(wrong) = examine::may_take(&state, tables, self.lane, &self.rules, batch) {
            steps.violated(|| self.told(&wrong));
        }
        let (mut fails, letters) = (None, tables.letters.len() as u64);
        for (index, entry) in indices.into_iter().zip(&batch.entries) {
            let number = outbox.documents[index].number;
            let judged =
                examine::entry(outbox, &state, tables, self.lane, index, entry, &batch.version.digest);
            if let Err(failure) = tables.run(outbox, now, key(entry).as_ref(), entry.operations()) {
                fails.get_or_insert(failure);
                continue;
            }
            if let (Err(wrong), None) = (judged, &fails) {
                steps.violated(|| wrong);
            }
            match &entry.verdict {
                Verdict::Apply(_) => tables.settled[number] = Some("applied"),
                Verdict::Pass(Passed::Unhandled) => tables.settled[number] = Some("unhandled"),
                Verdict::Pass(Passed::Discarded) => tables.settled[number] = Some("discarded"),
                Verdict::Pass(Passed::Duplicate | Passed::Ignored) => {}
                Verdict::Park { failure, .. } => {
                    tables.write_letter(number, entry, true, &batch.version.digest);
                    // Those of other generations are judged when they are to be live.
                    if state.tables.generation == self.generation
                        && let Err(wrong) = examine::blamed(&state, tables, outbox, number, entry, failure)
                    {
                        steps.violated(|| self.told(&wrong));
                    }
                    if let Err(wrong) = examine::breaker(tables, &self.rules, entry, failure, self.epoch) {
                        steps.violated(|| self.told(&wrong));
                    }
                }
                Verdict::Hold => tables.write_letter(number, entry, false, &batch.version.digest),
            }
            tables.marked[number] = true;
        }
        let row = &mut tables.lanes[self.lane as usize];
        row.position = batch.position.clone();
        row.anchor = batch.anchor().or(row.anchor.take());
        row.fingerprint = row.fingerprint.and(batch.fingerprint());
        let (there, letters_max) = (tables.letters.len() as u64, self.rules.letters_max);
        if fails.is_none() && there > letters && there > letters_max {
            return Err(Failure::LettersFull { letters, bytes: 0, letters_max, bytes_max: u64::MAX });
        }
        fails.map_or(Ok(()), Err)
    }

    /// Takes a letter away, in the transaction that does something about it; nothing when it is gone.
    fn take_letter(&self, tables: &mut Tables, letter: &Letter, action: WishedTry) -> Option<usize> {
        self.examine_wish(letter, action);
        if let Err(wrong) = examine::head(tables, letter) {
            self.steps.violated(|| self.told(&wrong));
        }
        tables.letters.remove(&letter.id).map(|(number, _)| number)
    }

    /// A command is about what was shown, whenever it is carried out.
    fn examine_command(&self, tables: &Tables, letter: &Letter, who: &str) {
        if !tables.letters.contains_key(&letter.id) || self.is_beside() {
            return;
        }
        if let Err(wrong) = commands::is_meant(&self.store.state(), tables, letter, who) {
            self.steps.violated(|| self.told(&wrong));
        }
    }

    /// Nothing is done about a letter that no operator ordered. Where the server lost commits, a letter may be back that was
    /// gone when somebody asked for all that fit.
    fn examine_wish(&self, letter: &Letter, action: WishedTry) {
        let is_wanted = {
            let state = self.store.state();
            state.lost_in.is_some() || state.wishes.contains(&wish(letter, action))
        };
        if !is_wanted {
            self.steps
                .violated(|| self.told(&format!("{action:?} of letter {}: nobody ordered it", letter.id)));
        }
    }
}

impl ReadModel for SimulatedReadModel {
    async fn load(&mut self) -> Result<LoadedLane, Failure> {
        self.step(|| "loads".to_owned()).await;
        self.fail(Point::Before, &Uncertain::Nothing)?;
        let tables = self.tables()?;
        let Some(row) = tables.lanes.get(self.lane as usize).cloned() else {
            return self.ended(Failure::misconfigured("the checkpoint is gone", "bring it back"));
        };
        if row.epoch != self.epoch {
            return self.ended(Failure::Fenced { mine: self.epoch, found: row.epoch });
        }
        self.batch = row.batch;
        let blocked = tables.letters.values().filter_map(|(_, letter)| letter.aggregate_key.clone());
        Ok(LoadedLane { row, seed: seed(), blocked: blocked.collect(), discarded: tables.discarded })
    }

    async fn remembered(&mut self) -> Result<Remembered, Failure> {
        self.step(|| "loads the window".to_owned()).await;
        self.fail(Point::Before, &Uncertain::Nothing)?;
        let (tables, outbox) = (self.tables()?, &self.store.outbox);
        let marked = (0..tables.marked.len()).filter(|number| tables.marked[*number]);
        let documents = marked.map(|number| &outbox.documents[outbox.first[number]]);
        let marks = documents.filter_map(|placed| placed.delivery.id()).map(|id| seed().mark(id)).collect();
        Ok(Remembered { marks, rows: vec![] })
    }

    fn keeps(&mut self, _remembered: &Remembered) {}

    async fn commit(&mut self, batch: &Arc<Batch>) -> Result<(), Failure> {
        let verdicts = || batch.entries.iter().map(|entry| entry.verdict.name()).collect::<Vec<_>>();
        self.steps.note(|| self.told(&format!("has {} {:?}", place(&batch.position), verdicts())));
        let uncertain = Uncertain::Batch(batch.position.clone());
        self.transaction(uncertain, (), |model, tables| model.write(tables, batch)).await
    }

    async fn probe(&mut self, batch: &Batch, is_final: Final<'_>) -> Result<Vec<(usize, Failure)>, Failure> {
        self.comes_again();
        self.step(|| "probes".to_owned()).await;
        self.fail(Point::Before, &Uncertain::Nothing)?;
        self.begin(&Uncertain::Nothing)?;
        let mut tables = self.tables()?;
        let now = self.store.refuses();
        let (mut refused, mut blocked) = (vec![], std::collections::BTreeSet::new());
        for (index, entry) in batch.entries.iter().enumerate() {
            let aggregate = key(entry);
            if aggregate.as_ref().is_some_and(|key| blocked.contains(key)) {
                continue;
            }
            match tables.run(&self.store.outbox, now, aggregate.as_ref(), entry.operations()) {
                Ok(()) => {}
                // The whole probe takes too long.
                Err(failure @ Failure::TooSlow { .. }) => return Err(failure),
                Err(failure) if failure.fault() == Fault::Event => {
                    blocked.extend(aggregate);
                    let ends = !is_final(&failure, &entry.delivery.position);
                    refused.push((index, failure));
                    if ends {
                        break;
                    }
                }
                Err(failure) => return Err(failure),
            }
        }
        self.steps.note(|| self.told(&format!("finds {refused:?}")));
        self.step(|| "has probed".to_owned()).await;
        self.fail(Point::Within, &Uncertain::Nothing)?;
        Ok(refused)
    }

    async fn letter_behind(&mut self, aggregate_key: &[u8], after: u64) -> Result<Option<Letter>, Failure> {
        let tables = self.look("asks for a letter").await?;
        Ok(tables.letter_behind(aggregate_key, after).cloned())
    }

    async fn document(&mut self, letter: &Letter) -> Result<Option<Vec<u8>>, Failure> {
        let tables = self.look("asks for a document").await?;
        let outbox = &self.store.outbox;
        let document = |(number, stored): &(usize, Arc<Letter>)| match stored.erased_at {
            Some(_) => vec![],
            None => outbox.documents[outbox.first[*number]].delivery.document.to_vec(),
        };
        Ok(tables.letters.get(&letter.id).map(document))
    }

    async fn apply_letter(
        &mut self,
        letter: &Letter,
        operations: &[FittedOperation],
        _version: &Deployed,
    ) -> Result<(), Failure> {
        self.about(letter, (), |model, tables| {
            if tables.letters.get(&letter.id).is_some_and(|(_, stored)| stored.erased_at.is_some()) {
                model.steps.violated(|| model.told("applies a letter that is erased"));
            }
            let Some(number) = model.take_letter(tables, letter, WishedTry::Try) else { return Ok(()) };
            let now = model.store.refuses();
            tables.run(&model.store.outbox, now, letter.aggregate_key.as_ref(), operations)?;
            tables.settled[number] = Some("replayed");
            Ok(())
        })
        .await
    }

    async fn keep_letter(&mut self, letter: &Letter, attempt: Attempt<'_>) -> Result<(), Failure> {
        let class = attempt.failure.class();
        self.about(letter, (), |model, tables| {
            model.examine_wish(letter, WishedTry::Try);
            if letter.erased_at.is_some() && class != Failure::Erased.class() {
                model.steps.violated(|| model.told(&format!("says of an erased letter: {class}")));
            }
            match tables.letters.get_mut(&letter.id) {
                Some((_, stored)) => {
                    let stored = Arc::make_mut(stored);
                    (stored.state, stored.digest) = (LetterState::Parked, attempt.digest.to_owned());
                    stored.class = Some(class.to_owned());
                    stored.attempts += 1;
                    tables.tried.extend(attempt.command.map(|command| (letter.id, command)));
                }
                // One that blocks nobody is not looked up again: the order came twice.
                None if letter.aggregate_key.is_none() => {}
                None => model.steps.violated(|| model.told("keeps a letter that is gone")),
            }
            Ok(())
        })
        .await
    }

    async fn discard_letter(&mut self, letter: &Letter, who: &str, _why: &str) -> Result<bool, Failure> {
        self.about(letter, true, |model, tables| {
            model.examine_command(tables, letter, who);
            if letter.is_held() {
                model.steps.violated(|| model.told("gives up a letter that was never tried"));
            }
            let Some(number) = model.take_letter(tables, letter, WishedTry::Discard) else {
                return Ok(false);
            };
            tables.settled[number] = Some("discarded");
            let key = <[u8; 16]>::try_from(letter.document_key.as_slice()).expect("it is a document's");
            tables.discarded.insert(key, letter.event_id.clone());
            Ok(true)
        })
        .await
    }

    async fn erase_letter(&mut self, letter: &Letter, who: &str, _why: &str) -> Result<bool, Failure> {
        self.about(letter, true, |model, tables| {
            model.examine_command(tables, letter, who);
            model.examine_wish(letter, WishedTry::Erase);
            let Some((_, stored)) = tables.letters.get_mut(&letter.id) else { return Ok(false) };
            let is_new = stored.erased_at.is_none();
            Arc::make_mut(stored).erased_at = Some("now".to_owned());
            Ok(is_new)
        })
        .await
    }

    async fn dry_run_letters(
        &mut self,
        letters: &[Vec<FittedOperation>],
        _version: &Deployed,
    ) -> Result<Option<(usize, Failure)>, Failure> {
        let mut tables = self.look("rehearses").await?;
        self.begin(&Uncertain::Nothing)?;
        let now = self.store.refuses();
        for (index, operations) in letters.iter().enumerate() {
            match tables.run(&self.store.outbox, now, None, operations) {
                Ok(()) => {}
                Err(failure @ Failure::TooSlow { .. }) => return Err(failure),
                Err(failure) if failure.fault() == Fault::Event => return Ok(Some((index, failure))),
                Err(failure) => return Err(failure),
            }
        }
        Ok(None)
    }
}

/// The aggregate that an entry's rows belong to.
fn key(entry: &Entry) -> Option<Vec<u8>> {
    entry.delivery.aggregate().map(Aggregate::key)
}
