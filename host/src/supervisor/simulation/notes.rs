//! The note that history was deleted: rounds of deletions, a projection that begins and reads history, and an operator who
//! brings documents back, as they are, over a made-up outbox and made-up rows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinHandle;

use super::play::{Played, Schedule, any_schedule, in_its_own_time};
use super::steps::{Life, Steps};
use crate::event::Id;
use crate::failure::Failure;
use crate::position::{Position, Token};
use crate::readmodel::lane::acknowledge::{LaneAt, PendingAcknowledgement};
use crate::source::{Notes, SourceIdentity, end_of_history};
use crate::supervisor::acknowledger::deletion::{self, DeletionPage, Deletions};
use crate::supervisor::startup::beginning::{self, Beginning};

/// How long hosts work, and how often something happens from outside.
const TIME: Duration = Duration::from_mins(1);
const LOOK: Duration = Duration::from_millis(100);

/// How often hosts look for work.
const INTERVAL: Duration = Duration::from_millis(300);

/// How many documents are read, or deleted, at a time.
const SOME: usize = 3;

/// What is stored: the outbox, its note, and the control schemas of two installations.
#[derive(Default)]
struct NotesRows {
    documents: BTreeSet<i64>,
    /// Everything that was ever inserted, in order.
    log: Vec<i64>,
    note: bool,
    /// The rounds that have written it, and delete; by their hosts.
    deleting: BTreeSet<(u64, u64)>,
    rounds: u64,
    /// How far the projections of each installation are; nothing before they have lanes.
    lanes: BTreeMap<(u32, &'static str), Option<Position>>,
    /// The documents that each projection is to delete: from there on.
    acknowledged: BTreeMap<&'static str, BTreeMap<usize, i64>>,
    /// The events that the beginning projection has taken, and how far history was read.
    made: BTreeSet<i64>,
    scanned: i64,
    starts: u64,
}

#[derive(Clone)]
struct NotesWorld {
    steps: Steps,
    stored: Arc<Mutex<NotesRows>>,
}

impl NotesWorld {
    fn stored(&self) -> MutexGuard<'_, NotesRows> {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn identity() -> SourceIdentity {
    let text = || "outbox".to_owned();
    SourceIdentity { replica_set: text(), namespace: text(), collection: text() }
}

fn stream(taken: usize) -> Token {
    Token { data: format!("82{:08X}00000000", 1_000 + taken).into(), type_bits: None }
}

fn taken(position: &Position) -> Option<usize> {
    let time = position.time().filter(|_| matches!(position, Position::Stream { .. }))?;
    Some((time.seconds - 1_000) as usize)
}

/// A host that works for a projection.
#[derive(Clone)]
struct NotesHost {
    world: NotesWorld,
    life: Life,
    installation: u32,
    projection: &'static str,
    number: u64,
}

impl NotesHost {
    async fn step(&self, what: &str) -> Result<(), Failure> {
        let told = || format!("{} of {}: {what}", self.projection, self.installation);
        self.world.steps.step(&self.life, 4, told).await;
        if self.world.steps.fails(40) {
            return Err(Failure::SourceUnavailable { message: "made up".to_owned() });
        }
        Ok(())
    }

    /// Streams, and deletes what every projection that it knows has passed.
    async fn stream_and_delete(self) {
        loop {
            tokio::time::sleep(INTERVAL).await;
            self.stream();
            let number = {
                let mut stored = self.world.stored();
                stored.rounds += 1;
                (self.number, stored.rounds)
            };
            let mut round = NotesRound { host: self.clone(), number };
            // What fails is tried again in the next round.
            let _ = deletion::round(&mut round, &identity()).await;
            self.world.stored().deleting.remove(&number);
        }
    }

    fn stream(&self) {
        let stored = &mut *self.world.stored();
        let end = stored.log.len();
        let Some(Some(position)) = stored.lanes.get(&(self.installation, self.projection)) else { return };
        let Some(from) = taken(position) else { return };
        for at in from..end.min(from + SOME) {
            stored.acknowledged.entry(self.projection).or_default().insert(at, stored.log[at]);
        }
        let to = Position::Stream { token: stream(end.min(from + SOME)) };
        stored.lanes.insert((self.installation, self.projection), Some(to));
    }

    /// Begins with history, and then streams. Ends where it does not begin.
    async fn begin(self) {
        loop {
            tokio::time::sleep(INTERVAL).await;
            let stands = self.world.stored().lanes.get(&(self.installation, self.projection)).cloned();
            let went = match stands.flatten() {
                None => beginning::in_order(&mut FirstRun { host: self.clone(), start: None }).await,
                Some(Position::Scan { start, .. }) => self.scan(&start).await,
                Some(Position::Stream { .. }) => return,
            };
            if let Err(failure @ Failure::Misconfigured { .. }) = went {
                self.world.steps.note(|| format!("{}: {failure}", self.projection));
                // An operator brings the documents back, and it begins anew.
                let mut stored = self.world.stored();
                (stored.made, stored.scanned) = (BTreeSet::new(), 0);
                stored.lanes.remove(&(self.installation, self.projection));
            }
        }
    }

    async fn scan(&self, start: &Token) -> Result<(), Failure> {
        loop {
            self.step("reads a page of history").await?;
            let is_over = {
                let stored = &mut *self.world.stored();
                let behind = stored.documents.range(stored.scanned + 1..);
                let page: Vec<i64> = behind.take(SOME).copied().collect();
                stored.scanned = page.last().copied().unwrap_or(stored.scanned);
                stored.made.extend(&page);
                page.is_empty()
            };
            if is_over {
                break;
            }
        }
        let over = end_of_history(self, start).await?;
        let mut stored = self.world.stored();
        let from = taken(&over.position).unwrap_or_default();
        // Whatever was inserted since is in the stream.
        let has = |id: &&i64| stored.made.contains(id) || stored.log[from..].contains(id);
        if let Some(lacking) = stored.log.iter().find(|id| !has(id)) {
            let lacking = *lacking;
            self.world
                .steps
                .violated(|| format!("history ends as if it were complete, without event {lacking}"));
        }
        stored.starts += 1;
        stored.lanes.insert((self.installation, self.projection), Some(over.position));
        Ok(())
    }

    async fn asks_for_the_note(&self) -> Result<(), Failure> {
        self.step("asks for the note").await?;
        if self.world.stored().note {
            return Err(Failure::misconfigured("documents were deleted", "bring them back"));
        }
        Ok(())
    }
}

impl Notes for NotesHost {
    async fn is_complete(&self) -> Result<(), Failure> {
        self.asks_for_the_note().await
    }
}

/// A projection that begins.
struct FirstRun {
    host: NotesHost,
    start: Option<Token>,
}

impl Beginning for FirstRun {
    async fn is_complete(&mut self) -> Result<(), Failure> {
        self.host.asks_for_the_note().await
    }

    async fn register(&mut self) -> Result<(), Failure> {
        self.host.step("asks for the place where it begins").await?;
        self.start = Some(stream(self.host.world.stored().log.len()));
        self.host.step("registers").await?;
        let mut stored = self.host.world.stored();
        stored.lanes.insert((self.host.installation, self.host.projection), None);
        Ok(())
    }

    async fn claim(&mut self) -> Result<(), Failure> {
        self.host.step("claims its tables").await
    }

    async fn withdraw(&mut self) -> Result<(), Failure> {
        self.host.step("withdraws").await?;
        self.host.world.stored().lanes.remove(&(self.host.installation, self.host.projection));
        Ok(())
    }

    async fn place(&mut self) -> Result<(), Failure> {
        self.host.step("places its lanes").await?;
        let Some(start) = self.start.clone() else { return Ok(()) };
        let position = Position::Scan { start, key: None, beside: 0 };
        let mut stored = self.host.world.stored();
        (stored.made, stored.scanned) = (BTreeSet::new(), 0);
        stored.lanes.insert((self.host.installation, self.host.projection), Some(position));
        Ok(())
    }
}

/// A round of deletions.
struct NotesRound {
    host: NotesHost,
    number: (u64, u64),
}

impl Deletions for NotesRound {
    async fn all_lanes(&mut self) -> Result<Vec<LaneAt>, Failure> {
        self.host.step("looks how far all lanes are").await?;
        let source = serde_json::to_string(&identity()).expect("it is text");
        let stored = self.host.world.stored();
        let own =
            stored.lanes.iter().filter(|((installation, _), _)| *installation == self.host.installation);
        let lane = |((_, projection), position): (&(u32, &str), &Option<Position>)| LaneAt {
            projection: (*projection).to_owned(),
            source: source.clone(),
            position: position.clone(),
        };
        Ok(own.map(lane).collect())
    }

    async fn waiting(&mut self) -> Result<Vec<DeletionPage>, Failure> {
        self.host.step("looks what waits").await?;
        let stored = self.host.world.stored();
        let waits = stored.acknowledged.get(self.host.projection).into_iter().flatten();
        let row = |(at, id): (&usize, &i64)| PendingAcknowledgement {
            row: *at as u64,
            ids: vec![Id::Integer(*id)],
            bound: Some(Position::Stream { token: stream(at + 1) }),
            committed_ms: 0,
            is_old: true,
        };
        let rows: Vec<PendingAcknowledgement> = waits.take(SOME).map(row).collect();
        Ok(vec![DeletionPage { is_full: rows.len() == SOME, rows }])
    }

    async fn record_deletion(&mut self, _identity: &SourceIdentity) -> Result<(), Failure> {
        self.host.step("writes the note").await?;
        let mut stored = self.host.world.stored();
        stored.note = true;
        stored.deleting.insert(self.number);
        Ok(())
    }

    async fn delete(&mut self, rows: &[PendingAcknowledgement]) -> Result<(), Failure> {
        self.host.step("deletes").await?;
        let mut gone = 0;
        {
            let stored = &mut *self.host.world.stored();
            for row in rows {
                let Some(Id::Integer(id)) = row.ids.first() else { continue };
                gone += usize::from(stored.documents.remove(id));
                let at = usize::try_from(row.row).expect("a schedule is small");
                stored.acknowledged.entry(self.host.projection).or_default().remove(&at);
            }
            if gone > 0 && !(stored.note && stored.deleting.contains(&self.number)) {
                self.host.world.steps.violated(|| format!("{gone} document(s) are deleted without a note"));
            }
        }
        self.host.step("has deleted").await
    }
}

/// All of a schedule comes from its seed.
#[derive(Debug)]
struct NotesSchedule {
    seed: u64,
}

impl Schedule for NotesSchedule {
    const TESTS: &'static str = "simulation::notes";

    fn of(seed: u64) -> Self {
        Self { seed }
    }

    fn seed(&self) -> u64 {
        self.seed
    }

    fn play(&self, recorded: bool) -> Played {
        let mut chance = StdRng::seed_from_u64(self.seed);
        let crashes = (0..chance.random_range(0..6)).map(|_| chance.random_range(1..1_500)).collect();
        in_its_own_time(
            self.seed,
            || Steps::new(self.seed, crashes, 40, recorded),
            |steps| {
                let stored = NotesRows {
                    lanes: [((0, "old"), Some(Position::Stream { token: stream(0) }))].into(),
                    ..NotesRows::default()
                };
                let world = NotesWorld { steps, stored: Arc::new(Mutex::new(stored)) };
                if chance.random_range(0..2) == 0 {
                    world.stored().lanes.insert((1, "other"), Some(Position::Stream { token: stream(0) }));
                }
                world.happens(chance)
            },
        )
    }
}

impl NotesWorld {
    /// Hosts work and crash, a writer inserts, an operator brings back what was deleted and takes the note away. How often a
    /// projection began.
    async fn happens(self, mut chance: StdRng) -> Result<u64, String> {
        let began = tokio::time::Instant::now();
        let mut hosts: Vec<(NotesHost, JoinHandle<()>)> = vec![];
        let (mut inserted, mut hosted) = (0, 0);
        while began.elapsed() < TIME {
            for (installation, projection, begins) in
                [(0, "old", false), (0, "old", false), (1, "other", false), (0, "new", true)]
            {
                let same = hosts.iter().filter(|(host, _)| host.projection == projection).count();
                let most = if projection == "old" { 2 } else { 1 };
                if same < most && (!begins || chance.random_range(0..40) == 0) {
                    hosted += 1;
                    let (world, life, number) = (self.clone(), Life::default(), hosted);
                    let host = NotesHost { world, life, installation, projection, number };
                    let own = host.clone();
                    let works =
                        async move { if begins { own.begin().await } else { own.stream_and_delete().await } };
                    hosts.push((host, tokio::spawn(works)));
                }
            }
            tokio::time::sleep(LOOK).await;
            self.steps.violation().map_or(Ok(()), Err)?;
            for (host, working) in hosts.extract_if(.., |(host, _)| host.life.is_over()) {
                self.steps.note(|| format!("{} crashed", host.projection));
                working.abort();
                let _ = working.await;
                self.stored().deleting.retain(|(number, _)| *number != host.number);
            }
            if inserted < 40 && chance.random_range(0..4) == 0 {
                inserted += 1;
                let mut stored = self.stored();
                stored.documents.insert(inserted);
                stored.log.push(inserted);
            }
            if chance.random_range(0..30) == 0 {
                self.bring_back();
            }
        }
        for (_, working) in hosts {
            working.abort();
        }
        self.steps.violation().map_or(Ok(self.stored().starts), Err)
    }

    /// As the note says: the documents are inserted again, and the note is deleted. Not while a round deletes.
    fn bring_back(&self) {
        let stored = &mut *self.stored();
        if !stored.note || !stored.deleting.is_empty() {
            return;
        }
        let all: BTreeSet<i64> = stored.log.iter().copied().collect();
        let missing: Vec<i64> = all.difference(&stored.documents).copied().collect();
        self.steps.note(|| format!("an operator brings {} documents back", missing.len()));
        stored.documents.extend(&missing);
        stored.log.extend(&missing);
        stored.note = false;
    }
}

#[test]
fn no_history_is_deleted_without_a_note_and_none_is_taken_for_complete_that_is_not() {
    any_schedule::<NotesSchedule>(400);
}
