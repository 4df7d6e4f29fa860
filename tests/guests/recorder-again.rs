//! The component `recorder-again` of the family that `recorder` begins.

#[path = "recorder.rs"]
mod recorder;
