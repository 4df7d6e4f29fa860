//! The read side: the MySQL or MariaDB server with the projections' tables and the host's own control schema.
//!
//! The only user of `sqlx`. Every write of a lane proves its epoch, and effects, checkpoint, dedupe mark and
//! dead letters commit together or not at all.

pub mod session;
mod query;
pub mod mysql_error;
pub mod control;
pub mod registration;
pub mod lease;
pub mod ownership;
pub mod constraint;
pub mod tables;
pub mod witness;
pub mod batch;
pub mod apply;
mod fit;
mod bind;
mod literal;
pub mod checkpoint;
pub mod dedupe;
pub mod acknowledge;
pub mod volume;
pub mod dead_letter;
pub mod command;
pub mod pause;
pub mod deployment;
pub mod take_up;
pub mod generation;
pub mod overtake;
pub mod cut_over;
pub mod forget;
pub mod compare;

pub use acknowledge::Acknowledge;
pub use apply::{Final, LaneModel, LaneState};
pub use batch::{Batch, Entry, Passed, Verdict};
pub use bind::{fitted, judge};
pub use checkpoint::{Lane, LaneRow};
pub use control::Control;
pub use literal::{literal, quoted};
pub use session::{Connector, Session, within};
