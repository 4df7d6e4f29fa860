//! The component `named-wider` of the family that `named` begins.

#[path = "named.rs"]
mod named;
