//! How much of the oplog a projection still needs: before its oldest checkpoint falls out, somebody is told.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::position::ClusterTime;

/// A younger checkpoint is no reason for alarm, in seconds: it is always some seconds old, which may be much of an oplog
/// that has just begun.
const ALARM_AGE_MIN: u32 = 30;

/// The part of the oplog that a projection still needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct OplogWindow {
    /// From the oldest checkpoint to the newest write, of what the oplog holds.
    pub used_percent: u32,
    /// From the oplog's oldest entry to the oldest checkpoint.
    pub left_seconds: u32,
}

/// How urgent it is that a projection's place comes near the oplog's oldest entry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Alarm {
    #[default]
    None,
    Raised,
    Loud,
}

impl OplogWindow {
    /// The window of a checkpoint in an oplog that holds what was written from `begin` to `newest`.
    pub fn of(checkpoint: ClusterTime, begin: ClusterTime, newest: ClusterTime) -> Self {
        let used = newest.seconds.saturating_sub(checkpoint.seconds);
        let all = newest.seconds.saturating_sub(begin.seconds);
        let percent = u64::from(used) * 100 / u64::from(all.max(1));
        Self {
            used_percent: u32::try_from(percent).unwrap_or(u32::MAX),
            left_seconds: checkpoint.seconds.saturating_sub(begin.seconds),
        }
    }

    /// `age`: of the checkpoint, in seconds.
    pub fn alarm(self, age: u32) -> Alarm {
        match self.used_percent {
            _ if age < ALARM_AGE_MIN => Alarm::None,
            0..25 => Alarm::None,
            25..50 => Alarm::Raised,
            _ => Alarm::Loud,
        }
    }

    pub fn warning(self) -> String {
        let Self { used_percent, left_seconds } = self;
        let left = humantime::format_duration(Duration::from_secs(left_seconds.into()));
        format!(
            "the oldest checkpoint is {used_percent} % of the oplog away from the newest write; the place in the change \
             stream is lost when another {left} of it are overwritten: let the projection catch up, or enlarge the oplog"
        )
    }
}
