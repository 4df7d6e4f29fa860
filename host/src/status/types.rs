//! Events by their type: those that the projector does not take, and how long MySQL takes for the others.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use foldhash::fast::RandomState;
use metrics::{counter, histogram};
use serde::{Deserialize, Serialize};

use super::measures::COMMIT_BY_TYPE;
use super::{Status, StatusState};
use crate::readmodel::lane::batch::{Batch, Passed, Verdict};
use crate::statement::Deployed;
use crate::text::{alike, quoted};

/// How many types are told apart; types come from outside.
const TYPES_MAX: usize = 64;

/// The type under which all others are counted.
const OTHERS: &str = "(others)";

/// How many events of a type came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TypeCount {
    #[serde(rename = "type")]
    pub event_type: String,
    pub events: u64,
    /// A type that the projector takes, and that is spelled nearly as this one, if there is any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alike: Option<String>,
}

/// What is said of a type that no projector takes, where it takes one that is spelled nearly so.
pub fn misspelled(alike: &str) -> String {
    format!("; it names `{alike}`: is one of the two misspelled?")
}

/// The types that were seen since the host was started.
#[derive(Default)]
pub(super) struct SeenTypes {
    /// Those that the projector does not take.
    unhandled: BTreeMap<String, Untaken>,
    /// Those that it takes, each with what its events cost.
    applied: BTreeMap<String, CommitCost>,
}

/// A type that the projector does not take.
#[derive(Default)]
struct Untaken {
    events: u64,
    /// The component that was asked for a type that is spelled nearly so, and what came of it.
    asked: String,
    alike: Option<String>,
}

/// What the events of one type took of the transactions that they were in.
#[derive(Default)]
struct CommitCost {
    events: u64,
    time: Duration,
}

/// How long events of a type take in MySQL: each has its share of its transaction's time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TypeTime {
    #[serde(rename = "type")]
    pub event_type: String,
    pub events: u64,
    /// Microseconds of one event, on average.
    pub mean_us: u64,
}

impl SeenTypes {
    pub(super) fn commit_times(&self) -> Vec<TypeTime> {
        let timed = self.applied.iter().filter(|(_, cost)| cost.events > 0);
        let one = |(name, cost): (&String, &CommitCost)| TypeTime {
            event_type: name.clone(),
            events: cost.events,
            mean_us: u64::try_from(cost.time.as_micros()).unwrap_or(u64::MAX) / cost.events,
        };
        timed.map(one).collect()
    }

    fn took(&mut self, event_type: &str, events: usize, of_each: Duration) {
        let cost = self.applied.entry(event_type.to_owned()).or_default();
        cost.events += events as u64;
        cost.time += of_each * u32::try_from(events).unwrap_or(u32::MAX);
    }

    pub(super) fn unhandled(&self) -> Vec<TypeCount> {
        let one = |(name, untaken): (&String, &Untaken)| TypeCount {
            event_type: name.clone(),
            events: untaken.events,
            alike: untaken.alike.clone(),
        };
        self.unhandled.iter().map(one).collect()
    }

    /// Counts events that a component passes by. Returns the type that it takes instead, where it is asked for the first time
    /// and one is spelled nearly so.
    fn passes_by(&mut self, event_type: &str, events: usize, by: &Deployed) -> Option<String> {
        let untaken = self.unhandled.entry(event_type.to_owned()).or_default();
        untaken.events += events as u64;
        // An upcaster may have made others of it.
        if event_type == OTHERS || by.takes(event_type) || untaken.asked == by.digest {
            return None;
        }
        by.digest.clone_into(&mut untaken.asked);
        let upcast = by.upcaster.iter().flat_map(|upcaster| &upcaster.event_types);
        let taken = by.manifest.event_types.iter().chain(upcast).map(String::as_str);
        untaken.alike = alike(event_type, taken).map(str::to_owned);
        untaken.alike.clone()
    }
}

/// The name under which a type is counted.
fn counted<'a, T: Default>(known: &mut BTreeMap<String, T>, event_type: &'a str) -> &'a str {
    if !known.contains_key(event_type) {
        if known.len() >= TYPES_MAX {
            known.entry(OTHERS.to_owned()).or_default();
            return OTHERS;
        }
        known.insert(event_type.to_owned(), T::default());
    }
    event_type
}

/// The share of one type in a batch.
#[derive(Default)]
struct TypeShare {
    events: usize,
    operations: usize,
}

/// The events of a batch by their type, whatever the types are.
#[derive(Default)]
struct ByType<'a>(HashMap<&'a str, TypeShare, RandomState>);

impl<'a> ByType<'a> {
    fn add(&mut self, event_type: &'a str, operations: usize) {
        self.0.entry(event_type).or_default().add(&TypeShare { events: 1, operations });
    }

    /// The same by the names under which types are counted.
    fn counted<T: Default>(self, known: &mut BTreeMap<String, T>) -> BTreeMap<&'a str, TypeShare> {
        let mut all = BTreeMap::<&str, TypeShare>::new();
        for (event_type, share) in self.0 {
            all.entry(counted(known, event_type)).or_default().add(&share);
        }
        all
    }
}

impl TypeShare {
    fn add(&mut self, more: &Self) {
        self.events += more.events;
        self.operations += more.operations;
    }
}

/// The events of a batch by their type: those that are passed by, and those that are applied.
fn by_type(batch: &Batch) -> (ByType<'_>, ByType<'_>) {
    let (mut unhandled, mut applied) = (ByType::default(), ByType::default());
    for entry in &batch.entries {
        let Ok(event) = &entry.delivery.event else { continue };
        match &entry.verdict {
            Verdict::Pass(Passed::Unhandled) => unhandled.add(&event.event_type, 0),
            Verdict::Apply(operations) if !operations.is_empty() => {
                applied.add(&event.event_type, operations.len());
            }
            _ => {}
        }
    }
    (unhandled, applied)
}

impl Status {
    fn tell_misspelled(&self, event_type: &str, alike: &str) {
        tracing::warn!(
            projection = self.projection,
            event_type = quoted(event_type),
            "`{}` passes by events of this type, which its component does not name{}",
            self.projection,
            misspelled(alike)
        );
    }

    /// Counts a committed batch by the types of its events. Where it has several, each has its share of the time by its
    /// operations.
    pub(super) fn count_types(&self, batch: &Batch, took: Duration) {
        let (unhandled, applied) = by_type(batch);
        let mut told = Vec::new();
        let (unhandled, applied) = self.change(|StatusState { types, .. }| {
            let unhandled = unhandled.counted(&mut types.unhandled);
            for (name, share) in &unhandled {
                told.extend(types.passes_by(name, share.events, &batch.version).map(|alike| (*name, alike)));
            }
            (unhandled, applied.counted(&mut types.applied))
        });
        for (event_type, alike) in told {
            self.tell_misspelled(event_type, &alike);
        }
        let labels =
            |event_type: &str| [("projection", self.projection.clone()), ("type", event_type.to_owned())];
        for (event_type, share) in unhandled {
            counter!("laterna_unhandled_events_total", &labels(event_type)).increment(share.events as u64);
        }
        let operations: usize = applied.values().map(|share| share.operations).sum();
        let mut times = Vec::with_capacity(applied.len());
        for (event_type, share) in applied {
            #[expect(clippy::cast_precision_loss, reason = "a batch is small")]
            let of_each = took.as_secs_f64() * share.operations as f64 / (operations * share.events) as f64;
            histogram!(COMMIT_BY_TYPE, &labels(event_type)).record_many(of_each, share.events);
            times.push((event_type, share.events, Duration::from_secs_f64(of_each)));
        }
        if !times.is_empty() {
            self.change(|state| {
                for (name, events, of_each) in &times {
                    state.types.took(name, *events, *of_each);
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::statement::Manifest;

    #[test]
    fn the_time_of_a_type_is_the_mean_of_its_events() {
        let mut types = SeenTypes::default();
        counted(&mut types.applied, "Seen");
        assert!(types.commit_times().is_empty(), "nothing was applied");
        types.took("Opened", 3, Duration::from_micros(100));
        types.took("Opened", 1, Duration::from_micros(500));
        let opened = TypeTime { event_type: "Opened".into(), events: 4, mean_us: 200 };
        assert_eq!(types.commit_times(), [opened]);
    }

    #[test]
    fn a_type_that_is_misspelled_is_told_once_with_the_one_that_the_projector_takes() {
        let mut types = SeenTypes::default();
        let taking = |digest: &str, event_type: &str| {
            let empty = Deployed::empty(digest);
            let manifest = Manifest { event_types: vec![event_type.into()], ..(*empty.manifest).clone() };
            Deployed { manifest: Arc::new(manifest), ..(*empty).clone() }
        };
        let first = taking("1", "AccountOpened");
        assert_eq!(types.passes_by("AcountOpened", 2, &first).as_deref(), Some("AccountOpened"));
        assert_eq!(types.passes_by("AcountOpened", 2, &first), None, "it is told already");
        assert_eq!(types.passes_by("Moved", 1, &first), None);
        assert_eq!(types.passes_by("AccountOpened", 1, &first), None, "an upcaster made others of it");
        let second = taking("2", "Accounts");
        assert_eq!(types.passes_by("Account", 1, &second).as_deref(), Some("Accounts"));
        assert_eq!(types.passes_by("AcountOpened", 1, &first).as_deref(), None);
        let told = |event_type: &str, events, alike: Option<&str>| TypeCount {
            event_type: event_type.to_owned(),
            events,
            alike: alike.map(str::to_owned),
        };
        let expected = [
            told("Account", 1, Some("Accounts")),
            told("AccountOpened", 1, None),
            told("AcountOpened", 5, Some("AccountOpened")),
            told("Moved", 1, None),
        ];
        assert_eq!(types.unhandled(), expected);
    }

    #[test]
    fn types_beyond_a_number_are_counted_together() {
        let mut known: BTreeMap<String, u64> = BTreeMap::new();
        for n in 0..2 * TYPES_MAX {
            let name = format!("t{n}");
            let expected = if n < TYPES_MAX { name.as_str() } else { OTHERS };
            assert_eq!(counted(&mut known, &name), expected);
        }
        assert_eq!(known.len(), TYPES_MAX + 1);
        assert_eq!(counted(&mut known, "t3"), "t3", "a known one keeps its name");
    }
}
