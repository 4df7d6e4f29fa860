//! How a list's answers are compared with those of fresh instances, to find out who keeps state or looks at an event's
//! place in its list. It judges no event.

use std::collections::BTreeSet;

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::{Guest, Projected};
use crate::event::Event;
use crate::failure::Failure;
use crate::projector::world::World;

/// One comparison in so many is with each event alone.
const WHOLE_EVERY: u64 = 16;

/// Of so many events of a list at most: each takes a fresh instance.
const WHOLE_EVENTS_MAX: usize = 100;

/// Which lists are compared, and in which way. Drawn by numbers that no guest sees, and the same in every run.
pub(super) struct Comparisons {
    seed: u64,
    draws: u64,
    made: u64,
}

impl Comparisons {
    pub(super) fn new(digest: &str) -> Self {
        Self { seed: xxh3_64(digest.as_bytes()), draws: 0, made: 0 }
    }

    /// A number below `end`, which is not 0.
    fn draw(&mut self, end: usize) -> usize {
        self.draws += 1;
        let drawn = xxh3_64_with_seed(&self.draws.to_le_bytes(), self.seed) % end as u64;
        usize::try_from(drawn).expect("it is below a usize")
    }

    /// The events of a list that are asked about alone: the first, the last and any one; now and then all.
    fn alone(&mut self, events: usize) -> BTreeSet<usize> {
        self.made += 1;
        let any = self.draw(events);
        if self.made.is_multiple_of(WHOLE_EVERY) {
            return (0..events.min(WHOLE_EVENTS_MAX)).map(|place| (any + place) % events).collect();
        }
        BTreeSet::from([0, any, events - 1])
    }
}

impl<R: World> Guest<R> {
    /// One list in so many, the second one first. Lists of several events, which show more, are counted by themselves, too,
    /// and of these the first one is compared.
    pub(super) fn is_compared(&self, events: usize) -> bool {
        let every = self.component.budget().compare_every.max(1);
        self.lists % every == 1 % every || (events > 1 && self.long_lists.is_multiple_of(every))
    }

    /// Checks that fresh instances answer the same about a list's events: about some of them alone, and about all of
    /// them when the list is divided and its parts change places.
    pub(super) fn holds(
        &mut self,
        events: &[&Event],
        projected: &[Projected<R::Made>],
    ) -> Result<bool, Failure> {
        if events.is_empty() {
            return Ok(true);
        }
        for place in self.comparisons.alone(events.len()) {
            let mut instance = self.start()?;
            let alone = self.run_alone(&mut instance, events[place])?;
            if alone.verdict != projected[place].verdict {
                self.distrust(events[place]);
                return Ok(false);
            }
        }
        self.holds_divided(events, projected)
    }

    fn holds_divided(
        &mut self,
        events: &[&Event],
        projected: &[Projected<R::Made>],
    ) -> Result<bool, Failure> {
        if events.len() < 2 {
            return Ok(true);
        }
        let at = 1 + self.comparisons.draw(events.len() - 1);
        let mut instance = self.start()?;
        for part in [at..events.len(), 0..at] {
            let (events, projected) = (&events[part.clone()], &projected[part]);
            // What does not answer within the budget of a list shows nothing.
            let Ok(answer) = instance.project(events, self.list_fuel()) else { return Ok(true) };
            if instance.wanted_more_memory() {
                return Ok(true);
            }
            self.meter.list(instance.fuel() / events.len() as u64);
            if answer.len() != events.len() {
                self.distrust(events[0]);
                return Ok(false);
            }
            for ((result, event), listed) in answer.into_iter().zip(events).zip(projected) {
                let holds = match result {
                    Ok(raw) => self.component.accept(event, raw) == listed.verdict,
                    // Its words may say what is found out in a run of the event alone only.
                    Err(_) => listed.verdict.is_err(),
                };
                if !holds {
                    self.distrust(event);
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_the_last_and_any_event_are_asked_about_alone_and_now_and_then_all() {
        let mut comparisons = Comparisons::new("digest");
        let mut drawn = BTreeSet::new();
        for made in 1..=640_u64 {
            let places = comparisons.alone(40);
            assert!(places.iter().all(|place| *place < 40), "{places:?}");
            if made.is_multiple_of(WHOLE_EVERY) {
                assert_eq!(places.len(), 40);
            } else {
                assert!(places.contains(&0) && places.contains(&39) && places.len() <= 3, "{places:?}");
                drawn.extend(places);
            }
        }
        assert_eq!(drawn.len(), 40, "each place has its turn");
        assert_eq!(comparisons.alone(1), BTreeSet::from([0]));
        let mut again = Comparisons::new("digest");
        let mut other = Comparisons::new("another");
        let [first, second, third] = [&mut Comparisons::new("digest"), &mut again, &mut other]
            .map(|all| [(); 20].map(|()| all.draw(1000)));
        assert!(first == second && first != third, "draws depend on the component and on nothing else");
    }

    #[test]
    fn no_more_than_a_hundred_events_are_asked_about_alone() {
        let mut comparisons = Comparisons::new("digest");
        let longest = (0..WHOLE_EVERY).map(|_| comparisons.alone(5000).len()).max();
        assert_eq!(longest, Some(WHOLE_EVENTS_MAX));
    }
}
