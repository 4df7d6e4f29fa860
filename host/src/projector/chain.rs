//! A projector behind an upcaster, where there is one. What several events of one original lead to is one answer: they
//! stand or fall together.

use super::component::Component;
use super::guest::Guest;
use super::outcome::Outcome;
use super::world::{Upcasting, within_budget};
use crate::event::Event;
use crate::failure::{Failure, Fault};
use crate::statement::UpcasterManifest;

/// How many events are upcast before they are projected: what they become is in memory meanwhile.
const UPCAST_AT_ONCE: usize = 256;

/// An upcaster and a projector as one. Clones are the same components.
#[derive(Debug, Clone)]
pub struct Chain {
    pub projector: Component,
    pub upcaster: Option<Component<Upcasting>>,
}

impl From<Component> for Chain {
    fn from(projector: Component) -> Self {
        Self { projector, upcaster: None }
    }
}

/// The events that one event of the outbox becomes; none: itself.
type Becomes = Result<Option<Vec<Event>>, Failure>;

/// A pair at work for one projection.
pub(super) struct Guests {
    projector: Guest,
    upcaster: Option<Guest<Upcasting>>,
}

impl Guests {
    pub(super) fn new(pair: Chain, projection: &str) -> Self {
        Self {
            projector: Guest::new(pair.projector, projection),
            upcaster: pair.upcaster.map(|upcaster| Guest::new(upcaster, projection)),
        }
    }

    /// The answers about these events, in their order. An error is never an event's fault.
    pub(super) fn project(&mut self, events: &[&Event]) -> Result<Vec<Outcome>, Failure> {
        if self.upcaster.is_none() {
            let projected = self.projector.project(events)?.into_iter();
            return Ok(projected.map(|projected| projected.verdict.into()).collect());
        }
        let mut answers = Vec::with_capacity(events.len());
        for events in events.chunks(UPCAST_AT_ONCE) {
            let became = self.upcast(events)?;
            self.project_upcast(events, &became, &mut answers)?;
        }
        Ok(answers)
    }

    /// Drops the instances, for when the last call did not end as it should.
    pub(super) fn reset(&mut self) {
        self.projector.reset();
        if let Some(upcaster) = &mut self.upcaster {
            upcaster.reset();
        }
    }

    /// Upcasts each event, or finds why it is at fault.
    fn upcast(&mut self, events: &[&Event]) -> Result<Vec<Becomes>, Failure> {
        let Some(upcaster) = &mut self.upcaster else { return Ok(vec![Ok(None); events.len()]) };
        let component = upcaster.component().clone();
        let manifest = component.manifest();
        let takes = |event: &&&Event| manifest.takes(&event.event_type);
        let asked: Vec<&Event> = events.iter().filter(takes).copied().collect();
        let upcast = upcaster.project(&asked)?;
        if upcast.len() != asked.len() {
            let what = format!("the upcaster gave {} answers to {} events", upcast.len(), asked.len());
            return Err(Failure::Bug { what });
        }
        let mut upcast = upcast.into_iter();
        let becomes = |event: &&Event| match takes(&event).then(|| upcast.next()).flatten() {
            Some(upcast) => {
                upcast.verdict.map(Some).map_err(|failure| attributed_to_upcaster(manifest, failure))
            }
            None => Ok(None),
        };
        Ok(events.iter().map(becomes).collect())
    }

    fn project_upcast(
        &mut self,
        events: &[&Event],
        became: &[Becomes],
        answers: &mut Vec<Outcome>,
    ) -> Result<(), Failure> {
        let component = self.projector.component().clone();
        let manifest = component.manifest();
        let handled = |event: &&Event| manifest.handles(&event.event_type);
        let asked = events.iter().zip(became).map(|(event, became)| match became {
            Err(_) => vec![],
            Ok(None) => Some(*event).filter(handled).into_iter().collect(),
            Ok(Some(events)) => events.iter().filter(handled).collect(),
        });
        let asked: Vec<Vec<&Event>> = asked.collect();
        let mut projected = self.projector.project(&asked.concat())?.into_iter();
        let budget = component.budget();
        for (became, asked) in became.iter().zip(&asked) {
            let own: Vec<_> = projected.by_ref().take(asked.len()).map(|one| one.verdict).collect();
            if own.len() != asked.len() {
                let what = format!("the projector gave {} answers to {} events", own.len(), asked.len());
                return Err(Failure::Bug { what });
            }
            answers.push(match became {
                Err(failure) => Outcome::Failed(failure.clone()),
                Ok(Some(events)) if events.is_empty() => Outcome::Ignored,
                Ok(_) if asked.is_empty() => Outcome::Unhandled,
                // The first one that fails, fails all of them; together they have the budget of one event.
                Ok(_) => own
                    .into_iter()
                    .collect::<Result<Vec<_>, _>>()
                    .and_then(|operations| within_budget(budget, operations.concat()))
                    .into(),
            });
        }
        Ok(())
    }
}

/// A failure of the upcaster's run in words that name it. What is not the event's fault stays as it is.
pub fn attributed_to_upcaster(manifest: &UpcasterManifest, failure: Failure) -> Failure {
    match failure {
        Failure::Upcaster { .. } => failure,
        failure if failure.fault() == Fault::Event => {
            let reason = failure.to_string();
            let reason = reason.replacen("the projector's ", "its ", 1).replacen("the projector ", "it ", 1);
            Failure::upcaster(manifest, reason.replace("`project`", "`upcast`"))
        }
        failure => failure,
    }
}
