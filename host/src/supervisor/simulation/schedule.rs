//! What one seed decides before anything runs, and the play of it: hosts that crash and start again, an operator who
//! gives orders, a server that loses commits; then calm, everything mended, and the last look.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::examine;
use super::host::{Habits, Host, Running, settings};
use super::outbox::{Likely, OutboxModel, OutboxShape};
use super::play::{Played, Schedule, in_its_own_time};
use super::source::SourceTrouble;
use super::steps::{Life, Steps};
use super::store::{Store, TroubledTime};
use crate::pipeline::breaker::BreakerSettings;
use crate::pipeline::requests::LetterQueues;
use crate::readmodel::lane::checkpoint;
use crate::status::Status;
use crate::supervisor::settings::Settings;

/// How long a schedule may take until everything is through, in its own time.
const PATIENCE: Duration = Duration::from_hours(1);

/// How often it is looked whether it is.
pub const LOOK: Duration = Duration::from_millis(200);

/// How long writers go on where generations come and go.
pub const WRITING: Duration = Duration::from_mins(1);

/// How long it may take until it is noticed that the source was put back.
const NOTICE: Duration = Duration::from_mins(20);

#[derive(Debug, Clone)]
pub struct LaneSchedule {
    pub seed: u64,
    pub shape: OutboxShape,
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
    pub broken: TroubledTime,
    /// When every statement of events is refused, with a code that no table knows.
    pub strange: TroubledTime,
    /// When the source is put back to an older copy, and for how long it stays so.
    pub put_back: TroubledTime,
    /// One in so many looks, another version is deployed; never, if it is nothing.
    pub swaps: u32,
    /// One in so many looks, an operator asks for another generation, or changes one; never, if it is nothing.
    pub generations: u32,
}

impl LaneSchedule {
    fn is_held_by_letters(&self) -> bool {
        self.habits.holds_stream || self.habits.letters_max < u64::MAX
    }
}

impl Schedule for LaneSchedule {
    const TESTS: &'static str = "supervisor::simulation";

    fn of(seed: u64) -> Self {
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
        let schedule = Self {
            seed,
            shape: OutboxShape {
                events: chance.random_range(5..=110),
                aggregates: [1, 3, 8, 25][chance.random_range(0..4)],
                history: [0, 0, 40, 100][chance.random_range(0..4)],
                likely: likely(chance),
                span,
            },
            habits: Habits {
                batch_max: [1, 3, 10, 100][chance.random_range(0..4)],
                feed_max: [1, 4, 15, 60][chance.random_range(0..4)],
                source: SourceTrouble {
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
                take_overs: if sometimes(chance, 4) { 3 } else { 0 },
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
            put_back: sometimes(chance, 6).then(|| while_(chance)),
            generations: [0, 0, 0, 25, 60][chance.random_range(0..5)],
        };
        schedule.where_a_loss_shows().where_generations_are_real()
    }

    fn seed(&self) -> u64 {
        self.seed
    }

    fn play(&self, recorded: bool) -> Played {
        let steps = || Steps::new(self.seed, self.crashes.clone(), self.failures, recorded);
        in_its_own_time(self.seed, steps, |steps| LanePlay::new(self, steps).run())
    }
}

impl LaneSchedule {
    /// A source that is put back is noticed where events are taken and commits are kept.
    fn where_a_loss_shows(mut self) -> Self {
        if self.put_back.is_some() {
            self.losses.clear();
            self.habits.source.lost = None;
            (self.habits.holds_stream, self.habits.letters_max, self.habits.breaker) =
                (false, u64::MAX, None);
        }
        self
    }
}

impl LaneSchedule {
    /// Where there are generations, writers go on through their switches, no other tables take the live ones' place in other ways,
    /// and no commits are lost.
    fn where_generations_are_real(mut self) -> Self {
        if self.generations > 0 {
            self.shape.span = WRITING;
            self.habits.take_overs = 0;
            self.losses.clear();
            self.put_back = None;
        }
        self
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

/// A schedule that is played.
pub struct LanePlay<'a> {
    schedule: &'a LaneSchedule,
    pub steps: Steps,
    pub store: Store,
    pub hosts: Vec<(Host, JoinHandle<()>)>,
    /// What is decided while it runs, apart from what the parts meet.
    pub chance: StdRng,
    put_back: PutBack,
}

/// How far a put back of the source is.
#[derive(Debug, Clone, Copy, PartialEq)]
enum PutBack {
    Before,
    /// An older copy stands there since then, when that had been noticed so many times.
    Older(Instant, u64),
    Over,
}

impl<'a> LanePlay<'a> {
    fn new(schedule: &'a LaneSchedule, steps: Steps) -> Self {
        let mut chance = StdRng::seed_from_u64(schedule.seed ^ 0x5EED);
        let outbox = Arc::new(OutboxModel::generate(&mut chance, &schedule.shape));
        let store = Store::new(outbox, steps.clone(), schedule.lanes, [schedule.broken, schedule.strange]);
        let put_back = if schedule.put_back.is_some() { PutBack::Before } else { PutBack::Over };
        Self { schedule, steps, store, hosts: vec![], chance, put_back }
    }

    async fn run(mut self) -> Result<u64, String> {
        for name in ["one", "two"].into_iter().take(self.schedule.hosts) {
            let host = self.host(name, 1, self.schedule.lanes);
            self.start(host);
        }
        self.until_through(false).await?;
        self.check()?;
        self.mend().await?;
        self.until_through(true).await?;
        self.until_settled().await?;
        self.until_commanded().await?;
        self.replay_all().await?;
        self.check()?;
        self.stop().await?;
        Ok(self.store.outbox.documents.len() as u64)
    }

    fn host(&self, name: &'static str, version: u32, lanes: u32) -> Host {
        self.store.state().starts += 1;
        let habits = &self.schedule.habits;
        let mut settings = Settings { lanes, batch_max: habits.batch_max, ..settings(name) };
        settings.letters.limits.letters_max = habits.letters_max;
        Host {
            name,
            store: self.store.clone(),
            outbox: self.store.outbox.clone(),
            steps: self.steps.clone(),
            habits: self.schedule.habits.clone(),
            version,
            settings,
            status: Arc::new(Status::new("simulated")),
            life: Life::default(),
            letter_queues: LetterQueues::default(),
            desired: Running::default(),
            unheard: Arc::default(),
            stop: CancellationToken::new(),
        }
    }

    fn start(&mut self, host: Host) {
        let running = tokio::spawn(host.clone().work());
        self.hosts.push((host, running));
    }

    /// Runs until every lane has committed the last document. Hosts that crashed start again.
    async fn until_through(&mut self, calm: bool) -> Result<(), String> {
        let began = Instant::now();
        let mut ordered = Instant::now();
        let mut losses = self.schedule.losses.clone();
        losses.sort_unstable();
        let losing = |passed: Duration| move |loss: &u64| passed >= Duration::from_millis(*loss);
        while !self.store.is_through()
            || self.put_back != PutBack::Over
            || self.hosts.iter().any(|(host, _)| host.life.is_over())
        {
            tokio::time::sleep(LOOK).await;
            self.violated()?;
            self.restart_crashed().await;
            let passed = began.elapsed();
            self.put_back(passed)?;
            if !calm && losses.first().is_some_and(losing(passed)) {
                losses.remove(0);
                self.store.lose_commits();
            }
            let interval = self.schedule.orders;
            let is_due = !calm || self.schedule.is_held_by_letters();
            if is_due && interval > 0 && ordered.elapsed() > Duration::from_millis(interval) {
                ordered = Instant::now();
                if self.chance.random_range(0..2) == 0 {
                    self.command();
                } else {
                    self.order();
                }
            }
            // The breaker's bound is one of each version.
            let swaps = if calm || self.schedule.habits.breaker.is_some() { 0 } else { self.schedule.swaps };
            if swaps > 0 && self.chance.random_ratio(1, swaps) {
                let canary = self.chance.random_range(0..2) == 0;
                self.hosts.iter().for_each(|(host, _)| host.swap(canary));
                self.store.state().starts += u32::try_from(self.hosts.len()).expect("there are few");
            }
            let generations = if calm { 0 } else { self.schedule.generations };
            if generations > 0 && self.chance.random_ratio(1, generations) {
                self.change_generations();
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

    /// Puts an older copy in the source's place when it is time, and the source itself when that was noticed: by a run that
    /// read on, or by one that began.
    fn put_back(&mut self, passed: Duration) -> Result<(), String> {
        let Some((from, until)) = self.schedule.put_back else { return Ok(()) };
        match self.put_back {
            PutBack::Before if passed >= from => {
                let taken = checkpoint::anchor(&self.store.state().tables.lanes);
                if let Some(taken) = taken {
                    if self.chance.random_range(0..2) == 0 {
                        self.store.outbox.put_back_when_opened(taken);
                    } else {
                        self.store.outbox.put_back(&self.steps, &taken);
                    }
                    self.put_back = PutBack::Older(Instant::now(), self.store.state().notices);
                    if self.chance.random_range(0..2) == 0 {
                        self.hosts.iter().for_each(|(host, _)| host.life.end());
                    }
                } else if passed >= until {
                    self.put_back = PutBack::Over;
                }
            }
            PutBack::Older(since, before) => {
                let is_noticed = self.store.state().notices > before;
                if !is_noticed && since.elapsed() > NOTICE {
                    return Err("the source was put back, and no run ended over it".to_owned());
                }
                if is_noticed && since.elapsed() > until.saturating_sub(from) {
                    self.store.outbox.put_right(&self.steps);
                    self.put_back = PutBack::Over;
                }
            }
            _ => {}
        }
        Ok(())
    }

    pub fn violated(&self) -> Result<(), String> {
        self.steps.violation().map_or(Ok(()), Err)
    }

    pub async fn restart_crashed(&mut self) {
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
                0 => crashed.settings.lanes,
            };
            let version = crashed.version.max(self.chance.random_range(1..=2));
            let host = self.host(crashed.name, version, lanes);
            let running = tokio::spawn(host.clone().work());
            self.hosts.insert(index, (host, running));
        }
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

    fn check(&self) -> Result<(), String> {
        self.violated()?;
        examine::complete(&self.store.outbox, &self.store.state().tables)
    }
}
