//! Components that a toolchain built, each bad in its own way, under the real sandbox.
//!
//! What does not need a toolchain is tested beside the code, with components in the text format.

use std::sync::{Arc, LazyLock};

use laterna::event::{Aggregate, Event, Id};
use laterna::failure::Failure;
use laterna::projector::{Budget, Component, Engine, Guest, Projected, Refusal, Worker};
use laterna::statement::{Operation, Value};

use crate::guests;

static ENGINE: LazyLock<Engine> = LazyLock::new(|| Engine::new(None).expect("the engine starts"));

fn load(name: &str) -> Result<Component, Refusal> {
    Component::load(&ENGINE, &guests::bytes(name), &Budget::default())
}

fn guest(name: &str) -> Guest {
    Guest::new(load(name).unwrap_or_else(|refusal| panic!("{name}: {refusal}")), name)
}

fn event(number: i64, payload: &str) -> Event {
    Event {
        id: Id::Integer(number),
        event_type: "Happened".into(),
        version: 1,
        aggregate: Aggregate { kind: "thing".into(), id: Id::Integer(number) },
        sequence: Some(number),
        occurred_at: Some("2026-01-31T12:00:00.000Z".into()),
        payload: payload.into(),
        metadata: "{}".into(),
    }
}

fn project(guest: &mut Guest, events: &[Event]) -> Vec<Projected> {
    let events: Vec<&Event> = events.iter().collect();
    guest.project(&events).expect("the environment is not at fault")
}

/// What becomes of one event, which must be the same among others.
fn verdict(name: &str) -> Result<Vec<Operation>, Failure> {
    let mut guest = guest(name);
    let alone = guest.project_alone(&event(2, "{}")).expect("the environment is not at fault").verdict;
    let listed =
        project(&mut guest, &[event(1, "{}"), event(2, "{}"), event(3, "{}")]).swap_remove(1).verdict;
    assert_eq!(listed, alone);
    alone
}

fn trapped(verdict: Result<Vec<Operation>, Failure>) -> String {
    match verdict {
        Err(Failure::Trapped { message }) => message,
        other => panic!("not a trap: {other:?}"),
    }
}

/// The text that a well-behaved guest notes about each event.
fn note(projected: &Projected) -> &str {
    match projected.verdict.as_deref() {
        Ok([Operation { parameters, .. }]) => match &parameters[..] {
            [_, Value::Text(note)] => note,
            other => panic!("not a note: {other:?}"),
        },
        other => panic!("not one operation: {other:?}"),
    }
}

#[test]
fn a_guest_answers_a_list_of_events_in_order() {
    let events: Vec<Event> = (1..=100).map(|number| event(number, "{}")).collect();
    let projected = project(&mut guest("recorder"), &events);
    assert_eq!(projected.len(), 100);
    for (projected, number) in projected.iter().zip(1..) {
        let operations = projected.verdict.as_ref().expect("a recorder takes everything");
        assert_eq!(operations[1].parameters[1], Value::Integer(number));
    }
}

#[test]
fn a_panic_says_what_and_where_the_guest_said_it() {
    let message = trapped(verdict("trap"));
    let first = message.find("Happened 2 is not to my taste").expect("the panic's message");
    let then = message.find("wasm trap: wasm `unreachable`").expect("the engine's");
    assert!(message.contains("panicked at") && first < then, "{message}");
    assert!(!message.contains("RUST_BACKTRACE") && message.len() <= 4 << 10, "{message}");
}

#[test]
fn an_endless_loop_runs_out_of_fuel() {
    assert_eq!(verdict("endless-loop"), Err(Failure::OutOfFuel { fuel: Budget::default().fuel }));
}

#[test]
fn a_memory_bomb_runs_out_of_memory() {
    let limit_bytes = Budget::default().memory_bytes;
    assert_eq!(verdict("memory-bomb"), Err(Failure::OutOfMemory { limit_bytes }));
}

#[test]
fn a_huge_result_is_too_large() {
    assert!(matches!(verdict("huge-result"), Err(Failure::OutputTooLarge { .. })));
}

#[test]
fn an_answer_with_a_result_missing_is_a_trap() {
    assert!(trapped(verdict("short-answer")).contains("answered one event with 0 results"));
}

#[test]
fn the_clock_names_the_way_out() {
    assert!(trapped(verdict("clock")).contains("(`wasi:clocks/wall-clock`): use the event's `occurred-at`"));
}

#[test]
fn random_bytes_name_the_way_out() {
    assert!(trapped(verdict("random")).contains("(`wasi:random/random`): derive ids from the event's id"));
}

#[test]
fn there_are_no_files() {
    let failure = verdict("files").expect_err("there is no file to read");
    assert!(matches!(failure, Failure::Rejected { kind: "failed", .. }), "{failure}");
}

#[test]
fn the_clock_of_the_start_and_hash_seeds_are_constants() {
    let component = load("early-clock").expect("it loads");
    assert_eq!(component.manifest().version, "1.0.946684800");
    assert!(verdict("early-clock").is_ok());
    assert!(verdict("hash-map").is_ok());
}

#[test]
fn a_guest_that_talks_too_much_is_cut_short_and_heard_all_the_same() {
    assert!(verdict("chatty").is_ok());
}

#[test]
fn a_guest_that_keeps_state_is_found_out() {
    for name in ["stateful", "hash-order"] {
        let mut guest = guest(name);
        let events = [event(1, "{}"), event(2, "{}"), event(3, "{}")];
        let alone = guest.project_alone(&events[0]).expect("the environment is not at fault");
        project(&mut guest, &events);
        let second = project(&mut guest, &events);
        assert!(guest.component().is_impure(), "{name}");
        assert!(second.iter().all(|projected| note(projected) == note(&alone)), "{name}");
    }
}

#[test]
fn each_event_of_a_list_has_its_own_verdict() {
    let told = [
        ("ok", "ok"),
        ("panic", "trapped"),
        ("nothing", "ok"),
        ("loop", "out-of-fuel"),
        ("stack", "trapped"),
        ("memory", "out-of-memory"),
        ("clock", "trapped"),
        ("random", "trapped"),
        ("hash-map", "ok"),
        ("files", "rejected"),
        ("invalid", "rejected"),
        ("unsupported", "rejected"),
        ("failed", "rejected"),
        ("huge", "output-too-large"),
        ("many-operations", "output-too-large"),
        ("chatty", "ok"),
    ];
    let events: Vec<Event> = told
        .iter()
        .zip(1..)
        .map(|((what, _), number)| event(number, &format!(r#"{{"do":"{what}"}}"#)))
        .collect();
    let mut guest = guest("picky");
    for _ in 0..2 {
        for (projected, (what, class)) in project(&mut guest, &events).iter().zip(told) {
            assert_eq!(projected.verdict.as_ref().map_or_else(Failure::class, |_| "ok"), class, "{what}");
        }
    }
    assert!(!guest.component().is_impure());
}

#[test]
fn the_same_event_takes_the_same_fuel_on_any_engine() {
    let fuel = |engine: &Engine| {
        let component = Component::load(engine, &guests::bytes("recorder"), &Budget::default());
        let mut guest = Guest::new(component.expect("it loads"), "test");
        guest.project_alone(&event(1, "{}")).expect("the environment is not at fault").fuel
    };
    let other = Engine::new(None).expect("the engine starts");
    assert_eq!(fuel(&ENGINE), fuel(&other));
}

#[test]
fn what_is_no_projector_is_refused() {
    let check = |name: &str, expect: &str| {
        let refusal = load(name).expect_err("it is refused").to_string();
        assert!(refusal.contains(expect), "{name}: {refusal}");
    };
    check("other-world", "exports `other:greeting/greeter@1.0.0`");
    check("http-import", "`wasi:http/types@0.2");
    check("slow-describe", "an endless loop in its start-up or in `describe`");
}

#[tokio::test]
async fn a_guest_may_write_to_stdout_under_an_async_caller() {
    let worker = Worker::start(load("chatty").expect("it loads"), "chatty").expect("a thread starts");
    let projected = worker.project(vec![Arc::new(event(1, "{}"))]).await.expect("it answers");
    assert!(projected[0].verdict.is_ok());
}
