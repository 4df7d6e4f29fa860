//! Several projections of one outbox, each with a table of its own. The floor writes all tables from one stream.

use std::collections::BTreeMap;

use bank::Generator;
use bson::{Document, RawDocument};

use super::{Projection, Rows, Workload};
use crate::floor::batch::{Batch, Fold, Statement, Value};

const ACCOUNTS: usize = 20_000;

pub struct Fan {
    tables: usize,
    events: Generator,
    /// Balance and sequence of each account.
    rows: BTreeMap<String, [i64; 2]>,
}

impl Fan {
    pub fn of(tables: usize) -> Self {
        Self { tables, events: Generator::new(7, ACCOUNTS), rows: BTreeMap::new() }
    }

    fn names(&self) -> impl Iterator<Item = String> + use<> {
        (0..self.tables).map(|number| format!("fan_{number:02}"))
    }
}

impl Workload for Fan {
    fn about(&self) -> &'static str {
        match self.tables {
            1 => "one projection of the outbox",
            4 => "four projections of one outbox",
            _ => "sixteen projections of one outbox",
        }
    }

    fn projections(&self) -> Vec<Projection> {
        let copy = |name: String| Projection {
            name: name.clone(),
            component: "bench-fan",
            rename: Some(("fan_00", name)),
        };
        self.names().map(copy).collect()
    }

    fn next(&mut self) -> Document {
        let event = self.events.next().expect("the bank's events never end");
        if let Some(balance) = event.change.balance_cents() {
            self.rows.insert(event.account_id.clone(), [balance, event.sequence]);
        }
        event.document()
    }

    fn tables(&self) -> Vec<String> {
        let table = |name| {
            format!(
                "CREATE TABLE IF NOT EXISTS {name} (account_id VARCHAR(64) NOT NULL PRIMARY KEY, \
                 balance_cents BIGINT NOT NULL, last_sequence BIGINT NOT NULL)"
            )
        };
        self.names().map(table).collect()
    }

    fn statements(&self) -> Vec<Statement> {
        let tail = "ON DUPLICATE KEY UPDATE balance_cents = VALUES(balance_cents), last_sequence = VALUES(last_sequence)";
        let head = |name| format!("INSERT INTO {name} (account_id, balance_cents, last_sequence) VALUES");
        self.names().map(|name| Statement::new(&head(name), "(?,?,?)", tail, Fold::Each)).collect()
    }

    fn decode(&self, document: &RawDocument, batch: &mut Batch) -> anyhow::Result<()> {
        if matches!(document.get_str("type")?, "AccountRenamed" | "AccountClosed") {
            return Ok(());
        }
        let id = document.get_str("aggregateId")?;
        let balance = document.get_document("payload")?.get_i64("balanceCents")?;
        let sequence = document.get_i64("sequence")?;
        for table in 0..self.tables {
            batch.add(table, [Value::from(id), Value::Number(balance), Value::Number(sequence)]);
        }
        Ok(())
    }

    fn expected(&self) -> Vec<(String, Rows)> {
        let row = |(id, numbers): (&String, &[i64; 2])| {
            vec![id.clone(), numbers[0].to_string(), numbers[1].to_string()]
        };
        let rows: Rows = self.rows.iter().map(row).collect();
        let sql = |name| format!("SELECT account_id, balance_cents, last_sequence FROM {name}");
        self.names().map(|name| (sql(name), rows.clone())).collect()
    }
}
