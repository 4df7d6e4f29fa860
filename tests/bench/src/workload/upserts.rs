//! Upserts of one table of six columns: the events of many accounts in 300 bytes or 20,000, of one account, or of few.

use std::collections::BTreeMap;

use bank::{Change, Generator};
use bson::raw::RawBsonRef;
use bson::{Document, RawDocument, doc};

use super::documents::Maker;
use super::{Projection, Rows, Workload};
use crate::floor::batch::{Batch, Fold, Statement, Value};

/// Accounts that are open at the same time.
const ACCOUNTS: usize = 20_000;

/// Few enough to look at all of them again and again.
pub const FEW: usize = 64;

/// What makes a document of 300 bytes one of 20,000.
const LARGE_BYTES: usize = 19_700;

pub const COLUMNS: &str = "account_id, last_event, amount_cents, balance_cents, last_sequence, updated_at";

pub struct Upserts {
    about: &'static str,
    events: Events,
    /// What is added to each document.
    padding: String,
    /// The last row of each account, without its key.
    rows: BTreeMap<String, Vec<String>>,
}

enum Events {
    Bank(Box<Generator>),
    /// So many accounts take turns.
    Turns(Maker, usize, i64),
}

impl Upserts {
    fn new(about: &'static str, events: Events, padding: usize) -> Self {
        Self { about, events, padding: "x".repeat(padding), rows: BTreeMap::new() }
    }

    pub fn small() -> Self {
        Self::new(
            "one upsert of six columns an event",
            Events::Bank(Box::new(Generator::new(1, ACCOUNTS))),
            0,
        )
    }

    pub fn large() -> Self {
        Self::new(
            "the same, of large documents",
            Events::Bank(Box::new(Generator::new(1, ACCOUNTS))),
            LARGE_BYTES,
        )
    }

    pub fn hot() -> Self {
        Self::new("all events of one account", Events::Turns(Maker::new(1), 1, 0), 0)
    }

    /// Accounts that take turns, so that every event can be waited for.
    pub fn steps() -> Self {
        Self::new("few accounts that take turns", Events::Turns(Maker::new(1), FEW, 0), 0)
    }
}

impl Events {
    fn next(&mut self) -> (Document, String, Option<Vec<String>>) {
        match self {
            Self::Bank(generator) => {
                let event = generator.next().expect("the bank's events never end");
                let mut document = event.document();
                if let Ok(metadata) = document.get_document_mut("metadata") {
                    metadata.insert("requestId", &event.id.to_string()[..24]);
                }
                let (amount, balance) = match event.change {
                    Change::Opened { balance_cents, .. } => (0, balance_cents),
                    Change::Deposited { amount_cents, balance_cents }
                    | Change::Withdrawn { amount_cents, balance_cents } => (amount_cents, balance_cents),
                    Change::Renamed { .. } | Change::Closed => return (document, event.account_id, None),
                };
                let numbers = [amount, balance, event.sequence, event.occurred_at.timestamp_millis()];
                let row = row(event.change.event_type(), numbers);
                (document, event.account_id, Some(row))
            }
            Self::Turns(maker, accounts, made) => {
                let places = i64::try_from(*accounts).unwrap_or(1);
                let (account, sequence) = (format!("account-{:02}", *made % places), *made / places + 1);
                *made += 1;
                let amount = 1 + maker.number(50_000);
                let payload = doc! { "amountCents": amount, "balanceCents": *made };
                let (document, time) =
                    maker.document("MoneyDeposited", "account", &account, sequence, payload);
                (document, account, Some(row("MoneyDeposited", [amount, *made, sequence, time])))
            }
        }
    }
}

fn row(event_type: &str, numbers: [i64; 4]) -> Vec<String> {
    let mut row = vec![event_type.to_owned()];
    row.extend(numbers.map(|number| number.to_string()));
    row
}

impl Workload for Upserts {
    fn about(&self) -> &'static str {
        self.about
    }

    fn projections(&self) -> Vec<Projection> {
        Projection::of("balances", "balances")
    }

    fn next(&mut self) -> Document {
        let (mut document, account, row) = self.events.next();
        if let (false, Ok(payload)) = (self.padding.is_empty(), document.get_document_mut("payload")) {
            payload.insert("note", &self.padding);
        }
        if let Some(row) = row {
            self.rows.insert(account, row);
        }
        document
    }

    fn tables(&self) -> Vec<String> {
        let table = "CREATE TABLE IF NOT EXISTS balances (
            account_id VARCHAR(64) NOT NULL PRIMARY KEY,
            last_event VARCHAR(64) NOT NULL,
            amount_cents BIGINT NOT NULL,
            balance_cents BIGINT NOT NULL,
            last_sequence BIGINT NOT NULL,
            updated_at DATETIME(3) NOT NULL
        )";
        vec![table.to_owned()]
    }

    fn statements(&self) -> Vec<Statement> {
        // With few accounts most rows of a batch are overwritten by it: only the last of each is worth sending.
        let fold = if matches!(self.events, Events::Bank(_)) { Fold::Each } else { Fold::Last };
        let tail = "ON DUPLICATE KEY UPDATE last_event = VALUES(last_event), amount_cents = VALUES(amount_cents), \
                    balance_cents = VALUES(balance_cents), last_sequence = VALUES(last_sequence), \
                    updated_at = VALUES(updated_at)";
        vec![Statement::new(&format!("INSERT INTO balances ({COLUMNS}) VALUES"), "(?,?,?,?,?,?)", tail, fold)]
    }

    fn decode(&self, document: &RawDocument, batch: &mut Batch) -> anyhow::Result<()> {
        let (mut account, mut event_type, mut sequence, mut time) = ("", "", 0, None);
        let (mut amount, mut balance) = (0, 0);
        for element in document {
            let (name, value) = element?;
            match (name.as_str(), value) {
                ("type", RawBsonRef::String("AccountRenamed" | "AccountClosed")) => return Ok(()),
                ("type", RawBsonRef::String(found)) => event_type = found,
                ("aggregateId", RawBsonRef::String(id)) => account = id,
                ("sequence", RawBsonRef::Int64(number)) => sequence = number,
                ("occurredAt", RawBsonRef::DateTime(moment)) => time = Some(moment),
                ("payload", RawBsonRef::Document(payload)) => {
                    for element in payload {
                        match element? {
                            (name, RawBsonRef::Int64(cents)) if name.as_str() == "amountCents" => {
                                amount = cents;
                            }
                            (name, RawBsonRef::Int64(cents)) if name.as_str() == "balanceCents" => {
                                balance = cents;
                            }
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        batch.add(
            0,
            [
                Value::from(account),
                Value::from(event_type),
                Value::Number(amount),
                Value::Number(balance),
                Value::Number(sequence),
                Value::time(time)?,
            ],
        );
        Ok(())
    }

    fn expected(&self) -> Vec<(String, Rows)> {
        let rows = self.rows.iter().map(|(id, row)| [std::slice::from_ref(id), row].concat()).collect();
        vec![(format!("SELECT {COLUMNS} FROM balances"), rows)]
    }
}
