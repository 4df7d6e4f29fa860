//! An endless stream of events that a bank could have: the same seed gives the same events. No I/O.

use bson::{DateTime, Uuid};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use crate::{Change, Event};

/// 2026-01-01T00:00:00Z.
const FIRST_MOMENT_MS: i64 = 1_767_225_600_000;

const FIRST_NAMES: [&str; 8] = ["Ada", "José", "李娜", "Zoë", "Łukasz", "O'Brien", "Noor", "🦀 Ferris"];
const LAST_NAMES: [&str; 6] = ["Lovelace", "Müller", "Þórsdóttir", "Nguyễn", "Smith", "\"Quote\" \\ Slash"];

/// Events over a number of accounts that are open at the same time. A closed account never comes back: a new one
/// is opened in its place.
#[derive(Debug)]
pub struct Generator {
    seed: u64,
    random: StdRng,
    now_ms: i64,
    opened: u64,
    places: Vec<Option<Account>>,
}

#[derive(Debug)]
struct Account {
    id: String,
    sequence: i64,
    balance_cents: i64,
}

impl Generator {
    /// The account ids contain the seed, so generators with different seeds can write side by side.
    pub fn new(seed: u64, accounts: usize) -> Self {
        assert!(accounts > 0, "a bank has at least one account");
        Self {
            seed,
            random: StdRng::seed_from_u64(seed),
            now_ms: FIRST_MOMENT_MS,
            opened: 0,
            places: (0..accounts).map(|_| None).collect(),
        }
    }

    fn open(&mut self) -> (Account, Change) {
        self.opened += 1;
        let id = format!("account-{}-{:06}", self.seed, self.opened);
        let balance_cents =
            if self.random.random_bool(0.5) { 0 } else { self.random.random_range(1..=100_000) };
        (Account { id, sequence: 0, balance_cents }, Change::Opened { owner: self.name(), balance_cents })
    }

    fn change(&mut self, account: &Account) -> Change {
        let balance_cents = account.balance_cents;
        match self.random.random_range(0..100) {
            0..4 => Change::Closed,
            4..10 => Change::Renamed { owner: self.name() },
            10..45 if balance_cents > 0 => {
                let amount_cents = self.random.random_range(1..=balance_cents);
                Change::Withdrawn { amount_cents, balance_cents: balance_cents - amount_cents }
            }
            _ => {
                let amount_cents = self.random.random_range(1..=50_000);
                Change::Deposited { amount_cents, balance_cents: balance_cents + amount_cents }
            }
        }
    }

    fn name(&mut self) -> String {
        let [first, last] = [&FIRST_NAMES[..], &LAST_NAMES[..]]
            .map(|names| names.choose(&mut self.random).expect("the lists of names are not empty"));
        format!("{first} {last}")
    }

    /// A random UUID, version 4.
    fn uuid(&mut self) -> Uuid {
        let mut bytes: [u8; 16] = self.random.random();
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Uuid::from_bytes(bytes)
    }
}

/// Never ends.
impl Iterator for Generator {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        let place = self.random.random_range(0..self.places.len());
        let (mut account, change) = match self.places[place].take() {
            None => self.open(),
            Some(account) => {
                let change = self.change(&account);
                (account, change)
            }
        };
        account.sequence += 1;
        account.balance_cents = change.balance_cents().unwrap_or(account.balance_cents);
        self.now_ms += self.random.random_range(1..500);

        let event = Event {
            id: self.uuid(),
            account_id: account.id.clone(),
            sequence: account.sequence,
            occurred_at: DateTime::from_millis(self.now_ms),
            change,
        };
        if event.change != Change::Closed {
            self.places[place] = Some(account);
        }
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_events_and_another_seed_others() {
        let events = |seed| Generator::new(seed, 10).take(500).collect::<Vec<_>>();
        assert_eq!(events(1), events(1));
        assert_ne!(events(1), events(2));
    }

    #[test]
    fn sequences_have_no_gaps_and_nothing_happens_to_an_account_before_it_opens_or_after_it_closes() {
        let mut last: BTreeMap<String, Event> = BTreeMap::new();
        for event in Generator::new(3, 20).take(20_000) {
            let previous = last.get(&event.account_id);
            assert_eq!(event.sequence, 1 + previous.map_or(0, |previous| previous.sequence));
            assert_eq!(event.sequence == 1, matches!(event.change, Change::Opened { .. }));
            assert!(previous.is_none_or(|previous| previous.change != Change::Closed), "{event:?}");
            assert!(event.change.balance_cents().is_none_or(|balance| balance >= 0), "{event:?}");
            last.insert(event.account_id.clone(), event);
        }
        assert!(last.values().filter(|event| event.change != Change::Closed).count() <= 20);
    }

    #[test]
    fn event_ids_differ_and_all_kinds_of_events_occur() {
        let events: Vec<Event> = Generator::new(4, 5).take(2_000).collect();
        let ids: BTreeSet<[u8; 16]> = events.iter().map(|event| event.id.bytes()).collect();
        let types: BTreeSet<&str> = events.iter().map(|event| event.change.event_type()).collect();
        assert_eq!((ids.len(), types.len()), (2_000, 5));
    }

    #[test]
    fn generators_with_different_seeds_use_different_accounts() {
        let accounts =
            |seed| Generator::new(seed, 5).take(500).map(|event| event.account_id).collect::<BTreeSet<_>>();
        assert!(accounts(1).is_disjoint(&accounts(2)));
    }
}
