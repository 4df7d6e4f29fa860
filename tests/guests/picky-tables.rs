//! The component `picky-tables` of the family that `first` begins: other tables, and it rejects some events.

#[path = "first.rs"]
mod stamped;
