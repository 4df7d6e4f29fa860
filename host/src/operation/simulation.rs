//! The simulation of what operators do: the queue of commands, the decisions about deployments and generations, and the
//! guard of the live tables, as they are, over made-up rows and a made-up outbox, driven by one seed.

mod desk;
mod examine;
mod host;
mod play;
mod rows;

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use play::play;

/// Schedules that are played unless `SCHEDULES` sets another number.
const SCHEDULES: u64 = 600;

/// For how many seconds MongoDB may be away, so that what waits for it is given up.
const LONG: u64 = 4_500;

/// The decisions of one seed before anything runs.
#[derive(Debug, Clone)]
pub struct Schedule {
    pub seed: u64,
    pub hosts: usize,
    /// The steps at which whoever takes them crashes.
    pub crashes: Vec<u64>,
    pub failures: u32,
    /// One in so many looks at MySQL fails.
    pub trouble: u32,
    /// How many events are written, and how often, in one look of so many, a document is deleted or sent again.
    pub events: i64,
    pub deletions: u32,
    /// How many of the newest events are known one by one.
    pub window: usize,
    /// An older host did not write down which events the live tables were made from.
    pub is_older: bool,
    /// When the place in the stream is lost, and whether the tables are then filled again in place.
    pub lost: Option<Duration>,
    pub rebuilds: bool,
    /// When MongoDB does not answer.
    pub away: Option<(Duration, Duration)>,
    /// One in so many looks, an operator asks for something.
    pub commands: u32,
}

impl Schedule {
    pub fn of(seed: u64) -> Self {
        let chance = &mut StdRng::seed_from_u64(seed);
        let sometimes = |chance: &mut StdRng, one_in: u32| chance.random_ratio(1, one_in);
        let moment = |chance: &mut StdRng| Duration::from_millis(chance.random_range(0..60_000));
        let crashes = if sometimes(chance, 2) { 0 } else { chance.random_range(1..=5) };
        let away = sometimes(chance, 3).then(|| {
            let from = moment(chance);
            let seconds = if sometimes(chance, 12) { LONG } else { chance.random_range(5..400) };
            (from, from + Duration::from_secs(seconds))
        });
        let hosts = chance.random_range(1..=2);
        Self {
            seed,
            // A long time has many steps.
            hosts: if away.is_some_and(|(from, to)| to >= from + Duration::from_secs(LONG)) {
                1
            } else {
                hosts
            },
            crashes: (0..crashes).map(|_| chance.random_range(1..2_000)).collect(),
            failures: 40,
            trouble: [0, 100, 15][chance.random_range(0..3)],
            events: chance.random_range(5..60),
            deletions: [0, 40, 8][chance.random_range(0..3)],
            window: [0, 5, 1_000][chance.random_range(0..3)],
            is_older: sometimes(chance, 8),
            lost: sometimes(chance, 4).then(|| moment(chance)),
            rebuilds: sometimes(chance, 2),
            away,
            commands: [12, 40][chance.random_range(0..2)],
        }
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("it is a number"))
}

#[test]
fn any_schedule_of_commands_and_generations_keeps_every_promise() {
    let seed = number("SEED");
    let base = number("BASE").unwrap_or_else(|| u64::from(rand::random::<u32>()));
    let schedules = seed.map_or(number("SCHEDULES").unwrap_or(SCHEDULES), |_| 1);
    let base = seed.unwrap_or(base);
    println!("{schedules} schedules from seed {base} on");
    let (began, mut steps) = (Instant::now(), 0);
    for schedule in (base..base + schedules).map(Schedule::of) {
        let played = play(&schedule, seed.is_some());
        steps += played.steps;
        if let Some(wrong) = played.wrong {
            let again = play(&schedule, true).record;
            let told = &again[again.len().saturating_sub(if seed.is_some() { usize::MAX } else { 80 })..];
            let seed = schedule.seed;
            panic!(
                "{schedule:#?}\n{}\nwrong: {wrong}\nplay it again: SEED={seed} cargo test -p laterna --lib \
                 operation::simulation -- --nocapture",
                told.join("\n")
            );
        }
    }
    println!("{steps} steps in {:?}", began.elapsed());
}
