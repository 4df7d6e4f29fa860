//! The writing side of a small bank: accounts in MongoDB, and an outbox that says what happened to them.
//!
//! The service is in layers: `domain` has the rules, `application` the commands, `infrastructure` documents and HTTP.
//! `writer` is the outbox by hand. `generator` and `model` make up operations and know their outcome, for the demo and
//! for tests. Nothing here knows Laterna or MySQL: the outbox is all they share.

pub mod application;
pub mod domain;
pub mod event;
pub mod generator;
pub mod infrastructure;
pub mod model;
pub mod writer;

pub use event::{Change, Event};
pub use generator::Generator;
pub use model::{Model, Row};
pub use writer::{Writer, Written};
