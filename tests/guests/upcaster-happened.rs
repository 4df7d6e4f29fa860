//! The component `upcaster-happened` of the family that `upcaster` begins.

#[path = "upcaster.rs"]
mod upcasts;
