//! Where the bank meets the world: documents of MongoDB, tables of MySQL, and HTTP.

pub mod documents;
pub mod http;
pub mod queries;
pub mod readmodel;
