//! The metrics of the projectors' work. Their names stand here only.

use super::kind::ComponentKind;
use metrics::{Counter, Histogram, counter, histogram};

/// The metrics of one projection's guest.
pub(super) struct Metrics {
    lists: Counter,
    alone: Counter,
    instances: Counter,
    impure: Counter,
    dropped: Counter,
    fuel: Histogram,
}

impl Metrics {
    pub(super) fn new(projection: &str, kind: ComponentKind) -> Self {
        let [runs_name, instances, impure, fuel] = names(kind);
        let named = |name: &'static str| counter!(name, "projection" => projection.to_owned());
        Self {
            lists: runs(runs_name, projection, "list"),
            alone: runs(runs_name, projection, "alone"),
            instances: named(instances),
            impure: named(impure),
            dropped: named("laterna_lines_dropped_total"),
            fuel: histogram!(fuel, "projection" => projection.to_owned()),
        }
    }

    /// A list answered, with so much fuel for each event.
    pub(super) fn list(&self, fuel: u64) {
        self.lists.increment(1);
        self.record(fuel);
    }

    /// One event was run alone.
    pub(super) fn alone(&self, fuel: u64) {
        self.alone.increment(1);
        self.record(fuel);
    }

    /// An instance was started.
    pub(super) fn instance(&self) {
        self.instances.increment(1);
    }

    /// The component was caught keeping state.
    pub(super) fn impure(&self) {
        self.impure.increment(1);
    }

    /// Lines that the guest wrote are not published.
    pub(super) fn dropped(&self, lines: u64) {
        self.dropped.increment(lines);
    }

    #[expect(clippy::cast_precision_loss, reason = "a histogram does not need the last digit")]
    fn record(&self, fuel: u64) {
        self.fuel.record(fuel as f64);
    }
}

/// Runs, instances, components that keep state, fuel.
fn names(kind: ComponentKind) -> [&'static str; 4] {
    match kind {
        ComponentKind::Projector => [
            "laterna_projector_runs_total",
            "laterna_projector_instances_total",
            "laterna_projector_impure_total",
            "laterna_projector_fuel",
        ],
        ComponentKind::Upcaster => [
            "laterna_upcaster_runs_total",
            "laterna_upcaster_instances_total",
            "laterna_upcaster_impure_total",
            "laterna_upcaster_fuel",
        ],
    }
}

fn runs(name: &'static str, projection: &str, kind: &'static str) -> Counter {
    let projection = projection.to_owned();
    counter!(name, "projection" => projection, "kind" => kind)
}
