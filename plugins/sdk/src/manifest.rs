//! Building a manifest.

use crate::bindings::exports::laterna::projection::projector::{Statement, Table};
use crate::{Declaration, Manifest, Ordering};

impl Manifest {
    /// A manifest that takes every event type, in the order of each aggregate, and has no tables yet.
    pub fn new(name: &str, version: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            event_types: Vec::new(),
            ordering: Ordering::Aggregate,
            commutative: false,
            tables: Vec::new(),
            statements: Vec::new(),
        }
    }

    /// The event types this projector takes; the others pass it by.
    #[must_use]
    pub fn events<'a>(mut self, types: impl IntoIterator<Item = &'a str>) -> Self {
        self.event_types.extend(types.into_iter().map(str::to_owned));
        self
    }

    /// A table of its own, as one plain CREATE TABLE with a primary key.
    #[must_use]
    pub fn table(mut self, name: &str, ddl: &str) -> Self {
        self.tables.push(Table { name: name.to_owned(), ddl: ddl.to_owned() });
        self
    }

    /// All SQL it will ever use: the `STATEMENTS` of [`statements!`](crate::statements!).
    #[must_use]
    pub fn statements(mut self, statements: &[Declaration]) -> Self {
        self.statements = statements
            .iter()
            .map(|statement| Statement {
                name: statement.name.to_ascii_lowercase(),
                sql: statement.sql.text(),
            })
            .collect();
        self
    }

    /// Its rows depend on several aggregates: events come in commit order over all of them, in one lane.
    #[must_use]
    pub fn in_stream_order(mut self) -> Self {
        self.ordering = Ordering::Stream;
        self
    }

    /// The operations of different aggregates may be applied in any order, e.g. because they only add up. With
    /// [`in_stream_order`](Self::in_stream_order), this allows a build from history that has no global order.
    #[must_use]
    pub fn commutative(mut self) -> Self {
        self.commutative = true;
        self
    }
}
