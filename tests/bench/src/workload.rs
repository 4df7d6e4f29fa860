//! What all followers have to do: the events, written to the outbox, what the floor makes of one, and the rows that they
//! should lead to. One file for each kind of statements.

mod bank_accounts;
mod counters;
mod deletes;
mod documents;
mod fan;
mod orders;
mod updates;
mod upserts;

pub use upserts::FEW;

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context, bail};
use bson::{Document, RawDocument, RawDocumentBuf, doc};
use mongodb::{Client, Collection, IndexModel};

use crate::database;
use crate::floor::batch::{Batch, Statement};
use crate::follower::Follower;
use crate::options::Places;

/// How many documents the writer sends at a time.
const INSERT: usize = 1_000;

/// Rows, each cell as text.
pub type Rows = BTreeSet<Vec<String>>;

/// A kind of events with their read model. The same calls give the same events.
pub trait Workload: Send {
    fn about(&self) -> &'static str;

    /// The projections, each with its component.
    fn projections(&self) -> Vec<Projection>;

    /// Makes the next event, and brings the model forward.
    fn next(&mut self) -> Document;

    /// The floor's tables, each as a statement that creates it.
    fn tables(&self) -> Vec<String>;

    /// What the floor writes with, in the order in which a batch is written.
    fn statements(&self) -> Vec<Statement>;

    /// Adds what the floor makes of an event.
    fn decode(&self, document: &RawDocument, batch: &mut Batch) -> anyhow::Result<()>;

    /// For each table a query of all its columns, and the rows that it should give after the events made so far.
    fn expected(&self) -> Vec<(String, Rows)>;
}

/// A projection, and the component that it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Projection {
    pub name: String,
    /// The component's name, among the guests or the projectors.
    pub component: &'static str,
    /// What is written in the component instead of what, both of one length.
    pub rename: Option<(&'static str, String)>,
}

impl Projection {
    pub fn of(name: &str, component: &'static str) -> Vec<Self> {
        vec![Self { name: name.to_owned(), component, rename: None }]
    }

    /// The component's file, made where it is a copy under another name.
    pub fn file(&self, places: &Places) -> anyhow::Result<PathBuf> {
        let file =
            [&places.guests, &places.plugins].map(|folder| folder.join(format!("{}.wasm", self.component)));
        let Some(file) = file.into_iter().find(|file| file.exists()) else {
            bail!(
                "there is no component `{}` in {}: build it with dev/build-plugins",
                self.component,
                places.guests.display()
            );
        };
        let Some((from, to)) = &self.rename else { return Ok(file) };
        let bytes = std::fs::read(&file)?;
        let copy = places.work.join(format!("{to}.wasm"));
        std::fs::write(&copy, renamed(&bytes, from.as_bytes(), to.as_bytes())?)?;
        Ok(copy)
    }
}

fn renamed(bytes: &[u8], from: &[u8], to: &[u8]) -> anyhow::Result<Vec<u8>> {
    anyhow::ensure!(from.len() == to.len(), "a name in a component can only be replaced by one as long");
    let mut changed = bytes.to_vec();
    let places: Vec<usize> =
        bytes.windows(from.len()).enumerate().filter(|(_, found)| *found == from).map(|(at, _)| at).collect();
    anyhow::ensure!(
        !places.is_empty(),
        "the component does not have the name {:?}",
        String::from_utf8_lossy(from)
    );
    for at in places {
        changed[at..at + to.len()].copy_from_slice(to);
    }
    Ok(changed)
}

/// All names, in the order in which they are measured.
pub const NAMES: [&str; 11] = [
    "upserts", "large", "hot", "orders", "counters", "updates", "deletes", "bank", "fan-1", "fan-4", "fan-16",
];

/// The workload of this name, at its first event.
pub fn named(name: &str) -> anyhow::Result<Box<dyn Workload>> {
    Ok(match name {
        "upserts" => Box::new(upserts::Upserts::small()),
        "large" => Box::new(upserts::Upserts::large()),
        "hot" => Box::new(upserts::Upserts::hot()),
        "steps" => Box::new(upserts::Upserts::steps()),
        "orders" => Box::new(orders::Orders::default()),
        "counters" => Box::new(counters::Counters::new()),
        "updates" => Box::new(updates::Updates::new()),
        "deletes" => Box::new(deletes::Deletes::new()),
        "bank" => Box::new(bank_accounts::BankAccounts::new()),
        "fan-1" => Box::new(fan::Fan::of(1)),
        "fan-4" => Box::new(fan::Fan::of(4)),
        "fan-16" => Box::new(fan::Fan::of(16)),
        _ => bail!("there is no workload `{name}`, only: {}", NAMES.join(", ")),
    })
}

/// The documents of one run, made beforehand, so that the writer only sends, with the rows they should lead to.
pub struct Load {
    pub name: String,
    pub about: &'static str,
    pub projections: Vec<Projection>,
    history: Vec<RawDocumentBuf>,
    live: Vec<RawDocumentBuf>,
    pub expected: Vec<(String, Rows)>,
    /// What stands in the rows of `balances` after history and after everything, for tools that count nothing.
    pub balances: [i64; 2],
}

impl Load {
    pub fn new(name: &str, history: usize, live: usize) -> anyhow::Result<Self> {
        let mut workload = named(name)?;
        let mut take = |count: usize| -> anyhow::Result<(Vec<RawDocumentBuf>, i64)> {
            let made: Result<_, bson::error::Error> =
                (0..count).map(|_| RawDocumentBuf::try_from(&workload.next())).collect();
            Ok((made?, sequences(&workload.expected())))
        };
        let ((history, after_history), (live, after_all)) = (take(history)?, take(live)?);
        Ok(Self {
            name: name.to_owned(),
            about: workload.about(),
            projections: workload.projections(),
            history,
            live,
            expected: workload.expected(),
            balances: [after_history, after_all],
        })
    }

    /// Each projection with its component's file.
    pub fn components(&self, places: &Places) -> anyhow::Result<Vec<(String, PathBuf)>> {
        self.projections
            .iter()
            .map(|projection| Ok((projection.name.clone(), projection.file(places)?)))
            .collect()
    }

    pub fn history(&self) -> u64 {
        self.history.len() as u64
    }

    pub fn live(&self) -> u64 {
        self.live.len() as u64
    }

    /// The events that a sum of sequences in `balances` stands for: those of a whole part, or not even one.
    pub fn events(&self, sequences: i64) -> u64 {
        match sequences {
            _ if sequences == self.balances[1] => self.history() + self.live(),
            _ if sequences >= self.balances[0] => self.history(),
            _ => 0,
        }
    }

    pub fn description(&self) -> String {
        let all = self.history.iter().chain(&self.live);
        let bytes: usize = all.map(|document| document.as_bytes().len()).sum();
        format!(
            "{}: {}; {} events from history, {} live, {} bytes each; {} rows",
            self.name,
            self.about,
            self.history.len(),
            self.live.len(),
            bytes / (self.history.len() + self.live.len()).max(1),
            self.expected.iter().map(|(_, rows)| rows.len()).sum::<usize>()
        )
    }

    /// A new outbox with the history in it.
    pub async fn prepare(&self, client: &Client, follower: &Follower) -> anyhow::Result<()> {
        client.database(database()).drop().await?;
        bank::Writer::new(client, database()).prepare().await?;
        if follower.looks_for_times() {
            let outbox = client.database(database()).collection::<Document>("outbox");
            outbox.create_index(IndexModel::builder().keys(doc! { "occurredAt": 1 }).build()).await?;
            let view = doc! { "create": "outbox_flat", "viewOn": "outbox", "pipeline": [flat()] };
            client.database(database()).run_command(view).await?;
        }
        insert(client, &self.history).await
    }

    pub fn live_documents(&self) -> &[RawDocumentBuf] {
        &self.live
    }

    /// Writes the live part, as fast as one writer can.
    pub async fn write_live(&self, client: &Client) -> anyhow::Result<()> {
        insert(client, &self.live).await
    }
}

/// The fields of an event side by side, each in every document, and its time as text.
fn flat() -> Document {
    doc! { "$project": {
        "_id": 0, "aggregateId": 1, "sequence": 1, "type": 1,
        "ms": { "$toString": { "$toLong": "$occurredAt" } },
        "amountCents": { "$ifNull": ["$payload.amountCents", 0] },
        "balanceCents": { "$ifNull": ["$payload.balanceCents", 0] },
    } }
}

/// The sum of the sequences in the rows of `balances`; 0 for the other tables.
fn sequences(expected: &[(String, Rows)]) -> i64 {
    let balances = expected.iter().filter(|(sql, _)| sql.ends_with("FROM balances"));
    balances.flat_map(|(_, rows)| rows).filter_map(|row| row.get(4)?.parse::<i64>().ok()).sum()
}

pub async fn insert(client: &Client, documents: &[RawDocumentBuf]) -> anyhow::Result<()> {
    let outbox: Collection<RawDocumentBuf> = client.database(database()).collection("outbox");
    for chunk in documents.chunks(INSERT) {
        outbox.insert_many(chunk).await.context("writing to the outbox")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_workload_makes_the_same_events_each_time_and_the_floor_takes_all_of_them() {
        for name in NAMES.into_iter().chain(["steps"]) {
            let (mut once, mut again) =
                (named(name).expect("it is known"), named(name).expect("it is known"));
            let mut batch = Batch::new(once.statements());
            for _ in 0..500 {
                let document = once.next();
                assert_eq!(document, again.next(), "{name}");
                let raw = RawDocumentBuf::try_from(&document).expect("it is small");
                once.decode(&raw, &mut batch).expect(name);
            }
            assert!(batch.rows() > 0, "{name}");
            assert_eq!(once.expected(), again.expected(), "{name}");
            assert!(once.expected().iter().all(|(_, rows)| !rows.is_empty()), "{name}");
        }
        assert!(named("nothing").is_err());
    }

    #[test]
    fn a_component_is_copied_under_a_name_of_the_same_length_only() {
        assert_eq!(
            renamed(b"a fan_00 b fan_00", b"fan_00", b"fan_07").expect("it fits"),
            b"a fan_07 b fan_07"
        );
        assert!(renamed(b"a fan_00", b"fan_00", b"fan_123").is_err());
        assert!(renamed(b"a", b"fan_00", b"fan_01").is_err());
    }
}
