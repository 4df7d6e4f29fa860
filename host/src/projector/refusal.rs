//! The refusals of components: each is a line with what is wrong and what to do, and with what the guest
//! itself wrote, if it ran.
//!
//! The caller adds which file it is.

use super::budget::{COMPILE_SECONDS_MAX, COMPONENT_BYTES_MAX};
use super::kind::{CONTRACT, ComponentKind};
use crate::failure::Failure;

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ComponentRefusal {
    #[error("it is empty: was it copied whole?")]
    Empty,
    #[error(
        "it has {bytes} bytes, more than {COMPONENT_BYTES_MAX}: build it for release and strip its debug information"
    )]
    TooLarge { bytes: usize },
    #[error("it is not WebAssembly: give the `.wasm` file that the toolchain built")]
    NotWasm,
    #[error(
        "it is precompiled machine code (`.cwasm`): give the `.wasm` component, the host compiles it itself"
    )]
    Precompiled,
    #[error(
        "it is a core module, not a component: build Rust for `wasm32-wasip2`, or wrap the module with `wasm-tools component new`"
    )]
    CoreModule,
    #[error("it is damaged or uses what this host does not run: {reason}; was it copied whole?")]
    Invalid { reason: String },
    /// Each hint with the imports it is about.
    #[error("it imports what a projector cannot have: {}", hinted(.imports))]
    Imports { imports: Vec<(&'static str, Vec<String>)> },
    #[error("it uses strings in UTF-16: build it with a toolchain that uses UTF-8")]
    Utf16,
    #[error(
        "it is no {}: it has to export `{}@0.1`, but exports {}: {}",
        .kind.noun(), .kind.interface(), listed(.found), other_kind(*.kind, .found)
    )]
    OtherKind { kind: ComponentKind, found: Vec<String> },
    #[error(
        "it is built for `{found}`, but this host runs `{}@0.1`, up to {CONTRACT}: build it with the SDK of this version, \
         or update the host",
        .kind.interface()
    )]
    OtherVersion { kind: ComponentKind, found: String },
    #[error(
        "it is built for `{built_for}`, and does not fit `{}@{CONTRACT}` of this host: {reason}; build it with this \
         version's `wit/projection.wit`, or, if its own is newer, update the host",
        .kind.world()
    )]
    DoesNotFit { kind: ComponentKind, built_for: String, reason: String },
    #[error("the compiler failed on it: {reason}; please report it, with the component")]
    Uncompilable { reason: String },
    #[error(
        "it took more than {COMPILE_SECONDS_MAX} s to compile: make it smaller, or give the host more processor time"
    )]
    CompileTime,
    #[error("it does not start and describe itself: {}", start(.failure))]
    Start { failure: Failure },
    #[error("its manifest is beyond a limit: {what}")]
    Manifest { what: String },
    #[error("the host cannot load components: {reason}")]
    Host { reason: String },
}

/// The remedy for a component of another kind.
fn other_kind(kind: ComponentKind, found: &[String]) -> String {
    let is = |kind: &ComponentKind| found.iter().any(|name| name.starts_with(kind.interface()));
    match ComponentKind::ALL.iter().filter(|other| **other != kind).find(|other| is(other)) {
        Some(ComponentKind::Upcaster) => {
            "it is an upcaster, whose place is `[upcaster]`; `laterna deploy` takes both".to_owned()
        }
        Some(ComponentKind::Projector) => {
            "it is a projector, whose place is a projection's `component`; `laterna deploy` takes both"
                .to_owned()
        }
        None => format!("build it for the world `{}`", kind.world()),
    }
}

fn listed(names: &[String]) -> String {
    match names {
        [] => "nothing".to_owned(),
        names => names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" and "),
    }
}

fn hinted(imports: &[(&str, Vec<String>)]) -> String {
    imports.iter().map(|(hint, names)| format!("{} ({hint})", listed(names))).collect::<Vec<_>>().join("; ")
}

/// Failures speak of events, but at the start there is none.
fn start(failure: &Failure) -> String {
    match failure {
        Failure::OutOfFuel { fuel } => {
            format!(
                "it is not done after {fuel} fuel, so there is an endless loop in its start-up or in `describe`"
            )
        }
        Failure::Deadline { limit_ms } => {
            format!("it was not done after {limit_ms} ms: the machine is overloaded, try again")
        }
        Failure::OutputTooLarge { what } => format!("its manifest is too large: {what}"),
        failure => failure.to_string(),
    }
}
