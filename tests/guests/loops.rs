//! The component `loops` of the family that `first` begins.

#[path = "first.rs"]
mod stamped;
