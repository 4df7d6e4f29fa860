//! Projectors: WebAssembly components that map an event to operations, and what they may cost.
//!
//! The only user of wasmtime. It knows no database and no configuration; it reads no clock for a verdict.
//!
//! An [`Engine`] loads a [`Component`] from bytes, or says in a [`Refusal`] why not. A [`Worker`] runs it on a
//! thread for a lane, by a [`Guest`], which gives the verdicts.

// From the outside in: a worker has a guest, a guest has an instance, an instance has a sandbox.
mod worker;
mod guest;
mod meter;
mod instance;
mod trap;
mod bindings;
mod sandbox;
mod ambient;
mod memory;
mod journal;
mod budget;
// How a component gets here.
mod component;
mod inspection;
mod description;
mod refusal;
mod engine;
mod cache;
#[cfg(test)]
mod specimen;

pub use budget::Budget;
pub use component::Component;
pub use engine::Engine;
pub use guest::{Guest, Projected};
pub use refusal::Refusal;
pub use worker::Worker;
