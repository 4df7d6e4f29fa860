//! Where the bank meets the world: documents of MongoDB, and HTTP.

pub mod documents;
pub mod http;
