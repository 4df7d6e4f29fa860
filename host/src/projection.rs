//! The running parts: one reader and several lanes for each projection, and who starts and stops them.

pub mod parts;
pub mod room;
pub mod reader;
pub mod lane;
pub mod plan;
mod window;
pub mod decide;
pub mod progress;
pub mod letters;
pub mod giving;
pub mod breaker;
pub mod suspects;
pub mod size;
pub mod pause;
pub mod slide;
pub mod versions;
mod loaded;
pub mod run;
pub mod startup;
pub mod rebuild;
pub mod aside;
pub mod supervisor;
mod upkeep;
pub mod acknowledge;
pub mod status;
mod snapshot;
mod at_work;
mod busy;
mod oplog;
mod pace;
#[cfg(test)]
pub mod simulation;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::position::Position;
use crate::projector::Component;
use crate::readmodel::volume::Limits;
use crate::readmodel::{Acknowledge, Connector, Control};
use crate::source::{Decoder, OnLost, Outbox};
use breaker::BreakerSettings;
use letters::Order;

pub use lane::Deployed;
pub use loaded::{Half, LoadedUpcaster};
pub use snapshot::{
    Acknowledgement, Beside, ComponentSnapshot, DeploymentSnapshot, LaneSnapshot, Phase, Snapshot,
};
pub use status::{Status, TakeUp};
pub use supervisor::Supervisor;

/// The servers a projection works with.
#[derive(Clone)]
pub struct Servers {
    pub outbox: Outbox,
    pub decoder: Decoder,
    /// The account with DML only.
    pub applier: Connector,
    /// The account that may create tables.
    pub ddl: Connector,
    pub control: Control,
}

/// How a projection is to run.
#[derive(Clone)]
pub struct Settings {
    pub name: String,
    /// Who this host is.
    pub owner: String,
    pub lanes: u32,
    pub batch_max: usize,
    /// How many recent event ids are remembered.
    pub window: usize,
    /// What becomes of the outbox's documents.
    pub acknowledge: Acknowledge,
    /// Whether a projection without a checkpoint begins with the outbox's history.
    pub from_history: bool,
    /// What is to be done where the place in the change stream is lost.
    pub resume_lost: OnLost,
    pub lease_ttl: Duration,
    pub stop_timeout: Duration,
    pub letters: LetterSettings,
    /// How much of the time lanes beside the live ones may take, in percent.
    pub rebuild_percent: u32,
}

/// How dead letters are dealt with.
#[derive(Debug, Clone, Copy)]
pub struct LetterSettings {
    pub limits: Limits,
    pub breaker: BreakerSettings,
    /// What a parked event holds back; as the projector's ordering says unless given.
    pub hold: Option<Hold>,
    /// After how many days letters are erased; 0: never.
    pub retention_days: u32,
    /// Whether another component tries the letters again that others failed.
    pub replay_after_deployment: bool,
}

/// What a parked event holds back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// The later events of its aggregate.
    Aggregate,
    /// Everything behind it.
    Stream,
}

/// A component that was loaded and checked, the upcaster before it, and what a lane needs of them.
#[derive(Clone)]
pub struct Loaded {
    pub projection: String,
    /// The component as it was read.
    pub bytes: Arc<[u8]>,
    pub component: Component,
    pub upcaster: Option<LoadedUpcaster>,
    pub deployed: Deployed,
}

/// Where orders for the lanes go while they run.
#[derive(Clone, Default)]
pub struct Orders(Arc<Mutex<Vec<mpsc::Sender<Order>>>>);

impl Orders {
    fn replace(&self, lanes: Vec<mpsc::Sender<Order>>) {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = lanes;
    }

    /// One queue a lane; empty while the lanes are not running on this host.
    pub fn lanes(&self) -> Vec<mpsc::Sender<Order>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

/// Where the lanes of a run begin, and where they end if they end by themselves.
#[derive(Debug, Clone, PartialEq)]
pub struct Course {
    pub rows: Vec<crate::readmodel::LaneRow>,
    pub until: Option<Position>,
}
