//! Whether tables that are made anew are made from all events that the live ones were made from.
//!
//! Fingerprints say so, never a count of documents: as many may have come as went.

use std::collections::HashSet;

use crate::event::Id;
use crate::failure::Failure;
use crate::fingerprint::{Fingerprint, Search, Seed};
use crate::pipeline::ports::Task;
use crate::position::Position;
use crate::readmodel::lane::checkpoint::{self, LaneRow};
use crate::readmodel::lane::dedupe;
use crate::readmodel::mysql::session::Session;
use crate::servers::Servers;
use crate::source::{BY_ID, Census, Outbox, STORED};

/// How many of the newest events of a generation are looked for by their ids.
const NEWEST_MAX: usize = 1_000_000;

/// What a generation lacks of the live one, in words, where both stand at one position. `returns` is true for one that was live
/// before: it may have taken events that the live one did not.
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
        _ => Some(format!(
            "an older version of the host did not write down which events it took: of {} for the live tables and {} for \
             these it is not known whether they are the same; rows may be missing or change",
            deliveries(live),
            deliveries(other)
        )),
    }
}

/// Where the ids of all documents are read that the outbox holds.
pub trait Inventory: Send {
    /// Begins, in the order of an index.
    fn open(&mut self, order: &str) -> impl Task<Result<(), Failure>>;
    /// The next ids; none at the end.
    fn next(&mut self) -> impl Task<Result<Option<Vec<Id>>, Failure>>;
}

/// Which events a generation was made from, as far as that is known.
pub struct Taken {
    pub seed: Seed,
    pub all: Option<Fingerprint>,
    /// The marks of the newest of them.
    pub newest: HashSet<u128>,
}

/// What the outbox lacks now of what was taken from it, in words, wherever the live lanes stand: it holds later events as
/// well.
pub async fn lacks_now<I: Inventory>(
    inventory: &mut I,
    taken: &Taken,
    orders: [&str; 2],
) -> Result<Option<String>, Failure> {
    let Some(wanted) = taken.all else {
        return Ok(Some(
            "an older version of the host did not write down which events the live tables were made from, so it is not \
             known whether the outbox still holds all of them"
                .to_owned(),
        ));
    };
    let mut documents = 0;
    for order in orders {
        let mut search = Search::new(wanted, taken.newest.clone());
        inventory.open(order).await?;
        documents = 0;
        while let Some(ids) = inventory.next().await? {
            documents += ids.len();
            for id in &ids {
                search.take(taken.seed.mark(id));
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

/// What the outbox lacks now of the events that a stored generation took, in words.
pub async fn outbox_lacks(
    servers: &Servers,
    session: &mut Session,
    projection: &str,
    generation: u32,
    live: &[LaneRow],
) -> Result<Option<String>, Failure> {
    let seed = servers.control.seed(session).await?;
    let mark = |id| seed.mark(&id);
    let loaded = dedupe::load(session, &servers.control, projection, generation, NEWEST_MAX, mark).await?;
    let newest = loaded.into_iter().flat_map(|(_, marks)| marks).collect();
    let taken = Taken { seed, all: checkpoint::fingerprint(live), newest };
    // What history gave came in its order. What was put back is stored last, but may have an id that tells its time.
    let scanned = live.iter().any(|row| matches!(row.position, Position::Scan { .. }));
    let order = if scanned && taken.all.is_some() {
        servers.outbox.history_index(servers.decoder.fields()).await?.name
    } else {
        STORED.to_owned()
    };
    let mut held = OutboxInventory { outbox: &servers.outbox, census: None };
    lacks_now(&mut held, &taken, [order.as_str(), BY_ID]).await
}

/// What the outbox holds.
struct OutboxInventory<'a> {
    outbox: &'a Outbox,
    census: Option<Census>,
}

impl Inventory for OutboxInventory<'_> {
    async fn open(&mut self, order: &str) -> Result<(), Failure> {
        self.census = Some(Census::open(self.outbox, order).await?);
        Ok(())
    }

    async fn next(&mut self) -> Result<Option<Vec<Id>>, Failure> {
        match &mut self.census {
            Some(census) => census.next().await,
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
        // One that returns may have taken others, however many they are.
        for (live, other) in [
            (lane(0..90, 0, false), lane(0..100, 0, false)),
            (lane(0..100, 0, false), lane(0..100, 0, true)),
            (lane(0..100, 0, false), lane(0..90, 0, false)),
        ] {
            assert!(lacks(&[live], &[other], true).is_some());
        }
    }
}
