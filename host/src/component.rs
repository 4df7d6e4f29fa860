//! The component versions of a projection: which are loaded on this host, and which one its lanes are to run.

pub mod version;
pub mod standing;
pub mod fit;
pub mod registry;
mod following;
