//! The components under test, given one document after the other: each event alone, and again to used instances, because
//! what answers otherwise there keeps state.

use std::sync::Arc;

use super::report::{Became, EventOutcome, EventReport, Upcast};
use crate::component::version::{Loaded, LoadedComponent, LoadedUpcaster};
use crate::event::Event;
use crate::failure::Failure;
use crate::projector::{Guest, Upcasting, World, attributed_to_upcaster, within_budget};
use crate::source::Decoder;
use crate::sql::fit::judge;

/// A component that is asked twice.
struct Twice<R: World> {
    alone: Guest<R>,
    used: Guest<R>,
}

impl<R: World> Twice<R> {
    fn new(component: &crate::projector::Component<R>) -> Self {
        let guest = || Guest::new(component.clone(), "test");
        Self { alone: guest(), used: guest() }
    }

    /// Runs one event alone, and observes its answer and whether the component keeps state.
    fn ask(&mut self, event: &Event) -> anyhow::Result<(crate::projector::Observed<R::Made>, bool)> {
        let observed = self.alone.observe(event)?;
        let again = self.used.project(&[event])?;
        let differs = again.iter().any(|again| again.verdict != observed.projected.verdict);
        Ok((observed, differs || self.used.component().is_impure()))
    }
}

pub struct Bench<'a> {
    decoder: Decoder,
    projector: Option<(&'a Loaded, Twice<crate::projector::Projecting>)>,
    upcaster: Option<(&'a LoadedUpcaster, Twice<Upcasting>)>,
}

impl<'a> Bench<'a> {
    pub fn new(tested: &'a LoadedComponent, decoder: Decoder) -> Self {
        let (projector, upcaster) = match tested {
            LoadedComponent::Projector(loaded) => (Some(loaded), loaded.upcaster.as_ref()),
            LoadedComponent::Upcaster(upcaster) => (None, Some(upcaster)),
        };
        Self {
            decoder,
            projector: projector.map(|loaded| (loaded, Twice::new(&loaded.component))),
            upcaster: upcaster.map(|loaded| (loaded, Twice::new(&loaded.component))),
        }
    }

    pub fn run(&mut self, document: &bson::RawDocument) -> anyhow::Result<EventReport> {
        match self.decoder.decode(document) {
            Ok(event) => {
                let outcome = match self.upcast(&event)? {
                    Some(upcast) => EventOutcome::Upcast(upcast),
                    None if self.projector.is_none() => EventOutcome::PassedBy,
                    None => self.project(&event)?,
                };
                Ok(EventReport::new(Some(event), outcome))
            }
            Err(wrong) => Ok(EventReport::new(None, EventOutcome::Failed(Failure::undecodable(&wrong)))),
        }
    }

    /// Upcasts an event and projects what it becomes; none where the upcaster does not take its type.
    fn upcast(&mut self, event: &Event) -> anyhow::Result<Option<Upcast>> {
        let Some((loaded, twice)) = &mut self.upcaster else { return Ok(None) };
        let manifest = loaded.component.manifest();
        if !manifest.takes(&event.event_type) {
            return Ok(None);
        }
        let (observed, keeps_state) = twice.ask(event)?;
        let became = match observed.projected.verdict.clone() {
            Err(failure) => Became::Failed(attributed_to_upcaster(manifest, failure)),
            Ok(events) if events.is_empty() => Became::Nothing,
            Ok(events) => {
                let mut reports = Vec::with_capacity(events.len());
                for event in events {
                    let outcome = self.project(&event)?;
                    reports.push(EventReport::new(Some(Arc::new(event)), outcome));
                }
                self.together(reports)
            }
        };
        Ok(Some(Upcast { observed, keeps_state, became }))
    }

    /// All events that one became have the budget of one together.
    fn together(&self, reports: Vec<EventReport>) -> Became {
        let operations = reports.iter().flat_map(EventReport::operations).cloned().collect();
        let within = self
            .projector
            .as_ref()
            .map_or(Ok(vec![]), |(loaded, _)| within_budget(loaded.component.budget(), operations));
        match within {
            Ok(_) => Became::Events(reports),
            Err(failure) => Became::Failed(failure),
        }
    }

    fn project(&mut self, event: &Event) -> anyhow::Result<EventOutcome> {
        let Some((loaded, twice)) = &mut self.projector else { return Ok(EventOutcome::Shown) };
        if !loaded.deployed.manifest.handles(&event.event_type) {
            return Ok(EventOutcome::PassedBy);
        }
        let (observed, keeps_state) = twice.ask(event)?;
        let judged = observed.projected.verdict.clone();
        let schema = &loaded.deployed.schema;
        let judged = judged.and_then(|operations| judge(schema, operations.clone()).map(|_| operations));
        Ok(EventOutcome::Projected { judged, observed, keeps_state })
    }
}
