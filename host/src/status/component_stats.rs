//! The component at work and the one before, side by side, so that one sees what a change did to the cost of events.

use std::sync::Arc;

use super::snapshot::ComponentSnapshot;
use crate::projector::{Component, Stats};

/// How many components are shown.
const SHOWN_MAX: usize = 2;

/// The newest first.
#[derive(Default)]
pub(super) struct ComponentStats(Vec<StatsOfOne>);

struct StatsOfOne {
    name: String,
    digest: String,
    record: Arc<Stats>,
}

impl ComponentStats {
    /// Another component is at work, or the same one again.
    pub(super) fn begins(&mut self, component: &Component) {
        let manifest = component.manifest();
        let one = StatsOfOne {
            name: format!("{} {}", manifest.name, manifest.version),
            digest: component.digest().to_owned(),
            record: component.record().clone(),
        };
        self.0.retain(|other| other.digest != one.digest);
        self.0.insert(0, one);
        self.0.truncate(SHOWN_MAX);
    }

    pub(super) fn snapshot(&self) -> Vec<ComponentSnapshot> {
        self.0.iter().map(StatsOfOne::snapshot).collect()
    }
}

impl StatsOfOne {
    fn snapshot(&self) -> ComponentSnapshot {
        ComponentSnapshot {
            component: self.name.clone(),
            digest: self.digest.clone(),
            impure: self.record.is_impure(),
            fuel: self.record.types(),
        }
    }
}

/// So that metrics can be traced to a component: the gauge of the one at work is 1, that of the one before is 0.
pub(super) fn show(projection: &str, before: &str, digest: &str) {
    let gauge = |digest: &str| {
        let labels = [("projection", projection.to_owned()), ("digest", digest.to_owned())];
        metrics::gauge!("laterna_component", &labels)
    };
    if !before.is_empty() && before != digest {
        gauge(before).set(0.0);
    }
    if !digest.is_empty() {
        gauge(digest).set(1.0);
    }
}
