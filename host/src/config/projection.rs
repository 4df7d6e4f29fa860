//! Settings of one projection, with their defaults: its component, its lanes and batches, and what it does with letters and
//! when its place is lost.

use std::path::PathBuf;

use serde::Deserialize;

use crate::projector::Budget;
use crate::source::OnLost;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upcaster {
    /// The component's file.
    pub component: PathBuf,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Projection {
    /// The component's file.
    pub component: PathBuf,
    #[serde(default = "default_lanes")]
    pub lanes: u32,
    /// How many events a transaction takes at most.
    #[serde(default = "default_batch_max")]
    pub batch_max: usize,
    /// How many recent event ids are remembered.
    #[serde(default = "default_dedupe_window")]
    pub dedupe_window: usize,
    #[serde(default)]
    pub start: Start,
    /// Reaction to a lost place in the change stream.
    #[serde(default)]
    pub resume_lost: OnLost,
    #[serde(default)]
    pub budget: Budget,
    /// How many dead letters there may be.
    #[serde(default = "default_dead_letters_max")]
    pub dead_letters_max: u64,
    /// How many bytes their documents may have together.
    #[serde(default = "default_dead_letter_bytes_max")]
    pub dead_letter_bytes_max: u64,
    /// After how many days letters are erased; 0: never.
    #[serde(default)]
    pub letter_retention_days: u32,
    /// Replays dead letters of another component after each deployment.
    #[serde(default)]
    pub replay_after_deployment: bool,
    /// How much of the time lanes beside the live ones may take while a generation is built, in percent.
    #[serde(default = "default_rebuild_percent")]
    pub rebuild_percent: u32,
    /// Events that a parked one holds back; the projector's ordering decides unless given.
    pub hold: Option<HoldSetting>,
    #[serde(default)]
    pub breaker: BreakerConfig,
}

/// Events that a parked one holds back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HoldSetting {
    /// The later events of its aggregate.
    Aggregate,
    /// Everything behind it.
    Stream,
}

/// When a projection pauses because its projector looks broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BreakerConfig {
    /// So many different aggregates were parked; 0: never.
    pub aggregates: usize,
    /// Within so many seconds.
    pub seconds: u32,
    /// Share of the projected events that has to be parked too, in percent.
    pub percent: u32,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self { aggregates: 50, seconds: 60, percent: 50 }
    }
}

/// Where a projection begins that has no checkpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// With everything the outbox holds.
    #[default]
    History,
    /// With what is written from now on: the tables stay without whatever came before.
    Now,
}

fn default_lanes() -> u32 {
    4
}

fn default_batch_max() -> usize {
    1000
}

fn default_dedupe_window() -> usize {
    100_000
}

fn default_rebuild_percent() -> u32 {
    50
}

fn default_dead_letters_max() -> u64 {
    100_000
}

fn default_dead_letter_bytes_max() -> u64 {
    1 << 30
}
