//! The component `picky-happened`: `picky` for one event type.

#[path = "picky.rs"]
mod picky;
