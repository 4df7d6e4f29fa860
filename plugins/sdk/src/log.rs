//! Lines for the host's log; the host adds the projection, the component and the event.

use std::fmt::Display;

use crate::bindings::laterna::projection::log::Level;

/// Detail for the author.
pub fn debug(message: impl Display) {
    write(Level::Debug, &message.to_string());
}

/// Something worth knowing.
pub fn info(message: impl Display) {
    write(Level::Info, &message.to_string());
}

/// Something odd, which the projector can live with.
pub fn warn(message: impl Display) {
    write(Level::Warn, &message.to_string());
}

/// Something wrong. To refuse an event, return a [`Rejection`](crate::Rejection) instead.
pub fn error(message: impl Display) {
    write(Level::Error, &message.to_string());
}

#[cfg(target_family = "wasm")]
fn write(level: Level, message: &str) {
    crate::bindings::laterna::projection::log::write(level, message);
}

/// There is no host in a unit test.
#[cfg(not(target_family = "wasm"))]
fn write(level: Level, message: &str) {
    eprintln!("{level:?}: {message}");
}
