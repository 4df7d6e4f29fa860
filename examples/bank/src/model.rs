//! What the `accounts` projector should have made of some events. No I/O, and no code shared with the projector:
//! it adds amounts up by itself.

use std::collections::BTreeMap;

use bson::DateTime;

use crate::{Change, Event};

/// The expected rows of the table `accounts`, by `account_id`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Model {
    pub rows: BTreeMap<String, Row>,
}

/// One expected row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub owner: String,
    pub balance_cents: i64,
    pub last_sequence: i64,
    pub opened_at: DateTime,
    pub updated_at: DateTime,
}

impl Model {
    /// Events of one account must come in their order; the order over accounts makes no difference.
    pub fn apply(&mut self, event: &Event) {
        let Event { account_id, sequence, occurred_at, change, .. } = event;
        match change {
            Change::Opened { owner, balance_cents } => {
                let row = Row {
                    owner: owner.clone(),
                    balance_cents: *balance_cents,
                    last_sequence: *sequence,
                    opened_at: *occurred_at,
                    updated_at: *occurred_at,
                };
                let before = self.rows.insert(account_id.clone(), row);
                assert_eq!(before, None, "account {account_id} was opened twice");
            }
            Change::Deposited { amount_cents, .. } => self.touch(event).balance_cents += amount_cents,
            Change::Withdrawn { amount_cents, .. } => self.touch(event).balance_cents -= amount_cents,
            Change::Renamed { owner } => self.touch(event).owner.clone_from(owner),
            Change::Closed => {
                self.touch(event);
                self.rows.remove(account_id);
            }
        }
    }

    /// The row of the event's account, with its sequence and time brought forward.
    fn touch(&mut self, event: &Event) -> &mut Row {
        let row = self.rows.get_mut(&event.account_id).expect("an account is opened before anything else");
        assert_eq!(row.last_sequence + 1, event.sequence, "account {} has a gap", event.account_id);
        row.last_sequence = event.sequence;
        row.updated_at = event.occurred_at;
        row
    }
}

impl<'a> FromIterator<&'a Event> for Model {
    fn from_iter<I: IntoIterator<Item = &'a Event>>(events: I) -> Self {
        let mut model = Self::default();
        for event in events {
            model.apply(event);
        }
        model
    }
}

#[cfg(test)]
mod tests {
    use bson::Uuid;

    use super::*;
    use crate::Generator;

    fn event(sequence: i64, change: Change) -> Event {
        Event {
            id: Uuid::from_bytes([0; 16]),
            account_id: "a-1".into(),
            sequence,
            occurred_at: DateTime::from_millis(sequence * 1_000),
            change,
        }
    }

    #[test]
    fn a_row_is_the_sum_of_its_events() {
        let events = [
            event(1, Change::Opened { owner: "Ada".into(), balance_cents: 100 }),
            event(2, Change::Deposited { amount_cents: 50, balance_cents: 150 }),
            event(3, Change::Withdrawn { amount_cents: 30, balance_cents: 120 }),
            event(4, Change::Renamed { owner: "Eve".into() }),
        ];
        let expect = Row {
            owner: "Eve".into(),
            balance_cents: 120,
            last_sequence: 4,
            opened_at: DateTime::from_millis(1_000),
            updated_at: DateTime::from_millis(4_000),
        };
        assert_eq!(Model::from_iter(&events).rows, BTreeMap::from([("a-1".into(), expect)]));
    }

    #[test]
    fn a_closed_account_has_no_row() {
        let opened = event(1, Change::Opened { owner: "Ada".into(), balance_cents: 0 });
        assert_eq!(Model::from_iter(&[opened, event(2, Change::Closed)]), Model::default());
    }

    #[test]
    fn the_balances_that_events_carry_are_the_sums_of_their_amounts() {
        let mut model = Model::default();
        for event in Generator::new(5, 20).take(20_000) {
            model.apply(&event);
            if let Some(balance) = event.change.balance_cents() {
                assert_eq!(model.rows[&event.account_id].balance_cents, balance, "{event:?}");
            }
        }
        assert!(!model.rows.is_empty());
    }
}
