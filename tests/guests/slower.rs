//! The component `slower` of the family that `first` begins.

#[path = "first.rs"]
mod stamped;
