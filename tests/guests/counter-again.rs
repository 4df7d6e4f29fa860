//! The component `counter-again` of the family that `counter` begins.

#[path = "counter.rs"]
mod counter;
