//! Whom MySQL refuses with errors that nobody knows, seen from all lanes: one event, or whatever is sent.
//!
//! It remembers, and decides nothing: [`super::decide::blame`] does.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use xxhash_rust::xxh3::xxh3_64;

use super::decide::Evidence;
use crate::failure::Failure;
use crate::readmodel::lane::apply::Final;
use crate::readmodel::lane::batch::{Batch, Entry};
use crate::statement::Sent;

/// How large the event may be that is kept to be probed again.
const CONTROL_BYTES_MAX: usize = 64 << 10;

/// One for all lanes, from run to run.
#[derive(Default)]
pub struct Suspects {
    state: Mutex<SuspectsState>,
}

#[derive(Default)]
struct SuspectsState {
    /// The component that this is about.
    digest: String,
    /// The aggregates, by their hash, whose events were refused since an event was last applied.
    failing: HashSet<u64>,
    /// An event that MySQL took under this component: where it refuses even that, no event is at fault.
    control: Option<Batch>,
    /// How often the projection was paused since.
    pauses: u32,
}

/// The findings of a probe, in aggregates by their hash.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ProbeFindings {
    failing: HashSet<u64>,
    passing: HashSet<u64>,
}

impl ProbeFindings {
    /// The findings about the entries that a probe tried: those up to the first refusal that is not final.
    pub fn by(batch: &Batch, refused: &[(usize, Failure)], is_final: Final<'_>) -> Self {
        let position = |index: usize| &batch.entries[index].delivery.position;
        let waits = refused.iter().find(|(index, failure)| !is_final(failure, position(*index)));
        let tried = waits.map_or(batch.entries.len(), |(index, _)| *index);
        let (mut found, mut behind) = (Self::default(), HashSet::new());
        for (index, entry) in batch.entries.iter().enumerate().take(tried) {
            let Some(aggregate) = hash(entry) else { continue };
            match refused.iter().find(|(refused, _)| *refused == index) {
                Some((_, failure)) => {
                    behind.insert(aggregate);
                    if failure.is_suspect() {
                        found.failing.insert(aggregate);
                    }
                }
                None if !entry.operations().is_empty() && !behind.contains(&aggregate) => {
                    found.passing.insert(aggregate);
                }
                None => {}
            }
        }
        found
    }

    /// Returns true where a probe has found an event that passes.
    pub fn passes(&self) -> bool {
        !self.passing.is_empty()
    }

    /// Adds the findings of a probe of the control. It was applied already, so that it may conflict with itself.
    #[must_use]
    pub fn with_control(mut self, control: &Batch, is_refused: bool) -> Self {
        let control = control.entries.iter().filter_map(hash);
        if is_refused {
            // Not the aggregate itself: one of its later events may be among those that fail.
            self.failing.extend(control.map(|aggregate| !aggregate));
        } else {
            self.passing.extend(control);
        }
        self
    }
}

fn hash(entry: &Entry) -> Option<u64> {
    entry.delivery.aggregate().map(|aggregate| xxh3_64(&aggregate.key()))
}

impl Suspects {
    /// An event that MySQL took under this component, to be probed again.
    pub fn control(&self, digest: &str) -> Option<Batch> {
        self.lock().control.clone().filter(|control| control.version.digest == digest)
    }

    /// Adds the findings of a probe under a component, and returns what is known with them.
    pub fn learn(&self, digest: &str, found: &ProbeFindings, is_tried_enough: bool) -> Evidence {
        let mut state = self.lock();
        state.turn_to(digest);
        if found.passes() {
            // Those that fail beside what passes are no evidence about other lanes.
            state.clear();
        } else {
            state.failing.extend(&found.failing);
        }
        let failing = if found.passes() { found.failing.len() } else { state.failing.len() };
        let passing = found.passing.len();
        Evidence { failing, passing, is_tried_enough, pauses: state.pauses }
    }

    /// The projection pauses for it.
    pub fn pauses(&self) {
        self.lock().pauses += 1;
    }

    /// A batch is committed: MySQL took what its events do.
    pub fn committed(&self, batch: &Batch) {
        let mut state = self.lock();
        state.turn_to(&batch.version.digest);
        if state.control.is_some() && state.failing.is_empty() {
            return;
        }
        let Some(entry) = batch.entries.iter().find(|entry| !entry.operations().is_empty()) else { return };
        state.clear();
        if state.control.is_none() && bytes(entry) <= CONTROL_BYTES_MAX {
            let position = entry.delivery.position.clone();
            let version = batch.version.clone();
            state.control = Some(Batch { entries: vec![entry.clone()], position, version });
        }
    }

    fn lock(&self) -> MutexGuard<'_, SuspectsState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bytes(entry: &Entry) -> usize {
    let values = entry.operations().iter().flat_map(|operation| &operation.parameters);
    values.map(Sent::bytes).sum::<usize>() + entry.delivery.document.len()
}

impl SuspectsState {
    /// Forgets the counts of another component, but for how long it has gone on.
    fn turn_to(&mut self, digest: &str) {
        if self.digest != digest {
            *self = Self { digest: digest.to_owned(), pauses: self.pauses, ..Self::default() };
        }
    }

    fn clear(&mut self) {
        self.failing.clear();
        self.pauses = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(failing: &[u64], passing: &[u64]) -> ProbeFindings {
        ProbeFindings {
            failing: failing.iter().copied().collect(),
            passing: passing.iter().copied().collect(),
        }
    }

    #[test]
    fn aggregates_of_all_lanes_count_until_an_event_passes() {
        let suspects = Suspects::default();
        let known = |failing, passing| suspects.learn("d", &found(failing, passing), true);
        assert_eq!(known(&[1], &[]).failing, 1);
        assert_eq!(known(&[1], &[]).failing, 1, "the same aggregate again");
        assert_eq!(known(&[2], &[]).failing, 2);
        suspects.pauses();
        assert_eq!(known(&[2], &[]).pauses, 1);
        assert_eq!(
            known(&[3], &[4, 5]),
            Evidence { failing: 1, passing: 2, is_tried_enough: true, pauses: 0 }
        );
        assert_eq!(known(&[6], &[]).failing, 1, "what failed beside events that pass does not count");
    }

    #[test]
    fn what_another_component_did_does_not_count() {
        let suspects = Suspects::default();
        suspects.learn("one", &found(&[1], &[]), false);
        assert_eq!(suspects.learn("other", &found(&[2], &[]), false).failing, 1);
    }
}
