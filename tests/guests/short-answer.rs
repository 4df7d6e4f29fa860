//! Answers with one result less than it got events. The SDK cannot: it is made without.
#![cfg_attr(target_family = "wasm", expect(unsafe_code, reason = "the exports are generated"))]
#![expect(missing_docs, clippy::pedantic, reason = "the bindings are generated")]

use exports::laterna::projection::projector::{
    Event, Guest, Manifest, Operation, Ordering, Rejection, Statement, Table,
};

wit_bindgen::generate!({ world: "projection", path: "../../wit" });

struct ShortAnswer;

#[cfg(target_family = "wasm")]
export!(ShortAnswer);

impl Guest for ShortAnswer {
    fn describe() -> Manifest {
        let ddl = "CREATE TABLE short_answer (event_id VARCHAR(64) NOT NULL PRIMARY KEY)";
        let sql = "INSERT INTO short_answer (event_id) VALUES (?)";
        Manifest {
            name: "short-answer".into(),
            version: "1.0.0".into(),
            event_types: Vec::new(),
            ordering: Ordering::Aggregate,
            commutative: false,
            tables: vec![Table { name: "short_answer".into(), ddl: ddl.into() }],
            statements: vec![Statement { name: "note".into(), sql: sql.into() }],
        }
    }

    fn project(events: Vec<Event>) -> Vec<Result<Vec<Operation>, Rejection>> {
        events.iter().skip(1).map(|_| Ok(Vec::new())).collect()
    }
}
