//! All integration tests, in one binary: the host's own binary against real servers and real components.
//!
//! `make test` starts the servers and builds the guests; each test has databases of its own, so they run side by
//! side. A test never sleeps for a while: it waits for a state.

mod guests;
#[expect(dead_code, reason = "these are shared with the tests in faults.rs")]
mod support;

mod acknowledge;
mod api;
mod audit;
mod author;
mod bad_input;
mod bank;
mod cancel;
mod canaries;
mod check;
mod client;
mod coalesce;
mod commits;
mod compare;
mod containment;
mod crash;
mod deploy;
mod endpoint;
mod fencing;
mod first_hour;
mod forget;
mod generations;
mod handover;
mod history_order;
mod image;
mod key_conflicts;
mod kubernetes;
mod languages;
mod lanes;
mod letters;
mod measured;
mod metrics;
mod mysql_errors;
mod outbox;
mod overtake;
mod own_writes;
mod page;
mod parameters;
mod projector;
mod rest;
mod restored;
mod reload;
mod resume;
mod services;
mod shared_stream;
mod spine;
mod stop;
mod take_up;
mod takeover;
mod tidy;
mod traces;
mod unused_components;
mod upcasters;
mod verify;
mod why;
