//! The WIT contract in Rust, and the way between its types and the host's words. The generated types are used
//! in this module and its neighbours only.

use std::borrow::Cow;

use crate::event::{Event, Id};
use crate::failure::Failure;
use crate::statement::{Manifest, Operation, Ordering, StatementDeclaration, TableDeclaration, Value};

mod wit {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "projection",
        // Events are lowered from the host's own strings, without a copy.
        ownership: Borrowing { duplicate_if_necessary: true },
    });
}

pub(super) use wit::exports::laterna::projection::projector as exported;
pub(super) use wit::laterna::projection::{log, types};
pub(super) use wit::{Projection, ProjectionPre};

/// An event with the texts that the guest sees instead of its ids.
pub(super) struct Shown<'a> {
    event: &'a Event,
    id: Cow<'a, str>,
    aggregate_id: Cow<'a, str>,
}

impl<'a> Shown<'a> {
    pub(super) fn new(event: &'a Event) -> Self {
        Self { event, id: text(&event.id), aggregate_id: text(&event.aggregate.id) }
    }

    pub(super) fn lowered(&self) -> types::Event<'_> {
        types::Event {
            id: &self.id,
            event_type: &self.event.event_type,
            version: self.event.version,
            aggregate_type: &self.event.aggregate.kind,
            aggregate_id: &self.aggregate_id,
            sequence: self.event.sequence,
            occurred_at: self.event.occurred_at.as_deref(),
            payload: &self.event.payload,
            metadata: &self.event.metadata,
        }
    }
}

fn text(id: &Id) -> Cow<'_, str> {
    match id {
        Id::Text(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_string()),
    }
}

impl From<types::Value> for Value {
    fn from(value: types::Value) -> Self {
        match value {
            types::Value::Null => Self::Null,
            types::Value::Boolean(boolean) => Self::Boolean(boolean),
            types::Value::Integer(integer) => Self::Integer(integer),
            types::Value::Number(number) => Self::Number(number),
            types::Value::Decimal(decimal) => Self::Decimal(decimal),
            types::Value::Text(text) => Self::Text(text),
            types::Value::Bytes(bytes) => Self::Bytes(bytes),
            types::Value::Json(json) => Self::Json(json),
            types::Value::Timestamp(timestamp) => Self::Timestamp(timestamp),
        }
    }
}

impl From<types::Operation> for Operation {
    fn from(operation: types::Operation) -> Self {
        let parameters = operation.parameters.into_iter().map(Value::from).collect();
        Self { statement: operation.statement, parameters }
    }
}

impl From<types::Rejection> for Failure {
    fn from(rejection: types::Rejection) -> Self {
        let (kind, reason) = match rejection {
            types::Rejection::Invalid(reason) => ("invalid", reason),
            types::Rejection::Unsupported(reason) => ("unsupported", reason),
            types::Rejection::Failed(reason) => ("failed", reason),
        };
        Self::Rejected { kind, reason }
    }
}

impl From<exported::Manifest> for Manifest {
    fn from(manifest: exported::Manifest) -> Self {
        let table = |table: exported::Table| TableDeclaration { name: table.name, ddl: table.ddl };
        let statement = |statement: exported::Statement| StatementDeclaration {
            name: statement.name,
            sql: statement.sql,
        };
        Self {
            name: manifest.name,
            version: manifest.version,
            event_types: manifest.event_types,
            ordering: match manifest.ordering {
                exported::Ordering::Aggregate => Ordering::Aggregate,
                exported::Ordering::Stream => Ordering::Stream,
            },
            commutative: manifest.commutative,
            tables: manifest.tables.into_iter().map(table).collect(),
            statements: manifest.statements.into_iter().map(statement).collect(),
        }
    }
}
