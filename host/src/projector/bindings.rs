//! The WIT contract in Rust, and the way between its types and the host's words. The generated types are used
//! in this module and its neighbours only.

use std::borrow::Cow;

use crate::event::{Event, Id};
use crate::failure::Failure;
use crate::statement::{
    Manifest, Operation, Ordering, StatementDeclaration, TableDeclaration, UpcasterManifest, Value,
};

mod wit {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "projection",
        // Events are lowered from the host's own strings, without a copy.
        ownership: Borrowing { duplicate_if_necessary: true },
    });
}

/// The second world of the package. What it imports is linked for the first one already. Its events go both ways, which
/// the generator does not do without copies.
mod wit_upcaster {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "upcaster",
    });
}

pub(super) use wit::exports::laterna::projection::projector as exported;
pub(super) use wit::laterna::projection::{log, types};
pub(super) use wit::{Projection, ProjectionPre};
pub(super) use wit_upcaster::{Upcaster, UpcasterPre};

/// The types of the second world.
pub(super) mod upcast {
    pub(in super::super) use super::wit_upcaster::exports::laterna::projection::upcasting as exported;
    pub(in super::super) use super::wit_upcaster::laterna::projection::types;
}

/// An event with the texts that the guest sees instead of its ids.
pub(super) struct EventForGuest<'a> {
    event: &'a Event,
    id: Cow<'a, str>,
    aggregate_id: Cow<'a, str>,
}

impl<'a> EventForGuest<'a> {
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

    /// Copies the event for an upcaster, whose type has the same fields.
    pub(super) fn copied(&self) -> upcast::types::Event {
        upcast::types::Event {
            id: self.id.to_string(),
            event_type: self.event.event_type.to_string(),
            version: self.event.version,
            aggregate_type: self.event.aggregate.kind.to_string(),
            aggregate_id: self.aggregate_id.to_string(),
            sequence: self.event.sequence,
            occurred_at: self.event.occurred_at.as_ref().map(ToString::to_string),
            payload: self.event.payload.clone(),
            metadata: self.event.metadata.to_string(),
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

impl From<upcast::types::Rejection> for Failure {
    fn from(rejection: upcast::types::Rejection) -> Self {
        types::Rejection::from(rejection).into()
    }
}

impl From<upcast::types::Rejection> for types::Rejection {
    fn from(rejection: upcast::types::Rejection) -> Self {
        match rejection {
            upcast::types::Rejection::Invalid(reason) => Self::Invalid(reason),
            upcast::types::Rejection::Unsupported(reason) => Self::Unsupported(reason),
            upcast::types::Rejection::Failed(reason) => Self::Failed(reason),
        }
    }
}

impl From<upcast::exported::Manifest> for UpcasterManifest {
    fn from(manifest: upcast::exported::Manifest) -> Self {
        Self { name: manifest.name, version: manifest.version, event_types: manifest.event_types }
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
