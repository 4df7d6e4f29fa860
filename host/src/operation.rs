//! What operators do to a projection: give it a component, and settle its dead letters.

pub mod commands;
mod letters;
pub mod load;
