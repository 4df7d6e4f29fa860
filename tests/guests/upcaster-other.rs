//! The component `upcaster-other` of the family that `upcaster` begins.

#[path = "upcaster.rs"]
mod upcasts;
