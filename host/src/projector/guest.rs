//! The verdicts: what a component makes of events, and how far its answers are trusted.
//!
//! The verdict about an event is always that of a run of this event alone, on a fresh instance, with the budget
//! of one event. Lists on a used instance are for speed: all events of a list share what *one* may take, and only
//! half of its fuel, so when it answers within that, each of them alone would have, too. Whatever else a list
//! leads to is thrown away, and its events are run one by one.
//!
//! Guests run on plain threads, never on async workers: what they write to stdout waits for a runtime.

mod comparison;

use std::sync::Arc;

use super::component::Component;
use super::instance::Instance;
use super::log_forwarder::{GuestLog, LogForwarder};
use super::metrics::Metrics;
use super::stats::Sampler;
use super::world::{Projecting, RawAnswers, World};
use crate::event::Event;
use crate::failure::{Failure, Fault};
use crate::statement::Operation;
use comparison::Comparisons;

/// After so many events an instance is replaced by a fresh one.
const INSTANCE_EVENTS_MAX: usize = 10_000;
/// The result of one event.
#[derive(Debug, Clone, PartialEq)]
pub struct Projected<M = Operation> {
    /// Its operations, or what else it comes to, or why the event is at fault.
    pub verdict: Result<Vec<M>, Failure>,
    /// Fuel that the event took. For events of one list this is the list's mean.
    pub fuel: u64,
}

/// The observation of a run of one event alone, for an author.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed<M = Operation> {
    pub projected: Projected<M>,
    /// All memory that the instance had at the end; it never shrinks.
    pub memory_bytes: usize,
    /// Lines that the guest wrote to its log, stdout and stderr.
    pub output: Vec<(tracing::Level, String)>,
}

/// A component at work for one projection. It has one instance at most, which it uses for many lists.
pub struct Guest<R: World = Projecting> {
    component: Component<R>,
    projection: Arc<str>,
    meter: Metrics,
    log_forwarder: LogForwarder<R>,
    instance: Option<Instance<R>>,
    /// Lists whose answers counted.
    lists: u64,
    /// How many of them had several events.
    long_lists: u64,
    comparisons: Comparisons,
    /// About what one event takes, so that a list stays within the budget of one.
    usual_fuel: u64,
    sampler: Sampler,
}

impl<R: World> Guest<R> {
    pub fn new(component: Component<R>, projection: &str) -> Self {
        let meter = Metrics::new(projection, R::KIND);
        let projection: Arc<str> = projection.into();
        let log_forwarder = LogForwarder::new(component.clone(), projection.clone());
        let comparisons = Comparisons::new(component.digest());
        Self {
            component,
            projection,
            meter,
            log_forwarder,
            instance: None,
            lists: 0,
            long_lists: 0,
            comparisons,
            usual_fuel: 0,
            sampler: Sampler::default(),
        }
    }

    pub fn component(&self) -> &Component<R> {
        &self.component
    }

    /// The verdicts about these events, in their order. An error is never an event's fault; when it is
    /// [`Failure::Deadline`], a run of one event alone met it.
    pub fn project(&mut self, events: &[&Event]) -> Result<Vec<Projected<R::Made>>, Failure> {
        self.log_forwarder.settle();
        let mut projected = Vec::with_capacity(events.len());
        let mut rest = events;
        while !rest.is_empty() {
            let room = self.list_length().min(rest.len());
            let (list, after) = rest.split_at(self.sampler.list_length(&rest[..room]));
            match self.project_list(list)? {
                Some(verdicts) => projected.extend(verdicts),
                None => {
                    for event in list {
                        projected.push(self.project_alone(event)?);
                    }
                }
            }
            rest = after;
        }
        Ok(projected)
    }

    /// The verdict about one event, from a fresh instance that sees nothing else.
    pub fn project_alone(&mut self, event: &Event) -> Result<Projected<R::Made>, Failure> {
        let mut instance = self.start()?;
        let projected = self.run_alone(&mut instance, event);
        self.component.record().ran(&event.event_type, instance.fuel());
        if matches!(
            &projected,
            Err(_)
                | Ok(Projected { verdict: Err(Failure::Trapped { .. } | Failure::OutOfMemory { .. }), .. })
        ) {
            instance.output().forget_errors();
        }
        self.log_forwarder.publish(&GuestLog::take(instance.output()), || event.id.spelled(), &self.meter);
        projected
    }

    /// Runs an event alone and returns its cost and its output, which is not published then.
    pub fn observe(&mut self, event: &Event) -> Result<Observed<R::Made>, Failure> {
        let mut instance = self.start()?;
        let projected = self.run_alone(&mut instance, event)?;
        let (output, _) = instance.output().take();
        Ok(Observed { projected, memory_bytes: instance.memory_bytes(), output })
    }

    /// Drops the instance, for when the last call did not end as it should.
    pub(super) fn reset(&mut self) {
        self.instance = None;
    }

    /// Nothing if the list's answers do not count. Its instance is kept only if they do.
    fn project_list(&mut self, events: &[&Event]) -> Result<Option<Vec<Projected<R::Made>>>, Failure> {
        let fuel = self.list_fuel();
        if self.component.is_impure() || self.usual_fuel > fuel {
            return Ok(None);
        }
        let mut instance = match self.instance.take() {
            Some(instance) => instance,
            None => self.start()?,
        };
        let answer = match instance.project(events, fuel) {
            Ok(answer) if answer.len() == events.len() && !instance.wanted_more_memory() => answer,
            Ok(_) | Err(_) => return Ok(None),
        };
        let fuel = instance.fuel() / events.len() as u64;
        self.meter.list(fuel);
        let Some(projected) = self.accept(answer, events, fuel)? else {
            return Ok(None);
        };
        if self.is_compared(events.len()) && !self.holds(events, &projected)? {
            return Ok(None);
        }
        if let ([event], [Projected { verdict: Ok(_), .. }]) = (events, &projected[..]) {
            self.component.record().ran(&event.event_type, fuel);
        }
        let is_whole = self.hear(&mut instance, events, &projected);
        self.lists += 1;
        self.long_lists += u64::from(events.len() > 1);
        self.learn(fuel);
        if is_whole && instance.events() < INSTANCE_EVENTS_MAX && !instance.has_grown() {
            self.instance = Some(instance);
        }
        Ok(Some(projected))
    }

    /// Takes a list's operations as they are, and asks again about each event that the list rejected. Nothing if
    /// a result is over the budget, or the second answer shows that the first came from kept state.
    fn accept(
        &mut self,
        answer: RawAnswers<R>,
        events: &[&Event],
        fuel: u64,
    ) -> Result<Option<Vec<Projected<R::Made>>>, Failure> {
        let mut projected = Vec::with_capacity(answer.len());
        for (result, event) in answer.into_iter().zip(events) {
            projected.push(match result.map(|raw| self.component.accept(event, raw)) {
                Ok(Ok(made)) => Projected { verdict: Ok(made), fuel },
                Ok(Err(_)) => return Ok(None),
                Err(_) => {
                    let alone = self.project_alone(event)?;
                    if alone.verdict.is_ok() {
                        self.distrust(event);
                        return Ok(None);
                    }
                    alone
                }
            });
        }
        Ok(Some(projected))
    }

    /// From here on the component is run one event at a time, everywhere.
    fn distrust(&self, event: &Event) {
        self.meter.impure();
        if self.component.record().mark_impure() {
            tracing::warn!(
                projection = &*self.projection,
                digest = self.component.short_digest(),
                event = %event.id.spelled(),
                "the {} answers otherwise about this event among others than alone: it keeps state, or looks at an event's \
                 place in its list. From here on it gets each event on a fresh instance, which is slower; fix it and \
                 deploy it again. Earlier answers may be wrong: `laterna verify` finds out",
                R::KIND.noun()
            );
        }
    }

    fn run_alone(
        &mut self,
        instance: &mut Instance<R>,
        event: &Event,
    ) -> Result<Projected<R::Made>, Failure> {
        let run = instance.project(&[event], self.component.budget().fuel);
        let fuel = instance.fuel();
        self.meter.alone(fuel);
        self.learn(fuel);
        let verdict = run.and_then(only_result::<R>).and_then(|raw| self.component.accept(event, raw));
        match verdict {
            Err(_) if instance.wanted_more_memory() => {
                let limit_bytes = self.component.budget().memory_bytes;
                Ok(Projected { verdict: Err(Failure::OutOfMemory { limit_bytes }), fuel })
            }
            Err(failure) if failure.fault() != Fault::Event => Err(failure),
            Err(Failure::Rejected { kind, mut reason }) => {
                if let Some(hint) = instance.missed().rejected() {
                    reason = format!("{reason}\n{hint}");
                }
                Ok(Projected { verdict: Err(Failure::Rejected { kind, reason }), fuel })
            }
            verdict => Ok(Projected { verdict, fuel }),
        }
    }

    /// A fresh instance. One started when the component was loaded, so that it fails now is not an event's fault.
    fn start(&mut self) -> Result<Instance<R>, Failure> {
        self.meter.instance();
        let started = Instance::start(self.component.code(), self.component.budget());
        started.map(|(instance, _)| instance).map_err(|failure| match failure.fault() {
            Fault::Event => Failure::misconfigured(
                format!("the {} started when it was loaded, but not now: {failure}", R::KIND.noun()),
                "deploy a component whose start does nothing that can fail",
            ),
            _ => failure,
        })
    }

    /// A fresh instance may have to do what a used one has done before: the other half is for that.
    fn list_fuel(&self) -> u64 {
        self.component.budget().fuel / 2
    }

    /// The number of events that usually take half of a list's fuel.
    fn list_length(&self) -> usize {
        let events = self.list_fuel() / 2 / self.usual_fuel.max(1);
        usize::try_from(events).unwrap_or(usize::MAX).max(1)
    }

    fn learn(&mut self, fuel: u64) {
        self.usual_fuel = match self.usual_fuel {
            0 => fuel,
            usual => usual / 4 * 3 + fuel / 4,
        };
    }

    /// Publishes the lines of a list. Which event of it a line is about, only the guest knows: so they are run again,
    /// one by one, to be heard, as long as there is room for lines. False when the instance cannot be used any more.
    fn hear(&self, instance: &mut Instance<R>, events: &[&Event], projected: &[Projected<R::Made>]) -> bool {
        let mut log = GuestLog::take(instance.output());
        let mut is_whole = true;
        if events.len() > 1 {
            for (event, Projected { verdict, .. }) in events.iter().zip(projected) {
                if log.is_empty() || !is_whole || !self.log_forwarder.has_room() {
                    break;
                }
                is_whole = instance.project(&[event], self.list_fuel()).is_ok();
                if !is_whole {
                    instance.output().forget_errors();
                }
                let again = GuestLog::take(instance.output());
                log.forget(&again);
                // What was rejected was run alone, and heard then.
                if verdict.is_err() {
                    continue;
                }
                self.log_forwarder.publish(&again, || event.id.spelled(), &self.meter);
            }
        }
        // A line that does not come again came of something that the guest kept.
        let about = || match events {
            [] => String::new(),
            [event] => event.id.spelled(),
            [first, .., last] => {
                format!("one of {} from {} to {}", events.len(), first.id.spelled(), last.id.spelled())
            }
        };
        self.log_forwarder.publish(&log, about, &self.meter);
        is_whole
    }
}

fn only_result<R: World>(mut answer: RawAnswers<R>) -> Result<Vec<R::Raw>, Failure> {
    match (answer.len(), answer.pop()) {
        (1, Some(result)) => result.map_err(Into::into),
        (results, _) => Err(Failure::Trapped {
            message: format!(
                "it answered one event with {results} results: `project` returns one for each event"
            ),
        }),
    }
}

#[cfg(test)]
mod tests;
