//! The simulation: the loop of reader and lanes as it is, between a source, a projector and a read model that are
//! made up, in a time of its own, driven by one seed.

mod commands;
mod examine;
mod generations;
mod host;
mod notes;
mod operator;
mod outbox;
mod projector;
mod read_model;
mod restore;
mod schedule;
mod source;
pub mod steps;
mod store;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use schedule::{Played, Schedule, play};

/// How many schedules are played unless `SCHEDULES` says otherwise.
const SCHEDULES: u64 = 1500;

/// How many threads play schedules; each schedule has one.
const PLAYERS: u64 = 2;

/// How much of the record is told when a schedule fails.
const LINES: usize = 60;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("it is a number"))
}

/// Plays a schedule again, and tells what happened before it went wrong.
fn told(schedule: &Schedule, lines: usize) -> String {
    let Played { wrong, record, steps } = play(schedule, true);
    let last = record[record.len().saturating_sub(lines)..].join("\n");
    let wrong = wrong.map_or_else(|| "nothing is wrong".to_owned(), |wrong| format!("wrong: {wrong}"));
    format!("{schedule:#?}\n{last}\nseed {}, {steps} steps; {wrong}", schedule.seed)
}

/// Plays schedules, and fails with the first that goes wrong.
fn all_hold(schedules: impl Iterator<Item = Schedule> + Send) -> u64 {
    let (schedules, wrong, steps) = (Mutex::new(schedules), Mutex::new(None), AtomicU64::new(0));
    let next = || schedules.lock().expect("no player panics here").next();
    std::thread::scope(|scope| {
        for _ in 0..PLAYERS {
            scope.spawn(|| {
                while let Some(schedule) = next() {
                    let played = play(&schedule, false);
                    steps.fetch_add(played.steps, Ordering::Relaxed);
                    let mut wrong = wrong.lock().expect("no player panics here");
                    if played.wrong.is_some() || wrong.is_some() {
                        wrong.get_or_insert(schedule);
                        return;
                    }
                }
            });
        }
    });
    if let Some(schedule) = wrong.into_inner().expect("all players are done") {
        let seed = schedule.seed;
        panic!(
            "{}\nplay it again: SEED={seed} cargo test -p laterna --lib simulation -- --nocapture",
            told(&schedule, LINES)
        );
    }
    steps.into_inner()
}

#[test]
fn any_schedule_keeps_every_promise() {
    if let Some(seed) = number("SEED") {
        let schedule = Schedule::of(seed);
        println!("{}", told(&schedule, usize::MAX));
        assert!(play(&schedule, false).wrong.is_none(), "the schedule of seed {seed} goes wrong");
        return;
    }
    let schedules = number("SCHEDULES").unwrap_or(SCHEDULES);
    let base = number("BASE").unwrap_or_else(|| u64::from(rand::random::<u32>()));
    println!("{schedules} schedules from seed {base} on");
    let began = Instant::now();
    let steps = all_hold((base..base + schedules).map(Schedule::of));
    println!("{steps} steps in {:?}", began.elapsed());
}

#[test]
fn a_crash_at_each_of_the_first_steps_loses_nothing() {
    const STEPS: u64 = 80;
    let crashing = |seed: u64, step: u64| {
        let mut schedule = Schedule::of(seed);
        schedule.crashes = vec![step];
        schedule.resizes = true;
        schedule.shape.events = schedule.shape.events.min(30);
        schedule
    };
    all_hold((1..=4).flat_map(|seed| (1..=STEPS).map(move |step| crashing(seed, step))));
}

#[test]
fn a_seed_is_one_schedule_to_the_last_word() {
    for seed in 0..40 {
        let schedule = Schedule::of(seed);
        let (first, second) = (play(&schedule, true), play(&schedule, true));
        assert!(first.record.len() > 10);
        let differs = first.record.iter().zip(&second.record).find(|(first, second)| first != second);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!(first.record.len(), second.record.len(), "seed {seed}");
        assert_eq!(play(&schedule, false).steps, first.steps, "seed {seed}: to be recorded changes nothing");
    }
}
