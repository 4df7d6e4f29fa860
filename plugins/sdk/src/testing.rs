//! Events for unit tests.

use crate::Event;

/// An event of aggregate `sample`/`1` with sequence 1. Change more of it with `Event { sequence: Some(2), ..event }`.
pub fn event(event_type: &str, payload: &serde_json::Value) -> Event {
    Event {
        id: "00000000-0000-4000-8000-000000000001".into(),
        event_type: event_type.into(),
        version: 1,
        aggregate_type: "sample".into(),
        aggregate_id: "1".into(),
        sequence: Some(1),
        occurred_at: Some("2026-01-31T12:00:00.000Z".into()),
        payload: payload.to_string(),
        metadata: "{}".into(),
    }
}
