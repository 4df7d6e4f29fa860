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
use super::host::{Habits, Host};
use super::outbox::{Likely, Outbox, Shape, Trouble};
use super::steps::{Life, Steps};
use super::store::Store;
use crate::projection::Orders;
use crate::projection::letters::{Order, Replayed};
use crate::readmodel::dead_letter::Letter;

/// How long a schedule may take until everything is through, in its own time.
const PATIENCE: Duration = Duration::from_hours(1);

/// How often it is looked whether it is.
const LOOK: Duration = Duration::from_millis(200);

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
    pub broken: Option<(Duration, Duration)>,
}

impl Schedule {
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
                source: Trouble {
                    unavailable: [0, 30, 8][chance.random_range(0..3)],
                    lost: sometimes(chance, 12).then(|| while_(chance)),
                },
                slow: [0, 60, 10][chance.random_range(0..3)],
                trouble,
                absent: if hosts > 1 { 3 } else { 0 },
                slowness: [1, 5, 40][chance.random_range(0..3)],
            },
            lanes: [1, 2, 2, 3, 4, 7][chance.random_range(0..6)],
            resizes: sometimes(chance, 3),
            hosts,
            crashes,
            failures: 60,
            orders: [0, 300, 2_000][chance.random_range(0..3)],
            losses: if sometimes(chance, 6) {
                (0..3).map(|_| chance.random_range(20..8_000)).collect()
            } else {
                vec![]
            },
            broken: sometimes(chance, 12).then(|| while_(chance)),
        }
    }
}

fn likely(chance: &mut StdRng) -> Likely {
    let mut of = |percents: [u32; 4]| percents[chance.random_range(0..4)];
    Likely {
        unhandled: of([0, 10, 10, 40]),
        undecodable: of([0, 0, 3, 15]),
        rejected: of([0, 0, 3, 20]),
        refused: of([0, 0, 3, 20]),
        needing: of([0, 10, 40, 80]),
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
        let store = Store::new(outbox, steps.clone(), schedule.lanes, schedule.broken);
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
            if !calm && interval > 0 && ordered.elapsed() > Duration::from_millis(interval) {
                ordered = Instant::now();
                self.order();
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
        let discards = self.chance.random_range(0..4) == 0;
        let twice = self.chance.random_range(0..4) == 0;
        for _ in 0..=usize::from(twice) {
            drop(self.give(letter.clone(), discards));
        }
    }

    /// Gives an order to the lane of a letter, where one runs.
    fn give(&self, letter: Letter, discards: bool) -> Option<oneshot::Receiver<Answered>> {
        let lanes = self.hosts.iter().map(|(host, _)| host.orders.lanes()).find(|lanes| !lanes.is_empty())?;
        let count = u32::try_from(lanes.len()).expect("a schedule has few lanes");
        let key = letter.aggregate_key.as_ref();
        let lane = key.map_or(0, |key| crate::event::lane_of(key, count)) as usize;
        let (reply, answer) = oneshot::channel();
        self.steps.note(|| format!("operator: letter {}, discard {discards}", letter.id));
        let letter = Box::new(letter);
        let order = if discards {
            Order::Discard { letter, who: "operator".to_owned(), why: "made up".to_owned(), reply }
        } else {
            Order::Replay { letter, reply }
        };
        lanes[lane].try_send(order).ok().map(|()| answer)
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
                let began = Instant::now();
                while began.elapsed() < Duration::from_mins(5) {
                    self.violated()?;
                    let Some(answer) = self.give(head.clone(), discards) else {
                        tokio::time::sleep(LOOK).await;
                        continue;
                    };
                    match tokio::time::timeout(Duration::from_mins(5), answer).await {
                        Ok(Ok(Ok(_))) => break,
                        Ok(_) => {}
                        Err(_) => return Err(format!("letter {} is not answered", head.id)),
                    }
                }
            }
            let after = self.store.state().tables.letters.len();
            if discards && after >= before {
                return Err(format!("{after} letters cannot be given up"));
            }
        }
        Err("letters are left".to_owned())
    }

    fn check(&self) -> Result<(), String> {
        self.violated()?;
        examine::complete(&self.store.outbox, &self.store.state().tables)
    }
}

type Answered = Result<Replayed, crate::failure::Failure>;
