//! The two servers of a projection, by the accounts that the host has there.

use std::sync::Arc;

use crate::readmodel::control::schema::Control;
use crate::readmodel::mysql::session::Connector;
use crate::source::{Decoder, Outbox, SharedStream};

/// The servers a projection works with.
#[derive(Clone)]
pub struct Servers {
    pub outbox: Outbox,
    pub decoder: Decoder,
    /// The live end of the outbox, which all projections of a host read together.
    pub shared: Arc<SharedStream>,
    /// The account with DML only.
    pub applier: Connector,
    /// The account that may create tables.
    pub ddl: Connector,
    pub control: Control,
}
