//! Projectors for tests, written in the text format: each does one thing, at once and without a toolchain.

use super::component::Component;
use super::{Budget, Engine};
use crate::event::{Aggregate, Event, Id};

/// Answers every event with nothing to do.
pub(super) const HEALTHY: &str = "(call $ok (local.get $n) (i32.const 0) (i32.const 0))";

/// A component whose `project` has this body.
pub(super) fn bytes(project: &str) -> Vec<u8> {
    bytes_with([("(;project;)", project)])
}

/// A healthy one that does this when it describes itself.
pub(super) fn bytes_describing(describe: &str) -> Vec<u8> {
    bytes_with([("(;describe;)", describe), ("(;project;)", HEALTHY)])
}

/// A healthy one with something more in it.
pub(super) fn bytes_containing(more: &str) -> Vec<u8> {
    bytes_with([("(;more;)", more), ("(;project;)", HEALTHY)])
}

fn bytes_with<const N: usize>(parts: [(&str, &str); N]) -> Vec<u8> {
    let mut text = include_str!("specimen.wat").to_owned();
    for (place, part) in parts {
        text = text.replace(place, part);
    }
    wat::parse_str(text).expect("the specimen parses")
}

/// The component that does `bad` with a list with an event of [`poison`] in it.
pub(super) fn poisoned_by(bad: &str) -> String {
    format!(
        "(local.set $i (call $poison (local.get $events) (local.get $n)))
         (if (i32.ne (local.get $i) (i32.const -1)) (then {bad}))
         {HEALTHY}"
    )
}

pub(super) fn load(project: &str, budget: &Budget) -> Component {
    let engine = Engine::new(None).expect("an engine starts");
    Component::load(&engine, &bytes(project), budget).expect("the specimen loads")
}

pub(super) fn event(number: i64) -> Event {
    Event {
        id: Id::Integer(number),
        event_type: "Happened".into(),
        version: 1,
        aggregate: Aggregate { kind: "thing".into(), id: Id::Integer(number) },
        sequence: Some(number),
        occurred_at: Some("2026-01-31T12:00:00.000Z".into()),
        payload: "{}".into(),
        metadata: "{}".into(),
    }
}

pub(super) fn poison(number: i64) -> Event {
    Event { version: 666, ..event(number) }
}
