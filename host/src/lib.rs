//! Laterna keeps MySQL read models in step with a MongoDB outbox.
//!
//! Read downwards, this page is the way of an event: a document of the outbox becomes an [`event`] at a
//! [`position`]; the [`source`] reads it, first from history, then from the change stream; a [`projector`], a
//! sandboxed component, answers with operations on [`statement`]s that were checked by [`sql`] before it was
//! deployed; the [`readmodel`] commits them with the checkpoint in one MySQL transaction. A projection is one
//! reader and several lanes that do this (the [`pipeline`]), kept going by a [`supervisor`]; [`operation`]s are what people do to it, through [`admin`] and [`cli`].
//!
//! Imports only point upwards in this list, and the stages never import each other; a test holds that.

// The words: no I/O, no driver types.
pub mod text;
pub mod event;
pub mod position;
pub mod fingerprint;
pub mod statement;
pub mod failure;
pub mod retry;

// Pure parts.
pub mod sql;

// The stages. Each is the only user of its driver.
pub mod source;
pub mod projector;
pub mod readmodel;

// The state that is reported, and the servers.
pub mod status;
pub mod servers;

// The data plane.
pub mod pipeline;

// The control plane.
pub mod component;
pub mod supervisor;

// What operators do to a projection.
pub mod operation;

// The edges.
pub mod admin;
pub mod cli;
pub mod config;
mod shutdown;
mod telemetry;
