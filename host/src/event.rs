//! The words for what comes in: an event, its aggregate, their ids, and the lane an aggregate belongs to.
//!
//! No I/O and no driver types. Decoding documents into events belongs to `source`.

mod spelling;
mod trace;

use std::fmt;
use std::sync::Arc;

use compact_str::CompactString;
use xxhash_rust::xxh3::xxh3_64;

use crate::position::{ClusterTime, Position};

pub use spelling::Named;
pub use trace::TraceParent;

/// The largest id, in bytes of its text, that is accepted for an event or an aggregate.
pub const ID_BYTES_MAX: usize = 512;

/// The longest type of an event or an aggregate, in bytes.
pub const TYPE_BYTES_MAX: usize = 128;

/// The largest sequence number: 2^53 - 1, the largest integer every guest language keeps exact.
pub const SEQUENCE_MAX: i64 = (1 << 53) - 1;

/// The id of an event or an aggregate. Integers of all widths are one kind, so int32 5 equals int64 5; the
/// string "5" is another id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Id {
    Integer(i64),
    Text(CompactString),
    Uuid([u8; 16]),
    ObjectId([u8; 12]),
}

/// Why bytes are not an id's key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not the key of an id: {0}")]
pub struct BadKey(&'static str);

impl Id {
    /// How many bytes it holds elsewhere.
    fn held_bytes(&self) -> usize {
        if let Self::Text(text) = self { on_the_heap(text) } else { 0 }
    }
}

impl Id {
    /// The canonical form: one tag byte, then the value. It is stored and hashed, so it never changes.
    pub fn key(&self) -> Vec<u8> {
        let mut key = Vec::with_capacity(self.key_bytes());
        self.write_key(|bytes| key.extend_from_slice(bytes));
        key
    }

    /// Gives the canonical form in pieces, to whoever needs it for a moment.
    pub fn write_key(&self, mut write: impl FnMut(&[u8])) {
        match self {
            Self::Integer(number) => {
                write(b"i");
                write(&number.to_be_bytes());
            }
            Self::Text(text) => {
                write(b"s");
                write(text.as_bytes());
            }
            Self::Uuid(bytes) => {
                write(b"u");
                write(bytes);
            }
            Self::ObjectId(bytes) => {
                write(b"o");
                write(bytes);
            }
        }
    }

    /// How long the canonical form is.
    pub fn key_bytes(&self) -> usize {
        1 + match self {
            Self::Integer(_) => size_of::<i64>(),
            Self::Text(text) => text.len(),
            Self::Uuid(bytes) => bytes.len(),
            Self::ObjectId(bytes) => bytes.len(),
        }
    }

    /// The id whose [`Id::key`] this is.
    pub fn from_key(key: &[u8]) -> Result<Self, BadKey> {
        let (tag, value) = key.split_first().ok_or(BadKey("it is empty"))?;
        let length = |_| BadKey("its length does not fit its kind");
        match tag {
            b'i' => Ok(Self::Integer(i64::from_be_bytes(value.try_into().map_err(length)?))),
            b's' => {
                let text = std::str::from_utf8(value).map_err(|_| BadKey("its text is not UTF-8"))?;
                Ok(Self::Text(text.into()))
            }
            b'u' => Ok(Self::Uuid(value.try_into().map_err(length)?)),
            b'o' => Ok(Self::ObjectId(value.try_into().map_err(length)?)),
            _ => Err(BadKey("its tag is unknown")),
        }
    }
}

/// The text that projectors and people see.
impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
            Self::ObjectId(bytes) => f.write_str(&hex::encode(bytes)),
            Self::Uuid(bytes) => {
                let digits = hex::encode(bytes);
                let groups = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
                f.write_str(&groups.join("-"))
            }
        }
    }
}

/// The unit of order: events of one aggregate are applied in commit order.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Aggregate {
    pub kind: CompactString,
    pub id: Id,
}

impl Aggregate {
    /// The canonical form: the length of the type as u32 (big endian), the type, the id's key.
    pub fn key(&self) -> Vec<u8> {
        let mut key = Vec::with_capacity(size_of::<u32>() + self.kind.len() + self.id.key_bytes());
        self.write_key(&mut key);
        key
    }

    fn write_key(&self, key: &mut Vec<u8>) {
        let length = u32::try_from(self.kind.len()).expect("a type's length was checked when it was decoded");
        key.extend_from_slice(&length.to_be_bytes());
        key.extend_from_slice(self.kind.as_bytes());
        self.id.write_key(|bytes| key.extend_from_slice(bytes));
    }

    /// The aggregate whose [`Aggregate::key`] this is.
    pub fn from_key(key: &[u8]) -> Result<Self, BadKey> {
        let (length, rest) = key.split_first_chunk().ok_or(BadKey("it is too short"))?;
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let (kind, id) = rest.split_at_checked(length).ok_or(BadKey("its type is longer than it is"))?;
        let kind = std::str::from_utf8(kind).map_err(|_| BadKey("its type is not UTF-8"))?;
        Ok(Self { kind: kind.into(), id: Id::from_key(id)? })
    }

    /// The lane of this aggregate, version 1: XXH3-64 of the canonical form, modulo the number of lanes.
    /// Checkpoints depend on it: another function is another version, and needs a lane change to move to.
    pub fn lane(&self, lanes: u32) -> u32 {
        lane_of(&self.key(), lanes)
    }
}

/// The lane of the aggregate with this key.
pub fn lane_of(aggregate_key: &[u8], lanes: u32) -> u32 {
    let lane = xxh3_64(aggregate_key) % u64::from(lanes.max(1));
    u32::try_from(lane).expect("less than the number of lanes, which is a u32")
}

impl fmt::Display for Aggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.id)
    }
}

/// One decoded outbox document.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub id: Id,
    pub event_type: CompactString,
    pub version: u32,
    pub aggregate: Aggregate,
    /// 0 to [`SEQUENCE_MAX`].
    pub sequence: Option<i64>,
    /// RFC 3339, UTC, milliseconds.
    pub occurred_at: Option<CompactString>,
    /// JSON text: MongoDB's relaxed Extended JSON v2, large integers as `$numberLong`.
    pub payload: String,
    /// JSON text of the same form.
    pub metadata: CompactString,
}

/// A document that is not an event, with what could be read of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undecodable {
    pub reason: String,
    /// The field that is wrong, by its configured name, if it is one of an event's.
    pub field: Option<String>,
    pub id: Option<Id>,
    /// Without it the document holds nothing back and goes to lane 0.
    pub aggregate: Option<Aggregate>,
}

/// An event of the change stream by which a source is known again: one that was put back to an older copy does not have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    pub id: Id,
    /// When it was committed.
    pub time: ClusterTime,
}

/// How many bytes a text holds elsewhere: none where it is short, and stands in the event itself.
fn on_the_heap(text: &CompactString) -> usize {
    if text.is_heap_allocated() { text.capacity() } else { 0 }
}

/// Of how many pieces of memory a delivery consists, about, and what the allocator takes for each beside what was asked
/// for, in bytes.
const PIECES: usize = 6;
const ALLOCATION: usize = 16;

/// An outbox document on its way to a lane, with its position and its event.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    pub position: Position,
    /// When it was committed; unknown for history.
    pub time: Option<ClusterTime>,
    /// When the primary wrote it, by its clock, in milliseconds since 1970; unknown for history.
    pub wall_ms: Option<u64>,
    /// The document's raw BSON.
    pub document: Arc<[u8]>,
    pub event: Result<Arc<Event>, Undecodable>,
}

impl Delivery {
    pub fn aggregate(&self) -> Option<&Aggregate> {
        match &self.event {
            Ok(event) => Some(&event.aggregate),
            Err(undecodable) => undecodable.aggregate.as_ref(),
        }
    }

    pub fn id(&self) -> Option<&Id> {
        match &self.event {
            Ok(event) => Some(&event.id),
            Err(undecodable) => undecodable.id.as_ref(),
        }
    }

    /// The mark by which the source is known again when this was the last event; none for history.
    pub fn anchor(&self) -> Option<Anchor> {
        Some(Anchor { id: self.id()?.clone(), time: self.time? })
    }

    /// About how many bytes of memory it holds.
    pub fn held_bytes(&self) -> usize {
        let aggregate = |aggregate: &Aggregate| on_the_heap(&aggregate.kind) + aggregate.id.held_bytes();
        let decoded = match &self.event {
            Ok(event) => {
                let occurred_at = event.occurred_at.as_ref().map_or(0, on_the_heap);
                let texts = [
                    on_the_heap(&event.event_type),
                    event.payload.len(),
                    on_the_heap(&event.metadata),
                    occurred_at,
                ];
                size_of::<Event>()
                    + texts.iter().sum::<usize>()
                    + aggregate(&event.aggregate)
                    + event.id.held_bytes()
            }
            Err(wrong) => {
                let id = wrong.id.as_ref().map_or(0, Id::held_bytes);
                wrong.reason.len() + id + wrong.aggregate.as_ref().map_or(0, aggregate)
            }
        };
        let own = size_of::<Self>() + self.position.held_bytes() + self.document.len();
        own + decoded + PIECES * ALLOCATION
    }

    /// The lane this document goes to. The buffer is for the aggregate's key.
    pub fn lane(&self, lanes: u32, buffer: &mut Vec<u8>) -> u32 {
        let Some(aggregate) = self.aggregate() else { return 0 };
        buffer.clear();
        aggregate.write_key(buffer);
        lane_of(buffer, lanes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aggregate(id: Id) -> Aggregate {
        Aggregate { kind: "account".into(), id }
    }

    #[test]
    fn an_id_comes_back_from_its_key() {
        let ids = [
            Id::Integer(i64::MIN),
            Id::Integer(5),
            Id::Text("5".into()),
            Id::Text(CompactString::default()),
            Id::Uuid([7; 16]),
            Id::ObjectId([9; 12]),
        ];
        for id in ids {
            assert_eq!(Id::from_key(&id.key()), Ok(id));
        }
    }

    #[test]
    fn a_key_that_is_none_is_refused() {
        for key in [&b""[..], b"i12", b"u1", b"o1", b"x", &[b's', 0xff]] {
            assert!(Id::from_key(key).is_err(), "{key:?}");
        }
    }

    #[test]
    fn ids_of_different_kinds_differ_even_when_they_read_the_same() {
        let (number, text) = (Id::Integer(5), Id::Text("5".into()));
        assert_eq!(number.to_string(), text.to_string());
        assert_ne!(number.key(), text.key());
    }

    #[test]
    fn ids_read_as_people_know_them() {
        assert_eq!(Id::Uuid([0xab; 16]).to_string(), "abababab-abab-abab-abab-abababababab");
        assert_eq!(Id::ObjectId([1; 12]).to_string(), "010101010101010101010101");
        assert_eq!(aggregate(Id::Integer(-7)).to_string(), "account/-7");
    }

    /// Stored checkpoints rely on these numbers. If this fails, the lane function was changed.
    #[test]
    fn the_lane_function_never_changes() {
        let lanes: Vec<u32> = (0..8).map(|n| aggregate(Id::Integer(n)).lane(4)).collect();
        assert_eq!(lanes, LANES_OF_THE_FIRST_EIGHT);
        assert!((0..100).all(|n| aggregate(Id::Integer(n)).lane(1) == 0));
    }

    const LANES_OF_THE_FIRST_EIGHT: [u32; 8] = [0, 3, 0, 2, 1, 3, 2, 2];
}
