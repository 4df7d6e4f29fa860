//! Statistics of a component while it works, for people: the cost of its events, by type, and whether it kept state.
//!
//! How a list's fuel divides among its events, nobody knows but the guest. So an event's cost is only taken from runs
//! of that event by itself: [`Sampler`] cuts such runs out of the lists, often at first and then seldom.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;
use serde::{Deserialize, Serialize};

use super::log_limit::LogLimit;
use crate::event::Event;

/// Event types that are counted by themselves; later ones are counted together.
const TYPES_MAX: usize = 64;
/// The name of those.
const OTHERS: &str = "(others)";

/// Of each event type, one event in so many is run by itself: at first, and after some time.
const SAMPLE_FIRST: u32 = 16;
const SAMPLE_LAST: u32 = 1024;

/// A bucket is at most an eighth wider than its lower end.
const BUCKET_BITS: u32 = 3;

/// Statistics of one component on this host since it was loaded; all that run it write here.
#[derive(Default)]
pub struct Stats {
    impure: AtomicBool,
    costs: Mutex<BTreeMap<String, Cost>>,
    limit: LogLimit,
}

/// The cost of events of one type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TypeCost {
    #[serde(rename = "type")]
    pub event_type: String,
    /// How many events were run by themselves. The numbers that follow are theirs.
    pub runs: u64,
    /// The fuel of all of them.
    pub total: u64,
    pub mean: u64,
    /// 99 of 100 took no more, rounded up by at most an eighth.
    pub p99: u64,
    pub max: u64,
}

#[derive(Default)]
struct Cost {
    runs: u64,
    total: u64,
    max: u64,
    runs_by_fuel: Buckets,
}

/// How many numbers there were, by their first bits.
#[derive(Debug, Clone, Default)]
pub struct Buckets(BTreeMap<u64, u64>);

impl Buckets {
    pub fn add(&mut self, number: u64) {
        self.add_many(number, 1);
    }

    /// Counts a number that came so many times.
    pub fn add_many(&mut self, number: u64, times: u64) {
        *self.0.entry(bucket(number)).or_default() += times;
    }

    /// Adds what others counted.
    pub fn merge(&mut self, others: &Self) {
        for (bucket, count) in &others.0 {
            *self.0.entry(*bucket).or_default() += count;
        }
    }

    /// How many numbers there were.
    pub fn count(&self) -> u64 {
        self.0.values().sum()
    }

    /// So many of 100 were no larger than this, rounded up by at most an eighth; none where there was no number.
    pub fn quantile(&self, percent: u64) -> Option<u64> {
        let count = self.count();
        let enough = count - count * (100 - percent) / 100;
        let mut seen = 0;
        let found = self.0.iter().find(|(_, count)| {
            seen += **count;
            seen >= enough
        });
        found.map(|(bucket, _)| upper_end(*bucket))
    }

    /// How many numbers were in each range, by the upper ends of the ranges. Those beyond the last one are in it.
    pub fn by_range(&self, ends: &[u64]) -> Vec<u64> {
        let mut counts = vec![0; ends.len()];
        for (bucket, count) in &self.0 {
            let place =
                ends.partition_point(|end| *end < upper_end(*bucket)).min(ends.len().saturating_sub(1));
            if let Some(range) = counts.get_mut(place) {
                *range += count;
            }
        }
        counts
    }
}

impl Stats {
    /// It was caught answering from state it kept.
    pub fn is_impure(&self) -> bool {
        self.impure.load(Ordering::Relaxed)
    }

    /// Marks the component as impure, and returns true the first time.
    pub(super) fn mark_impure(&self) -> bool {
        !self.impure.swap(true, Ordering::Relaxed)
    }

    /// The part of its output that is still published.
    pub(super) fn limit(&self) -> &LogLimit {
        &self.limit
    }

    /// An event was run by itself.
    pub(super) fn ran(&self, event_type: &str, fuel: u64) {
        let mut costs = self.costs();
        let known = costs.contains_key(event_type) || costs.len() < TYPES_MAX;
        let cost = costs.entry(if known { event_type } else { OTHERS }.to_owned()).or_default();
        cost.runs += 1;
        cost.total = cost.total.saturating_add(fuel);
        cost.max = cost.max.max(fuel);
        cost.runs_by_fuel.add(fuel);
    }

    /// The cost of events so far, by type.
    pub fn types(&self) -> Vec<TypeCost> {
        self.costs().iter().map(|(event_type, cost)| cost.of(event_type)).collect()
    }

    fn costs(&self) -> MutexGuard<'_, BTreeMap<String, Cost>> {
        self.costs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cost {
    fn of(&self, event_type: &str) -> TypeCost {
        let Self { runs, total, max, .. } = *self;
        let mean = total / runs.max(1);
        TypeCost { event_type: event_type.to_owned(), runs, total, mean, p99: self.p99().min(max), max }
    }

    fn p99(&self) -> u64 {
        self.runs_by_fuel.quantile(99).unwrap_or(self.max)
    }
}

/// Buckets by the number's first bits: 0, 1, 2, … 15, 16-17, 18-19, … 32-35, and so on.
fn bucket(fuel: u64) -> u64 {
    let shift = (u64::BITS - fuel.leading_zeros()).saturating_sub(BUCKET_BITS + 1);
    (u64::from(shift) << BUCKET_BITS) + (fuel >> shift)
}

/// The largest number of a bucket.
fn upper_end(bucket: u64) -> u64 {
    let shift = (bucket >> BUCKET_BITS).saturating_sub(1);
    let first = bucket - (shift << BUCKET_BITS);
    ((first + 1).checked_shl(u32::try_from(shift).unwrap_or(u32::MAX)).unwrap_or(0)).wrapping_sub(1)
}

/// Chooses which events are run by themselves: of each type one in 16, then in 32, and one in 1024 in the end.
#[derive(Default)]
pub(super) struct Sampler {
    places: HashMap<String, usize, RandomState>,
    all: Vec<Due>,
}

struct Due {
    passed: u32,
    interval: u32,
}

impl Sampler {
    /// How many of these events are to be run together: all before the next one to be measured, or that one alone.
    pub(super) fn list_length(&mut self, events: &[&Event]) -> usize {
        for (place, event) in events.iter().enumerate() {
            let due = self.due(&event.event_type);
            if due.passed + 1 < due.interval {
                due.passed += 1;
                continue;
            }
            if place > 0 {
                return place;
            }
            *due = Due { passed: 0, interval: (due.interval * 2).min(SAMPLE_LAST) };
            return 1;
        }
        events.len()
    }

    fn due(&mut self, event_type: &str) -> &mut Due {
        let place = match self.places.get(event_type) {
            Some(place) => *place,
            None => self.add(event_type),
        };
        &mut self.all[place]
    }

    /// The place of a type that was not seen before. Those that come too late share the last one.
    fn add(&mut self, event_type: &str) -> usize {
        if self.all.len() <= TYPES_MAX {
            self.all.push(Due { passed: 0, interval: SAMPLE_FIRST });
        }
        let place = self.all.len() - 1;
        if place < TYPES_MAX {
            self.places.insert(event_type.to_owned(), place);
        }
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::projector::test_component::event;

    fn named(event_type: &str) -> Event {
        Event { event_type: event_type.into(), ..event(1) }
    }

    #[test]
    fn a_types_cost_has_a_mean_a_high_quantile_and_a_maximum() {
        let record = Stats::default();
        for fuel in (1..=1000).map(|n| n * 1000) {
            record.ran("Opened", fuel);
        }
        let [cost] = &record.types()[..] else { panic!("one type was run") };
        assert_eq!((cost.runs, cost.mean, cost.max), (1000, 500_500, 1_000_000));
        assert!((990_000..=990_000 * 9 / 8).contains(&cost.p99), "{cost:?}");
        let one = Stats::default();
        one.ran("Opened", 41_234);
        assert_eq!((one.types()[0].p99, one.types()[0].max), (41_234, 41_234));
    }

    #[test]
    fn quantiles_are_of_all_that_was_merged_and_ranges_count_each_number_once() {
        let (mut some, mut others) = (Buckets::default(), Buckets::default());
        assert_eq!((some.quantile(50), some.count()), (None, 0));
        (1..=90).for_each(|number| some.add(number));
        (0..10).for_each(|_| others.add(1000));
        some.merge(&others);
        assert_eq!(some.count(), 100);
        let near = |number: Option<u64>, expected: u64| {
            assert!(
                number.is_some_and(|number| (expected..=expected * 9 / 8).contains(&number)),
                "{number:?}"
            );
        };
        near(some.quantile(50), 50);
        near(some.quantile(90), 90);
        near(some.quantile(99), 1000);
        let ranges = some.by_range(&[10, 100, 500]);
        assert_eq!(ranges, [10, 80, 10], "the last one has what lies beyond");
        assert_eq!(Buckets::default().by_range(&[]), [0_u64; 0]);
    }

    #[test]
    fn a_bucket_is_never_much_wider_than_what_is_in_it() {
        let mut last = 0;
        for fuel in (0..5000).chain((13..64).flat_map(|bit| [(1 << bit) - 1, 1 << bit])).chain([u64::MAX]) {
            let end = upper_end(bucket(fuel));
            assert!(end >= fuel && end - fuel <= fuel / 8, "{fuel} is in a bucket up to {end}");
            assert!(bucket(fuel) >= last, "{fuel}");
            last = bucket(fuel);
        }
    }

    #[test]
    fn no_more_types_are_told_apart_than_have_room() {
        let record = Stats::default();
        let mut sampler = Sampler::default();
        for number in 0..1000 {
            let event = named(&format!("type{number}"));
            record.ran(&event.event_type, 1);
            sampler.list_length(&[&event]);
        }
        let types = record.types();
        let others = types.iter().find(|cost| cost.event_type == OTHERS).expect("they are counted");
        assert_eq!((types.len(), others.runs), (TYPES_MAX + 1, 1000 - TYPES_MAX as u64));
        assert_eq!((sampler.places.len(), sampler.all.len()), (TYPES_MAX, TYPES_MAX + 1));
    }

    #[test]
    fn each_type_is_measured_soon_and_then_seldom() {
        let (often, rare) = (named("often"), named("rare"));
        // Twenty of the rare ones among 200,000, in lists of 500.
        let events: Vec<&Event> =
            (0..200_000).map(|n| if n % 10_000 == 5_000 { &rare } else { &often }).collect();
        let mut sampler = Sampler::default();
        let mut measured = BTreeMap::<&str, u32>::new();
        let mut lists = 0;
        for mut rest in events.chunks(500) {
            while !rest.is_empty() {
                let length = sampler.list_length(rest);
                if length == 1 {
                    *measured.entry(&rest[0].event_type).or_default() += 1;
                }
                rest = &rest[length..];
                lists += 1;
            }
        }
        assert_eq!(measured["rare"], 1);
        assert!((200..=210).contains(&measured["often"]), "{measured:?}");
        assert!(lists < 400 + 2 * 220, "{lists} lists");
    }
}
