//! Outbox documents of events that are not the bank's.

use bson::{DateTime, Document, doc};

/// 2026-01-01T00:00:00Z.
const FIRST_MOMENT_MS: i64 = 1_767_225_600_000;

/// The next numbers of a generator that is the same everywhere, and a clock that goes on with each event.
pub struct Maker {
    state: u64,
    made: i64,
}

impl Maker {
    pub fn new(seed: u64) -> Self {
        Self { state: seed, made: 0 }
    }

    /// A number below a bound: `SplitMix64`, which is good enough to spread keys.
    pub fn below(&mut self, bound: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ mixed >> 31) % bound as u64).unwrap_or(0)
    }

    /// The same as a number of the database.
    pub fn number(&mut self, bound: usize) -> i64 {
        i64::try_from(self.below(bound)).unwrap_or(0)
    }

    /// A document, and its time in milliseconds; with as much metadata as makes 300 bytes of it.
    pub fn document(
        &mut self,
        event_type: &str,
        kind: &str,
        id: &str,
        sequence: i64,
        payload: Document,
    ) -> (Document, i64) {
        self.made += 1;
        let time = FIRST_MOMENT_MS + self.made * 7;
        let document = doc! {
            "_id": format!("{kind}-event-{:012}", self.made),
            "type": event_type,
            "version": 1,
            "aggregateType": kind,
            "aggregateId": id,
            "sequence": sequence,
            "occurredAt": DateTime::from_millis(time),
            "payload": payload,
            "metadata": { "source": "bench", "requestId": format!("{:024x}", self.below(usize::MAX)) },
        };
        (document, time)
    }
}
