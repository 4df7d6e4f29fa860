//! The component `counter-wider` of the family that `counter` begins.

#[path = "counter.rs"]
mod counter;
