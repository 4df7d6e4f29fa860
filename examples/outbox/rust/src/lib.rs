//! The writing side of an outbox: a change and what happened, in one transaction of MongoDB, or neither.

mod bound;
mod error;
mod event;
mod store;
mod transaction;
mod wait;
mod watch;

pub use bound::Bound;
pub use error::{Error, Result};
pub use event::Event;
pub use futures_util::future::BoxFuture;
pub use store::Store;
pub use transaction::{Cause, Outbox, Transaction, Written};
pub use wait::Projections;
