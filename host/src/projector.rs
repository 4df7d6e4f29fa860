//! Projectors: WebAssembly components that map an event to operations, and what they may cost.
//!
//! The only user of wasmtime. It knows no database and no configuration; it reads no clock for a verdict.
//!
//! An [`Engine`] loads a [`Component`] from bytes, or says in a [`Refusal`] why not. A [`Worker`] runs it on a
//! thread for a lane, by a [`Guest`], which gives the verdicts.

// From the outside in: a worker has a guest, a guest has an instance, an instance has a sandbox.
mod ambient;
mod bindings;
mod budget;
mod denied;
mod guest;
mod instance;
mod journal;
mod memory;
mod meter;
mod pair;
mod publisher;
mod record;
mod role;
mod sandbox;
mod trap;
mod upcast;
mod worker;

// How a component gets here.
mod cache;
mod component;
mod description;
mod engine;
mod inspection;
mod refusal;

#[cfg(test)]
mod specimen;

pub use budget::Budget;
pub use component::{COMPONENT_BYTES_MAX, Component};
pub use engine::Engine;
pub use guest::{Guest, Observed, Projected};
pub use inspection::Outline;
pub use pair::{Answer, Made, Pair, told_as_upcasters};
pub use record::{Record, TypeCost};
pub use refusal::Refusal;
pub use role::{Kind, Projecting, Role, Upcasting, within_budget};
pub use upcast::{UPCAST_BYTES_MAX, UPCAST_EVENTS_MAX};
pub use worker::Worker;
