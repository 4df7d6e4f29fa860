//! A projector that wants HTTP, which no host gives it.
#![cfg_attr(target_family = "wasm", expect(unsafe_code, reason = "the exports are generated"))]
#![expect(missing_docs, clippy::pedantic, reason = "the bindings are generated")]

use exports::laterna::projection::projector::{Event, Guest, Manifest, Operation, Ordering, Rejection};

wit_bindgen::generate!({
    path: "../../wit",
    inline: "
        package test:guests;

        world http-import {
            import wasi:http/types@0.2.0;
            export laterna:projection/projector@0.1.0;
        }

        package wasi:http@0.2.0 {
            interface types { resource fields { constructor(); } }
        }
    ",
    generate_all,
});

struct HttpImport;

#[cfg(target_family = "wasm")]
export!(HttpImport);

impl Guest for HttpImport {
    fn describe() -> Manifest {
        Manifest {
            name: "http-import".into(),
            version: format!("{:?}", wasi::http::types::Fields::new()),
            event_types: Vec::new(),
            ordering: Ordering::Aggregate,
            commutative: false,
            tables: Vec::new(),
            statements: Vec::new(),
        }
    }

    fn project(events: Vec<Event>) -> Vec<Result<Vec<Operation>, Rejection>> {
        events.iter().map(|_| Ok(Vec::new())).collect()
    }
}
