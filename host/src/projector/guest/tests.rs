//! Each way a guest can go wrong, alone and in the middle of healthy events.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::*;
use crate::projector::test_component::*;
use crate::projector::{Budget, Engine};
use crate::statement::Value;

/// Enough for every healthy specimen, and soon used up by an endless loop.
const FUEL: u64 = 10_000_000;

fn budget() -> Budget {
    Budget { fuel: FUEL, memory_bytes: 4 << 20, operations: 10, output_bytes: 1_000, compare_every: 256 }
}

fn guest(project: &str) -> Guest {
    Guest::new(load(project, &budget()), "test")
}

fn project(guest: &mut Guest, events: &[Event]) -> Vec<Result<Vec<Operation>, Failure>> {
    let events: Vec<&Event> = events.iter().collect();
    let projected = guest.project(&events).expect("the environment is not at fault");
    projected.into_iter().map(|projected| projected.verdict).collect()
}

/// Runs a guest that does `bad` for one event among healthy ones, which must be the same as alone.
fn check_poison(bad: &str) -> Failure {
    let mut guest = guest(&poisoned_by(bad));
    let events = [event(1), event(2), poison(3), event(4)];
    for _ in 0..2 {
        let verdicts = project(&mut guest, &events);
        let healthy: Vec<bool> = verdicts.iter().map(Result::is_ok).collect();
        assert_eq!(healthy, [true, true, false, true], "{verdicts:?}");
        assert!(!guest.component().is_impure());
    }
    let listed = project(&mut guest, &events).swap_remove(2);
    let alone = guest.project_alone(&poison(3)).expect("the environment is not at fault").verdict;
    assert_eq!(listed, alone);
    alone.expect_err("the event is at fault")
}

fn check_trapped(bad: &str, expect: &str) {
    let failure = check_poison(bad);
    assert!(matches!(&failure, Failure::Trapped { message } if message.contains(expect)), "{failure:?}");
}

fn check_output(bad: &str, expect: &str) {
    let failure = check_poison(bad);
    assert!(matches!(&failure, Failure::OutputTooLarge { what } if what.contains(expect)), "{failure:?}");
}

/// One operation with the integer that is the answer, for guests that answer with one.
fn integer(verdict: &Result<Vec<Operation>, Failure>) -> i64 {
    match verdict.as_deref() {
        Ok([Operation { parameters, .. }]) => match parameters[..] {
            [Value::Integer(integer)] => integer,
            ref other => panic!("not an integer: {other:?}"),
        },
        other => panic!("not one operation: {other:?}"),
    }
}

#[test]
fn a_list_has_a_verdict_for_each_event() {
    let mut guest = guest(HEALTHY);
    let events: Vec<Event> = (0..100).map(event).collect();
    let refs: Vec<&Event> = events.iter().collect();
    let projected = guest.project(&refs).expect("the environment is not at fault");
    assert_eq!(projected.len(), 100);
    assert!(projected.iter().all(|projected| projected.verdict == Ok(vec![]) && projected.fuel > 0));
    assert!(guest.project(&[]).expect("nothing can go wrong").is_empty());
}

#[test]
fn a_trap_is_the_fault_of_one_event() {
    check_trapped("unreachable", "wasm trap: wasm `unreachable` instruction executed");
}

#[test]
fn an_endless_loop_runs_out_of_fuel() {
    assert_eq!(check_poison("(loop $forever (br $forever))"), Failure::OutOfFuel { fuel: FUEL });
}

#[test]
fn endless_recursion_is_a_trap() {
    check_trapped("(drop (call $recurse (i32.const 0)))", "call stack exhausted");
}

const GROW_UNTIL_REFUSED: &str =
    "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))";

#[test]
fn a_memory_bomb_runs_out_of_memory() {
    let limit_bytes = budget().memory_bytes;
    let bomb = format!("{GROW_UNTIL_REFUSED} unreachable");
    assert_eq!(check_poison(&bomb), Failure::OutOfMemory { limit_bytes });
    let beyond_32_bits = "(drop (memory.grow (i32.const -1))) unreachable";
    assert_eq!(check_poison(beyond_32_bits), Failure::OutOfMemory { limit_bytes });
}

#[test]
fn a_guest_that_rejects_for_want_of_memory_ran_out_of_it() {
    let reject = format!(
        "{GROW_UNTIL_REFUSED} (drop {HEALTHY}) (call $reject (local.get $i)) (return (i32.const 128))"
    );
    assert_eq!(check_poison(&reject), Failure::OutOfMemory { limit_bytes: budget().memory_bytes });
}

#[test]
fn a_guest_may_go_on_after_it_was_refused_memory() {
    let mut guest = guest(&format!("{GROW_UNTIL_REFUSED} {HEALTHY}"));
    assert_eq!(project(&mut guest, &[event(1), event(2)]), [Ok(vec![]), Ok(vec![])]);
    assert!(guest.instance.is_none(), "an instance that is full is not used again");
}

#[test]
fn one_result_for_each_event_or_none_counts() {
    let short = "(return (call $ok (i32.sub (local.get $n) (i32.const 1)) (i32.const 0) (i32.const 0)))";
    check_trapped(short, "answered one event with 0 results");
    let long = "(return (call $ok (i32.add (local.get $n) (i32.const 1)) (i32.const 0) (i32.const 0)))";
    check_trapped(long, "answered one event with 2 results");
}

#[test]
fn the_number_of_operations_is_limited() {
    let operations =
        |count: u32| format!("(call $ok (local.get $n) (i32.const 0x20000) (i32.const {count}))");
    let full = project(&mut guest(&operations(10)), &[event(1)]).swap_remove(0);
    assert_eq!(full.map(|operations| operations.len()), Ok(10));
    check_output(&format!("(return {})", operations(11)), "11 operations, at most 10");
}

#[test]
fn the_bytes_of_an_answer_are_limited() {
    let texts = |count: u32, length: u32| {
        format!(
            "(call $ok (local.get $n) (call $texts (i32.const {count}) (i32.const {length})) (i32.const 1))"
        )
    };
    assert!(project(&mut guest(&texts(10, 100)), &[event(1)])[0].is_ok());
    check_output(&format!("(return {})", texts(10, 101)), "1010 bytes of parameters, at most 1000");
    // The same bytes a thousand times: the host stops copying before it has them all.
    check_output(&format!("(return {})", texts(1_000, 60_000)), "more than 11240 bytes at once");
}

#[test]
fn a_pointer_out_of_bounds_is_a_trap() {
    check_trapped("(return (call $ok (local.get $n) (i32.const -16) (i32.const 1)))", "out of bounds");
}

#[test]
fn a_pointer_that_is_not_aligned_is_a_trap() {
    check_trapped("(return (call $ok (local.get $n) (i32.const 0x20001) (i32.const 1)))", "not aligned");
}

#[test]
fn a_case_that_does_not_exist_is_a_trap() {
    let bad = "(drop (call $integer (i64.const 1))) (i32.store (i32.const 272) (i32.const 99))
               (return (call $ok (local.get $n) (i32.const 256) (i32.const 1)))";
    check_trapped(bad, "discriminant");
}

#[test]
fn a_division_by_zero_is_a_trap() {
    check_trapped("(drop (i32.div_s (local.get $n) (i32.const 0)))", "integer divide by zero");
}

#[test]
fn a_table_that_grows_beyond_its_limit_is_a_trap() {
    let grow = |elements: u32| format!("(drop (table.grow $grown (ref.null func) (i32.const {elements})))");
    check_trapped(&grow(100_000), "it wanted a table of 100001 elements, at most 100000 are given");
    // Up to its limit, and bit by bit.
    let mut guest = guest(&format!("{} {HEALTHY}", grow(9_999)));
    assert_eq!(project(&mut guest, &[event(1)]), [Ok(vec![])]);
    let more = format!("(loop $more {} (br $more))", grow(10_000));
    check_trapped(&more, "at most 100000 are given");
}

#[test]
fn text_that_is_not_utf_8_is_a_trap() {
    let bad = "(i32.store (i32.const 0x40000) (i32.const -1))
               (return (call $ok (local.get $n) (call $texts (i32.const 1) (i32.const 4)) (i32.const 1)))";
    check_trapped(bad, "invalid utf-8");
}

#[test]
fn a_rejection_says_why() {
    let reject = format!("(drop {HEALTHY}) (call $reject (local.get $i)) (return (i32.const 128))");
    let expect = Failure::Rejected { kind: "invalid", reason: "specimen".into() };
    assert_eq!(check_poison(&reject), expect);
}

#[test]
fn reading_the_clock_is_an_error_that_names_the_way_out() {
    let message =
        "it read the clock inside `project` (`wasi:clocks/wall-clock`): use the event's `occurred-at`";
    check_trapped("(call $now (i32.const 512))", message);
}

#[test]
fn asking_for_random_bytes_is_an_error_that_names_the_way_out() {
    let message =
        "asked for random bytes inside `project` (`wasi:random/random`): derive ids from the event's id";
    check_trapped("(drop (call $random))", message);
}

#[test]
fn the_monotonic_clock_stands_still() {
    let mut guest = guest("(call $ok (local.get $n) (call $integer (call $monotonic)) (i32.const 1))");
    assert_eq!(integer(&project(&mut guest, &[event(1)])[0]), 0);
}

/// Burns so much fuel: a turn of the loop takes about five.
fn burn(fuel: u64) -> String {
    let turns = fuel / 5;
    format!(
        "(local.set $i (i32.const {turns}))
         (loop $burn (br_if $burn (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))"
    )
}

#[test]
fn a_list_does_not_take_an_events_fuel_away() {
    let mut guest = guest(&poisoned_by(&burn(FUEL * 9 / 10)));
    let verdicts = project(&mut guest, &[poison(1), event(2), poison(3)]);
    assert_eq!(verdicts, [Ok(vec![]), Ok(vec![]), Ok(vec![])]);
}

#[test]
fn a_list_does_not_give_an_event_more_fuel() {
    assert_eq!(check_poison(&burn(FUEL * 11 / 10)), Failure::OutOfFuel { fuel: FUEL });
}

#[test]
fn events_that_are_too_heavy_for_a_list_are_run_alone_at_once() {
    let mut guest = guest(&format!("{} {HEALTHY}", burn(FUEL * 6 / 10)));
    let events: Vec<Event> = (0..5).map(event).collect();
    assert!(project(&mut guest, &events).iter().all(Result::is_ok));
    assert!(guest.usual_fuel > guest.list_fuel());
}

#[test]
fn fuel_is_the_same_every_time() {
    let mut guest = guest(HEALTHY);
    let mut fuel = || guest.project_alone(&event(1)).expect("the environment is not at fault").fuel;
    let first = fuel();
    assert!((0..10).all(|_| fuel() == first));
}

const COUNT_CALLS: &str = "(call $ok (local.get $n) (call $integer (global.get $calls)) (i32.const 1))";

#[test]
fn a_guest_that_keeps_state_is_caught_and_run_event_by_event() {
    let mut guest = guest(COUNT_CALLS);
    let events = [event(1), event(2)];
    // In one call of both nothing shows yet; it does when they are divided.
    let caught = project(&mut guest, &events);
    assert!(guest.component().is_impure());
    let later = project(&mut guest, &events);
    for verdict in caught.iter().chain(&later) {
        assert_eq!(integer(verdict), 1, "each is the first call of its instance");
    }
    let mut other = Guest::new(guest.component().clone(), "other");
    assert!(other.component().is_impure(), "every guest of the component knows");
    assert_eq!(integer(&project(&mut other, &events)[1]), 1);
}

#[test]
fn one_list_in_256_is_compared_with_a_fresh_instance() {
    // Its answer changes with the 200th list.
    let late = "(call $ok (local.get $n) (call $integer (i64.div_u (global.get $calls) (i64.const 200))) (i32.const 1))";
    let mut guest = guest(late);
    for list in 1..=257 {
        project(&mut guest, &[event(list)]);
        assert!(!guest.component().is_impure(), "list {list}");
    }
    let verdicts = project(&mut guest, &[event(258)]);
    assert!(guest.component().is_impure());
    assert_eq!(integer(&verdicts[0]), 0);
}

#[test]
fn who_asks_for_it_has_every_list_compared() {
    let budget = Budget { compare_every: 1, ..budget() };
    let late = "(call $ok (local.get $n) (call $integer (i64.div_u (global.get $calls) (i64.const 20))) (i32.const 1))";
    let mut guest = Guest::new(load(late, &budget), "test");
    for list in 1..=20 {
        assert!(!guest.component().is_impure(), "list {list}");
        assert_eq!(integer(&project(&mut guest, &[event(list)])[0]), 0);
    }
    assert!(guest.component().is_impure());
}

#[test]
fn a_rejection_that_comes_from_kept_state_does_not_count() {
    let later = format!(
        "(drop {HEALTHY})
         (if (i64.gt_u (global.get $calls) (i64.const 1)) (then (call $reject (i32.const 0))))
         (i32.const 128)"
    );
    let mut guest = guest(&later);
    project(&mut guest, &[event(1)]);
    assert_eq!(project(&mut guest, &[event(2)]), [Ok(vec![])]);
    assert!(guest.component().is_impure());
}

#[test]
fn an_instance_is_used_again_and_replaced_after_enough_events() {
    let mut guest = guest(HEALTHY);
    let events: Vec<Event> = (0..1_000).map(event).collect();
    for used in 1..10 {
        project(&mut guest, &events);
        assert!(guest.instance.is_some(), "after {used} lists");
    }
    project(&mut guest, &events);
    assert!(guest.instance.is_none());
}

#[test]
fn after_a_trap_the_next_list_has_a_new_instance() {
    let mut guest = guest(&poisoned_by("unreachable"));
    project(&mut guest, &[event(1)]);
    assert!(guest.instance.is_some());
    assert!(project(&mut guest, &[poison(2)])[0].is_err());
    assert!(guest.instance.is_none());
    assert!(project(&mut guest, &[event(3)])[0].is_ok());
}

#[test]
fn a_deadline_is_the_environments_fault() {
    let engine = Engine::new(None).expect("an engine starts");
    let budget = Budget { fuel: 100_000_000_000, ..budget() };
    let component = Component::load(&engine, &bytes("(loop $forever (br $forever)) unreachable"), &budget);
    let mut guest = Guest::new(component.expect("it loads"), "test");
    // The loop has fuel for a minute, but time flies: a thousand seconds pass in fifty milliseconds.
    let (running, ended) = mpsc::channel::<()>();
    let clock = thread::spawn(move || {
        while ended.recv_timeout(Duration::from_millis(1)) == Err(RecvTimeoutError::Timeout) {
            (0..2000).for_each(|_| engine.wasmtime().increment_epoch());
        }
    });
    let failure = guest.project(&[&event(1), &event(2)]).expect_err("no verdict");
    drop(running);
    clock.join().expect("the clock does not panic");
    assert_eq!(failure, Failure::Deadline { limit_ms: 1_000_000 });
    assert_eq!(failure.fault(), Fault::Environment);
}

#[test]
fn not_a_number_is_the_same_as_itself() {
    let answer = |number: f64| Operation { statement: 0, parameters: vec![Value::Number(number)] };
    assert_eq!(answer(f64::NAN), answer(f64::NAN));
    assert_ne!(answer(1.0), answer(2.0));
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs lists of events, and returns the lines of level INFO in the host's log.
fn logged(project_body: &str, lists: &[&[Event]]) -> (Guest, Vec<String>) {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let guest = tracing::subscriber::with_default(subscriber, || {
        let mut guest = guest(project_body);
        for list in lists {
            project(&mut guest, list);
        }
        guest
    });
    let text = String::from_utf8(log.0.lock().unwrap_or_else(PoisonError::into_inner).clone());
    (guest, text.expect("the log is text").lines().map(ToOwned::to_owned).collect())
}

const SPEAK: &str = "(call $log (i32.const 2) (i32.const 0) (i32.const 8))";

#[test]
fn a_guest_speaks_once_with_its_projection_its_digest_and_the_event() {
    // The list traps, so its lines are dropped, and each event is run alone.
    let speaks = format!("{SPEAK} {}", poisoned_by("unreachable"));
    let (guest, lines) = logged(&speaks, &[&[event(1), poison(2)], &[event(3)]]);
    assert_eq!(lines.len(), 3, "{lines:?}");
    for (line, event) in lines.iter().zip(1..) {
        let digest = guest.component().short_digest();
        let expect =
            format!("WARN projector: specimen projection=\"test\" digest=\"{digest}\" event={event}");
        assert!(line.ends_with(&expect), "{line}");
    }
}

#[test]
fn what_is_said_in_a_list_stands_with_the_event_it_is_about() {
    let about_poison = poisoned_by(SPEAK);
    let (_, lines) =
        logged(&about_poison, &[&[event(1), event(2), poison(3), event(4)], &[event(5), poison(6)]]);
    let ends: Vec<bool> =
        lines.iter().zip([3, 6]).map(|(line, id)| line.ends_with(&format!("event={id}"))).collect();
    assert_eq!((lines.len(), ends), (2, vec![true, true]), "{lines:?}");
}

#[test]
fn what_is_said_about_a_rejected_event_is_heard_once() {
    let reject = format!("{SPEAK} (drop {HEALTHY}) (call $reject (local.get $i)) (return (i32.const 128))");
    let (_, lines) = logged(&poisoned_by(&reject), &[&[event(1), poison(2), event(3)]]);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].ends_with("event=2"), "{lines:?}");
}

#[test]
fn what_a_guest_says_only_once_stands_with_the_whole_list() {
    let once = format!("(if (i64.eq (global.get $calls) (i64.const 2)) (then {SPEAK})) {HEALTHY}");
    let (_, lines) = logged(&once, &[&[event(1)], &[event(2), event(3), event(4)]]);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].ends_with("event=one of 3 from 2 to 4"), "{lines:?}");
}

#[test]
fn a_level_that_is_not_logged_costs_no_second_run() {
    let debug = "(call $log (i32.const 0) (i32.const 0) (i32.const 8))";
    let (guest, lines) = logged(&format!("{debug} {HEALTHY}"), &[&[event(1), event(2)]]);
    assert!(lines.is_empty(), "{lines:?}");
    assert_eq!(guest.instance.expect("it is kept").events(), 2);
}

#[test]
fn who_says_too_much_is_cut_short_and_the_number_is_told() {
    let flood = format!("{} {HEALTHY}", SPEAK.repeat(60));
    let events: Vec<Event> = (0..30).map(event).collect();
    let lists: Vec<&[Event]> = events.chunks(1).collect();
    let (_, lines) = logged(&flood, &lists);
    assert_eq!(lines.len(), 1001, "a thousand lines and the word that it is enough");
    assert!(
        lines[1000].contains("1000 lines within 10 s are taken, the others are counted"),
        "{}",
        lines[1000]
    );
}

#[test]
fn each_types_fuel_is_known_from_runs_of_one_event() {
    // The poisoned type is ten times as heavy, and always among others.
    let heavy = |number| Event { event_type: "Heavy".into(), ..poison(number) };
    let mut guest = guest(&poisoned_by(&burn(50_000)));
    for list in 0..40 {
        project(&mut guest, &[event(list), heavy(list), event(list)]);
    }
    let types = guest.component().record().types();
    let [light, heavy] = &types[..2] else { panic!("two types were run: {types:?}") };
    assert_eq!((light.event_type.as_str(), heavy.event_type.as_str()), ("Happened", "Heavy"));
    let (happened, poisoned) = (light, heavy);
    assert!(poisoned.runs >= 1 && poisoned.mean >= 50_000, "{types:?}");
    assert!(happened.runs >= 2 && happened.max < 10_000, "{types:?}");
}
