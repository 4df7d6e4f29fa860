//! What both followers have to do: the events, written to the outbox, and the rows they should lead to.

use std::collections::BTreeMap;

use anyhow::Context;
use bank::{Change, Generator, Writer};
use bson::{DateTime, RawDocumentBuf};
use mongodb::{Client, Collection};

use crate::DATABASE;

/// Accounts that are open at the same time.
const ACCOUNTS: usize = 20_000;

/// How many documents the writer sends at a time.
const INSERT: usize = 1_000;

/// A row of the table `balances`: event type, amount, balance, sequence, time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub last_event: String,
    pub amount_cents: i64,
    pub balance_cents: i64,
    pub last_sequence: i64,
    pub updated_at: DateTime,
}

/// The same for every run: documents are made beforehand, so that the writer only sends.
pub struct Workload {
    history: Vec<RawDocumentBuf>,
    live: Vec<RawDocumentBuf>,
    pub rows: BTreeMap<String, Row>,
}

impl Workload {
    pub fn new(history: usize, live: usize) -> Self {
        let mut workload = Self { history: Vec::new(), live: Vec::new(), rows: BTreeMap::new() };
        for event in Generator::new(1, ACCOUNTS).take(history + live) {
            workload.expect(&event);
            let part =
                if workload.history.len() < history { &mut workload.history } else { &mut workload.live };
            part.push(document(&event));
        }
        workload
    }

    pub fn history(&self) -> u64 {
        self.history.len() as u64
    }

    pub fn live(&self) -> u64 {
        self.live.len() as u64
    }

    pub fn description(&self) -> String {
        let bytes: usize = self.history.iter().map(|document| document.as_bytes().len()).sum();
        format!(
            "{} events from history, {} live, {} bytes each; {} rows",
            self.history.len(),
            self.live.len(),
            bytes / self.history.len(),
            self.rows.len()
        )
    }

    /// A new outbox with the history in it.
    pub async fn prepare(&self, client: &Client) -> anyhow::Result<()> {
        client.database(DATABASE).drop().await?;
        Writer::new(client, DATABASE).prepare().await?;
        insert(client, &self.history).await
    }

    /// Writes the live part, as fast as one writer can.
    pub async fn write_live(&self, client: &Client) -> anyhow::Result<()> {
        insert(client, &self.live).await
    }

    /// What the guest `balances` makes of an event: the events of three types, the last one of an account stays.
    fn expect(&mut self, event: &bank::Event) {
        let (amount_cents, balance_cents) = match event.change {
            Change::Opened { balance_cents, .. } => (0, balance_cents),
            Change::Deposited { amount_cents, balance_cents }
            | Change::Withdrawn { amount_cents, balance_cents } => (amount_cents, balance_cents),
            Change::Renamed { .. } | Change::Closed => return,
        };
        let row = Row {
            last_event: event.change.event_type().to_owned(),
            amount_cents,
            balance_cents,
            last_sequence: event.sequence,
            updated_at: event.occurred_at,
        };
        self.rows.insert(event.account_id.clone(), row);
    }
}

/// The event's document, with as much metadata as makes 300 bytes.
fn document(event: &bank::Event) -> RawDocumentBuf {
    let mut document = event.document();
    if let Ok(metadata) = document.get_document_mut("metadata") {
        metadata.insert("requestId", &event.id.to_string()[..24]);
    }
    RawDocumentBuf::try_from(&document).expect("an event's document is small and has plain names")
}

async fn insert(client: &Client, documents: &[RawDocumentBuf]) -> anyhow::Result<()> {
    let outbox: Collection<RawDocumentBuf> = client.database(DATABASE).collection("outbox");
    for chunk in documents.chunks(INSERT) {
        outbox.insert_many(chunk).await.context("writing to the outbox")?;
    }
    Ok(())
}
