//! Commands about letters: rows that wait until a host has lanes, as operators write them and hosts carry them out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::host::Host;
use super::steps::{Life, Steps};
use super::store::{State, Store, Tables, WishedTry, wish};
use crate::event::Aggregate;
use crate::failure::{Failure, Fault};
use crate::pipeline::giving::{self, Book};
use crate::readmodel::control::command::{Command, CommandOutcome, Letters, Request};
use crate::readmodel::lane::dead_letter::{Ids, Letter, Selection, ShownLetters};

/// How often a host looks for commands.
const INTERVAL: Duration = Duration::from_millis(300);

/// All commands that were ever written.
pub type CommandRows = BTreeMap<u64, LetterCommand>;

/// A command, and what is known of it.
#[derive(Clone)]
pub struct LetterCommand {
    pub command: Command,
    pub is_pending: bool,
    is_cancelled: bool,
    /// The newest letter when it was written: those behind it are none of its own.
    newest: u64,
    /// The generation that was live then.
    generation: u32,
}

impl LetterCommand {
    fn letters(&self) -> &Letters {
        match &self.command.request {
            Request::Discard { letters, .. }
            | Request::Erase { letters, .. }
            | Request::Replay { letters }
            | Request::Rehearse { letters } => letters,
            other => panic!("{other:?} is not about letters"),
        }
    }

    /// Whether it is about this letter: one that was shown, or that was there when it was written.
    fn is_about(&self, tables: &Tables, letter: u64) -> bool {
        match self.letters() {
            Letters::Shown { shown, .. } => {
                shown.generation == tables.generation && shown.letters.contains(letter)
            }
            Letters::Fitting { .. } => tables.born.get(&letter).is_some_and(|born| *born <= self.newest),
        }
    }
}

/// Who a command about letters is asked by.
pub fn name(command: u64) -> String {
    format!("command {command}")
}

/// Nothing is given up or erased for a command but the letters that it is about.
pub fn is_meant(state: &State, tables: &Tables, letter: &Letter, who: &str) -> Result<(), String> {
    let Some(command) = who.strip_prefix("command ").and_then(|number| number.parse().ok()) else {
        return Ok(());
    };
    match state.commands.get(&command) {
        Some(asked) if asked.is_about(tables, letter.id) => Ok(()),
        _ => Err(format!("letter {} was not shown to whoever asked for {who}", letter.id)),
    }
}

impl Store {
    /// An operator looks at letters, and asks for something to be done about those that are shown; or, as an older command line
    /// does, about all that fit.
    pub fn ask(&self, request: impl FnOnce(Letters) -> Request, is_shown: bool, like: Selection) {
        let mut state = self.state();
        let id = state.commands.len() as u64 + 1;
        let tables = &state.tables;
        let found: Vec<Letter> = fitting(&state, &like).cloned().collect();
        let mut shown =
            ShownLetters { generation: tables.generation, letters: Ids::default(), classes: BTreeMap::new() };
        for letter in &found {
            shown.letters.push(letter.id).expect("letters are in order");
        }
        let letters =
            if is_shown { Letters::Shown { shown, like } } else { Letters::Fitting { letters: like } };
        let request = request(letters);
        let wanted: &[WishedTry] = match request {
            Request::Discard { .. } => &[WishedTry::Discard, WishedTry::Try],
            Request::Erase { .. } => &[WishedTry::Erase],
            Request::Rehearse { .. } => &[],
            _ => &[WishedTry::Try],
        };
        // A letter that was held may be the head by the time, and other tables may be live.
        let of_all = || {
            let tables = state.beside.tables.values().chain([&state.tables]);
            tables.flat_map(|tables| tables.letters.values()).map(|(_, letter)| (**letter).clone()).collect()
        };
        let meant: Vec<Letter> = if is_shown { found.clone() } else { of_all() };
        let wishes: Vec<_> =
            meant.iter().flat_map(|letter| wanted.iter().map(|wanted| wish(letter, *wanted))).collect();
        self.steps.note(|| format!("operator: command {id}: {} ({} fit)", request.told(), found.len()));
        let command = Command { id, request, requested_by: name(id), progress: None };
        let (generation, newest) =
            (state.tables.generation, state.tables.letter.load(std::sync::atomic::Ordering::Relaxed));
        state.wishes.extend(wishes);
        let asked = LetterCommand { command, is_pending: true, is_cancelled: false, newest, generation };
        state.commands.insert(id, asked);
    }

    /// The newest command that is not done is cancelled.
    pub fn cancel(&self) {
        let mut state = self.state();
        if let Some((id, asked)) = state.commands.iter_mut().rev().find(|(_, asked)| asked.is_pending) {
            self.steps.note(|| format!("operator: command {id} is cancelled"));
            asked.is_cancelled = true;
        }
    }

    /// How many commands are not done.
    pub fn pending(&self) -> usize {
        self.state().commands.values().filter(|asked| asked.is_pending).count()
    }

    fn next_command(&self) -> Option<Command> {
        self.state().commands.values().find(|asked| asked.is_pending).map(|asked| asked.command.clone())
    }

    /// A command is over. What it was about is done with, unless another generation is live or the server lost commits.
    fn finish(&self, command: u64, ended: &Result<String, String>) {
        self.steps.note(|| format!("command {command} ends: {ended:?}"));
        let mut state = self.state();
        let Some(asked) = state.commands.get_mut(&command).filter(|asked| asked.is_pending) else { return };
        asked.is_pending = false;
        let asked = asked.clone();
        let is_same = asked.generation == state.tables.generation && state.lost_in.is_none();
        let left = Self::left(&state, &asked);
        drop(state);
        match ended {
            Ok(_) => {
                if let Some(wrong) = left {
                    self.steps.violated(|| format!("command {command} is done, and {wrong}"));
                }
            }
            Err(why) if why.contains("cancelled") && !asked.is_cancelled => {
                self.steps.violated(|| format!("command {command} ends, and nobody cancelled it: {why}"));
            }
            Err(why) if is_same && why.contains("another generation") => {
                self.steps.violated(|| format!("command {command} fails: {why}"));
            }
            Err(_) => {}
        }
    }

    /// What a command that is done has left undone.
    fn left(state: &State, asked: &LetterCommand) -> Option<String> {
        let Letters::Shown { shown, .. } = asked.letters() else { return None };
        if state.lost_in.is_some() || shown.generation != state.tables.generation {
            return None;
        }
        let id = asked.command.id;
        let tables = &state.tables;
        let stand = tables.letters.values().map(|(_, letter)| letter);
        for letter in stand.filter(|letter| shown.letters.contains(letter.id)) {
            let left = match asked.command.request {
                Request::Discard { .. } | Request::Replay { .. } => tables.tried.get(&letter.id) != Some(&id),
                Request::Erase { .. } => letter.erased_at.is_none(),
                _ => false,
            };
            if left {
                return Some(format!("letter {}, which was shown, stands there as it was", letter.id));
            }
        }
        None
    }
}

/// The letters that a selection fits, in order.
fn fitting<'a>(state: &'a State, selection: &Selection) -> impl Iterator<Item = &'a Letter> {
    let (tables, selection) = (&state.tables, selection.clone());
    let before = selection.before_command.and_then(|command| Some(state.commands.get(&command)?.newest));
    tables.letters.values().map(|(_, letter)| &**letter).filter(move |letter| {
        let key = letter.aggregate_key.as_ref();
        letter.id > selection.after
            && selection.until.is_none_or(|until| letter.id <= until)
            && selection.among.as_ref().is_none_or(|among| among.contains(&letter.id))
            && before.is_none_or(|before| tables.born.get(&letter.id).is_some_and(|born| *born <= before))
            && selection.untried_by.is_none_or(|command| tables.tried.get(&letter.id) != Some(&command))
            && (!selection.not_erased || letter.erased_at.is_none())
            && selection.state.as_ref().is_none_or(|state| letter.state == *state)
            && selection
                .aggregate_key
                .as_ref()
                .is_none_or(|wanted| key.map(|key| hex(key)).as_ref() == Some(wanted))
            && (!selection.heads_only
                || key.and_then(|key| tables.head(key)).is_none_or(|head| head.id == letter.id))
    })
}

/// Bytes as a selection names them.
pub fn hex(bytes: &[u8]) -> String {
    hex::encode_upper(bytes)
}

/// The letters of the store, as a host looks them up.
struct LetterBook {
    store: Store,
    steps: Steps,
    life: Life,
    trouble: u32,
}

impl LetterBook {
    async fn look(&self, what: &str) -> Result<(), Failure> {
        self.steps.step(&self.life, 1, || format!("commands: {what}")).await;
        if self.steps.fails(self.trouble) {
            return Err(Failure::ConnectionLost { message: "made up".to_owned() });
        }
        Ok(())
    }

    fn fitting<T>(&self, selection: &Selection, limit: u32, one: impl Fn(&Letter) -> T) -> Vec<T> {
        fitting(&self.store.state(), selection).take(limit as usize).map(one).collect()
    }
}

impl Book for LetterBook {
    async fn live(&mut self) -> Result<Option<u32>, Failure> {
        self.look("which generation is live").await?;
        Ok(Some(self.store.state().tables.generation))
    }

    async fn select(&mut self, selection: &Selection, limit: u32) -> Result<Vec<Letter>, Failure> {
        self.look("letters that fit").await?;
        Ok(self.fitting(selection, limit, Letter::clone))
    }

    async fn ids(&mut self, selection: &Selection, limit: u32) -> Result<Vec<u64>, Failure> {
        self.look("ids of letters that fit").await?;
        Ok(self.fitting(selection, limit, |letter| letter.id))
    }

    async fn newest(&mut self) -> Result<u64, Failure> {
        self.look("the newest letter").await?;
        Ok(self.store.state().tables.letters.keys().last().copied().unwrap_or_default())
    }

    async fn length(&mut self, letter: &Letter) -> Result<u64, Failure> {
        self.look("how many letters wait").await?;
        let state = self.store.state();
        let behind = |one: &&Arc<Letter>| one.aggregate_key == letter.aggregate_key && one.id >= letter.id;
        Ok(match letter.aggregate_key {
            Some(_) => state.tables.letters.values().map(|(_, one)| one).filter(behind).count() as u64,
            None => 1,
        })
    }

    async fn reading(&mut self, _text: &str) -> Result<Vec<Aggregate>, Failure> {
        self.look("aggregates that read so").await.map(|()| vec![])
    }

    async fn record(&mut self, command: u64, sum: &str) -> Result<(), Failure> {
        self.look("writes down how far it is").await?;
        if let Some(asked) = self.store.state().commands.get_mut(&command).filter(|asked| asked.is_pending) {
            asked.command.progress = Some(sum.to_owned());
        }
        Ok(())
    }

    async fn is_late(&mut self, _command: &Command, _lane: usize) -> Result<(), Failure> {
        self.look("a lane takes long").await
    }

    async fn ended_by(&mut self, command: u64) -> Result<Option<String>, Failure> {
        self.look("whether it was cancelled").await?;
        let state = self.store.state();
        let asked = state.commands.get(&command);
        Ok(asked.filter(|asked| asked.is_cancelled || !asked.is_pending).map(|_| "operator".to_owned()))
    }

    async fn goes_on(&mut self, _command: u64) -> Result<(), Failure> {
        self.look("a lane answered").await
    }
}

impl Host {
    /// Runs, and carries out what operators ask for, until it is stopped.
    pub async fn work(self) {
        tokio::select! {
            biased;
            () = self.clone().run() => {}
            () = self.carry_out_commands() => {}
        }
    }

    /// As `Commands::carry_out_letters`: the oldest command, while lanes run here.
    async fn carry_out_commands(self) {
        let Self { store, steps, life, .. } = self.clone();
        let mut book = LetterBook { store, steps, life, trouble: self.habits.trouble };
        loop {
            tokio::time::sleep(INTERVAL).await;
            let lanes = self.letter_queues.lanes();
            let Some(command) = self.store.next_command().filter(|_| !lanes.is_empty()) else { continue };
            self.steps
                .step(&self.life, 1, || format!("{} carries out command {}", self.name, command.id))
                .await;
            let ended = match giving::carry_out(&mut book, &lanes, &command).await {
                Ok(CommandOutcome::Done(told)) => Ok(told),
                Ok(ended) => Err(ended.error().unwrap_or_default().to_owned()),
                Err(failure) if matches!(failure.fault(), Fault::Environment | Fault::Fenced) => continue,
                Err(failure) => Err(failure.to_string()),
            };
            self.steps.step(&self.life, 1, || format!("command {} is over", command.id)).await;
            self.store.finish(command.id, &ended);
        }
    }
}
