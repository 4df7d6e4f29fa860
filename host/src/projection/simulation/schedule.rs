//! What one seed decides before anything runs, and the play of it: hosts that crash and start again, an operator who
//! gives orders, a server that loses commits; then calm, everything mended, and the last look.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::examine;
use super::host::{Habits, Host, Running};
use super::outbox::{self, Likely, Outbox, Shape};
use super::steps::{Life, Steps};
use super::store::{Store, Trouble, Wanted, wish};
use crate::failure::Failure;
use crate::projection::Orders;
use crate::projection::breaker::BreakerSettings;
use crate::projection::letters::{Deed, Done, Order};
use crate::readmodel::dead_letter::Letter;

/// How long a schedule may take until everything is through, in its own time.
const PATIENCE: Duration = Duration::from_hours(1);

/// How often it is looked whether it is.
const LOOK: Duration = Duration::from_millis(200);

/// How long the answer to an order may take, when nothing fails any more.
const ANSWER: Duration = Duration::from_mins(5);

/// How often letters are replayed in the end: each time at least one of them goes.
const ROUNDS_MAX: usize = 1_000;

#[derive(Debug, Clone)]
pub struct Schedule {
    pub seed: u64,
    pub shape: Shape,
    pub habits: Habits,
    pub lanes: u32,
    /// Whether a start may have another number of lanes.
    pub resizes: bool,
    pub hosts: usize,
    pub crashes: Vec<u64>,
    pub failures: u32,
    /// Every so often an operator gives an order; never, if it is nothing.
    pub orders: u64,
    /// When the server loses commits.
    pub losses: Vec<u64>,
    pub broken: Trouble,
    /// When every statement of events is refused, with a code that no table knows.
    pub strange: Trouble,
    /// One in so many looks, another version is deployed; never, if it is nothing.
    pub swaps: u32,
}

impl Schedule {
    fn is_held_by_letters(&self) -> bool {
        self.habits.holds_stream || self.habits.letters_max < u64::MAX
    }

    pub fn of(seed: u64) -> Self {
        let mut chance = StdRng::seed_from_u64(seed);
        let chance = &mut chance;
        let trouble = [0, 0, 200, 40, 12][chance.random_range(0..5)];
        let span = Duration::from_secs([0, 1, 20][chance.random_range(0..3)]);
        let moments = |chance: &mut StdRng, most: usize| {
            let count = chance.random_range(0..=most);
            (0..count).map(|_| chance.random_range(1..=500)).collect::<Vec<u64>>()
        };
        let sometimes = |chance: &mut StdRng, one_in: u32| chance.random_ratio(1, one_in);
        let while_ = |chance: &mut StdRng| {
            let from = Duration::from_millis(chance.random_range(0..5_000));
            (from, from + Duration::from_secs(chance.random_range(1..40)))
        };
        let hosts = if sometimes(chance, 5) { 2 } else { 1 };
        let holds_stream = sometimes(chance, 6);
        let letters_max = if sometimes(chance, 6) { chance.random_range(1..=10) } else { u64::MAX };
        let crashes = if sometimes(chance, 2) { vec![] } else { moments(chance, 6) };
        Self {
            seed,
            shape: Shape {
                events: chance.random_range(5..=110),
                aggregates: [1, 3, 8, 25][chance.random_range(0..4)],
                history: [0, 0, 40, 100][chance.random_range(0..4)],
                likely: likely(chance),
                span,
            },
            habits: Habits {
                batch_max: [1, 3, 10, 100][chance.random_range(0..4)],
                feed_max: [1, 4, 15, 60][chance.random_range(0..4)],
                source: outbox::Trouble {
                    unavailable: [0, 30, 8][chance.random_range(0..3)],
                    lost: sometimes(chance, 12).then(|| while_(chance)),
                },
                slow: [0, 60, 10][chance.random_range(0..3)],
                trouble,
                absent: if hosts > 1 { 3 } else { 0 },
                slowness: [1, 5, 40][chance.random_range(0..3)],
                holds_stream,
                letters_max,
                operations_max: [usize::MAX, usize::MAX, 4, 20][chance.random_range(0..4)],
                breaker: breaker(chance),
            },
            lanes: [1, 2, 2, 3, 4, 7][chance.random_range(0..6)],
            resizes: sometimes(chance, 3),
            hosts,
            crashes,
            failures: 60,
            orders: match [0, 300, 2_000][chance.random_range(0..3)] {
                // Only an operator makes such a projection go on.
                0 if holds_stream || letters_max < u64::MAX => 300,
                interval => interval,
            },
            losses: if sometimes(chance, 6) {
                (0..3).map(|_| chance.random_range(20..8_000)).collect()
            } else {
                vec![]
            },
            broken: sometimes(chance, 12).then(|| while_(chance)),
            strange: sometimes(chance, 8).then(|| {
                let (from, to) = while_(chance);
                (from, if sometimes(chance, 2) { to * 20 } else { to })
            }),
            swaps: [0, 0, 4, 20][chance.random_range(0..4)],
        }
    }
}

fn breaker(chance: &mut StdRng) -> Option<BreakerSettings> {
    let aggregates = [0, 0, 0, 2, 4][chance.random_range(0..5)];
    let percent = [0, 0, 50][chance.random_range(0..3)];
    (aggregates > 0).then_some(BreakerSettings { aggregates, seconds: 10_000, percent })
}

fn likely(chance: &mut StdRng) -> Likely {
    let mut of = |percents: [u32; 4]| percents[chance.random_range(0..4)];
    Likely {
        unhandled: of([0, 10, 10, 40]),
        undecodable: of([0, 0, 3, 15]),
        rejected: of([0, 0, 3, 20]),
        refused: of([0, 0, 3, 20]),
        needing: of([0, 10, 40, 80]),
        strange: of([0, 0, 3, 60]),
        impossible: of([0, 0, 0, 10]),
        sent_again: of([0, 10, 10, 30]),
        discarded: of([0, 0, 0, 5]),
    }
}

/// What a schedule came to.
pub struct Played {
    pub wrong: Option<String>,
    pub record: Vec<String>,
    pub steps: u64,
}

/// Plays a schedule, on a thread of its own time.
pub fn play(schedule: &Schedule, recorded: bool) -> Played {
    // The waits between tries take their jitter from here.
    fastrand::seed(schedule.seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime without I/O needs nothing").block_on(async {
        let steps = Steps::new(schedule.seed, schedule.crashes.clone(), schedule.failures, recorded);
        let wrong = Play::new(schedule, steps.clone()).run().await.err();
        Played { wrong, record: steps.record(), steps: steps.taken() }
    })
}

struct Play<'a> {
    schedule: &'a Schedule,
    steps: Steps,
    store: Store,
    hosts: Vec<(Host, JoinHandle<()>)>,
    /// What is decided while it runs, apart from what the parts meet.
    chance: StdRng,
}

impl<'a> Play<'a> {
    fn new(schedule: &'a Schedule, steps: Steps) -> Self {
        let mut chance = StdRng::seed_from_u64(schedule.seed ^ 0x5EED);
        let outbox = Arc::new(Outbox::generate(&mut chance, &schedule.shape));
        let store = Store::new(outbox, steps.clone(), schedule.lanes, [schedule.broken, schedule.strange]);
        Self { schedule, steps, store, hosts: vec![], chance }
    }

    async fn run(mut self) -> Result<(), String> {
        for name in ["one", "two"].into_iter().take(self.schedule.hosts) {
            let host = self.host(name, 1, self.schedule.lanes);
            self.start(host);
        }
        self.until_through(false).await?;
        self.check()?;
        self.mend().await?;
        self.until_through(true).await?;
        self.replay_all().await?;
        self.check()?;
        self.stop().await
    }

    fn host(&self, name: &'static str, version: u32, lanes: u32) -> Host {
        self.store.state().starts += 1;
        Host {
            name,
            store: self.store.clone(),
            outbox: self.store.outbox.clone(),
            steps: self.steps.clone(),
            habits: self.schedule.habits.clone(),
            version,
            lanes,
            life: Life::default(),
            orders: Orders::default(),
            targets: Running::default(),
            suspects: Arc::default(),
            stop: CancellationToken::new(),
        }
    }

    fn start(&mut self, host: Host) {
        let running = tokio::spawn(host.clone().run());
        self.hosts.push((host, running));
    }

    /// Runs until every lane has committed the last document. Hosts that crashed start again.
    async fn until_through(&mut self, calm: bool) -> Result<(), String> {
        let began = Instant::now();
        let mut ordered = Instant::now();
        let mut losses = self.schedule.losses.clone();
        losses.sort_unstable();
        let losing = |passed: Duration| move |loss: &u64| passed >= Duration::from_millis(*loss);
        while !self.store.is_through() || self.hosts.iter().any(|(host, _)| host.life.is_over()) {
            tokio::time::sleep(LOOK).await;
            self.violated()?;
            self.restart_crashed().await;
            let passed = began.elapsed();
            if !calm && losses.first().is_some_and(losing(passed)) {
                losses.remove(0);
                self.store.lose_commits();
            }
            let interval = self.schedule.orders;
            let is_due = !calm || self.schedule.is_held_by_letters();
            if is_due && interval > 0 && ordered.elapsed() > Duration::from_millis(interval) {
                ordered = Instant::now();
                self.order();
            }
            // The breaker's bound is one of each version.
            let swaps = if calm || self.schedule.habits.breaker.is_some() { 0 } else { self.schedule.swaps };
            if swaps > 0 && self.chance.random_ratio(1, swaps) {
                let canary = self.chance.random_range(0..2) == 0;
                self.hosts.iter().for_each(|(host, _)| host.swap(canary));
                self.store.state().starts += u32::try_from(self.hosts.len()).expect("there are few");
            }
            if self.chance.random_ratio(1, 20) && self.store.resume() {
                self.steps.note(|| "operator: resume".to_owned());
            }
            if passed > PATIENCE {
                return Err(format!("not through after {PATIENCE:?}: {}", self.store.told()));
            }
        }
        self.violated()
    }

    fn violated(&self) -> Result<(), String> {
        self.steps.violation().map_or(Ok(()), Err)
    }

    async fn restart_crashed(&mut self) {
        for index in 0..self.hosts.len() {
            if !self.hosts[index].0.life.is_over() {
                continue;
            }
            let (crashed, running) = self.hosts.remove(index);
            running.abort();
            // Whatever it says, it is gone.
            let _ = running.await;
            let most = if self.schedule.resizes { 5 } else { 0 };
            let lanes = match self.chance.random_range(0..=most) {
                lanes @ 1.. => lanes,
                0 => crashed.lanes,
            };
            let version = crashed.version.max(self.chance.random_range(1..=2));
            let host = self.host(crashed.name, version, lanes);
            let running = tokio::spawn(host.clone().run());
            self.hosts.insert(index, (host, running));
        }
    }

    /// Orders something about a letter: mostly a head, now and then one that is not, or was.
    fn order(&mut self) {
        let letters: Vec<Letter> = match self.chance.random_range(0..5) {
            0 => self.store.state().tables.letters.values().map(|(_, letter)| (**letter).clone()).collect(),
            _ => self.store.heads(),
        };
        if letters.is_empty() {
            return;
        }
        let letter = letters[self.chance.random_range(0..letters.len())].clone();
        let deed = match self.chance.random_range(0..10) {
            0 | 1 => discard(),
            2 => Deed::Erase { who: "operator".to_owned(), why: "made up".to_owned() },
            3 => Deed::Rehearse,
            _ => Deed::Replay,
        };
        let twice = self.chance.random_range(0..4) == 0;
        for _ in 0..=usize::from(twice) {
            drop(self.give(letter.clone(), deed.clone()));
        }
    }

    /// Gives an order to the lane of a letter, where one runs.
    fn give(&self, letter: Letter, deed: Deed) -> Option<oneshot::Receiver<Answered>> {
        let lanes = self.hosts.iter().map(|(host, _)| host.orders.lanes()).find(|lanes| !lanes.is_empty())?;
        let count = u32::try_from(lanes.len()).expect("a schedule has few lanes");
        let key = letter.aggregate_key.as_ref();
        let lane = key.map_or(0, |key| crate::event::lane_of(key, count)) as usize;
        let (reply, answer) = oneshot::channel();
        self.steps.note(|| format!("operator: {deed:?} of letter {}", letter.id));
        let wishes: &[Wanted] = match deed {
            Deed::Replay => &[Wanted::Try],
            Deed::Discard { .. } => &[Wanted::Discard, Wanted::Try],
            Deed::Erase { .. } => &[Wanted::Erase],
            Deed::Rehearse => &[],
        };
        self.store.state().wishes.extend(wishes.iter().map(|wanted| wish(&letter, *wanted)));
        lanes[lane].try_send(Order { letter, deed, command: None, reply }).ok().map(|()| answer)
    }

    /// Gives an order until it is answered. None where a run ended over it, and it was given again.
    async fn ask(&self, letter: &Letter, deed: &Deed) -> Result<Option<Done>, String> {
        let (began, mut given) = (Instant::now(), 0);
        while began.elapsed() < ANSWER {
            self.violated()?;
            match self.give(letter.clone(), deed.clone()) {
                Some(answer) => {
                    given += 1;
                    if let Ok(Ok(Ok(done))) = tokio::time::timeout(ANSWER, answer).await {
                        return Ok((given == 1).then_some(done));
                    }
                }
                None => tokio::time::sleep(LOOK).await,
            }
        }
        self.violated()?;
        Err(format!("letter {} is not answered: {deed:?}", letter.id))
    }

    async fn stop(&mut self) -> Result<(), String> {
        for (host, running) in std::mem::take(&mut self.hosts) {
            host.stop.cancel();
            if tokio::time::timeout(Duration::from_mins(2), running).await.is_err() {
                return Err(format!("{} does not stop", host.name));
            }
        }
        self.violated()
    }

    /// Ends all trouble: the second version of the projector on one host, columns that are wide enough.
    async fn mend(&mut self) -> Result<(), String> {
        self.steps.calm();
        self.stop().await?;
        self.store.state().mended = true;
        let lanes = if self.schedule.resizes { self.chance.random_range(1..=5) } else { self.schedule.lanes };
        self.steps.note(|| "everything is mended".to_owned());
        let host = self.host("three", 2, lanes);
        self.start(host);
        Ok(())
    }

    /// Replays all letters, and gives up what still fails, until none is left.
    async fn replay_all(&mut self) -> Result<(), String> {
        for round in 0..ROUNDS_MAX {
            let heads = self.store.heads();
            if heads.is_empty() {
                return Ok(());
            }
            let before = self.store.state().tables.letters.len();
            let discards = round % 2 == 1;
            for head in heads.into_iter().take(if discards { 1 } else { usize::MAX }) {
                let at_once = if discards {
                    self.ask(&head, &discard()).await?.is_some()
                } else {
                    self.replay_as_rehearsed(&head).await?
                };
                if at_once {
                    self.has_followed(&head)?;
                }
            }
            let after = self.store.state().tables.letters.len();
            if discards && after >= before {
                return Err(format!("{after} letters cannot be given up"));
            }
        }
        Err("letters are left".to_owned())
    }

    /// What a letter held back was tried after it.
    fn has_followed(&self, letter: &Letter) -> Result<(), String> {
        let state = self.store.state();
        let head = letter.aggregate_key.as_ref().and_then(|key| state.tables.head(key));
        match head.filter(|head| head.is_held()) {
            Some(head) => Err(format!("letter {} was not tried after letter {}", head.id, letter.id)),
            None => Ok(()),
        }
    }

    /// Nothing else moves any more, so a replay comes to what its rehearsal says.
    /// Whether no run ended meanwhile.
    async fn replay_as_rehearsed(&self, head: &Letter) -> Result<bool, String> {
        let rehearsed = self.ask(head, &Deed::Rehearse).await?;
        let replayed = self.ask(head, &Deed::Replay).await?;
        let (Some(rehearsed), Some(replayed)) = (rehearsed, replayed) else { return Ok(false) };
        let fails = u64::from(rehearsed.would_fail.is_some());
        if (rehearsed.would_apply, fails) == (replayed.applied, replayed.still_parked) {
            return Ok(true);
        }
        Err(format!("the rehearsal of letter {} says {rehearsed:?}, its replay {replayed:?}", head.id))
    }

    fn check(&self) -> Result<(), String> {
        self.violated()?;
        examine::complete(&self.store.outbox, &self.store.state().tables)
    }
}

fn discard() -> Deed {
    Deed::Discard { who: "operator".to_owned(), why: "made up".to_owned() }
}

type Answered = Result<Done, Failure>;
