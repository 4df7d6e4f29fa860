//! The budget of one event. The first four numbers are deterministic: the same event is over them on every host.
//!
//! Only the deadline depends on the machine, so it never decides about an event: it is derived, far away, and its
//! failure is the environment's.

/// A larger file need not even be read.
pub const COMPONENT_BYTES_MAX: usize = 64 << 20;

/// The largest ordinary component, `StarlingMonkey` with its 12 MB, takes 13 s on two free cores.
pub(super) const COMPILE_SECONDS_MAX: u64 = 120;

/// Fuel for starting an instance, and again for its `describe`: interpreters need more for that than for an event.
pub(super) const START_FUEL: u64 = 2_000_000_000;

/// How fast fuel burns on a slow machine. At 2.5 GHz it is 2 to 10 million a millisecond for guests that compute,
/// but 0.3 million for one that does nothing but write lines: the time the host takes for them costs no fuel.
const FUEL_PER_MS: u64 = 1_000_000;

/// How many times the time of full fuel the deadline is away.
const DEADLINE_FACTOR: u64 = 10;

/// No deadline is nearer: a host that stands still for a moment must not look like an endless loop.
const DEADLINE_MS_MIN: u64 = 1_000;

/// Bytes that the host copies for each operation besides the values' own, at most on average.
const OVERHEAD_BYTES_PER_OPERATION: usize = 1024;

/// The limits of a projector. Fuel, operations and output are per event, memory is per instance.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Budget {
    /// About one unit per WebAssembly instruction. An event of 300 bytes takes ten thousand in Rust, a hundred
    /// thousand in `QuickJS` and Python; parsing JSON takes 150 a byte in Rust, 400 in `QuickJS`.
    pub fuel: u64,
    /// All linear memory of one instance. Python starts with 13 MB, `StarlingMonkey` with 10.
    pub memory_bytes: usize,
    /// Operations an event may lead to.
    pub operations: usize,
    /// Bytes of all parameters of an event's operations.
    pub output_bytes: usize,
    /// One list of events in so many is compared with the answers of fresh instances, to find components that keep state.
    pub compare_every: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            fuel: 1_000_000_000,
            memory_bytes: 256 << 20,
            operations: 10_000,
            output_bytes: 4 << 20,
            compare_every: 256,
        }
    }
}

impl Budget {
    /// How long a run may take. It is the backstop for what fuel does not measure.
    pub fn deadline_ms(&self) -> u64 {
        deadline_ms(self.fuel)
    }

    /// How many bytes the host copies out of a guest in one call.
    pub(super) fn copied_bytes(&self) -> usize {
        self.output_bytes.saturating_add(self.operations.saturating_mul(OVERHEAD_BYTES_PER_OPERATION))
    }
}

/// Ten times the time this much fuel takes.
pub(super) fn deadline_ms(fuel: u64) -> u64 {
    (fuel / FUEL_PER_MS).saturating_mul(DEADLINE_FACTOR).max(DEADLINE_MS_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deadline_is_ten_times_the_time_of_full_fuel() {
        assert_eq!(Budget::default().deadline_ms(), 10_000);
        assert_eq!(Budget { fuel: 1, ..Budget::default() }.deadline_ms(), DEADLINE_MS_MIN);
        assert!(Budget { fuel: u64::MAX, ..Budget::default() }.deadline_ms() < u64::MAX);
    }
}
