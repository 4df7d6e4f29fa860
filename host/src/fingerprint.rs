//! Hashes of event ids: the keyed hash of one id, which the dedupe window compares, and the order-free sum of such hashes, which
//! compares sets of events.
//!
//! No I/O and no driver types. Where sums are kept belongs to `readmodel`.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use siphasher::sip128::SipHasher24;

use crate::event::Id;

/// Ids with longer keys are rare.
const KEY_BYTES: usize = 64;

/// The key of an installation's hashes: random, stored once in its control schema, shown to nobody. Clients choose the ids
/// of events, so a hash that anybody can compute could be made to collide.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Seed([u8; 16]);

impl Seed {
    pub fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The mark of an event: SipHash-2-4 with 128 bits, of its id's key. Sums of marks are stored, so it never changes.
    pub fn mark(&self, id: &Id) -> u128 {
        // In one piece: the hasher is slow at pieces that are not whole words.
        let length = id.key_bytes();
        if length > KEY_BYTES {
            return self.mark_of_key(&id.key());
        }
        let (mut key, mut end) = ([0; KEY_BYTES], 0);
        id.write_key(|bytes| {
            key[end..end + bytes.len()].copy_from_slice(bytes);
            end += bytes.len();
        });
        self.mark_of_key(&key[..length])
    }

    /// The mark of the id with this key, or of other bytes that stand for an event.
    pub fn mark_of_key(&self, key: &[u8]) -> u128 {
        SipHasher24::new_with_key(&self.0).hash(key).as_u128()
    }
}

/// Marks are hashes with a secret key already: a set of them hashes no more.
pub type MarkSet = HashSet<u128, BuildHasherDefault<MarkHasher>>;

/// Takes a mark's first half for its hash.
#[derive(Debug, Default)]
pub struct MarkHasher(u64);

impl Hasher for MarkHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "half of a mark is as good a hash as all of it")]
    fn write_u128(&mut self, mark: u128) {
        self.0 = mark as u64;
    }
}

/// It is a secret.
impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed(..)")
    }
}

/// Which events these are, whatever their order: how many, and the wrapping sum of their marks. Two sets of events with one
/// fingerprint are the same set, but for one chance in 2^128.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fingerprint {
    pub events: u64,
    pub sum: u128,
}

impl Fingerprint {
    /// That of events of which none comes twice.
    pub fn of<'a>(seed: &Seed, ids: impl IntoIterator<Item = &'a Id>) -> Self {
        ids.into_iter().fold(Self::default(), |all, id| all.with(seed.mark(id)))
    }

    /// With one event more.
    #[must_use]
    pub fn with(self, mark: u128) -> Self {
        Self { events: self.events + 1, sum: self.sum.wrapping_add(mark) }
    }

    /// That of two sets which share no event.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { events: self.events + other.events, sum: self.sum.wrapping_add(other.sum) }
    }
}

/// Looks for a set of events of which only the fingerprint is known, and the newest ids, among ids that come in about the
/// order in which events were committed: older ones of the set, then newer ones and the newest of the set, mixed.
///
/// Nothing of that order is trusted: if the sum is right, all of the set are there. If it is not, some are missing, or the
/// order was another one.
pub struct Search {
    wanted: Fingerprint,
    /// The marks of the newest of the set that did not come yet.
    newest: HashSet<u128>,
    /// Those of them that came.
    met: Fingerprint,
    /// Those that came first of all others, which are as many as belong to the set for certain.
    first: Fingerprint,
    certain: u64,
    /// Those that came next, of which the first may belong to the set.
    next: Vec<u128>,
    next_max: usize,
}

impl Search {
    pub fn new(wanted: Fingerprint, newest: HashSet<u128>) -> Self {
        let next_max = newest.len();
        let certain = wanted.events.saturating_sub(u64::try_from(next_max).unwrap_or(u64::MAX));
        let (met, first) = (Fingerprint::default(), Fingerprint::default());
        Self { wanted, newest, met, first, certain, next: Vec::new(), next_max }
    }

    /// Takes the next event that is there; none may come twice.
    pub fn take(&mut self, mark: u128) {
        if self.newest.remove(&mark) {
            self.met = self.met.with(mark);
        } else if self.first.events < self.certain {
            self.first = self.first.with(mark);
        } else if self.next.len() < self.next_max {
            self.next.push(mark);
        }
    }

    /// Returns true where all events of the set came.
    pub fn is_whole(&self) -> bool {
        let more = self.wanted.events.checked_sub(self.met.events + self.first.events);
        let more = more.and_then(|more| self.next.get(..usize::try_from(more).ok()?));
        let all = |more: &[u128]| more.iter().fold(self.met.and(self.first), |all, mark| all.with(*mark));
        more.is_some_and(|more| all(more) == self.wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(numbers: std::ops::Range<i64>) -> Vec<Id> {
        numbers.map(Id::Integer).collect()
    }

    fn seed() -> Seed {
        Seed::new(std::array::from_fn(|at| u8::try_from(at).expect("it is small")))
    }

    #[test]
    fn a_mark_never_changes() {
        let marks = [Id::Integer(5), Id::Text("5".into())].map(|id| seed().mark(&id));
        assert_eq!(
            marks.map(|mark| format!("{mark:032x}")),
            ["305e5d014f1d10930066b014002207d8", "ee73808f9f9ce5789f30a07ddb17c3ae"]
        );
    }

    #[test]
    fn the_order_of_events_and_their_parts_do_not_count() {
        let all = ids(0..100);
        let whole = Fingerprint::of(&seed(), &all);
        assert_eq!(whole, Fingerprint::of(&seed(), all.iter().rev()));
        let (one, other) = all.split_at(33);
        assert_eq!(whole, Fingerprint::of(&seed(), one).and(Fingerprint::of(&seed(), other)));
        assert_eq!((whole.events, Fingerprint::of(&seed(), &[]).sum), (100, 0));
    }

    /// Returns true where events are found among those that are there, when the newest of them are known.
    fn found(there: impl IntoIterator<Item = i64>, events: std::ops::Range<i64>, newest: i64) -> bool {
        let mark = |number| seed().mark(&Id::Integer(number));
        let known = (events.end - newest..events.end).map(mark).collect();
        let mut search = Search::new(Fingerprint::of(&seed(), &ids(events)), known);
        there.into_iter().for_each(|number| search.take(mark(number)));
        search.is_whole()
    }

    #[test]
    fn events_are_found_among_newer_ones_and_one_that_is_missing_is_not_made_up_for() {
        for newest in [0, 1, 10, 100] {
            assert!(found(0..100, 0..100, newest), "{newest}");
            assert!(found(0..170, 0..100, newest), "{newest}");
            for missing in [0, 40, 89, 90, 99] {
                let there = (0..170).filter(|number| *number != missing);
                assert!(!found(there, 0..100, newest), "{missing} of {newest}");
            }
        }
        assert!(found(0..0, 0..0, 0) && !found(0..0, 0..1, 0) && found(0..9, 0..0, 0));
    }

    #[test]
    fn the_newest_may_come_in_any_order_among_others() {
        let there = (0..90).chain((95..110).rev()).chain(200..250).chain((90..95).rev());
        assert!(found(there.clone(), 0..100, 10));
        // An older one that came late is not found: that is reported, rather than that all is well.
        assert!(!found(there, 0..100, 5));
    }

    #[test]
    fn one_event_for_another_shows_and_so_does_another_seed() {
        let (all, others) = (ids(0..100), ids(1..101));
        assert_ne!(Fingerprint::of(&seed(), &all), Fingerprint::of(&seed(), &others));
        assert_ne!(Fingerprint::of(&seed(), &all), Fingerprint::of(&Seed::new([7; 16]), &all));
    }
}
