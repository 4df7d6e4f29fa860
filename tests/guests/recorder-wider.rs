//! The component `recorder-wider` of the family that `recorder` begins.

#[path = "recorder.rs"]
mod recorder;
