//! Projectors that test the host: most of them misbehave, each in the way its first line says.
//!
//! Each file beside this one is a component of its own. Here is what they share: a harmless manifest.

use laterna_sdk::bindings::exports::laterna::projection::projector::Statement;
use laterna_sdk::{Event, Manifest, Operation, Value};

/// A manifest for every event type with one table, named after the guest, and one statement: [`note`].
pub fn manifest(guest: &str) -> Manifest {
    let table = guest.replace('-', "_");
    let ddl = format!(
        "CREATE TABLE {table} (event_id VARCHAR(64) NOT NULL PRIMARY KEY, note VARCHAR(200) NOT NULL)"
    );
    let sql = format!("INSERT INTO {table} (event_id, note) VALUES (?, ?)");
    Manifest {
        statements: vec![Statement { name: "note".into(), sql }],
        ..Manifest::new(guest, "1.0.0").table(&table, &ddl)
    }
}

/// Writes one row for this event.
pub fn note(event: &Event, text: impl Into<Value>) -> Operation {
    Operation { statement: 0, parameters: vec![(&event.id).into(), text.into()] }
}

/// A projector whose manifest the host should refuse: a table and a statement, in the words of SQL.
#[macro_export]
macro_rules! refused {
    ($name:literal, $table:literal: $ddl:literal, $sql:literal) => {
        struct Refused;

        laterna_sdk::export_projector!(Refused);
        laterna_sdk::statements! { REFUSED = $sql; }

        impl laterna_sdk::Projector for Refused {
            fn manifest() -> laterna_sdk::Manifest {
                let _unused = REFUSED;
                laterna_sdk::Manifest::new($name, "1.0.0").table($table, $ddl).statements(STATEMENTS)
            }

            fn project(
                _: &laterna_sdk::Event,
            ) -> Result<Vec<laterna_sdk::Operation>, laterna_sdk::Rejection> {
                Ok(Vec::new())
            }
        }
    };
}
