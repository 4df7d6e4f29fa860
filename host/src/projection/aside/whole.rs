//! Whether tables that are made anew are made from all events that the live ones were made from.
//!
//! Fingerprints say so, never a count of documents: as many may have come as went.

use std::collections::HashSet;

use crate::failure::Failure;
use crate::fingerprint::Search;
use crate::position::Position;
use crate::projection::Servers;
use crate::readmodel::{LaneRow, Session, checkpoint, dedupe};
use crate::source::{BY_ID, Census, STORED};

/// How many of the newest events of a generation are looked for by their ids.
const NEWEST_MAX: usize = 1_000_000;

/// What a generation lacks of the live one, in words, where both stand at one position. What the other one took until then,
/// the live one took, too, unless it was live before and `returns`.
pub fn lacks(live: &[LaneRow], other: &[LaneRow], returns: bool) -> Option<String> {
    let deliveries = |rows: &[LaneRow]| rows.iter().map(|row| row.events).sum::<u64>();
    match (checkpoint::fingerprint(live), checkpoint::fingerprint(other)) {
        (Some(live), Some(other)) if live == other => None,
        (Some(live), Some(other)) => Some(format!(
            "the live tables were made from {} events, these from {}, and not from the same ones: documents were deleted \
             from the outbox since, or sent again so late that they were applied twice; rows may be missing or change",
            live.events, other.events
        )),
        // An older host counted those that came again, too: as many events as deliveries are all of them.
        (None, Some(other)) if other.events == deliveries(live) && !returns => None,
        (None, None) if returns && deliveries(other) >= deliveries(live) => {
            tracing::warn!(
                "whether both generations took the same events is not known: their number is compared"
            );
            None
        }
        _ => Some(format!(
            "an older version of the host did not write down which events it took: of {} for the live tables and {} for \
             these it is not known whether they are the same; rows may be missing or change",
            deliveries(live),
            deliveries(other)
        )),
    }
}

/// The same of what the outbox holds now, wherever the live lanes stand: it holds later events as well.
pub async fn outbox_lacks(
    servers: &Servers,
    session: &mut Session,
    (projection, generation): (&str, u32),
    live: &[LaneRow],
) -> Result<Option<String>, Failure> {
    let Some(wanted) = checkpoint::fingerprint(live) else {
        return Ok(Some(
            "an older version of the host did not write down which events the live tables were made from, so it is not \
             known whether the outbox still holds all of them"
                .to_owned(),
        ));
    };
    let seed = servers.control.seed(session).await?;
    let mark = |id| seed.mark(&id);
    let loaded = dedupe::load(session, &servers.control, projection, generation, NEWEST_MAX, mark).await?;
    let newest: HashSet<u128> = loaded.into_iter().flat_map(|(_, marks)| marks).collect();
    // What history gave came in its order. What was put back is stored last, but may have an id that tells its time.
    let scanned = live.iter().any(|row| matches!(row.position, Position::Scan { .. }));
    let order = if scanned {
        servers.outbox.history_index(servers.decoder.fields()).await?.name
    } else {
        STORED.to_owned()
    };
    let mut documents = 0;
    for order in [order.as_str(), BY_ID] {
        let mut search = Search::new(wanted, newest.clone());
        let mut census = Census::open(&servers.outbox, order).await?;
        documents = 0;
        while let Some(ids) = census.next().await? {
            documents += ids.len();
            for id in &ids {
                search.take(seed.mark(id));
            }
        }
        if search.is_whole() {
            return Ok(None);
        }
    }
    Ok(Some(format!(
        "the live tables were made from {} events, and not all of them are among the {documents} documents that the outbox \
         holds now; rebuilt tables would lack some",
        wanted.events
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Id;
    use crate::fingerprint::{Fingerprint, Seed};
    use crate::position::Token;

    /// A lane that took these events, and as many more that came again; written down or not.
    fn lane(events: std::ops::Range<i64>, again: u64, known: bool) -> LaneRow {
        let ids: Vec<Id> = events.map(Id::Integer).collect();
        let fingerprint = Fingerprint::of(&Seed::new([1; 16]), &ids);
        let events = fingerprint.events + again;
        LaneRow {
            lane: 0,
            epoch: 1,
            batch: 1,
            position: Position::Stream { token: Token { data: "82".into(), type_bits: None } },
            digest: String::new(),
            events,
            parked: 0,
            fingerprint,
            known_events: if known { events } else { 0 },
            anchor: None,
            connection_id: None,
        }
    }

    #[test]
    fn the_same_events_are_the_same_in_other_lanes_and_however_often_they_came() {
        let live = [lane(0..30, 5, true), lane(30..100, 0, true)];
        assert_eq!(lacks(&live, &[lane(0..100, 0, true)], false), None);
    }

    #[test]
    fn what_was_deleted_is_not_made_up_for_by_what_came_later() {
        let told = lacks(&[lane(0..100, 0, true)], &[lane(1..101, 0, true)], false);
        assert!(told.is_some_and(|told| told.contains("not from the same ones")));
    }

    #[test]
    fn what_an_older_host_took_is_known_only_where_the_numbers_leave_no_doubt() {
        assert_eq!(lacks(&[lane(0..100, 0, false)], &[lane(0..100, 0, true)], false), None);
        for (live, other) in [
            (lane(0..100, 0, false), lane(1..100, 0, true)),
            (lane(0..100, 1, false), lane(0..100, 0, true)),
            (lane(0..100, 0, true), lane(0..100, 0, false)),
            (lane(0..100, 0, false), lane(0..100, 0, false)),
        ] {
            let told = lacks(&[live], &[other], false);
            assert!(told.is_some_and(|told| told.contains("not known whether they are the same")));
        }
        assert_eq!(lacks(&[lane(0..90, 0, false)], &[lane(0..100, 0, false)], true), None);
        assert!(lacks(&[lane(0..100, 0, false)], &[lane(0..90, 0, false)], true).is_some());
    }
}
