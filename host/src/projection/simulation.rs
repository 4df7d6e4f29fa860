//! The simulation: the loop of reader and lanes as it is, between a source, a projector and a read model that are
//! made up, in a time of its own, driven by one seed.

mod examine;
mod host;
mod outbox;
mod projector;
mod read_model;
mod schedule;
mod steps;
mod store;

use schedule::{Played, Schedule, play};

/// How many schedules are played unless `SCHEDULES` says otherwise.
const SCHEDULES: u64 = 2000;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("it is a number"))
}

fn told(seed: u64, played: &Played, lines: usize) -> String {
    let record = &played.record;
    let last = record[record.len().saturating_sub(lines)..].join("\n");
    format!("{last}\nseed {seed}, {} steps: {:?}", played.steps, played.wrong)
}

#[test]
fn many_schedules_keep_every_promise() {
    if let Some(seed) = number("SEED") {
        let schedule = Schedule::of(seed);
        let played = play(&schedule, true);
        println!("{schedule:#?}\n{}", told(seed, &played, usize::MAX));
        assert!(played.wrong.is_none(), "seed {seed}");
        return;
    }
    let (schedules, base) = (number("SCHEDULES").unwrap_or(SCHEDULES), number("BASE").unwrap_or_else(rand::random));
    println!("{schedules} schedules from seed {base}");
    let began = std::time::Instant::now();
    let mut failed = 0;
    let mut steps = 0;
    for seed in (0..schedules).map(|index| base.wrapping_add(index)) {
        let played = play(&Schedule::of(seed), false);
        steps += played.steps;
        if let Some(wrong) = played.wrong {
            failed += 1;
            println!("SEED={seed}: {wrong}");
        }
    }
    println!("{failed} failed, {steps} steps in {:?}", began.elapsed());
    assert_eq!(failed, 0);
}
