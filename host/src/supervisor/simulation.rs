//! The simulation: the loop of reader and lanes as it is, between a source, a projector and a read model that are
//! made up, in a time of its own, driven by one seed.

mod commands;
mod examine;
pub mod generation_rows;
mod generations;
pub mod host;
mod notes;
mod operator;
pub mod outbox;
pub mod play;
pub mod projector;
mod read_model;
mod restore;
mod schedule;
mod source;
pub mod steps;
pub mod store;

use play::{Schedule, all_hold, any_schedule};
use schedule::{LaneSchedule, WRITING};

#[test]
fn any_schedule_keeps_every_promise() {
    any_schedule::<LaneSchedule>(1_500);
}

#[test]
fn a_crash_at_each_of_the_first_steps_loses_nothing() {
    const STEPS: u64 = 80;
    let crashing = |seed: u64, step: u64| {
        let mut schedule = LaneSchedule::of(seed);
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
        let schedule = LaneSchedule::of(seed);
        let (first, second) = (schedule.play(true), schedule.play(true));
        assert!(first.record.len() > 10);
        let differs = first.record.iter().zip(&second.record).find(|(first, second)| first != second);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!(first.record.len(), second.record.len(), "seed {seed}");
        assert_eq!(schedule.play(false).steps, first.steps, "seed {seed}: to be recorded changes nothing");
    }
}

#[test]
fn generations_meet_the_live_one_while_it_runs() {
    let (mut live, mut apart, mut written) = (0, 0, 0);
    for seed in 0..40 {
        let mut schedule = LaneSchedule::of(seed);
        // Nobody dies, and nothing keeps the live lanes from running: only the stop before the end is a reason for a run of its own.
        (schedule.crashes, schedule.losses) = (vec![], vec![]);
        (schedule.failures, schedule.hosts, schedule.resizes) = (0, 1, false);
        (schedule.broken, schedule.strange, schedule.put_back) = (None, None, None);
        schedule.habits.source.lost = None;
        (schedule.habits.holds_stream, schedule.habits.letters_max) = (false, u64::MAX);
        (schedule.habits.breaker, schedule.habits.take_overs, schedule.generations) = (None, 0, 8);
        (schedule.shape.span, schedule.shape.history) = (WRITING, schedule.shape.history.min(40));
        let played = schedule.play(true);
        assert_eq!(played.ended.err(), None, "seed {seed}");
        let noted = |what: &str| played.record.iter().filter(|line| line.ends_with(what)).count();
        (live, apart) = (live + noted(generations::LIVE), apart + noted(generations::APART));
        let at = |line: &&String| line.split_whitespace().next().and_then(|at| at.parse::<f64>().ok());
        let while_written = |line: &&String| at(line).is_some_and(|at| at < WRITING.as_secs_f64());
        let lines = played.record.iter().filter(|line| line.ends_with(generations::LIVE));
        written += lines.filter(while_written).count();
    }
    println!(
        "{live} became live, {written} of them while events were written, {apart} in a run of their own"
    );
    assert!(written > 1_000, "{written} generations became live while events were written");
    assert!(apart < live / 200, "{apart} of {live} met the live one in a run of their own");
}
