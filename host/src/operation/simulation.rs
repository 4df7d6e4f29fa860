//! The simulation of what operators do: the supervisor, the queue of commands, the decisions about deployments and
//! generations, and the guard of the live tables, as they are, over made-up rows and a made-up outbox from which documents
//! go, driven by one seed.

mod desk;
mod examine;
mod generations;
mod host;
mod lanes;
mod play;
mod rows;

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::supervisor::simulation::play::{Played, Schedule, any_schedule};

/// For how many seconds MongoDB may be away, so that what waits for it is given up.
const LONG: u64 = 4_500;

/// The decisions of one seed before anything runs.
#[derive(Debug, Clone)]
pub struct OperatorSchedule {
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

impl Schedule for OperatorSchedule {
    const TESTS: &'static str = "operation::simulation";

    fn of(seed: u64) -> Self {
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
    fn seed(&self) -> u64 {
        self.seed
    }

    fn play(&self, recorded: bool) -> Played {
        self.played(recorded)
    }
}

#[test]
fn any_schedule_of_commands_and_generations_keeps_every_promise() {
    any_schedule::<OperatorSchedule>(400);
}
