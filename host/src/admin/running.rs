//! The projections that this host runs now: a reload adds some, and takes some away.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use crate::component::registry::Versions;
use crate::status::Status;

/// One that runs.
#[derive(Clone)]
pub struct RunningProjection {
    pub status: Arc<Status>,
    /// Its components.
    pub versions: Arc<Versions>,
    /// How many of its events are remembered.
    pub window: usize,
}

/// All that run, by their names.
#[derive(Clone, Default)]
pub struct RunningProjections(Arc<RwLock<KnownProjections>>);

#[derive(Default)]
struct KnownProjections {
    running: BTreeMap<String, RunningProjection>,
    /// Those that ran once, whose metrics nobody takes back.
    gone: BTreeSet<String>,
}

impl RunningProjections {
    /// Shows one from now on, in the place of the one that had its name.
    pub fn put(&self, projection: RunningProjection) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let name = projection.status.projection().to_owned();
        known.gone.remove(&name);
        known.running.insert(name, projection);
    }

    /// Shows one no more.
    pub fn take_away(&self, name: &str) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.running.remove(name).is_some() {
            known.gone.insert(name.to_owned());
        }
    }

    pub fn find(&self, name: &str) -> Option<RunningProjection> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).running.get(name).cloned()
    }

    /// How each stands, in the order of their names.
    pub fn statuses(&self) -> Vec<Arc<Status>> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.running.values().map(|one| one.status.clone()).collect()
    }

    /// The text without the samples of those that are gone: the recorder keeps whatever was recorded once.
    pub fn without_gone(&self, metrics: String) -> String {
        let gone = self.0.read().unwrap_or_else(PoisonError::into_inner).gone.clone();
        if gone.is_empty() { metrics } else { without(&gone, &metrics) }
    }
}

fn without(gone: &BTreeSet<String>, metrics: &str) -> String {
    let is_of_gone = |line: &&str| {
        let label = line.split_once("projection=\"").and_then(|(_, rest)| rest.split('"').next());
        // A generation that was built has its number behind the name.
        label.is_some_and(|label| gone.contains(label.split('@').next().unwrap_or(label)))
    };
    metrics.lines().filter(|line| !is_of_gone(line)).flat_map(|line| [line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_sample_of_a_projection_that_is_gone_is_left() {
        let text = "# TYPE a gauge\na{projection=\"gone\"} 1\na{projection=\"gone@2\",lane=\"1\"} 1\n\
            a{projection=\"gone-2\"} 1\na{x=\"1\",projection=\"gone\"} 1\nb 2\n";
        let left = without(&BTreeSet::from(["gone".to_owned()]), text);
        assert_eq!(left, "# TYPE a gauge\na{projection=\"gone-2\"} 1\nb 2\n");
    }
}
