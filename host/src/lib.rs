//! Laterna keeps MySQL read models in step with a MongoDB outbox.

// The words, in the order in which an event meets them.
pub mod event;
pub mod statement;
pub mod failure;
