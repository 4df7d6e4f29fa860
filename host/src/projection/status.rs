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
    /// What is no trouble yet, and will be.
    #[serde(default)]
    pub warning: Option<String>,
    /// How far back the oplog reaches behind the oldest checkpoint, where that is known.
    #[serde(default)]
    pub oplog: Option<Window>,
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
    /// How the outbox is told of it; none where its documents are kept.
    #[serde(default)]
    pub acknowledgement: Option<Acknowledgement>,
    pub lanes: Vec<LaneSnapshot>,
}

/// What the outbox was not told yet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledgement {
    /// About how many events.
    pub waiting: u64,
    /// What keeps it from being told. The projection goes on.
    pub trouble: Option<String>,
}

/// The part of the oplog that a projection still needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// From the oldest checkpoint to the newest write, of what the oplog holds.
    pub used_percent: u32,
    /// From the oplog's oldest entry to the oldest checkpoint.
    pub left_seconds: u32,
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
    read_model_trouble: Option<String>,
    component: String,
    digest: String,
    epoch: u64,
    lanes: Vec<LaneState>,
    read_up_to: Option<Position>,
    source_time: Option<ClusterTime>,
    oplog_begin: Option<ClusterTime>,
    oplog_alarm: Alarm,
    stillness: Stillness,
    documents: u64,
    letters: (u64, u64),
    acknowledgement: Option<Acknowledgement>,
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
            read_model_trouble: None,
            component: String::new(),
            digest: String::new(),
            epoch: 0,
            lanes: vec![],
            read_up_to: None,
            source_time: None,
            oplog_begin: None,
            oplog_alarm: Alarm::None,
            stillness: Stillness::default(),
            documents: 0,
            letters: (0, 0),
            acknowledgement: None,
            rate: Rate::default(),
            heartbeat: Instant::now(),
        };
        Self { projection: projection.to_owned(), state: Mutex::new(state) }
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
        let stalled = self.change(|state| {
            let moved = state.read_up_to.as_ref() != Some(&feed.position);
            state.read_up_to = Some(feed.position.clone());
            state.stillness.answered(moved, Instant::now())
        });
        if stalled {
            tracing::warn!(projection = self.projection, "{STALLED}");
        }
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

    /// What the source says, from time to time.
    pub fn source_says(&self, source_time: ClusterTime, documents: u64) {
        self.change(|state| {
            state.source_time = Some(source_time);
            state.documents = documents;
        });
    }

    /// How many letters MySQL counts, from time to time, or why it does not.
    pub fn read_model_says(&self, letters: Result<(u64, u64), Failure>) {
        self.change(|state| match letters {
            Ok(letters) => (state.letters, state.read_model_trouble) = (letters, None),
            Err(failure) => state.read_model_trouble = Some(failure.to_string()),
        });
    }

    /// The outbox was told so of some events.
    pub fn acknowledged(&self, kind: &'static str, events: u64) {
        metrics::counter!("laterna_acknowledged_total", "projection" => self.projection.clone(), "kind" => kind)
            .increment(events);
    }

    pub fn acknowledgements_waiting(&self, events: u64) {
        self.change(|state| state.acknowledgement.get_or_insert_default().waiting = events);
    }

    pub fn acknowledgement_fails(&self, failure: &Failure) {
        self.count_failure(failure);
        self.acknowledgement_waits_for(Some(format!("the outbox is not acknowledged: {failure}")));
    }

    /// What keeps the outbox from being told. It is logged when it is new.
    pub fn acknowledgement_waits_for(&self, trouble: Option<String>) {
        let told = self.change(|state| {
            let acknowledgement = state.acknowledgement.get_or_insert_default();
            std::mem::replace(&mut acknowledgement.trouble, trouble.clone())
        });
        match trouble {
            Some(trouble) if told.is_none() => tracing::warn!(projection = self.projection, "{trouble}"),
            _ => {}
        }
    }

    /// How far the oplog reaches back, from time to time.
    pub fn observed_oplog(&self, begin: Option<ClusterTime>) {
        let (raised, window) = self.change(|state| {
            state.oplog_begin = begin;
            let (before, window) = (state.oplog_alarm, state.window());
            state.oplog_alarm = state.alarm();
            ((state.oplog_alarm > before).then_some(state.oplog_alarm), window)
        });
        let (Some(alarm), Some(window)) = (raised, window) else { return };
        if alarm == Alarm::Loud {
            tracing::error!(projection = self.projection, "{}", warning(window));
        } else {
            tracing::warn!(projection = self.projection, "{}", warning(window));
        }
    }

    /// Whether the stream is what is being read.
    pub fn is_streaming(&self) -> bool {
        self.change(|state| state.phase == Phase::Streaming)
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
            warning: state.window().filter(|_| state.alarm() > Alarm::None).map(warning),
            oplog: state.window(),
            component: state.component.clone(),
            digest: state.digest.clone(),
            epoch: state.epoch,
            lag_seconds: state.lag_seconds(),
            lag_events: state.lag_events(),
            events_per_second: state.rate.per_second(),
            events: state.lanes.iter().map(|lane| lane.events).sum(),
            parked: state.letters.0,
            held: state.letters.1,
            acknowledgement: state.acknowledgement.clone(),
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
        let stalled =
            (self.phase == Phase::Streaming && self.stillness.is_stalled()).then(|| STALLED.to_owned());
        let source = self.source_trouble.clone().or(stalled);
        let lanes = self.lanes.iter().find_map(|lane| lane.trouble.clone());
        source.or(lanes).or_else(|| self.read_model_trouble.clone())
    }

    fn window(&self) -> Option<Window> {
        let oldest = self.lanes.iter().filter_map(|lane| lane.position.time()).min()?;
        let (begin, newest) = (self.oplog_begin?.seconds, self.source_time?.seconds);
        let (used, all) = (newest.saturating_sub(oldest.seconds), newest.saturating_sub(begin));
        let percent = u64::from(used) * 100 / u64::from(all.max(1));
        Some(Window {
            used_percent: u32::try_from(percent).unwrap_or(u32::MAX),
            left_seconds: oldest.seconds.saturating_sub(begin),
        })
    }

    /// A checkpoint is always some seconds old, which may be much of an oplog that has just begun.
    fn alarm(&self) -> Alarm {
        let oldest = self.lanes.iter().filter_map(|lane| lane.position.time()).min();
        let age =
            self.source_time.zip(oldest).map(|(now, oldest)| now.seconds.saturating_sub(oldest.seconds));
        match self.window() {
            Some(window) if age >= Some(ALARM_AGE_MIN) => match window.used_percent {
                0..25 => Alarm::None,
                25..50 => Alarm::Raised,
                _ => Alarm::Loud,
            },
            _ => Alarm::None,
        }
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

/// How urgent it is that a projection's place comes near the oplog's oldest entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Alarm {
    None,
    Raised,
    Loud,
}

/// A younger checkpoint is no reason for alarm, in seconds.
const ALARM_AGE_MIN: u32 = 30;

fn warning(window: Window) -> String {
    let Window { used_percent, left_seconds } = window;
    let left = humantime::format_duration(Duration::from_secs(left_seconds.into()));
    format!(
        "the oldest checkpoint is {used_percent} % of the oplog away from the newest write; the place in the change stream \
         is lost when another {left} of it are overwritten: let the projection catch up, or enlarge the oplog"
    )
}

/// How long a source may answer without the stream moving: an idle primary writes every 10 s.
const STILL_MAX: Duration = Duration::from_secs(30);

const STALLED: &str = "stalled: MongoDB answers, but its change stream has not moved for 30 s, as when a majority of the \
                       replica set is away; nothing new is committed there until it is back";

/// Since when the source has answered with the same position. While nobody asks it, it is not said to be still.
#[derive(Default)]
struct Stillness {
    since: Option<Instant>,
    answered: Option<Instant>,
}

impl Stillness {
    /// True when this answer is the one that makes it stalled.
    fn answered(&mut self, moved: bool, now: Instant) -> bool {
        let before = self.is_stalled();
        self.since = self.since.filter(|_| !moved).or(Some(now));
        self.answered = Some(now);
        self.is_stalled() && !before
    }

    fn is_stalled(&self) -> bool {
        self.since.zip(self.answered).is_some_and(|(since, last)| last.duration_since(since) >= STILL_MAX)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::Token;

    fn at(seconds: u32) -> Position {
        Position::Stream {
            token: Token { data: format!("82{seconds:08x}000000012B0229296E04"), type_bits: None },
        }
    }

    fn row(lane: u32, seconds: u32) -> LaneRow {
        LaneRow {
            lane,
            epoch: 1,
            batch: 0,
            position: at(seconds),
            digest: String::new(),
            events: 0,
            parked: 0,
            connection_id: None,
        }
    }

    fn observed(oldest: u32, begin: u32, now: u32) -> Snapshot {
        let status = Status::new("accounts");
        status.starts("accounts 1", "", 1, &[row(0, now), row(1, oldest)]);
        status.source_says(ClusterTime { seconds: now, increment: 1 }, 0);
        status.observed_oplog(Some(ClusterTime { seconds: begin, increment: 1 }));
        status.snapshot()
    }

    #[test]
    fn what_is_left_of_the_oplog_is_told_by_the_oldest_lane() {
        let snapshot = observed(1750, 1000, 2000);
        assert_eq!(snapshot.oplog, Some(Window { used_percent: 25, left_seconds: 750 }));
        assert!(
            snapshot.warning.is_some_and(|warning| warning.contains("25 %") && warning.contains("12m 30s"))
        );
        assert_eq!(observed(1760, 1000, 2000).warning, None);
        assert_eq!(observed(990, 1000, 2000).oplog, Some(Window { used_percent: 101, left_seconds: 0 }));
    }

    #[test]
    fn an_oplog_that_has_just_begun_is_no_reason_for_alarm() {
        let snapshot = observed(1998, 1997, 2000);
        assert_eq!((snapshot.oplog.map(|window| window.used_percent), snapshot.warning), (Some(66), None));
    }

    #[test]
    fn a_stream_that_answers_and_does_not_move_is_stalled() {
        let mut stillness = Stillness::default();
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        assert!(!stillness.answered(true, at(0)));
        assert!(!stillness.answered(false, at(29)));
        assert!(stillness.answered(false, at(30)), "now it is");
        assert!(!stillness.answered(false, at(31)), "that is told once");
        assert!(stillness.is_stalled());
        assert!(!stillness.answered(true, at(32)));
        assert!(!stillness.is_stalled());
        // Nobody asked for a minute, because the lanes had enough to do.
        assert!(!stillness.answered(true, at(95)));
        assert!(!stillness.is_stalled());
    }
}
