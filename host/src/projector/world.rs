//! The two kinds of component, and all that differs between them: a projector makes operations of an event, an upcaster
//! makes other events of it. They are loaded, run, bounded and judged by the same code.

use std::fmt;

use wasmtime::Store;
use wasmtime::component::InstancePre;

use super::bindings::{self, EventForGuest, ProjectionPre, UpcasterPre, exported, types, upcast};
use super::budget::Budget;
use super::description;
use super::kind::ComponentKind;
use super::refusal::ComponentRefusal;
use super::sandbox::Sandbox;
use super::upcast::accept_events;
use crate::event::Event;
use crate::failure::Failure;
use crate::statement::{Manifest, Operation, UpcasterManifest, Value};

/// The WIT world of one kind of component: its names, its types and its calls.
pub trait World: Copy + fmt::Debug + PartialEq + Send + Sync + 'static {
    const KIND: ComponentKind;
    type Manifest: Clone + fmt::Debug + Send + Sync;
    /// The result of one event.
    type Made: Clone + fmt::Debug + PartialEq + Send;

    type Code: Clone + Send + Sync;
    type Bindings: Send;
    type Described: Send;
    type Raw: Send;
    type Rejection: Into<Failure> + Send;

    fn named(manifest: &Self::Manifest) -> (&str, &str);
    fn code(linked: InstancePre<Sandbox>) -> wasmtime::Result<Self::Code>;
    fn engine(code: &Self::Code) -> &wasmtime::Engine;
    fn instantiate(code: &Self::Code, store: &mut Store<Sandbox>) -> wasmtime::Result<Self::Bindings>;
    fn describe(bindings: &Self::Bindings, store: &mut Store<Sandbox>) -> wasmtime::Result<Self::Described>;
    fn manifest(described: Self::Described) -> Result<Self::Manifest, ComponentRefusal>;
    fn call(
        bindings: &Self::Bindings,
        store: &mut Store<Sandbox>,
        events: &[&Event],
    ) -> wasmtime::Result<RawAnswers<Self>>;
    /// How many bytes the host copies out of a guest in one call.
    fn copied_bytes(budget: &Budget) -> usize;
    /// Translates the answer to an event into the host's words, if it is within the limits.
    fn accept(
        budget: &Budget,
        manifest: &Self::Manifest,
        event: &Event,
        raw: Vec<Self::Raw>,
    ) -> Result<Vec<Self::Made>, Failure>;
}

/// A guest's answer to one event.
pub(super) type RawAnswer<R> = Result<Vec<<R as World>::Raw>, <R as World>::Rejection>;

/// A guest's answers to the events of a list.
pub type RawAnswers<R> = Vec<RawAnswer<R>>;

/// A projector.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Projecting;

impl World for Projecting {
    const KIND: ComponentKind = ComponentKind::Projector;
    type Manifest = Manifest;
    type Made = Operation;

    type Code = ProjectionPre<Sandbox>;
    type Bindings = bindings::Projection;
    type Described = exported::Manifest;
    type Raw = types::Operation;
    type Rejection = types::Rejection;

    fn named(manifest: &Manifest) -> (&str, &str) {
        (&manifest.name, &manifest.version)
    }

    fn code(linked: InstancePre<Sandbox>) -> wasmtime::Result<Self::Code> {
        ProjectionPre::new(linked)
    }

    fn engine(code: &Self::Code) -> &wasmtime::Engine {
        code.engine()
    }

    fn instantiate(code: &Self::Code, store: &mut Store<Sandbox>) -> wasmtime::Result<Self::Bindings> {
        code.instantiate(store)
    }

    fn describe(bindings: &Self::Bindings, store: &mut Store<Sandbox>) -> wasmtime::Result<Self::Described> {
        bindings.laterna_projection_projector().call_describe(store)
    }

    fn manifest(described: Self::Described) -> Result<Manifest, ComponentRefusal> {
        description::manifest(described)
    }

    fn call(
        bindings: &Self::Bindings,
        store: &mut Store<Sandbox>,
        events: &[&Event],
    ) -> wasmtime::Result<RawAnswers<Self>> {
        let shown: Vec<EventForGuest<'_>> = events.iter().map(|event| EventForGuest::new(event)).collect();
        let lowered: Vec<types::Event<'_>> = shown.iter().map(EventForGuest::lowered).collect();
        bindings.laterna_projection_projector().call_project(store, &lowered)
    }

    fn copied_bytes(budget: &Budget) -> usize {
        budget.copied_bytes()
    }

    fn accept(
        budget: &Budget,
        _: &Manifest,
        _: &Event,
        operations: Vec<types::Operation>,
    ) -> Result<Vec<Operation>, Failure> {
        let operations = operations.into_iter().map(Operation::from);
        within_budget(budget, operations.collect())
    }
}

/// One event's operations, if they are within its budget.
pub fn within_budget(budget: &Budget, operations: Vec<Operation>) -> Result<Vec<Operation>, Failure> {
    if operations.len() > budget.operations {
        let what = format!("{} operations, at most {} are taken", operations.len(), budget.operations);
        return Err(Failure::OutputTooLarge { what });
    }
    let values = operations.iter().flat_map(|operation| &operation.parameters);
    let bytes: usize = values.map(Value::bytes).sum();
    if bytes > budget.output_bytes {
        let what = format!("{bytes} bytes of parameters, at most {} are taken", budget.output_bytes);
        return Err(Failure::OutputTooLarge { what });
    }
    Ok(operations)
}

/// An upcaster.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Upcasting;

impl World for Upcasting {
    const KIND: ComponentKind = ComponentKind::Upcaster;
    type Manifest = UpcasterManifest;
    type Made = Event;

    type Code = UpcasterPre<Sandbox>;
    type Bindings = bindings::Upcaster;
    type Described = upcast::exported::Manifest;
    type Raw = upcast::types::Event;
    type Rejection = upcast::types::Rejection;

    fn named(manifest: &UpcasterManifest) -> (&str, &str) {
        (&manifest.name, &manifest.version)
    }

    fn code(linked: InstancePre<Sandbox>) -> wasmtime::Result<Self::Code> {
        UpcasterPre::new(linked)
    }

    fn engine(code: &Self::Code) -> &wasmtime::Engine {
        code.engine()
    }

    fn instantiate(code: &Self::Code, store: &mut Store<Sandbox>) -> wasmtime::Result<Self::Bindings> {
        code.instantiate(store)
    }

    fn describe(bindings: &Self::Bindings, store: &mut Store<Sandbox>) -> wasmtime::Result<Self::Described> {
        bindings.laterna_projection_upcasting().call_describe(store)
    }

    fn manifest(described: Self::Described) -> Result<UpcasterManifest, ComponentRefusal> {
        description::upcaster(described)
    }

    fn call(
        bindings: &Self::Bindings,
        store: &mut Store<Sandbox>,
        events: &[&Event],
    ) -> wasmtime::Result<RawAnswers<Self>> {
        let lowered: Vec<_> = events.iter().map(|event| EventForGuest::new(event).copied()).collect();
        bindings.laterna_projection_upcasting().call_upcast(store, &lowered)
    }

    fn copied_bytes(_: &Budget) -> usize {
        super::upcast::copied_bytes()
    }

    fn accept(
        _: &Budget,
        manifest: &UpcasterManifest,
        event: &Event,
        events: Vec<upcast::types::Event>,
    ) -> Result<Vec<Event>, Failure> {
        accept_events(event, events).map_err(|reason| Failure::upcaster(manifest, reason))
    }
}
