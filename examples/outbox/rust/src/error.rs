//! What a write can come to.

use std::sync::Arc;

use mongodb::error::{Error as DriverError, ErrorKind, WriteFailure};

const DUPLICATE_KEY: i32 = 11_000;
const NAMESPACE_EXISTS: i32 = 48;

pub type Result<T> = std::result::Result<T, Error>;

#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Somebody else was faster, or the state is not the one that was asked for: read again, decide again.
    #[error("{0}")]
    Conflict(String),
    /// An event that the host would not take.
    #[error("{0}")]
    InvalidEvent(String),
    /// A write in the function of a transaction that is not in the transaction.
    #[error("{0}")]
    SessionLeftOut(String),
    /// An event that is a dead letter (`parked`), or waits behind one (`held`): nobody needs to wait for it.
    #[error("{detail}")]
    DeadLetter { detail: String, state: String, letter: serde_json::Value },
    /// An event that was not there when the patience ended: read what there is, and say so.
    #[error("{0}")]
    StillPending(String),
    /// A host that cannot be asked, or says something else.
    #[error("{0}")]
    NoAnswer(String),
    /// What the application itself refuses.
    #[error(transparent)]
    Refused(Arc<dyn std::error::Error + Send + Sync>),
    #[error(transparent)]
    Driver(DriverError),
}

impl Error {
    pub fn refused(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Refused(Arc::new(error))
    }

    /// The driver looks at its own errors to know what to repeat, and hands ours through.
    pub(crate) fn for_driver(self) -> DriverError {
        match self {
            Self::Driver(error) => error,
            own => DriverError::custom(own),
        }
    }
}

impl From<DriverError> for Error {
    fn from(error: DriverError) -> Self {
        error.get_custom::<Self>().cloned().unwrap_or(Self::Driver(error))
    }
}

impl From<bson::error::Error> for Error {
    fn from(error: bson::error::Error) -> Self {
        Self::Driver(error.into())
    }
}

/// The error with a key that is taken told as a conflict.
pub(crate) fn conflicting(error: DriverError, what: impl FnOnce() -> String) -> Error {
    if is_duplicate(&error) { Error::Conflict(what()) } else { error.into() }
}

pub(crate) fn is_duplicate(error: &DriverError) -> bool {
    code(error) == Some(DUPLICATE_KEY)
}

pub(crate) fn exists(error: &DriverError) -> bool {
    code(error) == Some(NAMESPACE_EXISTS)
}

fn code(error: &DriverError) -> Option<i32> {
    match &*error.kind {
        ErrorKind::Command(command) => Some(command.code),
        ErrorKind::Write(WriteFailure::WriteError(error)) => Some(error.code),
        ErrorKind::InsertMany(insert) => insert.write_errors.as_ref()?.first().map(|error| error.code),
        _ => None,
    }
}
