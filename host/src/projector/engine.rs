//! The one WebAssembly engine of the process: how code is compiled and interrupted, and what it may import.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow};
use wasmtime::component::Linker;
use wasmtime::{Config, EngineWeak, WasmBacktraceDetails};

use super::cache::Cache;
use super::sandbox::{self, Sandbox};

/// The epoch's tick: how exactly deadlines are kept.
const TICK: Duration = Duration::from_millis(10);
const BACKTRACE_FRAMES: NonZeroUsize = NonZeroUsize::new(32).expect("32 is not zero");
/// The stack a guest may use. Threads that run guests have four times as much.
const GUEST_STACK_BYTES: usize = 1 << 20;
pub(super) const THREAD_STACK_BYTES: usize = 4 * GUEST_STACK_BYTES;

/// Compiles and runs components. A process has one; clones are the same engine.
#[derive(Clone)]
pub struct Engine(Arc<EngineParts>);

struct EngineParts {
    wasmtime: wasmtime::Engine,
    linker: Linker<Sandbox>,
    cache: Option<Cache>,
    compiling: Mutex<()>,
}

impl Engine {
    /// With a directory, compiled components are kept there. It must belong to this account alone, because what
    /// is in it is run as native code.
    pub fn new(cache: Option<&Path>) -> anyhow::Result<Self> {
        let wasmtime = wasmtime::Engine::new(&config())
            .map_err(|error| anyhow!("the WebAssembly engine does not start: {error:#}"))?;
        let linker = sandbox::linker(&wasmtime)
            .map_err(|error| anyhow!("the WebAssembly engine cannot link its own imports: {error:#}"))?;
        let cache = cache.map(|directory| Cache::open(directory, &wasmtime)).transpose()?;
        tick(wasmtime.weak()).context("the WebAssembly engine's clock does not start")?;
        Ok(Self(Arc::new(EngineParts { wasmtime, linker, cache, compiling: Mutex::new(()) })))
    }

    pub(super) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.0.wasmtime
    }

    pub(super) fn linker(&self) -> &Linker<Sandbox> {
        &self.0.linker
    }

    pub(super) fn cache(&self) -> Option<&Cache> {
        self.0.cache.as_ref()
    }

    /// One component is compiled at a time: each takes all cores for itself.
    pub(super) fn compiling(&self) -> MutexGuard<'_, ()> {
        self.0.compiling.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many ticks until so many milliseconds have passed for certain.
pub(super) fn ticks(ms: u64) -> u64 {
    let tick_ms = u64::try_from(TICK.as_millis()).expect("a tick is a few milliseconds");
    ms / tick_ms + 1
}

fn config() -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        // Interruption: fuel decides, the epoch is the backstop.
        .consume_fuel(true)
        .epoch_interruption(true)
        // The same answer on every machine.
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(false)
        // Nothing that projectors do not need. Never switch multi-memory off: components made of components
        // then panic in the compiler.
        .concurrency_support(false)
        .wasm_memory64(false)
        .wasm_tail_call(false)
        .wasm_wide_arithmetic(false)
        .wasm_exceptions(false)
        .wasm_gc(false)
        .wasm_function_references(false)
        .gc_support(false)
        .max_wasm_stack(GUEST_STACK_BYTES)
        // Function names, but no DWARF: reading it would cost 75 ms on a projector's thread at the first trap.
        .wasm_backtrace_max_frames(Some(BACKTRACE_FRAMES))
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .generate_address_map(true)
        .native_unwind_info(false);
    config
}

/// Moves the epoch on until the engine is gone.
fn tick(engine: EngineWeak) -> std::io::Result<()> {
    let advance = move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            thread::sleep(TICK);
        }
    };
    thread::Builder::new().name("projector-epoch".into()).spawn(advance).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_never_shorter_than_asked_for() {
        assert_eq!(ticks(0), 1);
        assert_eq!(ticks(1_000), 101);
        assert_eq!(ticks(1_009), 101);
    }

    #[test]
    fn the_clock_ends_with_its_engine() {
        let engine = Engine::new(None).expect("an engine starts");
        let weak = engine.wasmtime().weak();
        drop(engine);
        while weak.upgrade().is_some() {
            thread::yield_now();
        }
    }
}
