//! What the status of a projection is made from, and the figures that follow from it: what troubles it, and how far it is behind.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use super::activity::Activity;
use super::component_stats::ComponentStats;
use super::oplog::{Alarm, OplogWindow};
use super::retries::Retries;
use super::snapshot::{Acknowledgement, Beside, DeploymentSnapshot, LaneSnapshot, Phase};
use super::take_up::CanaryWindow;
use super::throughput::{Rate, Stillness, stalled_source};
use super::traces::Timed;
use super::types::SeenTypes;
use crate::failure::Failure;
use crate::position::{ClusterTime, Position};
use crate::readmodel::control::command::WaitingCommand;
use crate::readmodel::lane::dead_letter::{LetterCounts, LetterStand};

/// All that is known of a projection.
pub(super) struct StatusState {
    pub(super) phase: Phase,
    /// A stop was asked for: no other phase than the last follows.
    pub(super) stopping: bool,
    /// What paused the projection.
    pub(super) paused_by: Option<Failure>,
    /// What ended the last run.
    pub(super) run_trouble: Option<Failure>,
    pub(super) source_trouble: Option<Failure>,
    /// What the servers did not answer to, by [`Server`].
    pub(super) silence: [Option<Failure>; 2],
    pub(super) component: String,
    pub(super) digest: String,
    /// What is deployed, and whether it is what the lanes work with.
    pub(super) deployment: Option<DeploymentSnapshot>,
    /// What keeps this host from having what is deployed.
    pub(super) cannot_follow: Option<Failure>,
    pub(super) canary: Option<CanaryWindow>,
    pub(super) at_work: ComponentStats,
    pub(super) epoch: u64,
    pub(super) lanes: Vec<LaneStatus>,
    pub(super) read_up_to: Option<Position>,
    /// When the primary wrote the last event that was read, by its clock.
    pub(super) read_wall_ms: Option<u64>,
    pub(super) source_time: Option<ClusterTime>,
    pub(super) oplog_begin: Option<ClusterTime>,
    pub(super) oplog_alarm: Alarm,
    pub(super) stillness: Stillness,
    pub(super) documents: u64,
    pub(super) letters: LetterCounts,
    /// None while another host writes.
    pub(super) letter_stand: Option<LetterStand>,
    pub(super) ignored: u64,
    /// The lanes write to MariaDB.
    pub(super) is_mariadb: bool,
    pub(super) acknowledgement: Option<Acknowledgement>,
    pub(super) beside: Option<Beside>,
    /// The commands that wait, by their ids.
    pub(super) commands: BTreeMap<u64, WaitingCommand>,
    pub(super) types: SeenTypes,
    pub(super) rate: Rate,
    pub(super) batches: u64,
    pub(super) heartbeat: Instant,
}

/// All that is known of one lane.
pub(super) struct LaneStatus {
    pub(super) position: Position,
    /// When the primary wrote its last event, by its clock.
    pub(super) wall_ms: Option<u64>,
    pub(super) events: u64,
    pub(super) waiting: u64,
    pub(super) trouble: Option<Failure>,
    /// What it tries again and again.
    pub(super) retries: Retries,
    /// The digest of what its first stage works with; none while it does not run.
    pub(super) digest: Option<String>,
    /// The batches that its second stage is not through with, oldest first.
    pub(super) handed_on: VecDeque<HandedOn>,
    /// When its first stage last had something projected, and its second stage something committed.
    pub(super) projected: Option<Timed>,
    pub(super) committed: Option<Timed>,
    /// What its two stages and its operator are busy with, by [`Activity::slot`].
    pub(super) work: [Option<(Activity, Instant)>; 3],
}

/// A batch between a lane's stages.
pub(super) struct HandedOn {
    /// Of what it was made with.
    pub(super) digest: String,
    pub(super) projected: Option<Timed>,
}

impl StatusState {
    /// Whether the phase is another one now. What was waited out before it is over.
    pub(super) fn enter(&mut self, phase: Phase) -> bool {
        let changed = self.phase != phase;
        if self.stopping && phase != Phase::Stopped {
            return false;
        }
        if !matches!(phase, Phase::History | Phase::Streaming | Phase::Stopping) {
            // No lane runs, and nobody observes the servers.
            self.silence = [None, None];
            for lane in &mut self.lanes {
                (lane.trouble, lane.work, lane.digest) = (None, [None; 3], None);
                lane.handed_on.clear();
            }
        }
        if matches!(phase, Phase::Standby { .. }) {
            self.forget_what_the_leader_knows();
        }
        self.phase = phase;
        self.paused_by = None;
        self.run_trouble = None;
        self.source_trouble = None;
        changed
    }

    /// Forgets what only the host knows that writes: kept, it would be shown, and alarm, for as long as this one stands by.
    pub(super) fn forget_what_the_leader_knows(&mut self) {
        self.lanes.clear();
        (self.read_up_to, self.read_wall_ms, self.source_time, self.oplog_begin) = (None, None, None, None);
        (self.documents, self.letters, self.ignored) = (0, LetterCounts::default(), 0);
        self.letter_stand = None;
        (self.acknowledgement, self.beside, self.types) = (None, None, SeenTypes::default());
        self.commands.clear();
    }

    /// What reader and lanes are at: history, until all of it is applied.
    pub(super) fn course(&self) -> Phase {
        let lanes = self.lanes.iter().map(|lane| &lane.position);
        let is_history =
            lanes.chain(&self.read_up_to).any(|position| matches!(position, Position::Scan { .. }));
        if is_history { Phase::History } else { Phase::Streaming }
    }

    /// What is being waited out.
    pub(super) fn trouble(&self) -> Option<Failure> {
        let stalled = (self.phase == Phase::Streaming && self.stillness.is_stalled()).then(stalled_source);
        let source = self.run_trouble.clone().or_else(|| self.source_trouble.clone()).or(stalled);
        let lanes = self.lanes.iter().filter_map(|lane| lane.trouble.as_ref());
        source.or_else(|| lanes.chain(self.silence.iter().flatten()).next().cloned())
    }

    pub(super) fn obstacle(&self) -> Option<Failure> {
        self.paused_by.clone().or_else(|| self.trouble())
    }

    pub(super) fn oldest(&self) -> Option<ClusterTime> {
        self.lanes.iter().filter_map(|lane| lane.position.time()).min()
    }

    pub(super) fn window(&self) -> Option<OplogWindow> {
        Some(OplogWindow::of(self.oldest()?, self.oplog_begin?, self.source_time?))
    }

    pub(super) fn alarm(&self) -> Alarm {
        let age =
            self.source_time.zip(self.oldest()).map(|(now, then)| now.seconds.saturating_sub(then.seconds));
        self.window().zip(age).map_or(Alarm::None, |(window, age)| window.alarm(age))
    }

    /// From the newest write of the source back to what is applied for certain. A lane with nothing to do is as
    /// far as the reader is.
    pub(super) fn lag_seconds(&self) -> u32 {
        let read = self.read_up_to.as_ref().and_then(Position::time);
        let applied = self.lanes.iter().map(|lane| match lane.waiting {
            0 => read.or_else(|| lane.position.time()),
            _ => lane.position.time(),
        });
        let oldest = applied.flatten().min();
        match (self.source_time, oldest) {
            (Some(now), Some(oldest)) => now.seconds.saturating_sub(oldest.seconds),
            _ => 0,
        }
    }

    pub(super) fn lag_events(&self) -> u64 {
        let (applied, waiting) =
            (self.lanes.iter().map(|lane| lane.events), self.lanes.iter().map(|lane| lane.waiting));
        let (applied, waiting): (u64, u64) = (applied.sum(), waiting.sum());
        let caught_up = waiting == 0 && self.phase == Phase::Streaming && self.lag_seconds() <= 1;
        if caught_up { 0 } else { waiting.max(self.documents.saturating_sub(applied)) }
    }
}

impl LaneStatus {
    pub(super) fn snapshot(&self, lane: u32) -> LaneSnapshot {
        LaneSnapshot {
            lane,
            position: self.position.to_string(),
            events: self.events,
            waiting: self.waiting,
            trouble: self.trouble.as_ref().map(Failure::without_values),
            digest: self.works_with().unwrap_or_default().to_owned(),
            doing: self.doing(),
        }
    }

    pub(super) fn doing(&self) -> Option<String> {
        let all: Vec<_> =
            self.work.iter().flatten().map(|(work, since)| work.describe(since.elapsed())).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}
