//! A summary of all recorded events, in one line.

use super::report::{ASIDE, Became, EventOutcome, EventReport, Upcast};
use crate::cli::table;
use crate::component::version::{LoadedComponent, LoadedUpcaster};

#[derive(Default)]
pub struct Summary {
    pub events: usize,
    pub failed: usize,
    pub keeps_state: usize,
    passed_by: usize,
    operations: usize,
    fuel_max: u64,
    /// Events that went through the upcaster, what they became, and those of which it made nothing.
    upcast: usize,
    became: usize,
    ignored: usize,
}

impl Summary {
    pub fn add(&mut self, report: &EventReport) {
        self.events += 1;
        self.failed += usize::from(report.failure().is_some());
        self.operations += report.operations().len();
        self.count(report);
    }

    fn count(&mut self, report: &EventReport) {
        match &report.outcome {
            EventOutcome::PassedBy => self.passed_by += 1,
            EventOutcome::Failed(_) | EventOutcome::Shown => {}
            EventOutcome::Projected { observed, keeps_state, .. } => {
                self.fuel_max = self.fuel_max.max(observed.projected.fuel);
                self.keeps_state += usize::from(*keeps_state);
            }
            EventOutcome::Upcast(Upcast { observed, keeps_state, became }) => {
                self.upcast += 1;
                self.fuel_max = self.fuel_max.max(observed.projected.fuel);
                self.keeps_state += usize::from(*keeps_state);
                self.ignored += usize::from(matches!(became, Became::Nothing));
                let Became::Events(reports) = became else { return };
                self.became += reports.len();
                for report in reports {
                    self.count(report);
                }
            }
        }
    }

    pub fn text(&self, tested: &LoadedComponent) -> String {
        let Self { events, operations, passed_by, failed, .. } = self;
        let state = if self.keeps_state > 0 { "; it KEEPS STATE" } else { "" };
        let (title, budget, counts) = match tested {
            LoadedComponent::Projector(loaded) => {
                let own = format!("{} ({})", loaded.title(), loaded.component.short_digest());
                let counts = format!("{operations} statements, {passed_by} passed by, {failed} failed");
                (own, loaded.component.budget(), counts)
            }
            LoadedComponent::Upcaster(LoadedUpcaster { component, .. }) => {
                let manifest = component.manifest();
                let own = format!("{} {} ({})", manifest.name, manifest.version, component.short_digest());
                (own, component.budget(), format!("{passed_by} passed by, {failed} failed"))
            }
        };
        let upcast = match self.upcast {
            0 => String::new(),
            upcast => format!(", {upcast} upcast to {}, {} ignored", self.became, self.ignored),
        };
        format!(
            "{ASIDE}{title}: {events} events, {counts}{upcast}; at most {} of {} fuel{state}",
            table::number(self.fuel_max),
            table::number(budget.fuel),
        )
    }
}
