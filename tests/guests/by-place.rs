//! Answers otherwise for the first event of a list than for the others, once a list has an event whose payload says
//! `late`. The SDK cannot: it is made without.
#![cfg_attr(target_family = "wasm", expect(unsafe_code, reason = "the exports are generated"))]
#![expect(missing_docs, clippy::pedantic, reason = "the bindings are generated")]

use exports::laterna::projection::projector::{
    Event, Guest, Manifest, Operation, Ordering, Rejection, Statement, Table,
};
use laterna::projection::types::Value;

wit_bindgen::generate!({ world: "projection", path: "../../wit" });

struct ByPlace;

#[cfg(target_family = "wasm")]
export!(ByPlace);

impl Guest for ByPlace {
    fn describe() -> Manifest {
        let ddl =
            "CREATE TABLE by_place (event_id VARCHAR(64) NOT NULL PRIMARY KEY, note VARCHAR(200) NOT NULL)";
        let sql = "INSERT INTO by_place (event_id, note) VALUES (?, ?)";
        Manifest {
            name: "by-place".into(),
            version: "1.0.0".into(),
            event_types: Vec::new(),
            ordering: Ordering::Aggregate,
            commutative: false,
            tables: vec![Table { name: "by_place".into(), ddl: ddl.into() }],
            statements: vec![Statement { name: "note".into(), sql: sql.into() }],
        }
    }

    fn project(events: Vec<Event>) -> Vec<Result<Vec<Operation>, Rejection>> {
        let is_late = events.len() > 1 && events.iter().any(|event| event.payload.contains("late"));
        let notes = events.iter().enumerate().map(|(place, event)| {
            let note = if is_late && place == 0 { "first" } else { "any" };
            let parameters = vec![Value::Text(event.id.clone()), Value::Text(note.into())];
            Ok(vec![Operation { statement: 0, parameters }])
        });
        notes.collect()
    }
}
