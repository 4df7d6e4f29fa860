//! Which component each lane works with, as the lanes say it, and why it is not the deployed one.

use std::time::{Duration, Instant};

use super::snapshot::{CanaryProgress, DeploymentSnapshot};
use super::{HandedOn, LaneStatus, Phase, Status, StatusState};
use crate::failure::Failure;
use crate::retry::PAUSED;

/// How far this host's lanes are with a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TakeUpProgress {
    /// All of them work with it, under this epoch.
    Whole { epoch: u64 },
    /// Not all of them do, and why.
    Waits(String),
    /// Another host's lanes are those that count, or none's.
    NotHere,
}

/// The canary window of the component that the lanes have.
pub(super) struct CanaryWindow {
    digest: String,
    previous: String,
    until: Instant,
    /// How many events were taken with it.
    events: u64,
}

impl CanaryWindow {
    /// A batch was committed that this component made.
    pub(super) fn committed(&mut self, digest: &str, events: u64) {
        if self.digest == digest {
            self.events += events;
        }
    }

    /// How far it is; none when it is over.
    pub(super) fn progress(&self, now: Instant) -> Option<CanaryProgress> {
        let left = self.until.checked_duration_since(now).filter(|left| *left > Duration::ZERO)?;
        let seconds_left = left.as_secs() + u64::from(left.subsec_nanos() > 0);
        Some(CanaryProgress { previous: self.previous.clone(), seconds_left, events: self.events })
    }
}

impl Status {
    /// The component that the lanes have may be taken back to the previous one until then, or not at all.
    pub fn shows_canary(&self, digest: &str, window: Option<(&str, Instant)>) {
        self.change(|state| match window {
            None => state.canary = None,
            Some(_) if state.canary.as_ref().is_some_and(|known| known.digest == digest) => {}
            Some((previous, until)) => {
                let (digest, previous) = (digest.to_owned(), previous.to_owned());
                state.canary = Some(CanaryWindow { digest, previous, until, events: 0 });
            }
        });
    }

    /// A lane's first stage works with this component from now on.
    pub fn runs(&self, lane: usize, digest: &str) {
        self.change(|state| {
            let known = &mut state.lanes[lane].digest;
            if known.as_deref() != Some(digest) {
                *known = Some(digest.to_owned());
            }
        });
    }

    /// A lane's first stage hands a batch on that this component made.
    pub fn hands_on(&self, lane: usize, digest: &str) {
        self.change(|state| {
            let lane = &mut state.lanes[lane];
            let projected = lane.projected.take();
            lane.handed_on.push_back(HandedOn { digest: digest.to_owned(), projected });
        });
    }

    /// A lane's second stage has finished a batch.
    pub fn finished_batch(&self, lane: usize) {
        self.change(|state| state.lanes[lane].handed_on.pop_front());
    }

    /// What keeps this host from having what is deployed, or that nothing does.
    pub fn cannot_follow(&self, failure: Option<Failure>) {
        self.change(|state| state.cannot_follow = failure);
    }

    /// What is deployed, and whether the lanes work with it.
    pub fn shows_deployment(&self, deployment: Option<DeploymentSnapshot>) {
        self.change(|state| state.deployment = deployment);
    }

    /// How far the lanes are with this deployment.
    pub fn take_up(&self, digest: &str) -> TakeUpProgress {
        self.change(|state| state.take_up(digest))
    }
}

impl StatusState {
    /// What is deployed, with its canary window.
    pub(super) fn shown_deployment(&self) -> Option<DeploymentSnapshot> {
        let deployment = self.deployment.clone()?;
        let canary = self.canary.as_ref().filter(|of| of.digest == deployment.digest);
        let canary = canary.and_then(|of| of.progress(Instant::now()));
        Some(DeploymentSnapshot { canary, ..deployment })
    }

    fn take_up(&self, digest: &str) -> TakeUpProgress {
        match &self.phase {
            Phase::Standby { .. } | Phase::Stopping | Phase::Stopped => return TakeUpProgress::NotHere,
            Phase::Paused { reason } => return TakeUpProgress::Waits(self.paused(reason)),
            Phase::Starting | Phase::History | Phase::Streaming => {}
        }
        let late: Vec<(usize, &LaneStatus)> =
            self.lanes.iter().enumerate().filter(|(_, lane)| lane.works_with() != Some(digest)).collect();
        if late.is_empty() && !self.lanes.is_empty() {
            return TakeUpProgress::Whole { epoch: self.epoch };
        }
        let trouble = self.run_trouble.as_ref().map(Failure::without_values);
        TakeUpProgress::Waits(match (&self.cannot_follow, trouble) {
            (_, Some(trouble)) => format!("the lanes do not run just now: {trouble}; they begin with it"),
            (Some(failure), _) if self.digest != digest => failure.without_values(),
            _ if late.iter().any(|(_, lane)| lane.digest.is_none()) || self.lanes.is_empty() => {
                "the lanes are being started".to_owned()
            }
            _ => late.iter().map(|(number, lane)| lane.is_late(*number)).collect::<Vec<_>>().join("; "),
        })
    }

    /// Why a paused projection has not taken a deployment up, and when it will.
    fn paused(&self, reason: &str) -> String {
        match &self.paused_by {
            // Another component closes it.
            Some(Failure::BreakerOpen { .. }) => format!("the breaker is open: {reason}"),
            Some(Failure::Paused { .. }) => format!("the projection is {reason}"),
            Some(failure) if failure.holds_events_only() => {
                format!("{}{reason}", DeploymentSnapshot::PAUSED)
            }
            _ => {
                let seconds = PAUSED.as_secs();
                format!("the projection cannot run, and tries it again every {seconds} s: {reason}")
            }
        }
    }
}

impl LaneStatus {
    /// The digest of what made the oldest batch that it has, or else of what it would work with next.
    pub(super) fn works_with(&self) -> Option<&str> {
        let oldest = self.handed_on.front().map(|handed| handed.digest.as_str());
        oldest.or(self.digest.as_deref())
    }

    fn is_late(&self, number: usize) -> String {
        let trouble = self.trouble.as_ref().map(Failure::without_values);
        // Without the time that it takes, so that it is not written down again and again.
        let doing: Vec<String> = self.work.iter().flatten().map(|(work, _)| work.what()).collect();
        let still = format!("lane {number} still works with the component before");
        match (trouble, doing.as_slice()) {
            (Some(trouble), _) => format!("{still}: {trouble}"),
            (None, []) => still,
            (None, doing) => format!("{still}: {}", doing.join(" and ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canary_window_counts_the_events_of_its_component_until_it_is_over() {
        let status = Status::new("accounts");
        let now = Instant::now();
        let shown = |at: Instant| status.change(|state| state.canary.as_ref().and_then(|of| of.progress(at)));
        assert_eq!(shown(now), None);
        let window = Some(("before", now + Duration::from_millis(59_500)));
        status.shows_canary("new", window);
        status.change(|state| {
            let canary = state.canary.as_mut().expect("there is a window");
            canary.committed("new", 3);
            canary.committed("before", 5);
        });
        // It is told again and again.
        status.shows_canary("new", window);
        let progress = CanaryProgress { previous: "before".into(), seconds_left: 60, events: 3 };
        assert_eq!(shown(now), Some(progress));
        assert_eq!(shown(now + Duration::from_mins(1)), None);
        status.shows_canary("before", None);
        assert_eq!(shown(now), None);
    }
}
