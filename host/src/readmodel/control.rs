//! The control schema: who may write, what is deployed, which generations there are, and what operators ask for.

pub mod schema;
pub mod control_sql;
pub mod control_db;
pub mod registration;
pub mod lease;
pub mod ownership;
pub mod constraint;
pub mod pause;
pub mod stored_component;
pub mod recorded_change;
mod renewed_component;
pub mod deployment;
pub mod unused_component;
pub mod take_up;
pub mod generation;
pub mod command;
pub mod answer;
pub mod snapshot;
pub mod poller;
