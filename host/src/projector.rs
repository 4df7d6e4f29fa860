//! Projectors: WebAssembly components that map an event to operations, and what they may cost.
//!
//! The only user of wasmtime. It knows no database and no configuration; it reads no clock for a verdict.
//!
//! An [`Engine`] loads a [`Component`] from bytes, or returns in a [`ComponentRefusal`] why not. A [`Worker`] runs it on a
//! thread for a lane, by a [`Guest`], which gives the verdicts.

// From the outside in: a worker has a guest, a guest has an instance, an instance has a sandbox.
mod determinism;
mod bindings;
mod budget;
mod output;
mod memory;
mod missed;
mod log_limit;
mod stats;
mod kind;
mod metrics;
mod sandbox;
mod denied;
mod trap;
mod upcast;
mod cache;
mod engine;
mod refusal;
mod description;
mod world;
mod instance;
mod inspection;
mod component;
mod log_forwarder;
mod guest;
mod outcome;
mod chain;
mod worker;
#[cfg(test)]
mod test_component;

pub use budget::{Budget, COMPONENT_BYTES_MAX};
pub use chain::{Chain, attributed_to_upcaster};
pub use component::Component;
pub use engine::Engine;
pub use guest::{Guest, Observed, Projected};
pub use inspection::Outline;
pub use kind::ComponentKind;
pub use outcome::{JudgedOutcome, Outcome};
pub use refusal::ComponentRefusal;
pub use stats::{Buckets, Stats, TypeCost};
pub use upcast::{UPCAST_BYTES_MAX, UPCAST_EVENTS_MAX};
pub use worker::Worker;
pub use world::{Projecting, Upcasting, World, within_budget};
