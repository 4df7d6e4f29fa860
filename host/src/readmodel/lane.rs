//! The writes of one lane: a batch with its checkpoint, its dedupe marks and its dead letters, in one transaction.

pub mod batch;
pub mod checkpoint;
pub mod dedupe;
pub mod taken;
pub mod applied_by;
pub mod volume;
pub mod dead_letter;
pub mod witness;
pub mod lane_batch;
pub mod writers;
pub mod apply;
pub mod acknowledge;

/// Which lane of which set of tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lane {
    pub projection: String,
    pub generation: u32,
    pub lane: u32,
}
