//! The demonstrations: the bank on a page with both of its sides and buttons that break it (`live`), and a stream of thousands of
//! events in the terminal (`terminal`). `settings` lists what the environment can change.

mod comparison;
mod config;
mod follow;
pub mod host;
mod letter;
pub mod live;
mod probe;
mod progress;
pub mod settings;
pub mod setup;
mod show;
mod stream;
pub mod terminal;
