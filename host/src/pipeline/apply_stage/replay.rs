//! The second stage's work on a dead letter: replay, discard, erase, dry run.

use std::sync::Arc;

use super::ApplyStage;
use crate::failure::Failure;
use crate::pipeline::batch_size::Repeats;
use crate::pipeline::decide::{Decision, decide};
use crate::pipeline::ports::{Outcome, ReadModel, Version};
use crate::pipeline::project_stage::DEADLINES_MAX;
use crate::pipeline::questions::LetterAnswer;
use crate::pipeline::requests::{LetterAction, LetterRequest, LetterResult};
use crate::readmodel::lane::dead_letter::{Attempt, Letter};
use crate::retry::Backoff;
use crate::statement::{Deployed, FittedOperation, Sent};

/// How many letters of one aggregate a dry run tries on MySQL, in one transaction; what is behind them is only given to
/// the component.
const REHEARSED_MAX: usize = 500;

/// Bytes of parameters of a dry run.
const REHEARSED_BYTES_MAX: usize = 16 << 20;

/// How often a dry run is tried where the lane takes up another component in the middle of it: events wait meanwhile.
const DRY_ROUNDS_MAX: u32 = 3;

/// The end of a letter's replay.
enum LetterTry {
    Applied,
    /// With the event's own failure by this component; the letter stays.
    Fails {
        failure: Failure,
        digest: String,
    },
}

/// What one component makes of a head and the letters behind it.
struct ProjectedLetters {
    /// The operations of those that are tried on MySQL.
    tried: Vec<Vec<FittedOperation>>,
    version: Arc<Deployed>,
    /// How many it takes, and the failure of the next one.
    applied: usize,
    failed: Option<Failure>,
}

impl<V: Version, R: ReadModel> ApplyStage<V, R> {
    /// Carries a request out. Its own failures go back with the reply; only those that end the lane are returned.
    pub(super) async fn carry_out(&mut self, request: LetterRequest) -> Result<(), Failure> {
        let LetterRequest { letter, action, command, reply } = request;
        let done = self.deal_with(letter, action, command).await;
        let ends_lane = done.as_ref().err().cloned();
        // Whoever asked may be gone; what was done stays done.
        let _ = reply.send(done);
        ends_lane.map_or(Ok(()), Err)
    }

    async fn deal_with(
        &mut self,
        letter: Letter,
        action: LetterAction,
        command: Option<u64>,
    ) -> Result<LetterResult, Failure> {
        if let LetterAction::Erase { who, why } = &action {
            let erased = self.erase(&letter, who, why).await?;
            return Ok(LetterResult { erased: u64::from(erased), ..LetterResult::default() });
        }
        let Some(head) = self.as_head(letter).await? else { return Ok(LetterResult::default()) };
        match action {
            // A head that was never tried was held by one that is gone: a crash came between the two.
            LetterAction::Discard { .. } if head.is_held() => self.replay(head, command).await,
            LetterAction::Discard { who, why } => self.discard(head, &who, &why, command).await,
            LetterAction::Replay | LetterAction::Erase { .. } => self.replay(head, command).await,
            LetterAction::Rehearse => self.dry_run(head).await,
        }
    }

    /// The letter as it stands now, if it is the head: a request before this one may have taken it.
    async fn as_head(&mut self, letter: Letter) -> Result<Option<Letter>, Failure> {
        let Some(key) = letter.aggregate_key.as_deref() else { return Ok(Some(letter)) };
        Ok(self.next_head(Some(key)).await?.filter(|head| head.id == letter.id))
    }

    async fn erase(&mut self, letter: &Letter, who: &str, why: &str) -> Result<bool, Failure> {
        let mut backoff = Backoff::new();
        loop {
            match self.model.erase_letter(letter, who, why).await {
                // After an uncertain commit, "already" means by this one.
                Ok(erased) => return Ok(erased || backoff.attempts() > 0),
                Err(failure) => self.endure(failure, &mut backoff).await?,
            }
        }
    }

    async fn discard(
        &mut self,
        letter: Letter,
        who: &str,
        why: &str,
        command: Option<u64>,
    ) -> Result<LetterResult, Failure> {
        let mut backoff = Backoff::new();
        let discarded = loop {
            match self.model.discard_letter(&letter, who, why).await {
                Ok(discarded) => break discarded || backoff.attempts() > 0,
                Err(failure) => self.endure(failure, &mut backoff).await?,
            }
        };
        if let Ok(key) = letter.document_key.clone().try_into() {
            self.planner.discard(key, letter.event_id.clone());
        }
        let next = self.next_head(letter.aggregate_key.as_deref()).await?;
        let followed = match next {
            Some(next) => self.replay(next, command).await?,
            None => LetterResult::default(),
        };
        Ok(LetterResult { discarded: u64::from(discarded), ..followed })
    }

    async fn replay(&mut self, letter: Letter, command: Option<u64>) -> Result<LetterResult, Failure> {
        let mut done = LetterResult::default();
        let mut head = Some(letter);
        while let Some(letter) = head {
            if self.stop.is_cancelled() {
                return Err(Failure::Interrupted { what: "the replay of dead letters".to_owned() });
            }
            match self.try_letter(&letter).await? {
                LetterTry::Applied => done.applied += 1,
                LetterTry::Fails { failure, digest } => {
                    self.keep(&letter, Attempt { failure: &failure, digest: &digest, command }).await?;
                    done.still_parked += 1;
                    break;
                }
            }
            head = self.next_head(letter.aggregate_key.as_deref()).await?;
        }
        Ok(done)
    }

    /// Applies a letter. A failure that is not the event's own ends the lane.
    async fn try_letter(&mut self, letter: &Letter) -> Result<LetterTry, Failure> {
        let Some(LetterAnswer { outcome, version }) = self.answer_in_time(letter).await? else {
            return Ok(LetterTry::Applied);
        };
        let failed_by_it = |failure| Ok(LetterTry::Fails { failure, digest: version.digest.clone() });
        let operations = match outcome {
            Outcome::Apply(operations) => operations,
            Outcome::Ignored | Outcome::Unhandled => vec![],
            Outcome::Failed(failure) => return failed_by_it(failure),
        };
        let (mut backoff, mut repeats) = (Backoff::new(), Repeats::default());
        loop {
            match self.model.apply_letter(letter, &operations, &version).await {
                Ok(()) => return Ok(LetterTry::Applied),
                Err(failure) => match decide(&failure, repeats.count(&failure), 1) {
                    Decision::Isolate => return failed_by_it(failure),
                    _ => self.endure(failure, &mut backoff).await?,
                },
            }
        }
    }

    /// Finds out how far a replay of this head would come, with what it holds back, without applying it.
    async fn dry_run(&mut self, head: Letter) -> Result<LetterResult, Failure> {
        let mut rounds = 0;
        let ProjectedLetters { tried, version, mut applied, mut failed } = loop {
            rounds += 1;
            if let Some(projected) = self.project_letters(head.clone(), rounds >= DRY_ROUNDS_MAX).await? {
                break projected;
            }
        };
        let mut backoff = Backoff::new();
        let refused = loop {
            match self.model.dry_run_letters(&tried, &version).await {
                Ok(refused) => break refused,
                // Which of them it is does not show.
                Err(failure) if failure.is_suspect() && backoff.attempts() > 0 => break Some((0, failure)),
                Err(failure) => self.endure(failure, &mut backoff).await?,
            }
        };
        if let Some((index, failure)) = refused {
            (applied, failed) = (index, Some(failure));
        }
        let would_apply = u64::try_from(applied).expect("letters are countable");
        let would_fail = failed.map(|failure| failure.class().to_owned());
        Ok(LetterResult { would_apply, would_fail, ..LetterResult::default() })
    }

    /// Asks the component about a head and what is behind it, up to the first that it fails; none if the lane took up another
    /// component meanwhile, whose statements are numbered in another way. The last time, it tells what it has come to by then.
    async fn project_letters(
        &mut self,
        head: Letter,
        is_last: bool,
    ) -> Result<Option<ProjectedLetters>, Failure> {
        let (mut tried, mut bytes, mut applied, mut failed, mut version) = (vec![], 0, 0, None, None);
        let mut next = Some(head);
        while let Some(letter) = next.take() {
            let Some(answer) = self.answer_in_time(&letter).await? else { break };
            let operations = match answer.outcome {
                Outcome::Apply(operations) => {
                    let known: &Arc<Deployed> = version.get_or_insert_with(|| answer.version.clone());
                    if known.digest != answer.version.digest {
                        if is_last {
                            break;
                        }
                        return Ok(None);
                    }
                    operations
                }
                Outcome::Ignored | Outcome::Unhandled => vec![],
                Outcome::Failed(failure) => {
                    failed = Some(failure);
                    break;
                }
            };
            applied += 1;
            bytes += operations.iter().flat_map(|one| &one.parameters).map(Sent::bytes).sum::<usize>();
            if tried.len() < REHEARSED_MAX && bytes <= REHEARSED_BYTES_MAX {
                tried.push(operations);
            }
            next = self.letter_behind(letter.aggregate_key.as_deref(), letter.id).await?;
        }
        let version = version.unwrap_or_else(|| self.in_force());
        Ok(Some(ProjectedLetters { tried, version, applied, failed }))
    }

    /// Asks the component what it makes of a letter's event, a few times where it was too slow for the clock's backstop.
    async fn answer_in_time(&mut self, letter: &Letter) -> Result<Option<LetterAnswer>, Failure> {
        let mut backoff = Backoff::new();
        loop {
            // Where another one comes meanwhile, the letter counts as failed by the older one, so that the newer one tries it.
            let version = self.in_force();
            match self.answer_to(letter).await {
                Ok(answer) => return Ok(answer),
                // The letter stays where it is, and the lane goes on.
                Err(failure @ Failure::Deadline { .. }) if backoff.attempts() + 1 >= DEADLINES_MAX => {
                    return Ok(Some(LetterAnswer { outcome: Outcome::Failed(failure), version }));
                }
                Err(failure) => self.endure(failure, &mut backoff).await?,
            }
        }
    }

    /// Asks the deployed component what it makes of a letter's event; none when the letter is gone: another request took it.
    async fn answer_to(&mut self, letter: &Letter) -> Result<Option<LetterAnswer>, Failure> {
        if letter.erased_at.is_some() {
            return Ok(Some(self.fails(Failure::Erased)));
        }
        let Some(document) = self.model.document(letter).await? else { return Ok(None) };
        let event = match bson::RawDocument::from_bytes(&document) {
            Ok(document) => self.decoder.decode(document).map_err(|wrong| Failure::undecodable(&wrong)),
            Err(_) => Err(Failure::Undecodable { reason: "it is not valid BSON".to_owned(), field: None }),
        };
        match event {
            Ok(event) => self.first.letter(event).await.map(Some),
            Err(failure) => Ok(Some(self.fails(failure))),
        }
    }

    /// The answer to an event that no component is asked about.
    fn fails(&self, failure: Failure) -> LetterAnswer {
        LetterAnswer { outcome: Outcome::Failed(failure), version: self.in_force() }
    }

    fn in_force(&self) -> Arc<Deployed> {
        self.desired.get().current.deployed().clone()
    }

    async fn keep(&mut self, letter: &Letter, attempt: Attempt<'_>) -> Result<(), Failure> {
        let mut backoff = Backoff::new();
        while let Err(failure) = self.model.keep_letter(letter, attempt).await {
            self.endure(failure, &mut backoff).await?;
        }
        Ok(())
    }

    /// The letter that is the head now. Without one, the aggregate is free.
    async fn next_head(&mut self, aggregate_key: Option<&[u8]>) -> Result<Option<Letter>, Failure> {
        let head = self.letter_behind(aggregate_key, 0).await?;
        if let (None, Some(key)) = (&head, aggregate_key) {
            self.planner.unblock(key);
        }
        Ok(head)
    }

    async fn letter_behind(
        &mut self,
        aggregate_key: Option<&[u8]>,
        after: u64,
    ) -> Result<Option<Letter>, Failure> {
        let Some(key) = aggregate_key else { return Ok(None) };
        let mut backoff = Backoff::new();
        loop {
            match self.model.letter_behind(key, after).await {
                Ok(letter) => return Ok(letter),
                Err(failure) => self.endure(failure, &mut backoff).await?,
            }
        }
    }

    /// Waits out what waiting helps against; returns the rest.
    async fn endure(&mut self, failure: Failure, backoff: &mut Backoff) -> Result<(), Failure> {
        match decide(&failure, backoff.attempts(), 1) {
            Decision::Retry => self.wait(failure, backoff).await,
            Decision::Isolate | Decision::Split(_) | Decision::Restart | Decision::Pause | Decision::Stop => {
                Err(failure)
            }
        }
    }
}
