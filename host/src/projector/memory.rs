//! Enforces the memory limit of an instance (`budget.memory_bytes`), and remembers that it was refused more.
//!
//! WebAssembly's `memory.grow` only answers -1, and what a guest makes of that is its own affair: the refusal is
//! remembered here, so that the verdict can name it.

use wasmtime::ResourceLimiter;

const TABLE_ELEMENTS_MAX: usize = 100_000;
/// Components made of components have several; `QuickJS` has three memories at most.
const INSTANCES_MAX: usize = 64;
const TABLES_MAX: usize = 64;
const MEMORIES_MAX: usize = 16;

/// The limits of one instance's store.
pub(super) struct Memory {
    limit_bytes: usize,
    bytes: usize,
    refused: bool,
    exhausted: bool,
}

impl Memory {
    pub(super) fn new(limit_bytes: usize) -> Self {
        Self { limit_bytes, bytes: 0, refused: false, exhausted: false }
    }

    /// All linear memories together. They never shrink.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The guest wanted more than its limit since the last [`Memory::forget`].
    pub(super) fn refused(&self) -> bool {
        self.refused
    }

    /// The host itself had no memory to give: nobody's fault here.
    pub(super) fn exhausted(&self) -> bool {
        self.exhausted
    }

    pub(super) fn forget(&mut self) {
        self.refused = false;
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let bytes = self.bytes.saturating_add(desired.saturating_sub(current));
        if bytes > self.limit_bytes {
            self.refused = true;
            return Ok(false);
        }
        // A memory may have a maximum of its own.
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.bytes = bytes;
        Ok(true)
    }

    /// Only called for what was granted above, so it is the machine that has no more.
    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        self.exhausted = true;
        Err(error.context("the host has no memory to give"))
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        wasmtime::ensure!(
            desired <= TABLE_ELEMENTS_MAX,
            "it wanted a table of {desired} elements, at most {TABLE_ELEMENTS_MAX} are given"
        );
        Ok(true)
    }

    fn instances(&self) -> usize {
        INSTANCES_MAX
    }

    fn tables(&self) -> usize {
        TABLES_MAX
    }

    fn memories(&self) -> usize {
        MEMORIES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_memories_share_one_limit() {
        let mut memory = Memory::new(100);
        assert!(memory.memory_growing(0, 60, None).expect("never fails"));
        assert!(!memory.memory_growing(0, 41, None).expect("never fails"));
        assert!(memory.refused());
        memory.forget();
        assert!(memory.memory_growing(60, 100, None).expect("never fails"));
        assert!(!memory.refused());
        assert_eq!(memory.bytes(), 100);
    }

    #[test]
    fn a_memory_at_its_own_maximum_is_not_over_the_limit() {
        let mut memory = Memory::new(100);
        assert!(!memory.memory_growing(0, 60, Some(50)).expect("never fails"));
        assert!(!memory.refused());
    }
}
