//! The data plane: one reader and several lanes carry events from the source through the projector into the read model.
//!
//! It knows the three by the traits in [`ports`] only, and decides nothing about who may write or what is deployed.

pub mod ports;
pub mod room;
pub mod requests;
mod window;
pub mod plan;
pub mod decide;
pub mod frontier;
pub mod rendezvous;
pub mod reader;
pub mod breaker;
pub mod suspects;
pub mod batch_size;
pub mod hot_swap;
pub mod questions;
pub mod project_stage;
pub mod apply_stage;
pub mod giving;
pub mod run;
