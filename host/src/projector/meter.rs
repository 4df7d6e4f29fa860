//! What the projectors' work is measured by. Names of metrics stand here only.

use metrics::{Counter, Histogram, counter, histogram};

/// The metrics of one projection's guest.
pub(super) struct Meter {
    lists: Counter,
    alone: Counter,
    instances: Counter,
    impure: Counter,
    fuel: Histogram,
}

impl Meter {
    pub(super) fn new(projection: &str) -> Self {
        let runs = |kind: &'static str| counter!("laterna_projector_runs_total", "projection" => projection.to_owned(), "kind" => kind);
        let named = |name: &'static str| counter!(name, "projection" => projection.to_owned());
        Self {
            lists: runs("list"),
            alone: runs("alone"),
            instances: named("laterna_projector_instances_total"),
            impure: named("laterna_projector_impure_total"),
            fuel: histogram!("laterna_projector_fuel", "projection" => projection.to_owned()),
        }
    }

    /// A list answered, with so much fuel for each event.
    pub(super) fn list(&self, fuel: u64) {
        self.lists.increment(1);
        self.fuel.record(fuel as f64);
    }

    /// One event was run alone.
    pub(super) fn alone(&self, fuel: u64) {
        self.alone.increment(1);
        self.fuel.record(fuel as f64);
    }

    /// An instance was started.
    pub(super) fn instance(&self) {
        self.instances.increment(1);
    }

    /// The component was caught keeping state.
    pub(super) fn impure(&self) {
        self.impure.increment(1);
    }
}
