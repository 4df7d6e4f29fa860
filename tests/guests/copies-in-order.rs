//! The component `copies-in-order` of the family that `copies` begins.

#[path = "copies.rs"]
mod copies;
