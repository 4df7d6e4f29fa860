//! The component `picky-worse` of the family that `picky` begins: it panics with what the other one takes.

#[path = "picky.rs"]
mod picky;
