//! The answer about one event of the outbox: the same from the guest to the plan of a batch.

use crate::failure::Failure;
use crate::sql::fit::judge;
use crate::statement::{Operation, Schema, Sent, Value};

/// A component's answer about one event: with the values that it gave or, once it was judged, with those that are sent.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome<V = Value> {
    /// The operations of all that it became, in order; perhaps none.
    Apply(Vec<Operation<V>>),
    /// The upcaster made nothing of it.
    Ignored,
    /// The projector does not take its type, nor what the upcaster makes of it.
    Unhandled,
    /// It is at fault.
    Failed(Failure),
}

/// An answer whose operations are as they are sent.
pub type JudgedOutcome = Outcome<Sent>;

impl Outcome {
    /// Judges the operations by the component's schema. An event whose operations do not fit it is at fault.
    pub fn judged(self, schema: &Schema) -> JudgedOutcome {
        match self {
            Self::Apply(operations) => judge(schema, operations).into(),
            Self::Ignored => Outcome::Ignored,
            Self::Unhandled => Outcome::Unhandled,
            Self::Failed(failure) => Outcome::Failed(failure),
        }
    }
}

impl<V> From<Result<Vec<Operation<V>>, Failure>> for Outcome<V> {
    fn from(operations: Result<Vec<Operation<V>>, Failure>) -> Self {
        operations.map_or_else(Self::Failed, Self::Apply)
    }
}
