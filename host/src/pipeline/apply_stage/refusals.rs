//! The second stage's answer to a batch that could not be committed: it is tried again, halved, or its events at fault
//! are found. `decide` chooses between them.

use super::ApplyStage;
use crate::failure::Failure;
use crate::pipeline::decide::{Blame, Decision, blame, decide, decide_fruitless, is_tried_enough};
use crate::pipeline::frontier::OtherLanes;
use crate::pipeline::plan::{Isolated, isolate};
use crate::pipeline::ports::{ReadModel, Version};
use crate::pipeline::project_stage::taken_back_for;
use crate::pipeline::questions::RefusedBatch;
use crate::pipeline::suspects::ProbeFindings;
use crate::position::Position;
use crate::readmodel::lane::apply::Final;
use crate::readmodel::lane::batch::{Batch, Passed, Verdict};
use crate::retry::Backoff;

impl<V: Version, R: ReadModel> ApplyStage<V, R> {
    /// Does about a failure what was decided, and gives what to try next. `attempts` counts the tries of this batch that
    /// failed in the same way right before.
    pub(super) async fn answer(
        &mut self,
        batch: Batch,
        failure: Failure,
        attempts: u32,
        backoff: &mut Backoff,
    ) -> Result<Isolated, Failure> {
        match decide(&failure, attempts, batch.entries.len()) {
            Decision::Isolate => self.isolate(batch, failure, attempts, backoff).await,
            decision => self.follow(decision, batch, failure, backoff).await,
        }
    }

    async fn follow(
        &mut self,
        decision: Decision,
        batch: Batch,
        failure: Failure,
        backoff: &mut Backoff,
    ) -> Result<Isolated, Failure> {
        match decision {
            Decision::Retry | Decision::Isolate => self.wait(failure, backoff).await?,
            Decision::Split(parts) => {
                self.status.lane_waits(self.lane, &failure);
                self.size.split(batch.entries.len(), parts);
            }
            Decision::Restart | Decision::Pause | Decision::Stop => return Err(failure),
        }
        Ok(Isolated { now: Some(batch), later: None })
    }

    /// Finds the events at fault and parks them, where that can be judged already.
    async fn isolate(
        &mut self,
        batch: Batch,
        failure: Failure,
        attempts: u32,
        backoff: &mut Backoff,
    ) -> Result<Isolated, Failure> {
        // Looked at before MySQL is asked: what others commit in between may be what was missing.
        let others = self.progress.seen_by(self.lane);
        let is_final = |failure: &Failure, position: &Position| {
            !matches!(failure, Failure::KeyConflict { .. }) || others.passed(position)
        };
        let refused = match self.refused(&batch, &failure, &is_final).await {
            Ok(refused) => refused,
            Err(failure) => {
                let decision = decide(&failure, attempts, batch.entries.len());
                return self.follow(decision, batch, failure, backoff).await;
            }
        };
        if refused.is_empty() {
            let decision = decide_fruitless(attempts, batch.entries.len());
            return self.follow(decision, batch, failure, backoff).await;
        }
        let Some(refused) = self.at_fault(&batch, &failure, refused, &is_final, attempts).await? else {
            return self.follow(Decision::Retry, batch, failure, backoff).await;
        };
        self.compare_with_before(&batch, &refused, &is_final).await?;
        let isolated = isolate(batch, refused, &is_final);
        self.stand_by(&isolated, &others, failure, backoff).await?;
        Ok(isolated)
    }

    /// The entries that MySQL refuses, each run alone.
    async fn refused(
        &mut self,
        batch: &Batch,
        failure: &Failure,
        is_final: Final<'_>,
    ) -> Result<Vec<(usize, Failure)>, Failure> {
        match (failure, &batch.entries[..]) {
            // It shows in a transaction of its own only, which this was.
            (Failure::TooLarge { .. } | Failure::TooSlow { .. }, [entry])
                if matches!(entry.verdict, Verdict::Apply(_)) =>
            {
                Ok(vec![(0, failure.clone())])
            }
            (Failure::TooLarge { .. }, _) => Err(failure.clone().of_the_host()),
            _ => match self.model.probe(batch, is_final).await {
                Err(failure) if failure.is_suspect() && batch.entries.len() == 1 => Ok(vec![(0, failure)]),
                probed => probed,
            },
        }
    }

    /// Those of the refused entries that are at fault; none while nobody can know that yet. Where it is not the events, the
    /// lane ends.
    async fn at_fault(
        &mut self,
        batch: &Batch,
        failure: &Failure,
        mut refused: Vec<(usize, Failure)>,
        is_final: Final<'_>,
        attempts: u32,
    ) -> Result<Option<Vec<(usize, Failure)>>, Failure> {
        let Some((_, suspect)) = refused.iter().find(|(_, failure)| failure.is_suspect()) else {
            return Ok(Some(refused));
        };
        let found = ProbeFindings::by(batch, &refused, is_final);
        let passes = found.passes();
        match self.who_is_to_blame(batch, suspect, found, attempts).await? {
            Blame::NotYet => return Ok(None),
            Blame::Setup | Blame::Unclear => return Ok(Some(refused)),
            Blame::Events => {}
        }
        // What passed did so beside a refusal or after it: MySQL may have refused everything in between. Whoever is refused
        // before and after that is at fault.
        let again = match self.refused(batch, failure, is_final).await {
            Ok(again) => again,
            Err(failure) => return too_early(failure, attempts).map(|()| None),
        };
        if passes && !ProbeFindings::by(batch, &again, is_final).passes() {
            return Ok(None);
        }
        refused.retain(|(index, failure)| {
            !failure.is_suspect()
                || again.iter().any(|(other, failure)| other == index && failure.is_suspect())
        });
        Ok(Some(refused).filter(|refused| !refused.is_empty()))
    }

    /// Who is at fault for refusals with an unknown code. Where an operator let them be parked, also those of all events are
    /// the events'.
    async fn who_is_to_blame(
        &mut self,
        batch: &Batch,
        suspect: &Failure,
        mut found: ProbeFindings,
        attempts: u32,
    ) -> Result<Blame, Failure> {
        let control = if found.passes() { None } else { self.suspects.control(&batch.version.digest) };
        if let Some(control) = control {
            match self.model.probe(&control, &|_, _| true).await {
                Ok(refused) => {
                    let is_refused = refused.iter().any(|(_, failure)| failure.is_suspect());
                    found = found.with_control(&control, is_refused);
                }
                Err(failure) if failure.is_suspect() => found = found.with_control(&control, true),
                Err(failure) => return too_early(failure, attempts).map(|()| Blame::NotYet),
            }
        }
        let evidence = self.suspects.learn(&batch.version.digest, &found, is_tried_enough(suspect, attempts));
        match blame(evidence) {
            Blame::Setup if !self.breaker.is_muted() => {
                self.suspects.pauses();
                Err(suspect.of_all_events(evidence.failing))
            }
            Blame::Unclear if !self.breaker.is_muted() => {
                let (aggregates, refused) = (evidence.failing, suspect.without_values());
                let reason = format!(
                    "{refused}; so it is with the events of {aggregates} aggregates in a row, for some minutes, and \
                     no other event passes: fix the cause; or run `laterna resume` to let the events be parked"
                );
                Err(Failure::BreakerOpen { reason, digest: Some(batch.version.digest.clone()) })
            }
            blame => Ok(blame),
        }
    }

    /// Ends the run where MySQL refuses what the component before would have written rightly: the change is taken back,
    /// and the next run projects the batch anew.
    async fn compare_with_before(
        &mut self,
        batch: &Batch,
        refused: &[(usize, Failure)],
        is_final: Final<'_>,
    ) -> Result<(), Failure> {
        let judged_now = refused
            .iter()
            .filter(|(index, failure)| is_final(failure, &batch.entries[*index].delivery.position))
            .collect::<Vec<_>>();
        if judged_now.is_empty() {
            return Ok(());
        }
        let digest = batch.version.digest.clone();
        let deliveries = batch.entries.iter().map(|entry| entry.delivery.clone()).collect();
        let refused_batch =
            RefusedBatch { digest: digest.clone(), deliveries, position: batch.position.clone() };
        let Some(as_before) = self.first.as_before(refused_batch).await? else { return Ok(()) };
        let as_before = self.planner.plan(as_before);
        let refused_before = match self.model.probe(&as_before, is_final).await {
            Ok(refused) => refused,
            // It is no better.
            Err(failure) if failure.is_suspect() => return Ok(()),
            Err(failure) => return Err(failure),
        };
        for (index, failure) in judged_now {
            let takes = matches!(
                as_before.entries[*index].verdict,
                Verdict::Apply(_) | Verdict::Pass(Passed::Ignored)
            ) && !refused_before.iter().any(|(other, _)| other == index);
            if takes {
                let reason = taken_back_for(&batch.entries[*index].delivery, failure);
                self.desired.take_back(&digest, &reason);
                return Err(Failure::TakenBack { reason });
            }
        }
        Ok(())
    }

    /// Where it was too early to judge the very first entry, waits until another lane moves.
    async fn stand_by(
        &mut self,
        isolated: &Isolated,
        others: &OtherLanes,
        failure: Failure,
        backoff: &mut Backoff,
    ) -> Result<(), Failure> {
        let (None, Some(later)) = (&isolated.now, &isolated.later) else { return Ok(()) };
        self.status.lane_waits(self.lane, &failure);
        let position = &later.entries[0].delivery.position;
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(failure),
            () = self.progress.stuck(self.lane, position, others) => {
                *backoff = Backoff::new();
                Ok(())
            }
            () = tokio::time::sleep(backoff.next_wait()) => Ok(()),
        }
    }
}

/// A probe that failed by itself says nothing about the events, unless the lane has to end.
fn too_early(failure: Failure, attempts: u32) -> Result<(), Failure> {
    match decide(&failure, attempts, 1) {
        Decision::Retry | Decision::Split(_) | Decision::Isolate => Ok(()),
        Decision::Restart | Decision::Pause | Decision::Stop => Err(failure),
    }
}
