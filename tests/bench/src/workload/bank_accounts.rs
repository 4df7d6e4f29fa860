//! The bank's accounts as a row for each that is open: inserts, updates that add, updates that set, and deletes.

use bank::{Generator, Model};
use bson::{Document, RawDocument};

use super::{Projection, Rows, Workload};
use crate::floor::batch::{Batch, Fold, Statement, Value};

const ACCOUNTS: usize = 20_000;
const COLUMNS: &str = "account_id, owner, balance_cents, last_sequence, opened_at, updated_at";

pub struct BankAccounts {
    events: Generator,
    model: Model,
}

impl BankAccounts {
    pub fn new() -> Self {
        Self { events: Generator::new(6, ACCOUNTS), model: Model::default() }
    }
}

impl Workload for BankAccounts {
    fn about(&self) -> &'static str {
        "the bank's accounts: inserts, two kinds of updates, deletes"
    }

    fn projections(&self) -> Vec<Projection> {
        Projection::of("accounts", "accounts")
    }

    fn next(&mut self) -> Document {
        let event = self.events.next().expect("the bank's events never end");
        self.model.apply(&event);
        let mut document = event.document();
        if let Ok(metadata) = document.get_document_mut("metadata") {
            metadata.insert("requestId", &event.id.to_string()[..24]);
        }
        document
    }

    fn tables(&self) -> Vec<String> {
        let table = "CREATE TABLE IF NOT EXISTS accounts (
            account_id VARCHAR(64) NOT NULL PRIMARY KEY,
            owner VARCHAR(200) NOT NULL,
            balance_cents BIGINT NOT NULL,
            last_sequence BIGINT NOT NULL,
            opened_at DATETIME(3) NOT NULL,
            updated_at DATETIME(3) NOT NULL
        )";
        vec![table.to_owned()]
    }

    /// An account never comes back, and its balance stands in the event: a batch can insert, set and delete in this order,
    /// each for all its accounts. A row is there whenever it is set, so that upserts can do it.
    fn statements(&self) -> Vec<Statement> {
        let head = format!("INSERT INTO accounts ({COLUMNS}) VALUES");
        let newest = "last_sequence = GREATEST(last_sequence, VALUES(last_sequence)), \
                      updated_at = GREATEST(updated_at, VALUES(updated_at))";
        vec![
            Statement::new(&head, "(?,?,?,?,?,?)", "", Fold::Each),
            Statement::new(
                &head,
                "(?,'',?,?,'2026-01-01',?)",
                &format!("ON DUPLICATE KEY UPDATE balance_cents = VALUES(balance_cents), {newest}"),
                Fold::Last,
            ),
            Statement::new(
                &head,
                "(?,?,0,?,'2026-01-01',?)",
                &format!("ON DUPLICATE KEY UPDATE owner = VALUES(owner), {newest}"),
                Fold::Last,
            ),
            Statement::new("DELETE FROM accounts WHERE account_id IN (", "?", ")", Fold::Each),
        ]
    }

    fn decode(&self, document: &RawDocument, batch: &mut Batch) -> anyhow::Result<()> {
        let id = Value::from(document.get_str("aggregateId")?);
        let payload = document.get_document("payload")?;
        let sequence = Value::Number(document.get_i64("sequence")?);
        let time = Value::time(Some(document.get_datetime("occurredAt")?))?;
        match document.get_str("type")? {
            "AccountOpened" => {
                let (owner, balance) = (payload.get_str("owner")?, payload.get_i64("balanceCents")?);
                batch.add(0, [id, Value::from(owner), Value::Number(balance), sequence, time.clone(), time]);
            }
            "AccountRenamed" => batch.add(2, [id, Value::from(payload.get_str("owner")?), sequence, time]),
            "AccountClosed" => batch.add(3, [id]),
            _ => batch.add(1, [id, Value::Number(payload.get_i64("balanceCents")?), sequence, time]),
        }
        Ok(())
    }

    fn expected(&self) -> Vec<(String, Rows)> {
        let row = |(id, row): (&String, &bank::Row)| {
            vec![
                id.clone(),
                row.owner.clone(),
                row.balance_cents.to_string(),
                row.last_sequence.to_string(),
                row.opened_at.timestamp_millis().to_string(),
                row.updated_at.timestamp_millis().to_string(),
            ]
        };
        vec![(format!("SELECT {COLUMNS} FROM accounts"), self.model.rows.iter().map(row).collect())]
    }
}
