//! How a projection stands, for people and machines: written by its running parts, read as a snapshot.
//!
//! Nothing here decides anything: the stored rows are the truth, this is what is told about it.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::busy::Busy;
use crate::failure::Failure;
use crate::position::{ClusterTime, Position};
use crate::readmodel::{Batch, LaneRow, Passed, Verdict};
use crate::source::Feed;

/// What a projection is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "phase")]
pub enum Phase {
    Starting,
    /// Another host writes.
    Standby {
        owner: String,
    },
    /// Reading history.
    History,
    /// Following the change stream.
    Streaming,
    /// Waiting for an operator; tried again from time to time.
    Paused {
        reason: String,
    },
    /// Asked to stop: what is in its transaction is finished, nothing new is begun.
    Stopping,
    Stopped,
}

impl Phase {
    /// The words for all phases.
    pub const NAMES: [&'static str; 7] =
        ["starting", "standby", "history", "streaming", "paused", "stopping", "stopped"];

    /// The word for this phase.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Standby { .. } => "standby",
            Self::History => "history",
            Self::Streaming => "streaming",
            Self::Paused { .. } => "paused",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }
}

/// A projection's state at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    pub projection: String,
    #[serde(flatten)]
    pub phase: Phase,
    /// What is being waited out just now.
    pub trouble: Option<String>,
    /// The class of what paused it or is waited out, for machines, and what the operator does about it.
    #[serde(default)]
    pub class: Option<String>,
    #[serde(default)]
    pub remedy: Option<String>,
    /// The component: its own name and version, and its digest.
    pub component: String,
    pub digest: String,
    pub epoch: u64,
    /// How far the read model is behind the outbox.
    pub lag_seconds: u32,
    /// About how many events are not applied yet.
    pub lag_events: u64,
    /// Events committed in the last seconds, per second.
    pub events_per_second: f64,
    pub events: u64,
    /// Dead letters that failed, and those that wait behind them.
    pub parked: u64,
    pub held: u64,
    pub lanes: Vec<LaneSnapshot>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LaneSnapshot {
    pub lane: u32,
    pub position: String,
    pub events: u64,
    /// Handed to the lane, not committed yet.
    pub waiting: u64,
    pub trouble: Option<String>,
    /// What it is doing just now, and for how long.
    #[serde(default)]
    pub doing: Option<String>,
}

/// The servers whose answers are observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    ReadModel,
    Source,
}

pub struct Status {
    projection: String,
    state: Mutex<State>,
}

struct State {
    phase: Phase,
    /// A stop was asked for: no other phase than the last follows.
    stopping: bool,
    /// What paused the projection.
    paused_by: Option<Failure>,
    /// What ended the last run.
    run_trouble: Option<Failure>,
    source_trouble: Option<Failure>,
    /// What the servers did not answer to, by [`Server`].
    silence: [Option<Failure>; 2],
    component: String,
    digest: String,
    epoch: u64,
    lanes: Vec<LaneState>,
    read_up_to: Option<Position>,
    source_time: Option<ClusterTime>,
    documents: u64,
    letters: (u64, u64),
    rate: Rate,
    heartbeat: Instant,
}

struct LaneState {
    position: Position,
    events: u64,
    waiting: u64,
    trouble: Option<Failure>,
    /// What its two stages and its operator are busy with, by [`Busy::slot`].
    work: [Option<(Busy, Instant)>; 3],
}

impl Status {
    pub fn new(projection: &str) -> Self {
        let state = State {
            phase: Phase::Starting,
            stopping: false,
            paused_by: None,
            run_trouble: None,
            source_trouble: None,
            silence: [None, None],
            component: String::new(),
            digest: String::new(),
            epoch: 0,
            lanes: vec![],
            read_up_to: None,
            source_time: None,
            documents: 0,
            letters: (0, 0),
            rate: Rate::default(),
            heartbeat: Instant::now(),
        };
        Self { projection: projection.to_owned(), state: Mutex::new(state) }
    }

    pub fn enter(&self, phase: Phase) {
        let name = phase.name();
        if self.change(|state| state.enter(phase)) {
            tracing::info!(projection = self.projection, phase = name, "phase");
        }
    }

    /// An operator has to act.
    pub fn pauses(&self, failure: &Failure) {
        self.count_failure(failure);
        let reason = failure.to_string();
        let changed = self.change(|state| {
            let changed = state.enter(Phase::Paused { reason });
            state.paused_by = Some(failure.clone());
            changed
        });
        if changed {
            let (projection, class, remedy) = (&self.projection, failure.class(), failure.remedy());
            tracing::error!(projection, class, remedy, "paused: {}", failure.without_values());
        }
    }

    /// A run ended, and another one begins after a while.
    pub fn run_fails(&self, failure: &Failure) {
        self.count_failure(failure);
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
        self.change(|state| {
            component.clone_into(&mut state.component);
            digest.clone_into(&mut state.digest);
            state.epoch = epoch;
            state.read_up_to = None;
            state.silence = [None, None];
            let lane = |row: &LaneRow| LaneState {
                position: row.position.clone(),
                events: row.events,
                waiting: 0,
                trouble: None,
                work: [None; 3],
            };
            state.lanes = rows.iter().map(lane).collect();
        });
    }

    pub fn source_answers(&self, feed: &Feed) {
        let phase = match feed.position {
            Position::Scan { .. } => Phase::History,
            Position::Stream { .. } => Phase::Streaming,
        };
        self.change(|state| state.read_up_to = Some(feed.position.clone()));
        self.enter(phase);
        metrics::counter!("laterna_events_read_total", "projection" => self.projection.clone())
            .increment(feed.deliveries.len() as u64);
    }

    pub fn source_fails(&self, failure: &Failure) {
        self.count_failure(failure);
        tracing::warn!(projection = self.projection, "source: {failure}; trying again");
        self.change(|state| state.source_trouble = Some(failure.clone()));
    }

    /// What a server answered to an observation, or that it did not.
    pub fn observes(&self, server: Server, silence: Option<Failure>) {
        self.change(|state| state.silence[server as usize] = silence);
    }

    pub fn begins(&self, lane: usize, work: Busy) {
        self.change(|state| state.lanes[lane].work[work.slot()] = Some((work, Instant::now())));
    }

    pub fn ends(&self, lane: usize, work: Busy) {
        self.change(|state| state.lanes[lane].work[work.slot()] = None);
    }

    /// The lanes that are still busy, and what with.
    pub fn stragglers(&self) -> Vec<(usize, String)> {
        let busy = |(lane, state): (usize, &LaneState)| state.doing().map(|doing| (lane, doing));
        self.change(|state| state.lanes.iter().enumerate().filter_map(busy).collect())
    }

    pub fn handed_out(&self, lane: usize, deliveries: usize) {
        self.change(|state| state.lanes[lane].waiting += deliveries as u64);
    }

    pub fn lane_waits(&self, lane: usize, failure: &Failure) {
        self.count_failure(failure);
        tracing::warn!(projection = self.projection, lane, "{}; trying again", failure.without_values());
        self.change(|state| state.lanes[lane].trouble = Some(failure.clone()));
    }

    pub fn committed(&self, lane: usize, batch: &Batch) {
        let events = batch.entries.len() as u64;
        self.change(|state| {
            let lane = &mut state.lanes[lane];
            lane.position.clone_from(&batch.position);
            lane.events += events;
            lane.waiting = lane.waiting.saturating_sub(events);
            lane.trouble = None;
            state.rate.add(events);
        });
        self.count(batch);
        let projection = &self.projection;
        for entry in &batch.entries {
            if let Verdict::Park { failure, .. } = &entry.verdict {
                let (event, aggregate) = (entry.delivery.id(), entry.delivery.aggregate());
                let (event, aggregate) = (event.map(ToString::to_string), aggregate.map(ToString::to_string));
                let (class, reason) = (failure.class(), failure.without_values());
                tracing::warn!(projection, class, event, aggregate, "parked: {reason}");
            }
        }
    }

    fn count(&self, batch: &Batch) {
        let mut verdicts: BTreeMap<&'static str, u64> = BTreeMap::new();
        for entry in &batch.entries {
            *verdicts.entry(verdict_name(&entry.verdict)).or_default() += 1;
        }
        let projection = self.projection.clone();
        for (verdict, events) in verdicts {
            metrics::counter!("laterna_events_total", "projection" => projection.clone(), "verdict" => verdict)
                .increment(events);
        }
        metrics::counter!("laterna_batches_total", "projection" => projection).increment(1);
    }

    /// What the source says, from time to time.
    pub fn observed_source(&self, source_time: ClusterTime, documents: u64) {
        self.change(|state| {
            state.source_time = Some(source_time);
            state.documents = documents;
        });
    }

    /// How many letters are parked and held.
    pub fn observed_letters(&self, letters: (u64, u64)) {
        self.change(|state| state.letters = letters);
    }

    /// The projection's tasks are alive.
    pub fn beat(&self) {
        self.change(|state| state.heartbeat = Instant::now());
    }

    pub fn heartbeat_age(&self) -> Duration {
        self.change(|state| state.heartbeat.elapsed())
    }

    pub fn snapshot(&self) -> Snapshot {
        self.change(|state| Snapshot {
            projection: self.projection.clone(),
            phase: state.phase.clone(),
            trouble: state.trouble().map(ToString::to_string),
            class: state.obstacle().map(|failure| failure.class().to_owned()),
            remedy: state.obstacle().map(|failure| failure.remedy().to_owned()),
            component: state.component.clone(),
            digest: state.digest.clone(),
            epoch: state.epoch,
            lag_seconds: state.lag_seconds(),
            lag_events: state.lag_events(),
            events_per_second: state.rate.per_second(),
            events: state.lanes.iter().map(|lane| lane.events).sum(),
            parked: state.letters.0,
            held: state.letters.1,
            lanes: state.lanes.iter().zip(0..).map(|(lane, number)| lane.snapshot(number)).collect(),
        })
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        // A panic elsewhere cannot leave counters half changed in a way that matters more than showing them.
        change(&mut self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    fn count_failure(&self, failure: &Failure) {
        let projection = self.projection.clone();
        metrics::counter!("laterna_failures_total", "projection" => projection, "class" => failure.class())
            .increment(1);
    }
}

impl State {
    /// Whether the phase is another one now. What was waited out before it is over.
    fn enter(&mut self, phase: Phase) -> bool {
        let changed = self.phase != phase;
        if self.stopping && phase != Phase::Stopped {
            return false;
        }
        self.phase = phase;
        self.paused_by = None;
        self.run_trouble = None;
        self.source_trouble = None;
        changed
    }

    /// What is being waited out.
    fn trouble(&self) -> Option<&Failure> {
        let lanes = self.lanes.iter().filter_map(|lane| lane.trouble.as_ref());
        let told = [&self.run_trouble, &self.source_trouble].into_iter().flatten().chain(lanes);
        told.chain(self.silence.iter().flatten()).next()
    }

    fn obstacle(&self) -> Option<&Failure> {
        self.paused_by.as_ref().or_else(|| self.trouble())
    }

    /// From the newest write of the source back to what is applied for certain. A lane with nothing to do is as
    /// far as the reader is.
    fn lag_seconds(&self) -> u32 {
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

    fn lag_events(&self) -> u64 {
        let (applied, waiting) =
            (self.lanes.iter().map(|lane| lane.events), self.lanes.iter().map(|lane| lane.waiting));
        let (applied, waiting): (u64, u64) = (applied.sum(), waiting.sum());
        let caught_up = waiting == 0 && self.phase == Phase::Streaming && self.lag_seconds() <= 1;
        if caught_up { 0 } else { waiting.max(self.documents.saturating_sub(applied)) }
    }
}

impl LaneState {
    fn snapshot(&self, lane: u32) -> LaneSnapshot {
        LaneSnapshot {
            lane,
            position: self.position.to_string(),
            events: self.events,
            waiting: self.waiting,
            trouble: self.trouble.as_ref().map(ToString::to_string),
            doing: self.doing(),
        }
    }

    fn doing(&self) -> Option<String> {
        let all: Vec<_> =
            self.work.iter().flatten().map(|(work, since)| work.tell(since.elapsed())).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

/// Events per second over the last few seconds.
#[derive(Default)]
struct Rate {
    since: Option<Instant>,
    events: u64,
    before: f64,
}

impl Rate {
    const SPAN: Duration = Duration::from_secs(3);

    fn add(&mut self, events: u64) {
        self.roll();
        self.events += events;
    }

    fn per_second(&mut self) -> f64 {
        self.roll();
        self.before
    }

    fn roll(&mut self) {
        let since = *self.since.get_or_insert_with(Instant::now);
        if since.elapsed() >= Self::SPAN {
            #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
            let events = self.events as f64;
            self.before = events / since.elapsed().as_secs_f64();
            self.events = 0;
            self.since = Some(Instant::now());
        }
    }
}

fn verdict_name(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Apply(_) => "applied",
        Verdict::Pass(Passed::Unhandled) => "unhandled",
        Verdict::Pass(Passed::Duplicate) => "duplicate",
        Verdict::Pass(Passed::Discarded) => "discarded",
        Verdict::Park { .. } => "parked",
        Verdict::Hold => "held",
    }
}
