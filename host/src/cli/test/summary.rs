//! What all recorded events came to, in one line.

use super::super::table;
use super::report::{ASIDE, Became, Outcome, Report, Upcast};
use crate::projection::{Half, LoadedUpcaster};

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
    pub fn add(&mut self, report: &Report) {
        self.events += 1;
        self.failed += usize::from(report.failure().is_some());
        self.operations += report.operations().len();
        self.count(report);
    }

    fn count(&mut self, report: &Report) {
        match &report.outcome {
            Outcome::PassedBy => self.passed_by += 1,
            Outcome::Failed(_) | Outcome::Shown => {}
            Outcome::Projected { observed, keeps_state, .. } => {
                self.fuel_max = self.fuel_max.max(observed.projected.fuel);
                self.keeps_state += usize::from(*keeps_state);
            }
            Outcome::Upcast(Upcast { observed, keeps_state, became }) => {
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

    pub fn text(&self, tested: &Half) -> String {
        let Self { events, operations, passed_by, failed, .. } = self;
        let state = if self.keeps_state > 0 { "; it KEEPS STATE" } else { "" };
        let (title, budget, counts) = match tested {
            Half::Projector(loaded) => {
                let own = format!("{} ({})", loaded.title(), loaded.component.short_digest());
                let counts = format!("{operations} statements, {passed_by} passed by, {failed} failed");
                (own, loaded.component.budget(), counts)
            }
            Half::Upcaster(LoadedUpcaster { component, .. }) => {
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
