//! How a projection stands, for people and machines: written by its running parts, read as a snapshot.
//!
//! Nothing here decides anything: the stored rows are the truth, this is what is told about it.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

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
    Stopped,
}

impl Phase {
    /// The words for all phases.
    pub const NAMES: [&'static str; 6] = ["starting", "standby", "history", "streaming", "paused", "stopped"];

    /// The word for this phase.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Standby { .. } => "standby",
            Self::History => "history",
            Self::Streaming => "streaming",
            Self::Paused { .. } => "paused",
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
}

pub struct Status {
    projection: String,
    state: Mutex<State>,
}

struct State {
    phase: Phase,
    source_trouble: Option<String>,
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
    trouble: Option<String>,
}

impl Status {
    pub fn new(projection: &str) -> Self {
        let state = State {
            phase: Phase::Starting,
            source_trouble: None,
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

    /// Whose state it is.
    pub fn projection(&self) -> &str {
        &self.projection
    }

    pub fn enter(&self, phase: Phase) {
        let changed = self.change(|state| {
            let changed = state.phase != phase;
            state.phase = phase.clone();
            state.source_trouble = None;
            changed
        });
        match phase {
            Phase::Paused { reason } if changed => {
                tracing::error!(projection = self.projection, "paused: {reason}");
            }
            phase if changed => tracing::info!(projection = self.projection, phase = phase.name(), "phase"),
            _ => {}
        }
    }

    /// The parts are about to run from these rows.
    pub fn starts(&self, component: &str, digest: &str, epoch: u64, rows: &[LaneRow]) {
        self.change(|state| {
            component.clone_into(&mut state.component);
            digest.clone_into(&mut state.digest);
            state.epoch = epoch;
            state.read_up_to = None;
            let lane = |row: &LaneRow| LaneState {
                position: row.position.clone(),
                events: row.events,
                waiting: 0,
                trouble: None,
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
        self.change(|state| state.source_trouble = Some(failure.to_string()));
    }

    pub fn handed_out(&self, lane: usize, deliveries: usize) {
        self.change(|state| state.lanes[lane].waiting += deliveries as u64);
    }

    pub fn lane_waits(&self, lane: usize, failure: &Failure) {
        self.count_failure(failure);
        tracing::warn!(projection = self.projection, lane, "{failure}; trying again");
        self.change(|state| state.lanes[lane].trouble = Some(failure.to_string()));
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
                tracing::warn!(projection, class = failure.class(), event, aggregate, "parked: {failure}");
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

    /// What the servers say, from time to time.
    pub fn observed(&self, source_time: ClusterTime, documents: u64, letters: (u64, u64)) {
        self.change(|state| {
            state.source_time = Some(source_time);
            state.documents = documents;
            state.letters = letters;
        });
    }

    /// How many dead letters there are: parked, held.
    pub fn counted(&self, letters: (u64, u64)) {
        self.change(|state| state.letters = letters);
    }

    /// Letters were erased.
    pub fn erased(&self, letters: u64) {
        metrics::counter!("laterna_letters_erased_total", "projection" => self.projection.clone())
            .increment(letters);
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
            trouble: state.trouble(),
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
    fn trouble(&self) -> Option<String> {
        self.source_trouble.clone().or_else(|| self.lanes.iter().find_map(|lane| lane.trouble.clone()))
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
            trouble: self.trouble.clone(),
        }
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
