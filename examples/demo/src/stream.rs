//! The bank at work: several writers side by side, each event in one transaction with the account it changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use std::time::Duration;

use anyhow::Context;
use bank::{Generator, Model, Writer};
use bson::DateTime;
use tokio::task::JoinSet;
use tokio::time::{Interval, interval};

use crate::settings::Settings;

/// How many accounts each writer has open at a time.
const ACCOUNTS: usize = 60;

/// How many events its transactions have, in turn: with two, both take effect or neither.
const TRANSACTIONS: [usize; 4] = [1, 1, 1, 2];

/// What is committed to MongoDB so far, counted by those who write.
#[derive(Debug, Clone, Default)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    pub fn add(&self, events: usize) {
        self.0.fetch_add(events as u64, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Starts the writers. Each gives what MySQL should have of its accounts in the end.
pub fn start(settings: &Settings, writer: &Writer, written: &Counter) -> JoinSet<anyhow::Result<Model>> {
    let mut writers = JoinSet::new();
    for number in 0..settings.writers {
        let share =
            settings.events / settings.writers + u64::from(number < settings.events % settings.writers);
        writers.spawn(write(writer.clone(), number, share, pace(settings), written.clone()));
    }
    writers
}

/// One tick for each event of one writer.
fn pace(settings: &Settings) -> Option<Interval> {
    let nanoseconds = (1_000_000_000 * settings.writers).checked_div(settings.rate)?;
    Some(interval(Duration::from_nanos(nanoseconds.max(1))))
}

async fn write(
    writer: Writer,
    number: u64,
    events: u64,
    mut pace: Option<Interval>,
    written: Counter,
) -> anyhow::Result<Model> {
    let share = usize::try_from(events).context("DEMO_EVENTS")?;
    let mut events = Generator::new(number + 1, ACCOUNTS).take(share).peekable();
    let mut sizes = TRANSACTIONS.into_iter().cycle();
    let mut model = Model::default();
    while events.peek().is_some() {
        let mut transaction: Vec<_> = events.by_ref().take(sizes.next().unwrap_or(1)).collect();
        for event in &mut transaction {
            if let Some(pace) = &mut pace {
                pace.tick().await;
            }
            event.occurred_at = DateTime::now();
        }
        writer.write(&transaction).await.with_context(|| format!("writer {number}"))?;
        for event in &transaction {
            model.apply(event);
        }
        written.add(transaction.len());
    }
    Ok(model)
}
