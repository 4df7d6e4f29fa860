//! Constant load: writers that know the id of everything they write, and what became of it.
//!
//! A write is acknowledged by the majority, or failed for certain, or its outcome is unknown. Of the unknown ones some
//! are repeated under the same ids until they are certain; the others are left alone, and MongoDB is asked in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bank::{Change, Event, Model};
use bson::{DateTime, Document, Uuid, doc};
use mongodb::Collection;
use mongodb::error::{ErrorKind, WriteFailure};
use mongodb::options::ReadConcern;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::ground::{Ground, Source};
use crate::support::some_time;

/// What is known about a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Acknowledged,
    Failed,
    Unknown,
}

/// How many writers write events about things.
const WRITERS: u64 = 3;

/// How many things each writes about at a time.
const THINGS: usize = 40;

/// How many accounts there are, each opened with the same balance: so their sum never changes.
pub const ACCOUNTS: i64 = 30;
pub const OPENING_CENTS: i64 = 100_000;

/// How long a write may take before it is given up, and its outcome unknown. Elections take longer.
const PATIENCE: Duration = Duration::from_secs(2);

/// A poison event every so many, and how many a writer writes at most.
const POISON_EVERY: u32 = 250;
const POISON_MAX: u32 = 8;

/// How far the numbers of events go on when a writer was put back.
const FURTHER_IDS: u64 = 1_000_000;

/// The type that no column of the recorder can hold.
pub const LONG_TYPE: usize = 80;

/// What all writers know together.
#[derive(Default, Clone)]
pub struct Log {
    /// By the id's text.
    pub outcomes: BTreeMap<String, Outcome>,
    /// All bank events that were written, in the order of each account.
    pub bank: Vec<Event>,
    /// The accounts that have no row although they are open, because events of theirs were purged before the tables were
    /// made.
    pub without_rows: BTreeSet<String>,
    /// How many events had been acknowledged at each moment, until a server was put back.
    pub timeline: Vec<(Instant, u64)>,
}

impl Log {
    fn note<'a>(&mut self, ids: impl Iterator<Item = &'a str>, outcome: Outcome) {
        let before = self.timeline.last().map_or(0, |(_, count)| *count);
        let mut count = before;
        for id in ids {
            self.outcomes.insert(id.to_owned(), outcome);
            count += u64::from(outcome == Outcome::Acknowledged);
        }
        if count > before {
            self.timeline.push((Instant::now(), count));
        }
    }

    /// Forgets events that are in the outbox no more, for whoever makes tables from what is there. What comes later to an
    /// account whose opening is among them finds no row.
    pub fn forget(&mut self, gone: &BTreeSet<String>) {
        self.outcomes.retain(|id, _| !gone.contains(id));
        let gone = self.bank.iter().filter(|event| gone.contains(&event.id.to_string()));
        self.without_rows = gone.map(|event| event.account_id.clone()).collect();
    }

    /// What the bank's rows have to be.
    pub fn model(&self) -> Model {
        self.bank.iter().filter(|event| !self.without_rows.contains(&event.account_id)).collect()
    }

    /// How long the oldest event waits that is acknowledged and not among the first `applied`.
    pub fn oldest_wait(&self, applied: u64) -> Duration {
        let waiting = self.timeline.partition_point(|(_, count)| *count <= applied);
        self.timeline.get(waiting).map_or(Duration::ZERO, |(since, _)| since.elapsed())
    }
}

pub struct Load {
    stop: CancellationToken,
    tasks: JoinSet<Writing>,
}

/// All writers, who may go on where they stopped.
#[derive(Clone)]
pub struct Writers(Vec<Writing>);

#[derive(Clone)]
enum Writing {
    Things(Things),
    Bank(Bank),
}

impl Writers {
    pub fn new(ground: &Ground, log: &Arc<Mutex<Log>>, seed: u64) -> Self {
        let things = |number| {
            Writing::Things(Things {
                number,
                random: StdRng::seed_from_u64(seed ^ (number + 1) << 32),
                source: ground.source(),
                log: log.clone(),
                alive: Vec::new(),
                begun: 0,
                written: 0,
                poisoned: 0,
            })
        };
        let bank = Writing::Bank(Bank {
            random: StdRng::seed_from_u64(seed ^ 0xba4c),
            source: ground.source(),
            log: log.clone(),
            accounts: Vec::new(),
        });
        Self((0..WRITERS).map(things).chain([bank]).collect())
    }

    /// They know nothing of what they wrote since, and it does not happen again: the same places get other events, with ids
    /// of their own.
    pub fn put_back(mut self, ground: &Ground, seed: u64) -> Self {
        for writing in &mut self.0 {
            match writing {
                Writing::Things(things) => {
                    things.random = StdRng::seed_from_u64(seed ^ (things.number + 1) << 40);
                    things.written += FURTHER_IDS;
                    things.source = ground.source();
                }
                Writing::Bank(bank) => {
                    bank.random = StdRng::seed_from_u64(seed ^ 0xba4c << 40);
                    bank.source = ground.source();
                }
            }
        }
        self
    }
}

impl Load {
    /// Starts all writers. Some of what they write is history before any host runs.
    pub fn start(writers: Writers) -> Self {
        let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
        for writing in writers.0 {
            let stop = stop.clone();
            tasks.spawn(async move {
                match writing {
                    Writing::Things(things) => Writing::Things(things.run(stop).await),
                    Writing::Bank(bank) => Writing::Bank(bank.run(stop).await),
                }
            });
        }
        Self { stop, tasks }
    }

    /// Lets every writer finish what it has begun.
    pub async fn stop(self) -> Writers {
        self.stop.cancel();
        Writers(self.tasks.join_all().await)
    }
}

/// One thing that events are about.
#[derive(Clone)]
struct Thing {
    id: String,
    sequence: i64,
    poisoned: bool,
}

/// A writer of events about things.
#[derive(Clone)]
struct Things {
    number: u64,
    random: StdRng,
    source: Source,
    log: Arc<Mutex<Log>>,
    alive: Vec<Thing>,
    begun: u64,
    written: u64,
    poisoned: u32,
}

impl Things {
    async fn run(mut self, stop: CancellationToken) -> Self {
        while !stop.is_cancelled() {
            while self.alive.len() < THINGS {
                self.begun += 1;
                let id = format!("thing-{}-{}", self.number, self.begun);
                self.alive.push(Thing { id, sequence: 0, poisoned: false });
            }
            let before = self.alive.clone();
            let documents = self.compose();
            let outcome = self.write(&documents).await;
            let ids: Vec<&str> = documents.iter().map(id_of).collect();
            self.log.lock().expect("nobody panics with it").note(ids.into_iter(), outcome);
            match outcome {
                Outcome::Acknowledged => self.retire(),
                Outcome::Failed => self.alive = before,
                // What came of it is not known, so nothing can follow it.
                Outcome::Unknown => {
                    let touched: Vec<&str> =
                        documents.iter().filter_map(|d| d.get_str("aggregateId").ok()).collect();
                    self.alive.retain(|thing| !touched.contains(&thing.id.as_str()));
                }
            }
            some_time(self.random.random_range(20..140)).await;
        }
        self
    }

    /// A few events, some of them of the same thing.
    fn compose(&mut self) -> Vec<Document> {
        let count = self.random.random_range(1..=12);
        (0..count).map(|_| self.event()).collect()
    }

    fn event(&mut self) -> Document {
        self.written += 1;
        let at = self.random.random_range(0..self.alive.len());
        let thing = &mut self.alive[at];
        thing.sequence += 1;
        let ordinal = i64::try_from(self.written).expect("not so many");
        let mut document = doc! {
            "_id": format!("e-{}-{}", self.number, self.written), "type": "Happened", "aggregateType": "thing",
            "aggregateId": &thing.id, "sequence": thing.sequence, "payload": { "ordinal": ordinal },
        };
        let is_poison = self.poisoned < POISON_MAX && self.random.random_ratio(1, POISON_EVERY);
        if is_poison {
            self.poisoned += 1;
            thing.poisoned = true;
            match self.random.random_range(0..3) {
                0 => document.insert("payload", doc! { "ordinal": "poison" }),
                1 => document.insert("type", "Happened".repeat(LONG_TYPE / 8)),
                _ => document.insert("type", 7),
            };
        }
        document
    }

    /// Things come to their end, those behind a dead letter sooner: nobody can wait for what is held for ever.
    fn retire(&mut self) {
        let Self { alive, random, .. } = self;
        alive.retain(|thing| !random.random_ratio(if thing.poisoned { 20 } else { 1 }, 400));
    }

    async fn write(&mut self, documents: &[Document]) -> Outcome {
        let written = match self.random.random_range(0..10) {
            0..7 => tokio::time::timeout(PATIENCE, self.insert(documents)).await,
            7..9 => tokio::time::timeout(PATIENCE, self.transact(documents, true)).await,
            _ => tokio::time::timeout(PATIENCE, self.transact(documents, false)).await,
        };
        match written {
            Ok(Outcome::Unknown) | Err(_) if self.random.random_bool(0.6) => {
                for document in documents {
                    make_certain(&self.source.outbox, document).await;
                }
                Outcome::Acknowledged
            }
            Ok(outcome) => outcome,
            Err(_) => Outcome::Unknown,
        }
    }

    async fn insert(&self, documents: &[Document]) -> Outcome {
        match self.source.outbox.insert_many(documents).await {
            Ok(_) => Outcome::Acknowledged,
            Err(_) => Outcome::Unknown,
        }
    }

    /// A transaction that is committed, or given up before that: then nothing of it may ever be seen.
    async fn transact(&self, documents: &[Document], commit: bool) -> Outcome {
        let Ok(mut session) = self.source.client.start_session().await else { return Outcome::Failed };
        if session.start_transaction().await.is_err() {
            return Outcome::Failed;
        }
        let inserted = self.source.outbox.insert_many(documents).session(&mut session).await;
        if inserted.is_err() || !commit {
            let _ = session.abort_transaction().await;
            return Outcome::Failed;
        }
        match session.commit_transaction().await {
            Ok(()) => Outcome::Acknowledged,
            Err(_) => Outcome::Unknown,
        }
    }
}

/// Repeats an insert under the same id until the majority has the document.
async fn make_certain(outbox: &Collection<Document>, document: &Document) {
    loop {
        let inserted = tokio::time::timeout(PATIENCE, outbox.insert_one(document)).await;
        let is_certain = match inserted {
            Ok(Ok(_)) => true,
            // It is there, but perhaps only on a primary that will have to forget it.
            Ok(Err(error)) => is_duplicate(&error) && has(outbox, document).await,
            Err(_) => false,
        };
        if is_certain {
            return;
        }
        some_time(200).await;
    }
}

/// Whether the majority has a document.
async fn has(outbox: &Collection<Document>, document: &Document) -> bool {
    let id = document.get("_id").expect("it has an id");
    let find = outbox.find_one(doc! { "_id": id }).read_concern(ReadConcern::majority());
    matches!(tokio::time::timeout(PATIENCE, find).await, Ok(Ok(Some(_))))
}

fn is_duplicate(error: &mongodb::error::Error) -> bool {
    matches!(&*error.kind, ErrorKind::Write(WriteFailure::WriteError(error)) if error.code == 11_000)
}

fn id_of(document: &Document) -> &str {
    document.get_str("_id").expect("the ids of things' events are text")
}

/// The bank: money moves between accounts, in transactions that are repeated until they are certain.
#[derive(Clone)]
struct Bank {
    random: StdRng,
    source: Source,
    log: Arc<Mutex<Log>>,
    /// The sequence and the balance of each.
    accounts: Vec<(i64, i64)>,
}

impl Bank {
    async fn run(mut self, stop: CancellationToken) -> Self {
        for at in self.accounts.len()..usize::try_from(ACCOUNTS).expect("it is small") {
            self.accounts.push((0, 0));
            let owner = format!("owner {at}");
            let opened =
                self.event(at, OPENING_CENTS, |_, balance_cents| Change::Opened { owner, balance_cents });
            self.write(vec![opened]).await;
        }
        while !stop.is_cancelled() {
            let (from, to) = (self.account(), self.account());
            let amount = self.random.random_range(1..=1000).min(self.accounts[from].1);
            if from == to || amount == 0 {
                let owner = format!("owner {}", self.random.random::<u16>());
                let renamed = self.event(from, 0, |_, _| Change::Renamed { owner });
                self.write(vec![renamed]).await;
            } else {
                let withdrawn = self.event(from, -amount, |_, balance_cents| Change::Withdrawn {
                    amount_cents: amount,
                    balance_cents,
                });
                let deposited = self.event(to, amount, |amount_cents, balance_cents| Change::Deposited {
                    amount_cents,
                    balance_cents,
                });
                self.write(vec![withdrawn, deposited]).await;
            }
            some_time(self.random.random_range(20..100)).await;
        }
        self
    }

    fn account(&mut self) -> usize {
        self.random.random_range(0..self.accounts.len())
    }

    fn event(&mut self, account: usize, cents: i64, change: impl FnOnce(i64, i64) -> Change) -> Event {
        let (sequence, balance) = &mut self.accounts[account];
        *sequence += 1;
        *balance += cents;
        let mut bytes: [u8; 16] = self.random.random();
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Event {
            id: Uuid::from_bytes(bytes),
            account_id: format!("account-{account}"),
            sequence: *sequence,
            occurred_at: DateTime::now(),
            change: change(cents, *balance),
        }
    }

    async fn write(&self, events: Vec<Event>) {
        loop {
            let written = tokio::time::timeout(PATIENCE, self.source.writer.write(&events)).await;
            // Also what a primary says to have already may be forgotten with it.
            if matches!(written, Ok(Ok(_))) && has(&self.source.outbox, &events[0].document()).await {
                break;
            }
            some_time(200).await;
        }
        let ids: Vec<String> = events.iter().map(|event| event.id.to_string()).collect();
        let mut log = self.log.lock().expect("nobody panics with it");
        log.note(ids.iter().map(String::as_str), Outcome::Acknowledged);
        log.bank.extend(events);
    }
}
