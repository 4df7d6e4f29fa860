//! What operators do to a projection: give it a component, and settle its dead letters.

pub mod commands;
mod deploy;
pub mod shadow;
pub mod watch;
mod letters;
pub mod load;
