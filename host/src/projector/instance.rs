//! One running instance of a component: a store, its sandbox, and the calls into it.
//!
//! It reports how a run went and judges nothing. After an error it must be thrown away: a store is broken by a trap.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use wasmtime::Store;

use super::budget::{Budget, START_FUEL, deadline_ms};
use super::determinism::CallPhase;
use super::engine::ticks;
use super::missed::Missed;
use super::output::Output;
use super::sandbox::Sandbox;
use super::trap;
use super::world::{RawAnswer, RawAnswers, World};
use crate::event::Event;
use crate::failure::Failure;

/// Handles to streams and the like that a guest may hold at once.
const HANDLES_MAX: usize = 1024;

pub(super) struct Instance<R: World> {
    store: Store<Sandbox>,
    guest: R::Bindings,
    budget: Budget,
    start_bytes: usize,
    events: usize,
    given: u64,
}

impl<R: World> Instance<R> {
    /// Starts a fresh one. Its first call is `describe`, because interpreters finish their start with the first
    /// call: Python's runtime asks for hash seeds then. That a start fails is no event's fault.
    pub(super) fn start(component: &R::Code, budget: &Budget) -> Result<(Self, R::Described), Failure> {
        let mut store = Store::new(R::engine(component), Sandbox::new(budget.memory_bytes));
        store.limiter(|sandbox| &mut sandbox.memory);
        store.set_hostcall_fuel(R::copied_bytes(budget));
        store.set_max_component_handles(HANDLES_MAX);
        let guest = guarded(&mut store, START_FUEL, budget, |store| R::instantiate(component, store))?;
        let manifest = guarded(&mut store, START_FUEL, budget, |store| R::describe(&guest, store))?;
        let start_bytes = store.data().memory.bytes();
        Ok((
            Self { store, guest, budget: budget.clone(), start_bytes, events: 0, given: START_FUEL },
            manifest,
        ))
    }

    /// Runs these events with so much fuel, and the rest of the budget of one.
    pub(super) fn project(&mut self, events: &[&Event], fuel: u64) -> Result<RawAnswers<R>, Failure> {
        self.events += events.len();
        self.given = fuel;
        // The results themselves are copied, too: one for each event.
        let results_bytes = events.len().saturating_mul(size_of::<RawAnswer<R>>());
        self.store.set_hostcall_fuel(R::copied_bytes(&self.budget).saturating_add(results_bytes));
        let sandbox = self.store.data_mut();
        sandbox.ambient.phase = CallPhase::Projecting;
        sandbox.memory.forget();
        sandbox.missed = Missed::default();
        sandbox.output.open(events.len());

        let guest = &self.guest;
        guarded(&mut self.store, fuel, &self.budget, |store| R::call(guest, store, events))
    }

    /// The fuel that the last run took.
    pub(super) fn fuel(&self) -> u64 {
        let left = self.store.get_fuel().expect("the engine is configured to consume fuel");
        self.given.saturating_sub(left)
    }

    /// All memory it has.
    pub(super) fn memory_bytes(&self) -> usize {
        self.store.data().memory.bytes()
    }

    /// How many events it has seen.
    pub(super) fn events(&self) -> usize {
        self.events
    }

    /// The output since the last run began.
    pub(super) fn output(&self) -> &Output {
        &self.store.data().output
    }

    /// The things that the guest looked for in vain in the last run.
    pub(super) fn missed(&self) -> Missed {
        self.store.data().missed
    }

    /// The last run was refused memory, however it went on from there.
    pub(super) fn wanted_more_memory(&self) -> bool {
        self.store.data().memory.refused()
    }

    /// Memory never shrinks, so an instance that has taken half of what it could is replaced.
    pub(super) fn has_grown(&self) -> bool {
        let room = self.budget.memory_bytes.saturating_sub(self.start_bytes);
        self.store.data().memory.bytes() > self.start_bytes + room / 2
    }
}

/// Calls into the guest with so much fuel and the deadline that belongs to it. A panic of the engine is taken
/// like a trap: it must not take the process along.
fn guarded<T>(
    store: &mut Store<Sandbox>,
    fuel: u64,
    budget: &Budget,
    call: impl FnOnce(&mut Store<Sandbox>) -> wasmtime::Result<T>,
) -> Result<T, Failure> {
    store.set_fuel(fuel).expect("the engine is configured to consume fuel");
    store.set_epoch_deadline(ticks(deadline_ms(fuel)));
    match catch_unwind(AssertUnwindSafe(|| call(store))) {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(trap::failure(&error, store.data(), fuel, budget)),
        Err(panic) => {
            let message = format!("the WebAssembly engine panicked: {}", panic_message(&*panic));
            tracing::error!("{message}");
            Err(Failure::Trapped { message })
        }
    }
}

pub(super) fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}
