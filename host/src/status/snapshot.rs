//! How a projection stands at one moment, for people and machines.

use serde::{Deserialize, Serialize};

use super::oplog::OplogWindow;
use super::recently::LastMinute;
use super::types::{TypeCount, TypeTime};
use crate::projector::TypeCost;
use crate::readmodel::control::command::WaitingCommand;
use crate::readmodel::lane::dead_letter::ClassCount;

/// What a projection is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
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
    /// What is no trouble yet, and will be.
    #[serde(default)]
    pub warning: Option<String>,
    /// How far back the oplog reaches behind the oldest checkpoint, where that is known.
    #[serde(default)]
    pub oplog: Option<OplogWindow>,
    /// The component: its own name and version, and its digest.
    pub component: String,
    pub digest: String,
    /// What is deployed, and how far the lanes are with it.
    #[serde(default)]
    pub deployment: Option<DeploymentSnapshot>,
    pub epoch: u64,
    /// How far the read model is behind the outbox.
    pub lag_seconds: u32,
    /// About how many events are not applied yet.
    pub lag_events: u64,
    /// How many bytes of memory wait in the queues, with what they were decoded to.
    #[serde(default)]
    pub queued_bytes: u64,
    /// Events committed in the last seconds, per second.
    pub events_per_second: f64,
    /// How long things took in the last minute, and how large batches were.
    #[serde(default)]
    pub last_minute: LastMinute,
    pub events: u64,
    /// Of how many of them the upcaster made nothing.
    #[serde(default)]
    pub ignored: u64,
    /// Events that the projector does not take, by their type, since this host began to write; of 64 types, and the others.
    #[serde(default)]
    pub unhandled: Vec<TypeCount>,
    /// How long MySQL takes for events by their type, since this host began to write; of 64 types, and the others.
    #[serde(default)]
    pub commit_times: Vec<TypeTime>,
    /// Dead letters that failed, and those that wait behind them.
    pub parked: u64,
    pub held: u64,
    /// Those that failed, by class, each with what to do about them.
    #[serde(default)]
    pub letters: Vec<ClassCount>,
    /// How the outbox is told of it; none where its documents are kept.
    #[serde(default)]
    pub acknowledgement: Option<Acknowledgement>,
    /// The generation that is built beside the live one, if any, and how far it is.
    #[serde(default)]
    pub beside: Option<Beside>,
    /// The commands that are not done because they wait for something.
    #[serde(default)]
    pub commands: Vec<WaitingCommand>,
    /// The component at work and, after a change, the one before, as far as this host ran them.
    #[serde(default)]
    pub components: Vec<ComponentSnapshot>,
    pub lanes: Vec<LaneSnapshot>,
}

/// The deployment in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DeploymentSnapshot {
    pub digest: String,
    /// Every lane of the live generation works with it.
    pub taken_up: bool,
    /// Until then, what it waits for.
    pub waits: Option<String>,
    /// How far its canary window is, while it lasts.
    #[serde(default)]
    pub canary: Option<CanaryProgress>,
}

/// A canary window: an event that the component fails, and the previous one takes, has it taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CanaryProgress {
    /// The digest of the previous one.
    pub previous: String,
    pub seconds_left: u64,
    /// How many events were taken with the new one since.
    pub events: u64,
}

impl DeploymentSnapshot {
    /// What a wait begins with that no time ends, but what has to be done about letters.
    pub const PAUSED: &str = "the projection is paused: ";
}

/// A generation that is built beside the live one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Beside {
    pub generation: u32,
    pub purpose: String,
    pub events: u64,
    /// How many documents the outbox held when it was begun.
    pub expected: u64,
    /// What it waits for.
    pub waits: Option<String>,
}

/// What is seen of a component at work.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ComponentSnapshot {
    pub component: String,
    pub digest: String,
    /// It was caught keeping state, so it gets each event on a fresh instance.
    pub impure: bool,
    /// What its events cost.
    pub fuel: Vec<TypeCost>,
}

impl Snapshot {
    /// The projection and the word for its phase.
    #[must_use]
    pub fn named_phase(&self) -> (String, String) {
        (self.projection.clone(), self.phase.name().to_owned())
    }

    /// What the component at work costs, with what the one before took for the same type on average.
    pub fn fuel(&self) -> impl Iterator<Item = (&TypeCost, Option<u64>)> {
        let now = self.components.first().map_or(&[][..], |component| &component.fuel);
        let before = self.components.get(1).map_or(&[][..], |component| &component.fuel);
        let mean = |event_type: &str| before.iter().find(|cost| cost.event_type == event_type);
        now.iter().map(move |cost| (cost, mean(&cost.event_type).map(|before| before.mean)))
    }
}

/// What the outbox was not told yet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Acknowledgement {
    /// About how many events.
    pub waiting: u64,
    /// What keeps it from being told. The projection goes on.
    pub trouble: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LaneSnapshot {
    pub lane: u32,
    pub position: String,
    pub events: u64,
    /// Handed to the lane, not committed yet.
    pub waiting: u64,
    pub trouble: Option<String>,
    /// Of the component that it works with; empty while it does not run.
    #[serde(default)]
    pub digest: String,
    /// What it is doing just now, and for how long.
    #[serde(default)]
    pub doing: Option<String>,
}
