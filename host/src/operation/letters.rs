//! Commands about dead letters, each carried out by the lane that owns the letter's aggregate; and what nobody asks for:
//! letters that are too old are erased, and those that a deployment may have cured are replayed.

use tokio::sync::mpsc;

use super::commands::{Commands, PATIENCE};
use crate::event::Aggregate;
use crate::failure::Failure;
use crate::pipeline::giving::{self, ANSWER, Book};
use crate::pipeline::requests::{LetterAction, LetterRequest, give};
use crate::readmodel::control::command::{Command, Letters, Request};
use crate::readmodel::lane::dead_letter::{GivenUp, Letter, LetterState, Selection};
use crate::readmodel::mysql::session::{Session, within};

/// How many letters are read at a time.
const PAGE: u32 = 100;

/// Who erases what is older than it may be.
const RETENTION: &str = "letter_retention_days";

/// The letters as the control schema has them.
pub(super) struct StoredLetters<'a> {
    pub commands: &'a Commands,
    pub session: &'a mut Session,
}

impl Book for StoredLetters<'_> {
    async fn live(&mut self) -> Result<Option<u32>, Failure> {
        live_generation(self.commands, self.session).await
    }

    async fn select(&mut self, selection: &Selection, limit: u32) -> Result<Vec<Letter>, Failure> {
        let mut db = self.commands.db(self.session);
        within(PATIENCE, "reading dead letters", db.letters(selection, limit)).await
    }

    async fn ids(&mut self, selection: &Selection, limit: u32) -> Result<Vec<u64>, Failure> {
        let mut db = self.commands.db(self.session);
        within(PATIENCE, "reading dead letters", db.letter_ids(selection, limit)).await
    }

    async fn newest(&mut self) -> Result<u64, Failure> {
        let mut db = self.commands.db(self.session);
        within(PATIENCE, "reading dead letters", db.newest_letter()).await
    }

    async fn length(&mut self, letter: &Letter) -> Result<u64, Failure> {
        let mut db = self.commands.db(self.session);
        within(PATIENCE, "counting dead letters", db.letters_in_row(letter)).await
    }

    async fn reading(&mut self, text: &str) -> Result<Vec<Aggregate>, Failure> {
        let mut db = self.commands.db(self.session);
        within(PATIENCE, "reading dead letters", db.aggregates_reading(text)).await
    }

    async fn record(&mut self, command: u64, sum: &str) -> Result<(), Failure> {
        let mut db = self.commands.db(self.session);
        let recording = db.record_command_progress(command, sum, &self.commands.settings.owner);
        within(PATIENCE, "recording a command's progress", recording).await
    }

    async fn is_late(&mut self, command: &Command, lane: usize) -> Result<(), Failure> {
        let busy = self.commands.status.stragglers().into_iter().find(|(number, _)| *number == lane);
        let busy = busy.map_or_else(String::new, |(_, doing)| format!(": {doing}"));
        let reason = format!("lane {lane} has not answered for {} s{busy}", ANSWER.as_secs());
        self.commands.note(self.session, command, &reason).await.map(|_| ())
    }

    async fn ended_by(&mut self, command: u64) -> Result<Option<String>, Failure> {
        let mut db = self.commands.db(self.session);
        within(PATIENCE, "looking whether a command was cancelled", db.command_ended_by(command)).await
    }

    async fn goes_on(&mut self, command: u64) -> Result<(), Failure> {
        self.commands.goes_on(self.session, command).await
    }
}

async fn live_generation(commands: &Commands, session: &mut Session) -> Result<Option<u32>, Failure> {
    let mut db = commands.db(session);
    let live = within(PATIENCE, "reading the projections", db.registration()).await?;
    Ok(live.map(|live| live.live_generation))
}

/// Gives up what was given up in the generation that was live before, while this one took its place.
pub(super) async fn give_up_again(
    commands: &Commands,
    session: &mut Session,
    lanes: &[mpsc::Sender<LetterRequest>],
) -> Result<(), Failure> {
    let Some(live) = live_generation(commands, session).await? else { return Ok(()) };
    loop {
        let mut db = commands.db(session);
        let found =
            within(PATIENCE, "reading letters that were given up", db.given_up_letters(live, PAGE)).await?;
        let mut discarded = 0;
        for GivenUp { letter, who, why } in found {
            discarded += give(lanes, letter, LetterAction::Discard { who, why }, None).await?.discarded;
        }
        if discarded == 0 {
            return Ok(());
        }
    }
}

/// Tries heads that were never tried: what held them is gone, and a crash came before they followed.
pub(super) async fn go_on_with_interrupted(
    commands: &Commands,
    session: &mut Session,
    lanes: &[mpsc::Sender<LetterRequest>],
) -> Result<(), Failure> {
    let selection = Selection { heads_only: true, state: Some(LetterState::Held), ..Selection::default() };
    let sum = giving::all(&mut StoredLetters { commands, session }, lanes, selection, &LetterAction::Replay)
        .await?;
    if !sum.is_nothing() {
        tracing::info!(
            projection = commands.settings.name,
            applied = sum.applied,
            still_parked = sum.still_parked,
            "went on with what a replay that was interrupted left"
        );
    }
    Ok(())
}

/// Asks, once for each component, for a replay of what other components failed.
pub(super) async fn replay_after_deployment(
    commands: &Commands,
    session: &mut Session,
) -> Result<(), Failure> {
    if !commands.settings.letters.replay_after_deployment {
        return Ok(());
    }
    let (projection, digest) = (&commands.settings.name, &commands.digest());
    let letters =
        Selection { heads_only: true, other_than_digest: Some(digest.clone()), ..Selection::default() };
    let mut db = commands.db(session);
    if within(PATIENCE, "reading dead letters", db.letters(&letters, 1)).await?.is_empty() {
        return Ok(());
    }
    let request = Request::Replay { letters: Letters::Fitting { letters } };
    let key = format!("replay-after-{digest}");
    let writing = db.submit_once(&request, "deployment", &key);
    if within(PATIENCE, "writing a command", writing).await? {
        tracing::info!(projection, digest, "another component: what others failed is tried again");
    }
    Ok(())
}

/// Erases letters that are older than they may be. They keep their place: what they hold back waits on.
pub(super) async fn erase_outdated(
    commands: &Commands,
    session: &mut Session,
    lanes: &[mpsc::Sender<LetterRequest>],
) -> Result<(), Failure> {
    let days = commands.settings.letters.retention_days;
    if days == 0 {
        return Ok(());
    }
    let selection = Selection { not_erased: true, older_than_days: Some(days), ..Selection::default() };
    let action = LetterAction::Erase { who: RETENTION.to_owned(), why: format!("older than {days} days") };
    let sum = giving::all(&mut StoredLetters { commands, session }, lanes, selection, &action).await?;
    if sum.erased > 0 {
        tracing::warn!(
            projection = commands.settings.name,
            letters = sum.erased,
            "erased dead letters older than {days} days; they can only be discarded now"
        );
        commands.status.erased(sum.erased);
    }
    Ok(())
}
