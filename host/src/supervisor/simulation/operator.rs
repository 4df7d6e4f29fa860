//! What an operator does about letters while a schedule is played, and when everything is mended.

use std::time::Duration;

use rand::Rng;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::commands::hex;
use super::schedule::{LOOK, LanePlay};
use super::store::{WishedTry, wish};
use crate::failure::Failure;
use crate::pipeline::requests::{LetterAction, LetterRequest, LetterResult};
use crate::readmodel::control::command::Request;
use crate::readmodel::control::generation::{Generation, GenerationState, Purpose};
use crate::readmodel::lane::dead_letter::{Letter, Selection};

/// How long the answer to an order may take, when nothing fails any more.
const ANSWER: Duration = Duration::from_mins(5);

/// How long a generation may take until it is live or gone, when nothing fails any more.
const SETTLED: Duration = Duration::from_hours(1);

/// How often letters are replayed in the end: each time at least one of them goes.
const ROUNDS_MAX: usize = 1_000;

/// How many commands may wait.
const PENDING_MAX: usize = 4;

impl LanePlay<'_> {
    /// Waits for all commands, for which there are lanes now.
    pub async fn until_commanded(&mut self) -> Result<(), String> {
        let began = Instant::now();
        while self.store.pending() > 0 {
            if began.elapsed() > ANSWER {
                return Err(format!("{} commands are not carried out", self.store.pending()));
            }
            tokio::time::sleep(LOOK).await;
            self.violated()?;
            self.restart_crashed().await;
        }
        self.violated()
    }

    /// Asks for another generation, or changes one that is there.
    pub fn change_generations(&mut self) {
        let rows = self.store.state().beside.rows.to_vec();
        let is_busy =
            |row: &&Generation| !matches!(row.state, GenerationState::Kept | GenerationState::Dropping);
        let busy = rows.iter().find(is_busy);
        let kept = rows.iter().find(|row| row.state == GenerationState::Kept);
        match (busy, kept, self.chance.random_range(0..4)) {
            (Some(row), _, 0) if row.state != GenerationState::CuttingOver => {
                self.store.change_generation(row.generation, "dropped", |row| {
                    row.state = GenerationState::Dropping;
                });
            }
            (Some(row), _, _) => {
                self.store.change_generation(row.generation, "accepted", |row| row.accepted = true);
            }
            (None, Some(row), 0) => {
                self.store.change_generation(row.generation, "returns", super::generations::returns);
            }
            (None, Some(row), 1) => {
                self.store.change_generation(row.generation, "dropped", |row| {
                    row.state = GenerationState::Dropping;
                });
            }
            _ => {
                let purpose = [Purpose::Replace, Purpose::Replace, Purpose::Verify, Purpose::Repair]
                    [self.chance.random_range(0..4)];
                let digest = self.chance.random_range(1..=2).to_string();
                let accepted = self.chance.random_range(0..2) == 0;
                self.store.begin_generation(purpose, &digest, accepted);
            }
        }
    }

    /// Waits until whatever is built is live, or gone. What waits for a word gets it.
    pub async fn until_settled(&mut self) -> Result<(), String> {
        let began = Instant::now();
        while !self.store.is_settled() {
            if began.elapsed() > SETTLED {
                let rows = self.store.state().beside.rows.to_vec();
                return Err(format!("generations are neither live nor gone: {rows:?}"));
            }
            tokio::time::sleep(LOOK).await;
            self.violated()?;
            self.restart_crashed().await;
            let rows = self.store.state().beside.rows.to_vec();
            for row in rows.iter().filter(|row| !row.accepted && row.reason.is_some()) {
                self.store.change_generation(row.generation, "accepted", |row| row.accepted = true);
            }
            // One whose letters leave no room for others never comes on.
            let stuck = rows.iter().filter(|row| row.state == GenerationState::Building);
            for row in stuck.filter(|_| began.elapsed() > SETTLED / 2) {
                self.store.change_generation(row.generation, "dropped", |row| {
                    row.state = GenerationState::Dropping;
                });
            }
        }
        self.violated()
    }

    /// Writes a command about letters that are there, all or those of an aggregate: whatever comes until it is carried out is
    /// none of its business.
    pub fn command(&mut self) {
        let heads = self.store.heads();
        if self.store.pending() >= PENDING_MAX {
            return self.store.cancel();
        }
        if heads.is_empty() {
            return;
        }
        let head = &heads[self.chance.random_range(0..heads.len())];
        let aggregate_key = head.aggregate_key.as_deref().filter(|_| self.chance.random_range(0..2) == 0);
        let kind = self.chance.random_range(0..10);
        let like = Selection {
            aggregate_key: aggregate_key.map(hex),
            heads_only: kind != 0,
            not_erased: kind == 0,
            ..Selection::default()
        };
        let why = "made up".to_owned();
        let request = move |letters| match kind {
            0 => Request::Erase { letters, why },
            1..=4 => Request::Discard { letters, why },
            5 => Request::Rehearse { letters },
            _ => Request::Replay { letters },
        };
        let is_shown = self.chance.random_range(0..4) > 0;
        self.store.ask(request, is_shown, like);
    }

    /// Orders something about a letter: mostly a head, now and then one that is not, or was.
    pub fn order(&mut self) {
        let letters: Vec<Letter> = match self.chance.random_range(0..5) {
            0 => self.store.state().tables.letters.values().map(|(_, letter)| (**letter).clone()).collect(),
            _ => self.store.heads(),
        };
        if letters.is_empty() {
            return;
        }
        let letter = letters[self.chance.random_range(0..letters.len())].clone();
        let action = match self.chance.random_range(0..10) {
            0 | 1 => discard(),
            2 => LetterAction::Erase { who: "operator".to_owned(), why: "made up".to_owned() },
            3 => LetterAction::Rehearse,
            _ => LetterAction::Replay,
        };
        let twice = self.chance.random_range(0..4) == 0;
        for _ in 0..=usize::from(twice) {
            drop(self.give(letter.clone(), action.clone()));
        }
    }

    /// Gives an order to the lane of a letter, where one runs.
    fn give(&self, letter: Letter, action: LetterAction) -> Option<oneshot::Receiver<LetterAnswered>> {
        let lanes =
            self.hosts.iter().map(|(host, _)| host.letter_queues.lanes()).find(|lanes| !lanes.is_empty())?;
        let count = u32::try_from(lanes.len()).expect("a schedule has few lanes");
        let key = letter.aggregate_key.as_ref();
        let lane = key.map_or(0, |key| crate::event::lane_of(key, count)) as usize;
        let (reply, answer) = oneshot::channel();
        self.steps.note(|| format!("operator: {action:?} of letter {}", letter.id));
        let wishes: &[WishedTry] = match action {
            LetterAction::Replay => &[WishedTry::Try],
            LetterAction::Discard { .. } => &[WishedTry::Discard, WishedTry::Try],
            LetterAction::Erase { .. } => &[WishedTry::Erase],
            LetterAction::Rehearse => &[],
        };
        self.store.state().wishes.extend(wishes.iter().map(|wanted| wish(&letter, *wanted)));
        lanes[lane].try_send(LetterRequest { letter, action, command: None, reply }).ok().map(|()| answer)
    }

    /// Gives an order until it is answered. None where a run ended over it, and it was given again.
    async fn ask(&self, letter: &Letter, action: &LetterAction) -> Result<Option<LetterResult>, String> {
        let (began, mut given) = (Instant::now(), 0);
        while began.elapsed() < ANSWER {
            self.violated()?;
            match self.give(letter.clone(), action.clone()) {
                Some(answer) => {
                    given += 1;
                    if let Ok(Ok(Ok(done))) = tokio::time::timeout(ANSWER, answer).await {
                        return Ok((given == 1).then_some(done));
                    }
                }
                None => tokio::time::sleep(LOOK).await,
            }
        }
        self.violated()?;
        Err(format!("letter {} is not answered: {action:?}", letter.id))
    }

    /// Replays all letters, and gives up what still fails, until none is left.
    pub async fn replay_all(&mut self) -> Result<(), String> {
        for round in 0..ROUNDS_MAX {
            let heads = self.store.heads();
            if heads.is_empty() {
                return Ok(());
            }
            let before = self.store.state().tables.letters.len();
            let (discards, mut given_up) = (round % 2 == 1, false);
            for head in heads.into_iter().take(if discards { 1 } else { usize::MAX }) {
                let at_once = if discards {
                    self.ask(&head, &discard()).await?.is_some()
                } else {
                    self.replay_as_rehearsed(&head).await?
                };
                if at_once {
                    self.has_followed(&head)?;
                    // One that was never tried is tried instead: a run ended before it was its turn.
                    given_up = !head.is_held();
                }
            }
            let after = self.store.state().tables.letters.len();
            if discards && given_up && after >= before {
                return Err(format!("{after} letters cannot be given up"));
            }
        }
        Err("letters are left".to_owned())
    }

    /// What a letter held back was tried after it.
    fn has_followed(&self, letter: &Letter) -> Result<(), String> {
        let state = self.store.state();
        let head = letter.aggregate_key.as_ref().and_then(|key| state.tables.head(key));
        match head.filter(|head| head.is_held()) {
            Some(head) => Err(format!("letter {} was not tried after letter {}", head.id, letter.id)),
            None => Ok(()),
        }
    }

    /// Nothing else moves any more, so a replay comes to what its rehearsal says.
    /// Whether no run ended meanwhile.
    async fn replay_as_rehearsed(&self, head: &Letter) -> Result<bool, String> {
        let dry_ran = self.ask(head, &LetterAction::Rehearse).await?;
        let replayed = self.ask(head, &LetterAction::Replay).await?;
        let (Some(dry_ran), Some(replayed)) = (dry_ran, replayed) else { return Ok(false) };
        let fails = u64::from(dry_ran.would_fail.is_some());
        if (dry_ran.would_apply, fails) == (replayed.applied, replayed.still_parked) {
            return Ok(true);
        }
        Err(format!("the rehearsal of letter {} says {dry_ran:?}, its replay {replayed:?}", head.id))
    }
}

fn discard() -> LetterAction {
    LetterAction::Discard { who: "operator".to_owned(), why: "made up".to_owned() }
}

type LetterAnswered = Result<LetterResult, Failure>;
