//! How the host talks to the server: sessions, queries, errors, and what is sent for a parameter.

pub mod session;
pub mod query;
pub mod error;
pub mod grant;
pub mod fit;
pub mod bind;
pub mod literal;
