//! The writes of one lane: a batch with its checkpoint, its dedupe marks and its dead letters, in one transaction.

pub mod batch;
pub mod letter_limits;
pub mod witness;
pub mod checkpoint;
pub mod dead_letter;
pub mod dedupe;
pub mod taken;
pub mod applied_by;
pub mod lane_batch;
pub mod time_share;
pub mod writers;
pub mod acknowledge;
pub mod apply;

/// Which lane of which set of tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lane {
    pub projection: String,
    pub generation: u32,
    pub lane: u32,
}
