//! The component `too-long` of the family that `first` begins.

#[path = "first.rs"]
mod stamped;
