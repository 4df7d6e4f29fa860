//! The component `other-tables` of the family that `first` begins.

#[path = "first.rs"]
mod stamped;
