//! What happens to an account, and the outbox document that says so. No I/O.

use bson::{DateTime, Document, Uuid, doc};

/// The aggregate type of all events here.
pub const AGGREGATE_TYPE: &str = "account";

/// One event of one account.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Made before anything is written, so that a write can be repeated without being done twice.
    pub id: Uuid,
    pub account_id: String,
    /// 1 for the first event of an account, then one more each time.
    pub sequence: i64,
    pub occurred_at: DateTime,
    pub change: Change,
}

/// What happened. Amounts are more than 0; a balance is the one after the event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Opened { owner: String, balance_cents: i64 },
    Deposited { amount_cents: i64, balance_cents: i64 },
    Withdrawn { amount_cents: i64, balance_cents: i64 },
    Renamed { owner: String },
    Closed,
}

impl Event {
    /// The outbox document, in the field names that Laterna expects where nothing else is configured.
    pub fn document(&self) -> Document {
        doc! {
            "_id": self.id,
            "type": self.change.event_type(),
            "version": 1,
            "aggregateType": AGGREGATE_TYPE,
            "aggregateId": &self.account_id,
            "sequence": self.sequence,
            "occurredAt": self.occurred_at,
            "payload": self.change.payload(),
            "metadata": { "source": "bank" },
        }
    }
}

impl Change {
    pub fn event_type(&self) -> &'static str {
        match self {
            Self::Opened { .. } => "AccountOpened",
            Self::Deposited { .. } => "MoneyDeposited",
            Self::Withdrawn { .. } => "MoneyWithdrawn",
            Self::Renamed { .. } => "AccountRenamed",
            Self::Closed => "AccountClosed",
        }
    }

    /// The balance after it, where it changes the balance.
    pub fn balance_cents(&self) -> Option<i64> {
        match self {
            Self::Opened { balance_cents, .. }
            | Self::Deposited { balance_cents, .. }
            | Self::Withdrawn { balance_cents, .. } => Some(*balance_cents),
            Self::Renamed { .. } | Self::Closed => None,
        }
    }

    pub fn payload(&self) -> Document {
        match self {
            Self::Opened { owner, balance_cents } => doc! { "owner": owner, "balanceCents": *balance_cents },
            Self::Deposited { amount_cents, balance_cents }
            | Self::Withdrawn { amount_cents, balance_cents } => {
                doc! { "amountCents": *amount_cents, "balanceCents": *balance_cents }
            }
            Self::Renamed { owner } => doc! { "owner": owner },
            Self::Closed => doc! {},
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outbox_document_says_everything_about_its_event() {
        let event = Event {
            id: Uuid::from_bytes([7; 16]),
            account_id: "a-1".into(),
            sequence: 2,
            occurred_at: DateTime::from_millis(0),
            change: Change::Deposited { amount_cents: 500, balance_cents: 700 },
        };
        let expect = doc! {
            "_id": Uuid::from_bytes([7; 16]),
            "type": "MoneyDeposited",
            "version": 1,
            "aggregateType": "account",
            "aggregateId": "a-1",
            "sequence": 2_i64,
            "occurredAt": DateTime::from_millis(0),
            "payload": { "amountCents": 500_i64, "balanceCents": 700_i64 },
            "metadata": { "source": "bank" },
        };
        assert_eq!(event.document(), expect);
    }
}
