//! A component from its bytes to something that can be run: inspected, compiled, linked, started once, described.
//!
//! Everything that can be refused is refused here, before anything is deployed. It touches no database.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::bindings::ProjectionPre;
use super::budget::Budget;
use super::description;
use super::engine::Engine;
use super::inspection::inspect;
use super::instance::{Instance, panic_message};
use super::refusal::Refusal;
use super::sandbox::Sandbox;
use crate::statement::Manifest;

pub(super) const COMPONENT_BYTES_MAX: usize = 64 << 20;
/// The largest ordinary component, `StarlingMonkey`'s 12 MB, takes 13 s on two free cores.
pub(super) const COMPILE_SECONDS_MAX: u64 = 120;
/// The compiler recurses into nested code.
const COMPILER_STACK_BYTES: usize = 16 << 20;
const SHORT_DIGEST: usize = 12;

/// A projector that is ready to run, with the budget it runs under. Clones are the same component.
#[derive(Clone)]
pub struct Component(Arc<Parts>);

struct Parts {
    digest: String,
    manifest: Manifest,
    budget: Budget,
    code: ProjectionPre<Sandbox>,
    /// Set when it was caught answering from state it kept; see `guest`.
    impure: AtomicBool,
}

impl Component {
    /// Checks, compiles and describes a component. It blocks: seconds for Rust and QuickJS, up to half a minute
    /// for Python and `StarlingMonkey`, [`COMPILE_SECONDS_MAX`] at most.
    pub fn load(engine: &Engine, bytes: &[u8], budget: &Budget) -> Result<Self, Refusal> {
        inspect(bytes)?;
        let digest = hex::encode(Sha256::digest(bytes));
        let (code, manifest) = {
            let _one_at_a_time = engine.compiling();
            let (engine, budget) = (engine.clone(), budget.clone());
            let (digest, bytes) = (digest.clone(), bytes.to_owned());
            on_its_own_thread(move || prepare(&engine, &digest, &bytes, &budget))?
        };
        let impure = AtomicBool::new(false);
        Ok(Self(Arc::new(Parts { digest, manifest, budget: budget.clone(), code, impure })))
    }

    /// The SHA-256 of the component's bytes, in hex.
    pub fn digest(&self) -> &str {
        &self.0.digest
    }

    /// The digest as people see it in logs.
    pub fn short_digest(&self) -> &str {
        &self.0.digest[..SHORT_DIGEST]
    }

    /// What it says about itself, within limits but otherwise unchecked.
    pub fn manifest(&self) -> &Manifest {
        &self.0.manifest
    }

    pub fn budget(&self) -> &Budget {
        &self.0.budget
    }

    /// It was caught answering from state it kept, and so it is run one event at a time.
    pub fn is_impure(&self) -> bool {
        self.0.impure.load(Ordering::Relaxed)
    }

    /// Says whether it was pure until now.
    pub(super) fn mark_impure(&self) -> bool {
        !self.0.impure.swap(true, Ordering::Relaxed)
    }

    pub(super) fn code(&self) -> &ProjectionPre<Sandbox> {
        &self.0.code
    }
}

impl fmt::Debug for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Component({} {} {})", self.0.manifest.name, self.0.manifest.version, self.short_digest())
    }
}

type Prepared = (ProjectionPre<Sandbox>, Manifest);

fn prepare(engine: &Engine, digest: &str, bytes: &[u8], budget: &Budget) -> Result<Prepared, Refusal> {
    let cached = engine.cache().and_then(|cache| cache.load(digest, engine.wasmtime()));
    let component = if let Some(component) = cached {
        component
    } else {
        let component = wasmtime::component::Component::from_binary(engine.wasmtime(), bytes)
            .map_err(|error| Refusal::Invalid { reason: format!("{error:#}") })?;
        if let Some(cache) = engine.cache() {
            cache.store(digest, &component);
        }
        component
    };
    let does_not_fit = |error: wasmtime::Error| Refusal::DoesNotFit { reason: format!("{error:#}") };
    let linked = engine.linker().instantiate_pre(&component).map_err(does_not_fit)?;
    let code = ProjectionPre::new(linked).map_err(does_not_fit)?;
    let (_, described) = Instance::start(&code, budget).map_err(|failure| Refusal::Start { failure })?;
    Ok((code, description::manifest(described)?))
}

/// A compiler that panics or does not end must not take the process along: it has a thread of its own, which is
/// left behind if it takes too long.
fn on_its_own_thread<T: Send + 'static>(
    task: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let run = move || {
        let result = catch_unwind(AssertUnwindSafe(task))
            .unwrap_or_else(|panic| Err(Refusal::Uncompilable { reason: panic_message(&*panic).to_owned() }));
        // Nobody waits for it any more if it took too long.
        let _ = sender.send(result);
    };
    thread::Builder::new()
        .name("projector-compile".into())
        .stack_size(COMPILER_STACK_BYTES)
        .spawn(run)
        .map_err(|error| Refusal::Host { reason: format!("no thread to compile on: {error}") })?;
    match receiver.recv_timeout(Duration::from_secs(COMPILE_SECONDS_MAX)) {
        Ok(result) => result,
        Err(RecvTimeoutError::Timeout) => Err(Refusal::CompileTime),
        Err(RecvTimeoutError::Disconnected) => {
            Err(Refusal::Uncompilable { reason: "its thread ended without a word".to_owned() })
        }
    }
}
