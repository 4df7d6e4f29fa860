//! A generated outbox.
//!
//! Documents stand in the order in which a projection reads them: history by its key, then the stream. Each says in
//! advance what a right projection makes of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bson::{Bson, Document, doc};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use tokio::time::Instant;

use super::restore::Restored;
use crate::event::{Aggregate, Delivery, lane_of};
use crate::position::{KeyPart, Position, ScanKey, Token};
use crate::source::{Decoder, Fields};

/// Types that the projector takes, and one that it does not.
pub const HANDLED: [&str; 2] = ["Opened", "Moved"];
const UNHANDLED: &str = "Noticed";

/// The type of all aggregates.
const KIND: &str = "account";

/// How likely what is, in percent.
#[derive(Debug, Clone)]
pub struct Likely {
    pub unhandled: u32,
    pub undecodable: u32,
    pub rejected: u32,
    pub refused: u32,
    pub needing: u32,
    pub strange: u32,
    pub impossible: u32,
    pub sent_again: u32,
    pub discarded: u32,
}

/// What an outbox is generated from.
#[derive(Debug, Clone)]
pub struct OutboxShape {
    pub events: usize,
    pub aggregates: i64,
    /// How many documents are history, in percent.
    pub history: usize,
    pub likely: Likely,
    /// How long it takes until the last document is written.
    pub span: Duration,
}

/// What is true of an event, by the number that its documents carry.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "any of them may be so of the same event")]
pub struct Fact {
    /// The projector's first version fails it.
    pub rejected: bool,
    /// Its answer is one that the host refuses.
    pub malformed: bool,
    /// MySQL refuses its values.
    pub refused: bool,
    /// MySQL refuses it with a code that no table knows, or is too slow for it.
    pub strange: bool,
    /// Its key conflicts with what nobody takes away.
    pub impossible: bool,
    /// The event whose row has to be there before its own.
    pub needs: Option<usize>,
    pub operations: usize,
    /// An operator gave it up in earlier tables.
    pub discarded: bool,
}

/// A document, at its place.
pub struct Placed {
    pub number: usize,
    pub delivery: Delivery,
    /// The key of its aggregate.
    pub key: Option<Vec<u8>>,
    /// When it was written.
    pub visible: Duration,
}

impl Placed {
    pub fn new(number: usize, delivery: Delivery, visible: u64) -> Self {
        let key = delivery.aggregate().map(Aggregate::key);
        Self { number, delivery, key, visible: Duration::from_millis(visible) }
    }

    fn lane(&self, lanes: u32) -> u32 {
        self.key.as_ref().map_or(0, |key| lane_of(key, lanes))
    }
}

pub struct OutboxModel {
    pub facts: Vec<Fact>,
    pub documents: Vec<Placed>,
    /// The index of each event's first document.
    pub first: Vec<usize>,
    /// How many of the documents are history.
    pub history: usize,
    /// The place where history ends and the stream begins.
    pub start: Token,
    pub began: Instant,
    /// That an older copy stands in its place.
    pub restored: Restored,
}

impl OutboxModel {
    pub fn generate(chance: &mut StdRng, shape: &OutboxShape) -> Self {
        let begin = shape.events * shape.history / 100;
        let mut sequences: BTreeMap<i64, i64> = BTreeMap::new();
        let mut raw: Vec<Document> = Vec::new();
        for number in 0..shape.events {
            raw.push(document(chance, shape, number, &mut sequences));
        }
        let decoder = decoder();
        let start = token(1_000, 0, None);
        let mut documents = history(chance, &raw[..begin], &start, &decoder);
        stream(chance, shape, &raw, begin, &decoder, &mut documents);
        let mut facts: Vec<Fact> = (0..shape.events).map(|_| fact(chance, &shape.likely)).collect();
        need(chance, &shape.likely, &documents, &mut facts);
        let first = |number| documents.iter().position(|placed| placed.number == number);
        let first = (0..shape.events).filter_map(first).collect();
        Self {
            facts,
            documents,
            first,
            history: begin,
            start,
            began: Instant::now(),
            restored: Restored::default(),
        }
    }

    /// Where a projection begins.
    pub fn beginning(&self) -> Position {
        if self.history > 0 {
            Position::Scan { start: self.start.clone(), key: None, beside: 0 }
        } else {
            Position::Stream { token: self.start.clone() }
        }
    }

    /// The place of the last document.
    pub fn end(&self) -> Position {
        self.documents.last().map_or_else(|| self.beginning(), |last| last.delivery.position.clone())
    }

    /// The documents behind a position, up to another, of one of so many lanes; by their index.
    pub fn between(&self, from: &Position, to: &Position, lane: u32, lanes: u32) -> Vec<usize> {
        let is_there = |placed: &Placed| {
            let position = &placed.delivery.position;
            !from.covers(position) && to.covers(position) && placed.lane(lanes) == lane
        };
        (0..self.documents.len()).filter(|index| is_there(&self.documents[*index])).collect()
    }
}

pub fn decoder() -> Decoder {
    Decoder::new(Fields::default(), 1 << 20)
}

/// A document as the writing side made it, perhaps one that is no event.
fn document(
    chance: &mut StdRng,
    shape: &OutboxShape,
    number: usize,
    sequences: &mut BTreeMap<i64, i64>,
) -> Document {
    let likely = |chance: &mut StdRng, percent| chance.random_ratio(percent, 100);
    let aggregate = chance.random_range(0..shape.aggregates);
    let sequence = sequences.entry(aggregate).or_default();
    *sequence += 1;
    let handled = HANDLED[chance.random_range(0..HANDLED.len())];
    let event_type = if likely(chance, shape.likely.unhandled) { UNHANDLED } else { handled };
    let id = i64::try_from(number).expect("a schedule is small");
    let mut document = doc! {
        "_id": id, "type": event_type, "aggregateType": KIND, "aggregateId": aggregate, "sequence": *sequence,
        "payload": { "n": id },
    };
    if likely(chance, shape.likely.undecodable) {
        match chance.random_range(0..4) {
            0 => drop(document.insert("aggregateId", Bson::Array(vec![]))),
            1 => {
                document.insert("aggregateId", Bson::Array(vec![]));
                document.insert("_id", f64::from(u32::try_from(number).unwrap_or_default()) + 0.5);
            }
            2 => drop(document.remove("payload")),
            _ => drop(document.insert("type", "")),
        }
    }
    document
}

/// History: in the order of its key; what has none stands beside the one before.
fn history(chance: &mut StdRng, raw: &[Document], start: &Token, decoder: &Decoder) -> Vec<Placed> {
    let mut keyed: Vec<(ScanKey, usize)> = Vec::new();
    let mut keyless: Vec<usize> = Vec::new();
    for (number, document) in raw.iter().enumerate() {
        match (document.get_i64("aggregateId"), document.get_i64("sequence")) {
            (Ok(aggregate), Ok(sequence)) => {
                let id = i64::try_from(number).expect("a schedule is small");
                let [aggregate, sequence, id] = [aggregate, sequence, id].map(KeyPart::Integer);
                keyed.push((ScanKey([KeyPart::Text(KIND.to_owned()), aggregate, sequence, id]), number));
            }
            _ => keyless.push(number),
        }
    }
    keyed.sort_by(|(a, _), (b, _)| a.compare(b));
    keyless.shuffle(chance);
    let mut placed = Vec::new();
    let (mut key, mut beside) = (None, 0);
    let mut keyed = keyed.into_iter().peekable();
    loop {
        let behind = keyed.peek().is_none() || chance.random_ratio(1, 4);
        let number = match (behind.then(|| keyless.pop()).flatten(), &mut keyed) {
            (Some(number), _) => {
                beside += 1;
                number
            }
            (None, keyed) => {
                let Some((next, number)) = keyed.next() else { break };
                (key, beside) = (Some(next), 0);
                number
            }
        };
        let position = Position::Scan { start: start.clone(), key: key.clone(), beside };
        placed.push(Placed::new(number, delivery(&raw[number], position, decoder), 0));
    }
    placed
}

/// The stream: transactions of some documents, each at one time; some documents are sent again.
fn stream(
    chance: &mut StdRng,
    shape: &OutboxShape,
    raw: &[Document],
    begin: usize,
    decoder: &Decoder,
    documents: &mut Vec<Placed>,
) {
    let mut numbers: Vec<usize> = Vec::new();
    for number in begin..raw.len() {
        numbers.push(number);
        let again = chance.random_ratio(shape.likely.sent_again, 100);
        if again {
            let earlier = chance.random_range(0..=number);
            // One whose id cannot be read is another document each time.
            if raw[earlier].get_i64("_id").is_ok() {
                numbers.push(earlier);
            }
        }
    }
    let span = u64::try_from(shape.span.as_millis()).unwrap_or(u64::MAX);
    let (mut group, mut within) = (1, 0);
    let total = numbers.len().max(1) as u64;
    let mut visible = 0;
    for (index, number) in numbers.into_iter().enumerate() {
        if chance.random_ratio(2, 3) {
            (group, within) = (group + 1, 0);
            visible = span * (index as u64) / total;
        }
        within += 1;
        let position = Position::Stream { token: token(1_000 + group, 0, Some(within)) };
        let delivery = delivery(&raw[number], position, decoder);
        documents.push(Placed::new(number, delivery, visible));
    }
}

/// A document, as the decoder gives it at a position.
pub fn delivery(document: &Document, position: Position, decoder: &Decoder) -> Delivery {
    let raw = bson::serialize_to_raw_document_buf(document).expect("it is a document");
    let event = decoder.decode(&raw);
    let time = position.time().filter(|_| matches!(position, Position::Stream { .. }));
    Delivery { position, time, wall_ms: None, document: Arc::from(raw.as_bytes()), event }
}

/// A token of an event, or the high-water mark before the events of its time.
pub fn token(seconds: u32, increment: u32, event: Option<u32>) -> Token {
    let event = event.map(|event| format!("2B{event:08X}{:040X}", 4)).unwrap_or_default();
    Token { data: format!("82{seconds:08X}{increment:08X}{event}").into(), type_bits: None }
}

fn fact(chance: &mut StdRng, likely: &Likely) -> Fact {
    let mut is = |percent| chance.random_ratio(percent, 100);
    let rejected = is(likely.rejected);
    Fact {
        rejected,
        malformed: rejected && is(30),
        refused: is(likely.refused),
        strange: is(likely.strange),
        impossible: is(likely.impossible),
        needs: None,
        operations: if is(10) { 0 } else { 1 + usize::from(is(20)) },
        discarded: is(likely.discarded),
    }
}

/// Some events need the row of another: mostly of one shortly before, now and then of one behind.
fn need(chance: &mut StdRng, likely: &Likely, documents: &[Placed], facts: &mut [Fact]) {
    let makes_rows = |placed: &Placed, facts: &[Fact]| {
        let event = placed.delivery.event.as_ref();
        event.is_ok_and(|event| HANDLED.contains(&event.event_type.as_str()))
            && facts[placed.number].operations > 0
    };
    for index in 0..documents.len() {
        if !chance.random_ratio(likely.needing, 100) {
            continue;
        }
        let distance = chance.random_range(1..=6);
        let other = if chance.random_ratio(1, 8) { index + distance } else { index.saturating_sub(distance) };
        let Some(other) = documents.get(other) else { continue };
        let number = documents[index].number;
        if other.number != number && makes_rows(other, facts) {
            facts[number].operations = facts[number].operations.max(1);
            facts[number].needs = Some(other.number);
        }
    }
}

/// A position as the record tells it.
pub fn place(position: &Position) -> String {
    match position {
        Position::Scan { key: None, beside, .. } => format!("history +{beside}"),
        Position::Scan { key: Some(ScanKey([_, aggregate, sequence, _])), beside, .. } => {
            format!("history {aggregate:?} {sequence:?} +{beside}")
        }
        Position::Stream { token } => {
            let time = token.time().unwrap_or_default();
            let event = token.data.get(20..28).map_or("-", |event| event.trim_start_matches('0'));
            format!("stream {}.{}.{event}", time.seconds, time.increment)
        }
    }
}
