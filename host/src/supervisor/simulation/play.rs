//! Playing schedules, as every simulation does: one seed a schedule, a time of its own, and the record of the first that goes
//! wrong.

use std::fmt::Debug;
use std::sync::Mutex;
use std::time::Instant;

use super::steps::Steps;

/// How many threads play schedules; each schedule has one.
const PLAYERS: u64 = 2;

/// How much of the record is told when a schedule fails.
const LINES: usize = 80;

/// What one seed decides before anything runs.
pub trait Schedule: Debug + Send {
    /// The filter of the tests that play such schedules.
    const TESTS: &'static str;

    fn of(seed: u64) -> Self;
    fn seed(&self) -> u64;
    fn play(&self, recorded: bool) -> Played;
}

/// What a schedule came to.
pub struct Played {
    /// How often that happened which the simulation is about; or what went wrong.
    pub ended: Result<u64, String>,
    pub record: Vec<String>,
    pub steps: u64,
}

/// Plays a schedule on a thread of its own time.
pub fn in_its_own_time<R: Future<Output = Result<u64, String>>>(
    seed: u64,
    steps: impl FnOnce() -> Steps,
    run: impl FnOnce(Steps) -> R,
) -> Played {
    // The waits between tries take their jitter from here.
    fastrand::seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime without I/O needs nothing").block_on(async {
        let steps = steps();
        let ended = run(steps.clone()).await;
        Played { ended, record: steps.record(), steps: steps.taken() }
    })
}

/// Plays as many schedules as `SCHEDULES` says, or so many, from the seed that `BASE` says on; or that of `SEED`.
pub fn any_schedule<S: Schedule>(schedules: u64) {
    if let Some(seed) = number("SEED") {
        let schedule = S::of(seed);
        println!("{}", told(&schedule, usize::MAX));
        assert!(schedule.play(false).ended.is_ok(), "the schedule of seed {seed} goes wrong");
        return;
    }
    let schedules = number("SCHEDULES").unwrap_or(schedules);
    let base = number("BASE").unwrap_or_else(|| u64::from(rand::random::<u32>()));
    println!("{schedules} schedules from seed {base} on");
    let began = Instant::now();
    let (happened, steps) = all_hold((base..base + schedules).map(S::of));
    println!("{happened} times, {steps} steps in {:?}", began.elapsed());
}

/// Plays schedules, and fails with the first that goes wrong.
pub fn all_hold<S: Schedule>(schedules: impl Iterator<Item = S> + Send) -> (u64, u64) {
    let (schedules, wrong, counted) = (Mutex::new(schedules), Mutex::new(None), Mutex::new((0, 0)));
    let next = || schedules.lock().expect("no player panics here").next();
    std::thread::scope(|scope| {
        for _ in 0..PLAYERS {
            scope.spawn(|| {
                while let Some(schedule) = next() {
                    let played = schedule.play(false);
                    let mut wrong = wrong.lock().expect("no player panics here");
                    let Ok(happened) = played.ended else {
                        wrong.get_or_insert(schedule);
                        return;
                    };
                    if wrong.is_some() {
                        return;
                    }
                    let mut counted = counted.lock().expect("no player panics here");
                    *counted = (counted.0 + happened, counted.1 + played.steps);
                }
            });
        }
    });
    if let Some(schedule) = wrong.into_inner().expect("all players are done") {
        let (seed, tests) = (schedule.seed(), S::TESTS);
        panic!(
            "{}\nplay it again: SEED={seed} cargo test -p laterna --lib {tests} -- --nocapture",
            told(&schedule, LINES)
        );
    }
    let (happened, steps) = counted.into_inner().expect("all players are done");
    assert!(happened > 0, "nothing that these schedules are about ever happened");
    (happened, steps)
}

/// Plays a schedule again, and tells what happened before it went wrong.
fn told<S: Schedule>(schedule: &S, lines: usize) -> String {
    let Played { ended, record, steps } = schedule.play(true);
    let last = record[record.len().saturating_sub(lines)..].join("\n");
    let wrong = ended.map_or_else(|wrong| format!("wrong: {wrong}"), |_| "nothing is wrong".to_owned());
    format!("{schedule:#?}\n{last}\nseed {}, {steps} steps; {wrong}", schedule.seed())
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("it is a number"))
}
