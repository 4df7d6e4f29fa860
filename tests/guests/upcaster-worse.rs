//! The component `upcaster-worse` of the family that `upcaster` begins.

#[path = "upcaster.rs"]
mod upcasts;
