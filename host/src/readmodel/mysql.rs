//! How the host talks to the server: sessions, queries, errors, and what is sent for a parameter.

pub mod query;
pub mod error;
pub mod session;
pub mod bind;
pub mod literal;
pub mod grant;
