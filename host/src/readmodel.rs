//! The read side: the MySQL or MariaDB server with the projections' tables and the host's own control schema.
//!
//! The only user of `sqlx`. Every write of a lane proves its epoch, and effects, checkpoint, dedupe mark and
//! dead letters commit together or not at all.

pub mod apply;
pub mod batch;
mod bind;
pub mod checkpoint;
pub mod command;
pub mod control;
pub mod dead_letter;
mod dedupe;
pub mod lease;
mod mysql_error;
mod query;
pub mod registration;
pub mod session;
pub mod tables;

pub use apply::{LaneModel, LaneState};
pub use batch::{Batch, Entry, Passed, Verdict};
pub use bind::judge;
pub use checkpoint::{Lane, LaneRow};
pub use control::Control;
pub use session::{Connector, Session};
