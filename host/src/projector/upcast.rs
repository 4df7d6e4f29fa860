//! The limits of an upcaster's answer to one event: so many events of so many bytes, all of the same aggregate.

use compact_str::format_compact;

use super::bindings::EventForGuest;
use super::bindings::upcast::types;
use crate::event::{Event, Id, SEQUENCE_MAX, TYPE_BYTES_MAX};

/// How many events one event may become.
pub const UPCAST_EVENTS_MAX: usize = 100;
/// How many bytes their texts may have together. A document of MongoDB has 16 MiB at most.
pub const UPCAST_BYTES_MAX: usize = 16 << 20;
/// Bytes that the host copies for each event besides its texts, at most on average.
const OVERHEAD_BYTES_PER_EVENT: usize = 1024;

/// How many bytes the host copies out of an upcaster in one call.
pub(super) fn copied_bytes() -> usize {
    UPCAST_BYTES_MAX + UPCAST_EVENTS_MAX * OVERHEAD_BYTES_PER_EVENT
}

/// The events that one became, under their ids, or what is wrong with them.
pub(super) fn accept_events(event: &Event, events: Vec<types::Event>) -> Result<Vec<Event>, String> {
    let count = events.len();
    if count > UPCAST_EVENTS_MAX {
        return Err(format!("it makes {count} events of one, at most {UPCAST_EVENTS_MAX} are taken"));
    }
    let bytes: usize = events.iter().map(bytes).sum();
    if bytes > UPCAST_BYTES_MAX {
        return Err(format!(
            "it makes events of {bytes} bytes together of one, at most {UPCAST_BYTES_MAX} are taken"
        ));
    }
    let shown = EventForGuest::new(event);
    let original = shown.lowered();
    let mut accepted = Vec::with_capacity(count);
    for (one, number) in events.into_iter().zip(1_usize..) {
        let wrong = |what: String| format!("event {number} of {count}: {what}");
        if (one.aggregate_type.as_str(), one.aggregate_id.as_str())
            != (original.aggregate_type, original.aggregate_id)
        {
            return Err(wrong(format!(
                "it changes the aggregate from {} to {}/{}, but what an event becomes stays in its aggregate",
                event.aggregate, one.aggregate_type, one.aggregate_id
            )));
        }
        check(&one).map_err(wrong)?;
        accepted.push(Event {
            id: id(&event.id, number, count),
            event_type: one.event_type.into(),
            version: one.version,
            aggregate: event.aggregate.clone(),
            sequence: one.sequence,
            occurred_at: one.occurred_at.map(Into::into),
            payload: one.payload,
            metadata: one.metadata.into(),
        });
    }
    Ok(accepted)
}

/// A single event keeps the id, so that nobody behind the upcaster sees that there is one; several are numbered.
fn id(original: &Id, number: usize, count: usize) -> Id {
    if count == 1 { original.clone() } else { Id::Text(format_compact!("{original}#{number}")) }
}

fn bytes(event: &types::Event) -> usize {
    let texts =
        [&event.event_type, &event.aggregate_type, &event.aggregate_id, &event.payload, &event.metadata];
    texts.into_iter().map(String::len).sum::<usize>() + event.occurred_at.as_ref().map_or(0, String::len)
}

/// Checks an upcast event as every decoded document is checked.
fn check(event: &types::Event) -> Result<(), String> {
    let types::Event { event_type, sequence, payload, metadata, .. } = event;
    if event_type.is_empty() || event_type.len() > TYPE_BYTES_MAX {
        return Err(format!("its type has {} bytes; it must have 1 to {TYPE_BYTES_MAX}", event_type.len()));
    }
    if let Some(sequence) = sequence.filter(|sequence| !(0..=SEQUENCE_MAX).contains(sequence)) {
        return Err(format!("its sequence is {sequence}; it must be 0 to {SEQUENCE_MAX}"));
    }
    for (name, text) in [("payload", payload), ("metadata", metadata)] {
        serde_json::from_str::<serde::de::IgnoredAny>(text)
            .map_err(|error| format!("its {name} is not JSON: {error}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::projector::test_component::event;

    fn made() -> types::Event {
        types::Event {
            id: "whatever".into(),
            event_type: "Happened".into(),
            version: 2,
            aggregate_type: "thing".into(),
            aggregate_id: "5".into(),
            sequence: Some(7),
            occurred_at: None,
            payload: "{}".into(),
            metadata: "{}".into(),
        }
    }

    fn ids(count: usize) -> Vec<String> {
        let events = accept_events(&event(5), vec![made(); count]).expect("they are accepted");
        assert!(events.iter().all(|made| made.aggregate == event(5).aggregate));
        events.iter().map(|event| event.id.to_string()).collect()
    }

    fn check_refused(events: Vec<types::Event>, expect: &str) {
        let reason = accept_events(&event(5), events).expect_err("it is refused");
        assert!(reason.contains(expect), "{reason}");
    }

    #[test]
    fn a_single_event_keeps_the_id_and_several_are_numbered() {
        assert!(ids(0).is_empty());
        assert_eq!(ids(1), ["5"]);
        assert_eq!(ids(3), ["5#1", "5#2", "5#3"]);
        let single = accept_events(&event(5), vec![made()]).expect("it is accepted");
        assert_eq!(single[0].id, Id::Integer(5), "it is the same id, not one that reads the same");
    }

    #[test]
    fn one_event_becomes_so_many_at_most() {
        assert_eq!(ids(UPCAST_EVENTS_MAX).len(), UPCAST_EVENTS_MAX);
        check_refused(vec![made(); UPCAST_EVENTS_MAX + 1], "101 events of one, at most 100");
    }

    #[test]
    fn what_one_event_becomes_has_so_many_bytes_at_most() {
        let with = |payload: usize| types::Event { payload: "7".repeat(payload), ..made() };
        let others = bytes(&types::Event { payload: String::new(), ..made() });
        accept_events(&event(5), vec![with(UPCAST_BYTES_MAX - others)]).expect("it just fits");
        check_refused(vec![with(UPCAST_BYTES_MAX - others + 1)], "16777217 bytes together");
        check_refused(vec![with(9 << 20), with(9 << 20)], "at most 16777216 are taken");
    }

    #[test]
    fn another_aggregate_is_refused() {
        check_refused(
            vec![made(), types::Event { aggregate_id: "6".into(), ..made() }],
            "event 2 of 2: it changes the aggregate from thing/5 to thing/6",
        );
        check_refused(vec![types::Event { aggregate_type: "order".into(), ..made() }], "to order/5");
    }

    #[test]
    fn what_no_document_could_be_is_refused() {
        let bad = |change: fn(&mut types::Event)| {
            let mut event = made();
            change(&mut event);
            vec![event]
        };
        check_refused(bad(|event| event.event_type.clear()), "its type has 0 bytes");
        check_refused(bad(|event| event.event_type = "x".repeat(129)), "its type has 129 bytes");
        check_refused(bad(|event| event.sequence = Some(-1)), "its sequence is -1");
        check_refused(bad(|event| event.sequence = Some(1 << 53)), "its sequence is 9007199254740992");
        check_refused(bad(|event| event.payload = "{".into()), "its payload is not JSON");
        check_refused(bad(|event| event.metadata.clear()), "its metadata is not JSON");
    }
}
