//! Components that a toolchain built, each bad in its own way, under the real sandbox.
//!
//! What does not need a toolchain is tested beside the code, with components in the text format.

use std::sync::{Arc, LazyLock};

use laterna::event::{Aggregate, Event, Id};
use laterna::failure::Failure;
use laterna::projector::{Budget, Component, ComponentRefusal, Engine, Guest, Outcome, Projected, Worker};
use laterna::statement::{Operation, Value};

use crate::guests;

static ENGINE: LazyLock<Engine> = LazyLock::new(|| Engine::new(None).expect("the engine starts"));

fn load(name: &str) -> Result<Component, ComponentRefusal> {
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
    let place = message.find("\n  in ").expect("the guest's own functions");
    assert!(then < place && message[place..].contains("project"), "{message}");
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

/// How many answers of a guest that looks at places in its lists are wrong, from the first list on that it spoils until it
/// is found out; and of how many lists.
fn spoiled(compare_every: u64) -> (usize, usize) {
    const EVENTS: i64 = 20;
    let budget = Budget { compare_every, ..Budget::default() };
    let component = Component::load(&ENGINE, &guests::bytes("by-place"), &budget).expect("it loads");
    let mut guest = Guest::new(component, "test");
    let list = |number: i64, payload: &str| -> Vec<Event> {
        (0..EVENTS).map(|place| event(number * EVENTS + place, payload)).collect()
    };
    for number in 0..3 {
        assert!(project(&mut guest, &list(number, "{}")).iter().all(|projected| note(projected) == "any"));
        assert!(!guest.component().is_impure(), "until now it is good");
    }
    let (mut wrong, mut lists) = (0, 0);
    for number in 3.. {
        let answers = project(&mut guest, &list(number, r#"{"late":true}"#));
        wrong += answers.iter().filter(|projected| note(projected) != "any").count();
        if guest.component().is_impure() {
            break;
        }
        lists += 1;
    }
    let later = project(&mut guest, &list(100_000, r#"{"late":true}"#));
    assert!(later.iter().all(|projected| note(projected) == "any"), "it is run event by event from then on");
    (wrong, lists)
}

#[test]
fn a_guest_that_looks_at_an_events_place_in_its_list_is_found_out_within_the_bound() {
    assert_eq!(spoiled(1), (0, 0), "with every list compared, none counts that is spoiled");
    let (wrong, lists) = spoiled(16);
    assert!(wrong > 0 && lists <= 16, "{wrong} wrong answers in {lists} lists");
    let (wrong, lists) = spoiled(256);
    assert!(wrong > 0 && lists <= 256, "{wrong} wrong answers in {lists} lists");
}

/// Everything a guest might try inside `project`: what it is told to do, the class of what comes of it, and what the
/// author is told to do instead; for what is allowed, what the guest was given.
const TRIES: [(&str, &str, &str); 33] = [
    ("ok", "ok", "ok"),
    ("nothing", "ok", ""),
    ("monotonic", "ok", "0"),
    ("hash-map", "ok", "42"),
    ("environment", "ok", "0 0"),
    ("stdin", "ok", "0"),
    ("chatty", "ok", "chatty"),
    ("panic", "trapped", "told to panic"),
    ("abort", "trapped", "wasm `unreachable`"),
    ("exit", "trapped", "exit code 1: return a rejection instead"),
    ("stack", "trapped", "1 MiB of stack, so recurse less deeply"),
    ("thread", "trapped", "a projector has no threads: do the work in `project` itself"),
    ("clock", "trapped", "(`wasi:clocks/wall-clock`): use the event's `occurred-at`"),
    ("sleep", "trapped", "(`wasi:clocks/monotonic-clock`): a projector never waits"),
    ("random", "trapped", "(`wasi:random/random`): derive ids from the event's id"),
    ("connect", "trapped", "(`wasi:sockets`): what it needs has to be in the event"),
    ("listen", "trapped", "(`wasi:sockets`): what it needs has to be in the event"),
    ("udp", "trapped", "(`wasi:sockets`): what it needs has to be in the event"),
    ("resolve", "trapped", "(`wasi:sockets`): what it needs has to be in the event"),
    ("file-panic", "trapped", "a projector has none: build what it reads into the component"),
    ("files", "rejected", "a projector has none: build what it reads into the component"),
    ("write-file", "rejected", "a projector has none: build what it reads into the component"),
    ("list-files", "rejected", "a projector has none: build what it reads into the component"),
    ("variable", "rejected", "a projector has none: write constants into its code"),
    ("invalid", "rejected", "told to reject"),
    ("unsupported", "rejected", "unsupported"),
    ("failed", "rejected", "told to fail"),
    ("loop", "out-of-fuel", "it loops endlessly, or it needs a larger `budget.fuel`"),
    ("memory", "out-of-memory", "raise `budget.memory_bytes`"),
    ("huge", "output-too-large", "at once"),
    ("many-operations", "output-too-large", "20000 operations, at most 10000 are taken"),
    ("bad-index", "ok", ""),
    ("what", "rejected", "nobody told me how to what"),
];

#[test]
fn whatever_a_guest_tries_it_gets_only_its_event_and_the_author_is_told_what_to_do() {
    let tries: Vec<Event> = TRIES
        .iter()
        .zip(1..)
        .map(|((what, ..), number)| event(number, &format!(r#"{{"do":"{what}"}}"#)))
        .collect();
    let mut guest = guest("picky");
    // In a list, where each has its own verdict; again on a used instance; and alone.
    let lists = [project(&mut guest, &tries), project(&mut guest, &tries)].into_iter();
    let alone =
        tries.iter().map(|event| guest.project_alone(event).expect("the environment is not at fault"));
    let alone: Vec<Projected> = alone.collect();
    for run in lists.chain([alone]) {
        for (projected, (what, class, says)) in run.iter().zip(TRIES) {
            let (found, told) = match &projected.verdict {
                Ok(operations) => ("ok", format!("{operations:?}")),
                Err(failure) => (failure.class(), failure.to_string()),
            };
            assert_eq!(found, class, "{what}: {told}");
            let is_told =
                if class == "ok" { told.contains(&format!("{says:?}")) } else { told.contains(says) };
            assert!(is_told || says.is_empty(), "{what}: {says:?} is not in {told}");
        }
    }
    assert!(!guest.component().is_impure());
}

#[test]
fn where_it_went_wrong_is_told_by_the_names_of_the_authors_functions() {
    for what in ["panic", "clock", "connect", "exit", "stack"] {
        let event = event(1, &format!(r#"{{"do":"{what}"}}"#));
        let alone = guest("picky").project_alone(&event).expect("the environment is not at fault");
        let told = trapped(alone.verdict);
        assert!(told.contains("\n  in ") && told.contains("picky::"), "{what}: {told}");
    }
}

#[test]
fn what_a_guest_asks_for_at_its_start_is_empty_or_a_constant() {
    let version = || load("early-tries").expect("it loads").manifest().version.clone();
    let given = version();
    assert!(given.starts_with("946684800 ") && given.ends_with(" 0 0 false false"), "{given}");
    assert_eq!(given, version());
    assert!(verdict("early-tries").is_ok());
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
    assert!(matches!(projected[0], Outcome::Apply(_)), "{projected:?}");
}
