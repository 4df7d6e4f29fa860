//! A summary of all recorded events, in one line.

use std::collections::{BTreeMap, BTreeSet};

use super::report::{ASIDE, Became, EventOutcome, EventReport, Upcast};
use crate::cli::table;
use crate::component::version::{LoadedComponent, LoadedUpcaster};
use crate::status::misspelled;
use crate::text::alike;

#[derive(Default)]
pub struct Summary {
    pub events: usize,
    pub failed: usize,
    pub keeps_state: usize,
    passed_by: usize,
    /// The types that passed by, and how many of each; the types that came.
    passed: BTreeMap<String, usize>,
    came: BTreeSet<String>,
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
        let event_type = report.event.as_ref().map(|event| event.event_type.to_string());
        self.came.extend(event_type.clone());
        match &report.outcome {
            EventOutcome::PassedBy => {
                self.passed_by += 1;
                *self.passed.entry(event_type.unwrap_or_default()).or_default() += 1;
            }
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

    /// Lines about types that the manifest does not name, and about those that it names and that never came: a typo in a
    /// type's name shows in both.
    pub fn types(&self, tested: &LoadedComponent) -> Vec<String> {
        let named = match tested {
            LoadedComponent::Projector(loaded) => &loaded.component.manifest().event_types,
            LoadedComponent::Upcaster(upcaster) => &upcaster.component.manifest().event_types,
        };
        let passed = self.passed.iter().map(|(event_type, count)| {
            let alike = alike(event_type, named.iter().map(String::as_str));
            let alike = alike.map_or_else(String::new, misspelled);
            format!(
                "{ASIDE}passed by: {count} of the type {event_type}, which the manifest does not name{alike}"
            )
        });
        let absent: Vec<&str> =
            named.iter().map(String::as_str).filter(|name| !self.came.contains(*name)).collect();
        let absent = (!absent.is_empty())
            .then(|| format!("{ASIDE}never came, although the manifest names it: {}", absent.join(", ")));
        passed.chain(absent).collect()
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
