//! Clocks and random numbers: constants while an instance starts and describes itself, an error inside
//! `project`. Nothing here ever asks the machine.
//!
//! Hash seeds (`wasi:random/insecure-seed`) are always constants; they belong to `sandbox`.

use wasmtime::component::Resource;
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock;
use wasmtime_wasi::p2::bindings::clocks::wall_clock::{self, Datetime};
use wasmtime_wasi::p2::bindings::random::{insecure, random};

/// 2000-01-01T00:00:00Z: what a start-up sees of the time.
const START_UP_TIME: Datetime = Datetime { seconds: 946_684_800, nanoseconds: 0 };
const RESOLUTION: Datetime = Datetime { seconds: 0, nanoseconds: 1 };
const RANDOM_BYTES_MAX: u64 = 64 << 10;
const SEED: u64 = 0x4c61_7465_726e_6121;

/// The guest asked for what could make it answer otherwise another time.
#[derive(Debug, thiserror::Error)]
#[error("it {action} (`{import}`): {remedy}")]
pub(super) struct Impurity {
    pub(super) action: &'static str,
    pub(super) import: &'static str,
    pub(super) remedy: &'static str,
}

pub(super) const WALL_CLOCK: Impurity = Impurity {
    action: "read the clock inside `project`",
    import: "wasi:clocks/wall-clock",
    remedy: "use the event's `occurred-at`",
};
const SLEEP: Impurity = Impurity {
    action: "wanted to sleep",
    import: "wasi:clocks/monotonic-clock",
    remedy: "a projector never waits",
};
const RANDOM: Impurity = Impurity {
    action: "asked for random bytes inside `project`",
    import: "wasi:random/random",
    remedy: "derive ids from the event's id",
};
const INSECURE_RANDOM: Impurity = Impurity { import: "wasi:random/insecure", ..RANDOM };

/// Where in its life the guest is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CallPhase {
    /// Instantiation and `describe`.
    Starting,
    /// Inside `project`.
    Projecting,
}

/// The clocks and random numbers of one instance.
pub(super) struct Ambient {
    pub(super) phase: CallPhase,
    random: u64,
}

impl Ambient {
    pub(super) fn new() -> Self {
        Self { phase: CallPhase::Starting, random: SEED }
    }

    fn refuse(&self, impure: Impurity) -> wasmtime::Result<()> {
        match self.phase {
            CallPhase::Starting => Ok(()),
            CallPhase::Projecting => Err(impure.into()),
        }
    }

    /// `SplitMix64`: the same numbers in every instance.
    fn next(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        wasmtime::ensure!(length <= RANDOM_BYTES_MAX, "asked for {length} random bytes at once");
        Ok((0..length).map(|_| self.next().to_le_bytes()[0]).collect())
    }
}

impl wall_clock::Host for Ambient {
    fn now(&mut self) -> wasmtime::Result<Datetime> {
        self.refuse(WALL_CLOCK)?;
        Ok(START_UP_TIME)
    }

    fn resolution(&mut self) -> wasmtime::Result<Datetime> {
        Ok(RESOLUTION)
    }
}

/// It always stands at zero, and reading it is no error: `StarlingMonkey` does so in every call. Sleeping on it is,
/// because a guest that sleeps is out of reach of fuel and epochs.
impl monotonic_clock::Host for Ambient {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(0)
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(1)
    }

    fn subscribe_instant(&mut self, _when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        Err(SLEEP.into())
    }

    fn subscribe_duration(&mut self, _duration: u64) -> wasmtime::Result<Resource<DynPollable>> {
        Err(SLEEP.into())
    }
}

impl random::Host for Ambient {
    fn get_random_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        self.refuse(RANDOM)?;
        self.bytes(length)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.refuse(RANDOM)?;
        Ok(self.next())
    }
}

impl insecure::Host for Ambient {
    fn get_insecure_random_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        self.refuse(INSECURE_RANDOM)?;
        self.bytes(length)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.refuse(INSECURE_RANDOM)?;
        Ok(self.next())
    }
}
