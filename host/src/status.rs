//! How a projection stands, for people and machines: written by its running parts, read as a snapshot.
//!
//! Nothing here decides anything: the stored rows are the truth, this is what is told about it.

pub mod activity;
pub mod throughput;
pub mod oplog;
mod observed;
mod acknowledgement;
mod commands;
pub mod recently;
pub mod exemplars;
pub mod measures;
mod retries;
mod types;
pub mod snapshot;
mod committed;
mod traces;
mod component_stats;
mod take_up;
mod state;

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::failure::{Failure, Fault};
use crate::projector::Component;
use crate::readmodel::lane::checkpoint::LaneRow;
use crate::readmodel::lane::dead_letter::{LetterCounts, with_remedies};
use crate::source::Feed;
use component_stats::ComponentStats;
use exemplars::Exemplars;
use oplog::{Alarm, OplogWindow};
use recently::Measurements;
use retries::Retries;
use snapshot::{Beside, Phase, Snapshot};
use state::{HandedOn, LaneStatus, StatusState};
use throughput::{Rate, Stillness, stalled_source};
use types::SeenTypes;

pub use take_up::TakeUpProgress;
pub use traces::{OperationSpan, Traces};
pub use types::{TypeCount, misspelled};

/// The servers whose answers are observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    ReadModel,
    Source,
}

pub struct Status {
    projection: String,
    /// How many bytes the queues hold.
    pub queued_bytes: Arc<AtomicU64>,
    traces: Traces,
    measurements: Measurements,
    exemplars: Exemplars,
    state: Mutex<StatusState>,
}

impl Status {
    pub fn new(projection: &str) -> Self {
        let state = StatusState {
            phase: Phase::Starting,
            stopping: false,
            paused_by: None,
            run_trouble: None,
            source_trouble: None,
            silence: [None, None],
            component: String::new(),
            digest: String::new(),
            deployment: None,
            cannot_follow: None,
            canary: None,
            at_work: ComponentStats::default(),
            epoch: 0,
            lanes: vec![],
            read_up_to: None,
            read_wall_ms: None,
            source_time: None,
            oplog_begin: None,
            oplog_alarm: Alarm::None,
            stillness: Stillness::default(),
            documents: 0,
            letters: LetterCounts::default(),
            letter_stand: None,
            ignored: 0,
            is_mariadb: false,
            acknowledgement: None,
            beside: None,
            commands: BTreeMap::new(),
            types: SeenTypes::default(),
            rate: Rate::default(),
            batches: 0,
            heartbeat: Instant::now(),
        };
        Self {
            projection: projection.to_owned(),
            queued_bytes: Arc::default(),
            traces: Traces::default(),
            measurements: Measurements::default(),
            exemplars: Exemplars::default(),
            state: Mutex::new(state),
        }
    }

    pub fn digest(&self) -> String {
        self.change(|state| state.digest.clone())
    }

    pub fn projection(&self) -> &str {
        &self.projection
    }

    pub fn enter(&self, phase: Phase) {
        let name = phase.name();
        if self.change(|state| state.enter(phase)) {
            tracing::info!(projection = self.projection, phase = name, "phase");
        }
    }

    /// An operator has to act. The reason says what happened, and what there is to choose from where it is that.
    pub fn pauses(&self, failure: &Failure, reason: String) {
        self.count_failure(failure);
        let may_hold_values = failure.fault() == Fault::Event
            || matches!(failure, Failure::Unknown { .. } | Failure::Bug { .. });
        let reason = if may_hold_values { failure.without_values() } else { reason };
        let told = reason.clone();
        let changed = self.change(|state| {
            let changed = state.enter(Phase::Paused { reason });
            state.paused_by = Some(failure.clone());
            changed
        });
        if changed {
            let (projection, class, remedy) = (&self.projection, failure.class(), failure.remedy());
            tracing::error!(projection, class, remedy, "paused: {told}");
        }
    }

    pub fn is_paused(&self) -> bool {
        self.change(|state| matches!(state.phase, Phase::Paused { .. }))
    }

    /// A run ended, and another one begins after a while.
    pub fn run_fails(&self, failure: &Failure) {
        self.count_failure(failure);
        measures::tries_again(&self.projection, failure);
        self.change(|state| {
            state.enter(Phase::Starting);
            state.run_trouble = Some(failure.clone());
        });
    }

    /// A stop was asked for.
    pub fn stops(&self) {
        let first = self.change(|state| {
            state.enter(Phase::Stopping);
            !std::mem::replace(&mut state.stopping, true)
        });
        if first {
            tracing::info!(projection = self.projection, phase = Phase::Stopping.name(), "phase");
        }
    }

    /// The parts are about to run from these rows.
    pub fn starts(&self, component: &str, digest: &str, epoch: u64, rows: &[LaneRow]) {
        self.changes(component, digest);
        self.change(|state| {
            state.epoch = epoch;
            state.read_up_to = None;
            state.read_wall_ms = None;
            state.cannot_follow = None;
            state.silence = [None, None];
            let lane = |row: &LaneRow| LaneStatus {
                position: row.position.clone(),
                wall_ms: None,
                events: row.events,
                waiting: 0,
                trouble: None,
                retries: Retries::default(),
                digest: None,
                handed_on: VecDeque::new(),
                projected: None,
                committed: None,
                work: [None; 3],
            };
            state.lanes = rows.iter().map(lane).collect();
        });
    }

    /// The lanes go over to another component.
    pub fn changes(&self, component: &str, digest: &str) {
        let before = self.change(|state| {
            component.clone_into(&mut state.component);
            std::mem::replace(&mut state.digest, digest.to_owned())
        });
        component_stats::show(&self.projection, &before, digest);
    }

    /// What is to be seen of the component at work is written there. The one before stays beside it.
    pub fn shows(&self, component: &Component) {
        self.change(|state| state.at_work.begins(component));
    }

    /// Nothing works with its component any more.
    pub fn gives_up_component(&self) {
        component_stats::show(&self.projection, &self.digest(), "");
    }

    pub fn source_answers(&self, feed: &Feed) {
        let (stalled, retries, phase) = self.change(|state| {
            let moved = state.read_up_to.as_ref() != Some(&feed.position);
            state.read_up_to = Some(feed.position.clone());
            let newest = feed.deliveries.iter().rev().find_map(|delivery| delivery.wall_ms);
            state.read_wall_ms = newest.or(state.read_wall_ms);
            // It answers also while nothing is committed.
            let lanes = state.lanes.iter_mut().enumerate();
            let retries = lanes
                .flat_map(|(lane, of)| of.retries.due().into_iter().map(move |line| (lane, line)))
                .collect();
            (state.stillness.answered(moved, Instant::now()), retries, state.course())
        });
        self.log_retries(retries);
        if stalled {
            let failure = stalled_source();
            self.count_failure(&failure);
            tracing::warn!(projection = self.projection, "{}", failure.without_values());
        }
        self.enter(phase);
        metrics::counter!("laterna_events_read_total", "projection" => self.projection.clone())
            .increment(feed.deliveries.len() as u64);
    }

    pub fn source_fails(&self, failure: &Failure) {
        self.count_failure(failure);
        measures::tries_again(&self.projection, failure);
        let told = failure.without_values();
        tracing::warn!(projection = self.projection, "source: {told}; trying again");
        self.change(|state| state.source_trouble = Some(failure.clone()));
    }

    /// The lanes that are still busy, and what with.
    pub fn stragglers(&self) -> Vec<(usize, String)> {
        let busy = |(lane, state): (usize, &LaneStatus)| state.doing().map(|doing| (lane, doing));
        self.change(|state| state.lanes.iter().enumerate().filter_map(busy).collect())
    }

    /// Reports how many bytes may wait in all lanes.
    pub fn has_room(&self, bytes_max: u32) {
        metrics::gauge!("laterna_queued_bytes_max", "projection" => self.projection.clone()).set(bytes_max);
    }

    pub fn handed_out(&self, lane: usize, deliveries: usize) {
        self.change(|state| state.lanes[lane].waiting += deliveries as u64);
    }

    /// The number of batches that the lanes have committed here.
    pub fn batches(&self) -> u64 {
        self.change(|state| state.batches)
    }

    /// Whether the stream is what is being read.
    pub fn is_streaming(&self) -> bool {
        self.change(|state| state.phase == Phase::Streaming)
    }

    /// The projection's tasks are alive.
    pub fn beat(&self) {
        self.change(|state| state.heartbeat = Instant::now());
    }

    /// What is built beside the live tables, or nothing any more.
    pub fn builds(&self, beside: Option<Beside>) {
        self.change(|state| state.beside = beside);
    }

    pub fn heartbeat_age(&self) -> Duration {
        self.change(|state| state.heartbeat.elapsed())
    }

    pub fn snapshot(&self) -> Snapshot {
        self.change(|state| Snapshot {
            projection: self.projection.clone(),
            phase: state.phase.clone(),
            trouble: state.trouble().map(|failure| failure.without_values()),
            class: state.obstacle().map(|failure| failure.class().to_owned()),
            remedy: state.obstacle().map(|failure| failure.remedy().to_owned()),
            warning: state.window().filter(|_| state.alarm() > Alarm::None).map(OplogWindow::warning),
            oplog: state.window(),
            component: state.component.clone(),
            digest: state.digest.clone(),
            deployment: state.shown_deployment(),
            epoch: state.epoch,
            lag_seconds: state.lag_seconds(),
            lag_events: state.lag_events(),
            queued_bytes: self.queued_bytes.load(Ordering::Relaxed),
            events_per_second: state.rate.per_second(),
            last_minute: self.measurements.last_minute(),
            events: state.lanes.iter().map(|lane| lane.events).sum(),
            ignored: state.ignored,
            unhandled: state.types.unhandled(),
            commit_times: state.types.commit_times(),
            parked: state.letters.parked(),
            held: state.letters.held,
            letters: with_remedies(&state.letters.by_class),
            acknowledgement: state.acknowledgement.clone(),
            beside: state.beside.clone(),
            commands: state.commands.values().cloned().collect(),
            components: state.at_work.snapshot(),
            lanes: state.lanes.iter().zip(0..).map(|(lane, number)| lane.snapshot(number)).collect(),
        })
    }

    fn change<T>(&self, change: impl FnOnce(&mut StatusState) -> T) -> T {
        // A panic elsewhere cannot leave counters half changed in a way that matters more than showing them.
        change(&mut self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    fn count_failure(&self, failure: &Failure) {
        let projection = self.projection.clone();
        metrics::counter!("laterna_failures_total", "projection" => projection, "class" => failure.class())
            .increment(1);
    }
}

#[cfg(test)]
mod tests {
    use super::activity::Activity;
    use super::snapshot::DeploymentSnapshot;
    use super::*;
    use crate::position::Token;
    use crate::position::{ClusterTime, Position};

    pub(super) fn at(seconds: u32) -> Position {
        Position::Stream {
            token: Token { data: format!("82{seconds:08x}000000012B0229296E04").into(), type_bits: None },
        }
    }

    pub(super) fn row(lane: u32, seconds: u32) -> LaneRow {
        LaneRow {
            lane,
            epoch: 1,
            batch: 0,
            position: at(seconds),
            digest: String::new(),
            events: 0,
            parked: 0,
            fingerprint: crate::fingerprint::Fingerprint::default(),
            known_events: 0,
            anchor: None,
            connection_id: None,
        }
    }

    fn observed(oldest: u32, begin: u32, now: u32) -> Snapshot {
        let status = Status::new("accounts");
        status.starts("accounts 1", "", 1, &[row(0, now), row(1, oldest)]);
        status.observed_source(ClusterTime { seconds: now, increment: 1 }, 0);
        status.observed_oplog(Some(ClusterTime { seconds: begin, increment: 1 }));
        status.snapshot()
    }

    #[test]
    fn what_is_left_of_the_oplog_is_told_by_the_oldest_lane() {
        let snapshot = observed(1750, 1000, 2000);
        assert_eq!(snapshot.oplog, Some(OplogWindow { used_percent: 25, left_seconds: 750 }));
        assert!(
            snapshot.warning.is_some_and(|warning| warning.contains("25 %") && warning.contains("12m 30s"))
        );
        assert_eq!(observed(1760, 1000, 2000).warning, None);
        assert_eq!(observed(990, 1000, 2000).oplog, Some(OplogWindow { used_percent: 101, left_seconds: 0 }));
    }

    #[test]
    fn what_troubled_a_run_is_over_for_a_standby() {
        let status = Status::new("accounts");
        status.starts("accounts 1", "", 1, &[row(0, 1000)]);
        let failure = Failure::CannotWrite { code: 1290, message: "read-only".into() };
        status.lane_waits(0, &failure);
        status.observes(Server::ReadModel, Some(failure.clone()));
        assert_eq!(status.snapshot().class.as_deref(), Some("cannot-write"));
        status.run_fails(&failure);
        assert!(status.snapshot().trouble.is_some());
        status.enter(Phase::Standby { owner: "another".into() });
        assert_eq!(status.snapshot().trouble, None);
    }

    #[test]
    fn a_deployment_is_taken_up_when_no_lane_has_anything_of_the_one_before() {
        let status = Status::new("accounts");
        let waits = |says: &str| match status.take_up("new") {
            TakeUpProgress::Waits(why) => assert!(why.contains(says), "{says:?} is not in {why}"),
            other => panic!("{other:?}"),
        };
        waits("being started");
        status.starts("accounts 1", "old", 7, &[row(0, 1000), row(1, 1000)]);
        waits("being started");
        (0..2).for_each(|lane| status.runs(lane, "old"));
        status.begins(1, Activity::Committing(3));
        waits("lane 0 still works with the component before; lane 1 still works");
        status.hands_on(1, "old");
        (0..2).for_each(|lane| status.runs(lane, "new"));
        status.hands_on(1, "new");
        waits(
            "lane 1 still works with the component before: waiting for MySQL to commit a batch of 3 events",
        );
        status.finished_batch(1);
        assert_eq!(status.take_up("new"), TakeUpProgress::Whole { epoch: 7 });
        // What is loaded here is not what is deployed.
        status.cannot_follow(Some(Failure::misconfigured("it is gone", "look for it")));
        match status.take_up("newer") {
            TakeUpProgress::Waits(why) => assert!(why.contains("it is gone"), "{why}"),
            other => panic!("{other:?}"),
        }
        let broken = Failure::SchemaMismatch { code: 1146, message: "no table".into() };
        status.pauses(&broken, broken.to_string());
        waits("the projection cannot run, and tries it again");
        let held = Failure::StreamHeld { letters: 1 };
        status.pauses(&held, held.to_string());
        waits(DeploymentSnapshot::PAUSED);
        let open = Failure::BreakerOpen { reason: "too many".to_owned(), digest: None };
        status.pauses(&open, open.to_string());
        waits("the breaker is open: ");
        status.run_fails(&broken);
        waits("the lanes do not run just now: ");
        status.enter(Phase::Standby { owner: "another".into() });
        assert_eq!(status.take_up("new"), TakeUpProgress::NotHere);
    }

    #[test]
    fn an_oplog_that_has_just_begun_is_no_reason_for_alarm() {
        let snapshot = observed(1998, 1997, 2000);
        assert_eq!((snapshot.oplog.map(|window| window.used_percent), snapshot.warning), (Some(66), None));
    }
}
