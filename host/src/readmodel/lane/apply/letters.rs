//! A lane's work on dead letters: each in a transaction that opens and closes the lane's checkpoint row, and leaves it
//! where it is.

use super::LaneModel;
use crate::failure::{Failure, Fault};
use crate::readmodel::lane::acknowledge::Acknowledge;
use crate::readmodel::lane::checkpoint::Closing;
use crate::readmodel::lane::dead_letter::{self, Attempt, Letter};
use crate::readmodel::lane::dedupe::{self, LetterOutcome};
use crate::readmodel::lane::letter_limits::Volume;
use crate::readmodel::mysql::error::classify;
use crate::readmodel::mysql::query::send;
use crate::readmodel::mysql::session::Session;
use crate::statement::{Deployed, FittedOperation};

impl LaneModel {
    /// The oldest letter of an aggregate behind an id; behind 0, its head.
    pub async fn letter_behind(
        &mut self,
        aggregate_key: &[u8],
        after: u64,
    ) -> Result<Option<Letter>, Failure> {
        let session = self.session().await?;
        self.bounded(session, async |model: &Self, session: &mut Session| {
            model.control.on(session).letter_behind(&model.lane, aggregate_key, after).await
        })
        .await
    }

    /// A letter's document; none when the letter is gone.
    pub async fn document(&mut self, letter: &Letter) -> Result<Option<Vec<u8>>, Failure> {
        let session = self.session().await?;
        self.bounded(session, async |model: &Self, session: &mut Session| {
            model.control.on(session).letter_document(letter).await
        })
        .await
    }

    /// Applies what a component made of a letter's event, and takes the letter away. A letter that is gone
    /// was applied before.
    pub async fn apply_letter(
        &mut self,
        letter: &Letter,
        operations: &[FittedOperation],
        version: &Deployed,
    ) -> Result<(), Failure> {
        self.unmoved((), async |model: &Self, session: &mut Session| {
            model.begin(session, &[&model.token()]).await?;
            let is_nothing = operations.is_empty();
            let digest = &version.digest;
            let outcome =
                if is_nothing { LetterOutcome::Ignored(digest) } else { LetterOutcome::Applied(digest) };
            model.note_letter(session, letter, outcome).await?;
            let removed = dead_letter::remove(&mut session.connection, &model.control, letter).await?;
            if removed.is_some() {
                model.run(session, &version.schema, operations.iter()).await?;
            }
            model.finish_unmoved(session, removed.unwrap_or_default()).await
        })
        .await
    }

    /// Records that a letter failed again.
    pub async fn keep_letter(&mut self, letter: &Letter, attempt: Attempt<'_>) -> Result<(), Failure> {
        self.unmoved((), async |model: &Self, session: &mut Session| {
            model.begin(session, &[&model.token()]).await?;
            model.note_letter(session, letter, LetterOutcome::Tried).await?;
            let connection = &mut session.connection;
            dead_letter::record_attempt(connection, &model.control, letter.id, attempt).await?;
            model.finish_unmoved(session, Volume::default()).await
        })
        .await
    }

    /// Gives a letter up: it is taken away, and recorded as discarded. False when it was gone already.
    pub async fn discard_letter(&mut self, letter: &Letter, who: &str, why: &str) -> Result<bool, Failure> {
        self.unmoved(true, async |model: &Self, session: &mut Session| {
            model.begin(session, &[&model.token()]).await?;
            model.note_letter(session, letter, LetterOutcome::Discarded).await?;
            let connection = &mut session.connection;
            let removed = dead_letter::remove(connection, &model.control, letter).await?;
            if removed.is_some() {
                let (control, lane, seed) = (&model.control, &model.lane, model.seed()?);
                dead_letter::record_discard(connection, control, lane, seed, letter, who, why).await?;
            }
            model.finish_unmoved(session, removed.unwrap_or_default()).await?;
            Ok(removed.is_some())
        })
        .await
    }

    /// Erases what a letter holds of its event; it keeps its place. False when that was done already.
    pub async fn erase_letter(&mut self, letter: &Letter, who: &str, why: &str) -> Result<bool, Failure> {
        self.unmoved(true, async |model: &Self, session: &mut Session| {
            model.begin(session, &[&model.token()]).await?;
            let connection = &mut session.connection;
            let erased = dead_letter::erase(connection, &model.control, letter, who, why).await?;
            model.finish_unmoved(session, erased.unwrap_or_default()).await?;
            Ok(erased.is_some())
        })
        .await
    }

    /// Runs the operations of an aggregate's letters in their order, and takes all of it back. Which one MySQL refuses
    /// first, and why.
    pub async fn dry_run_letters(
        &mut self,
        letters: &[Vec<FittedOperation>],
        version: &Deployed,
    ) -> Result<Option<(usize, Failure)>, Failure> {
        let session = self.session().await?;
        self.bounded(session, async |model: &Self, session: &mut Session| {
            model.begin(session, &[&model.token()]).await?;
            let mut refused = None;
            for (index, operations) in letters.iter().enumerate() {
                match model.run(session, &version.schema, operations.iter()).await {
                    Ok(()) => {}
                    Err(failure) if failure.fault() == Fault::Event => {
                        refused = Some((index, failure));
                        break;
                    }
                    Err(failure) => return Err(failure),
                }
            }
            let ended = send(&mut session.connection, "ROLLBACK").await;
            ended.map_err(|error| classify("ending the dry run", &error))?;
            Ok(refused)
        })
        .await
    }

    /// Runs a transaction about a letter, once; `done` is the answer where it turns out to have happened before. It leaves
    /// the position where it is, but counts like a batch: so its loss shows, and a lane that remembers it does not go on.
    ///
    /// What is in doubt is never anything else: a lane does one thing until that is settled, or ends.
    async fn unmoved<T>(
        &mut self,
        done: T,
        work: impl AsyncFnOnce(&Self, &mut Session) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut session = self.session().await?;
        if let Some(found) = self.resolve_commit(&mut session).await? {
            (self.batch, self.fingerprint) = found;
            self.session.keep(session);
            return Ok(done);
        }
        let answer = self.bounded(session, work).await?;
        self.batch += 1;
        Ok(answer)
    }

    /// Leaves word of what a letter's event came to. That it failed again is for documents that are acknowledged only.
    async fn note_letter(
        &self,
        session: &mut Session,
        letter: &Letter,
        outcome: LetterOutcome<'_>,
    ) -> Result<(), Failure> {
        if outcome == LetterOutcome::Tried && self.acknowledge == Acknowledge::Keep {
            return Ok(());
        }
        dedupe::note_letter(&mut session.connection, &self.control, &self.lane, letter, outcome).await
    }

    async fn finish_unmoved(&self, session: &mut Session, letters: Volume) -> Result<(), Failure> {
        self.close(session, &[Closing { token: &self.token(), letters, advance: None }]).await?;
        self.commit_now(session).await
    }
}
