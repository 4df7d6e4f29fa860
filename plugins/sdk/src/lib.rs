//! Write a Laterna projector in Rust.
//!
//! A projector is a pure function from one event of the outbox to SQL operations on its own tables. You declare
//! the tables and every statement; the host checks all of it on the real database before anything is deployed,
//! and runs the operations in one transaction with its own bookkeeping.
//!
//! ```
//! use laterna_sdk::{Event, Manifest, Operation, Projector, Rejection, statements};
//!
//! struct Customers;
//!
//! statements! {
//!     /// A customer is new.
//!     REGISTER = "INSERT INTO customers (customer_id, name, limit_cents) VALUES (?, ?, ?)";
//!     RENAME = "UPDATE customers SET name = ? WHERE customer_id = ?";
//! }
//!
//! #[derive(serde::Deserialize)]
//! #[serde(rename_all = "camelCase")]
//! struct Registered {
//!     name: String,
//!     limit_cents: Option<i64>,
//! }
//!
//! #[derive(serde::Deserialize)]
//! struct Renamed {
//!     name: String,
//! }
//!
//! impl Projector for Customers {
//!     fn manifest() -> Manifest {
//!         Manifest::new("customers", env!("CARGO_PKG_VERSION"))
//!             .events(["CustomerRegistered", "CustomerRenamed"])
//!             .table(
//!                 "customers",
//!                 "CREATE TABLE customers (
//!                     customer_id VARCHAR(64) NOT NULL PRIMARY KEY,
//!                     name VARCHAR(200) NOT NULL,
//!                     limit_cents BIGINT NULL
//!                 )",
//!             )
//!             .statements(STATEMENTS)
//!     }
//!
//!     fn project(event: &Event) -> Result<Vec<Operation>, Rejection> {
//!         let id = &event.aggregate_id;
//!         match event.event_type.as_str() {
//!             "CustomerRegistered" => {
//!                 let Registered { name, limit_cents } = event.payload()?;
//!                 Ok(vec![REGISTER.with((id, name, limit_cents))])
//!             }
//!             "CustomerRenamed" => {
//!                 let Renamed { name } = event.payload()?;
//!                 Ok(vec![RENAME.with((name, id))])
//!             }
//!             _ => Err(event.unsupported()),
//!         }
//!     }
//! }
//!
//! laterna_sdk::export_projector!(Customers);
//!
//! // A projector is plain Rust: test it on your machine.
//! let event = laterna_sdk::testing::event("CustomerRenamed", &serde_json::json!({ "name": "Ada" }));
//! assert_eq!(Customers::project(&event).unwrap(), [RENAME.with(("Ada", &event.aggregate_id))]);
//! ```
//!
//! In `Cargo.toml`: `crate-type = ["cdylib"]`, the dependencies `laterna-sdk` and `serde` with its `derive`. Then
//! `cargo build --release --target wasm32-wasip2`; the `.wasm` file is the projector.
//!
//! # What to know
//!
//! - **Statements** ([`statements!`]) are constants that know their number of `?`: a wrong number of parameters
//!   does not compile. A statement is one INSERT, REPLACE, UPDATE or DELETE on your own tables, as a text or built by
//!   [`sql`](mod@sql): `upsert("customers").key(&["customer_id"]).set(&["name"])`.
//! - **Events** can be matched as above, or be read into an enum with a variant for each type: [`Event::read`].
//! - **Parameters** are a tuple of anything that is [`Into<Value>`](Value): integers, `f64`, `bool`, text,
//!   `Vec<u8>`, `Option` of those, the types of [`extjson`], and what [`decimal`], [`json`] and [`timestamp`] make.
//! - **The payload** is relaxed MongoDB Extended JSON. Strings, booleans and numbers are themselves; a date, a
//!   decimal, an ObjectId or a 64-bit integer beyond 2^53 is an object, which [`extjson`] reads.
//! - **No clock, no randomness, no files**: the same event must always give the same operations. Take the time
//!   from [`Event::require_occurred_at`], and derive ids from the event's id. A `HashMap` is fine for looking
//!   things up, but its order differs from run to run: take a `BTreeMap` where the order shows.
//! - **An event that is wrong** gets a [`Rejection`] and becomes a dead letter. A panic does the same, less
//!   politely; its message is in the log and in the dead letter.
//! - **`INSERT` says it is new**: a row that is already there is an error then, which is what you want unless you
//!   mean an upsert. A `VALUES (?, ...)` with all its parameters in one row may be joined by the host with others.
//! - **Text is compared byte by byte** unless you name a collation: the host adds the server's binary one, without
//!   padding, to a table that has none. In most others `a-1`, `A-1` and `á-1` are one key, so name them for texts to search, never for ids.
//! - **State** in statics may be gone at any time, and is a mistake.

/// What wit-bindgen makes of `wit/projection.wit`. Use the types through the root of this crate.
#[expect(missing_docs, clippy::pedantic, reason = "it is generated")]
pub mod bindings {
    wit_bindgen::generate!({
        world: "projection",
        path: "../../wit",
        pub_export_macro: true,
        default_bindings_module: "laterna_sdk::bindings",
        additional_derives: [PartialEq],
    });
}

/// The same of its second world, with the types of the first.
#[expect(missing_docs, clippy::pedantic, reason = "it is generated")]
pub mod upcaster_bindings {
    wit_bindgen::generate!({
        world: "upcaster",
        path: "../../wit",
        pub_export_macro: true,
        default_bindings_module: "laterna_sdk::upcaster_bindings",
        additional_derives: [PartialEq],
        with: {
            "laterna:projection/types@0.1.0": crate::bindings::laterna::projection::types,
            "laterna:projection/log@0.1.0": crate::bindings::laterna::projection::log,
        },
    });
}

mod event;
mod happened;
pub mod extjson;
pub mod log;
mod manifest;
mod projector;
pub mod sql;
mod statement;
pub mod testing;
mod upcaster;
mod value;

pub use bindings::exports::laterna::projection::projector::{Manifest, Ordering};
pub use bindings::laterna::projection::types::{Event, Operation, Rejection, Value};
pub use projector::{Component, Projector};
pub use serde_json;
pub use statement::{Declaration, Parameters, Statement, placeholders};
pub use upcaster::{Upcaster, UpcasterComponent, UpcasterManifest};
pub use value::{decimal, json, timestamp};
