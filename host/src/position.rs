//! The words for where: a place in the outbox's history or in its change stream, and its order.
//!
//! No I/O and no driver types. How places are read from MongoDB belongs to `source`.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A moment in the order of the source's writes: MongoDB's cluster time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct ClusterTime {
    /// Seconds since 1970.
    pub seconds: u32,
    /// The number of the write within its second.
    pub increment: u32,
}

impl ClusterTime {
    /// The last moment before this one.
    #[must_use]
    pub fn before(self) -> Self {
        match self.increment.checked_sub(1) {
            Some(increment) => Self { increment, ..self },
            None => Self { seconds: self.seconds.saturating_sub(1), increment: u32::MAX },
        }
    }
}

/// A resume token of a change stream.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Token {
    /// The token's `_data`: hex digits whose byte order is the order of the stream.
    pub data: String,
    /// The token's `_typeBits` in hex, where it has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub type_bits: Option<String>,
}

impl Token {
    /// When the token's write happened. A token starts with the tag of a timestamp (82), then eight digits of
    /// seconds and eight of increment (SERVER-29716).
    pub fn time(&self) -> Option<ClusterTime> {
        let digits = self.data.strip_prefix("82")?;
        let number = |from, to| u32::from_str_radix(digits.get(from..to)?, 16).ok();
        Some(ClusterTime { seconds: number(0, 8)?, increment: number(8, 16)? })
    }

    /// Whether this is a high-water mark: it stands before all events of its time, and names none of them. Tokens
    /// of events hold the collection's UUID and the document's id, and are three times as long.
    pub fn is_high_water_mark(&self) -> bool {
        const DIGITS_MAX: usize = 40;
        self.data.len() < DIGITS_MAX
    }
}

/// One field of a [`ScanKey`]: the values that MongoDB may find in it, in MongoDB's order of types.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyPart {
    Missing,
    Integer(i64),
    Number(f64),
    Text(String),
    /// Subtype and bytes.
    Binary(u8, Vec<u8>),
    ObjectId([u8; 12]),
}

impl KeyPart {
    fn rank(&self) -> u8 {
        match self {
            Self::Missing => 0,
            Self::Integer(_) | Self::Number(_) => 1,
            Self::Text(_) => 2,
            Self::Binary(..) => 3,
            Self::ObjectId(_) => 4,
        }
    }

    /// The order of a MongoDB index with the simple collation.
    fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => a.cmp(b),
            (Self::Number(a), Self::Number(b)) => a.total_cmp(b),
            (Self::Integer(a), Self::Number(b)) => compare_mixed(*a, *b),
            (Self::Number(a), Self::Integer(b)) => compare_mixed(*b, *a).reverse(),
            (Self::Text(a), Self::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
            (Self::Binary(kind_a, a), Self::Binary(kind_b, b)) => {
                a.len().cmp(&b.len()).then(kind_a.cmp(kind_b)).then_with(|| a.cmp(b))
            }
            (Self::ObjectId(a), Self::ObjectId(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "an integer that is not exact as f64 is far from every sequence"
)]
fn compare_mixed(integer: i64, number: f64) -> Ordering {
    (integer as f64).total_cmp(&number)
}

/// A document's place in the history index: aggregate type, aggregate id, sequence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScanKey(pub [KeyPart; 3]);

impl ScanKey {
    pub fn compare(&self, other: &Self) -> Ordering {
        let parts = self.0.iter().zip(&other.0);
        parts.map(|(a, b)| a.compare(b)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    }
}

/// A place up to which a lane has committed. History comes before the stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Position {
    /// In history: everything up to this key that was committed before `start`. Without a key: nothing yet.
    Scan { start: Token, key: Option<ScanKey> },
    /// In the stream: everything up to this token.
    Stream { token: Token },
}

/// What a lane at its checkpoint has to do with something that stands at another position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// At or before the checkpoint: it has been committed.
    Covered,
    /// After the checkpoint.
    Ahead,
    /// Events share a key of the history index: the dedupe window tells which of them were committed.
    Tied,
}

impl Position {
    /// How `event` relates to this checkpoint.
    pub fn relation(&self, event: &Self) -> Relation {
        match (self.compare(event), self) {
            (Ordering::Less, _) => Relation::Ahead,
            (Ordering::Equal, Self::Scan { .. }) => Relation::Tied,
            (Ordering::Equal | Ordering::Greater, _) => Relation::Covered,
        }
    }

    /// The order of positions, for finding the oldest lane.
    pub fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Scan { .. }, Self::Stream { .. }) => Ordering::Less,
            (Self::Stream { .. }, Self::Scan { .. }) => Ordering::Greater,
            (Self::Stream { token: mine }, Self::Stream { token }) => mine.data.cmp(&token.data),
            (Self::Scan { key: mine, .. }, Self::Scan { key, .. }) => match (mine, key) {
                (Some(mine), Some(key)) => mine.compare(key),
                (mine, key) => mine.is_some().cmp(&key.is_some()),
            },
        }
    }

    /// When the newest write that this position covers for certain happened.
    pub fn time(&self) -> Option<ClusterTime> {
        match self {
            Self::Scan { start, .. } => start.time(),
            Self::Stream { token } => token.time(),
        }
    }
}

/// For people: history has no date, the stream has one.
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, self.time()) {
            (Self::Scan { .. }, _) => f.write_str("history"),
            (Self::Stream { .. }, Some(time)) => write!(f, "{}.{}", time.seconds, time.increment),
            (Self::Stream { .. }, None) => f.write_str("stream"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(data: &str) -> Token {
        Token { data: data.into(), type_bits: None }
    }

    fn scan(id: i64, sequence: i64) -> Position {
        let key =
            ScanKey([KeyPart::Text("account".into()), KeyPart::Integer(id), KeyPart::Integer(sequence)]);
        Position::Scan { start: token("82AA"), key: Some(key) }
    }

    fn stream(data: &str) -> Position {
        Position::Stream { token: token(data) }
    }

    #[test]
    fn history_comes_before_the_stream() {
        assert_eq!(scan(1, 1).relation(&stream("8200")), Relation::Ahead);
        assert_eq!(stream("8200").relation(&scan(1, 1)), Relation::Covered);
        assert_eq!(scan(1, 1).compare(&stream("8200")), Ordering::Less);
    }

    #[test]
    fn a_lane_ignores_what_is_at_or_before_its_checkpoint() {
        assert_eq!(stream("82B0").relation(&stream("82AF")), Relation::Covered);
        assert_eq!(stream("82B0").relation(&stream("82B0")), Relation::Covered);
        assert_eq!(stream("82B0").relation(&stream("82B1")), Relation::Ahead);
        assert_eq!(scan(5, 3).relation(&scan(5, 2)), Relation::Covered);
        assert_eq!(scan(5, 3).relation(&scan(5, 3)), Relation::Tied);
        assert_eq!(scan(5, 3).relation(&scan(10, 1)), Relation::Ahead);
    }

    #[test]
    fn every_position_equals_itself() {
        let nothing = || Position::Scan { start: token("82AA"), key: None };
        for position in [nothing(), scan(1, 1), stream("82")] {
            assert_eq!(position.compare(&position.clone()), Ordering::Equal, "{position:?}");
        }
        assert_eq!(nothing().compare(&scan(1, 1)), Ordering::Less);
        assert_eq!(scan(1, 1).compare(&nothing()), Ordering::Greater);
    }

    #[test]
    fn key_parts_stand_in_the_order_of_a_mongodb_index() {
        let ascending = [
            KeyPart::Missing,
            KeyPart::Integer(-1),
            KeyPart::Number(2.5),
            KeyPart::Integer(3),
            KeyPart::Text(String::new()),
            KeyPart::Text("Z".into()),
            KeyPart::Text("a".into()),
            KeyPart::Binary(4, vec![9]),
            KeyPart::Binary(0, vec![0, 0]),
            KeyPart::Binary(4, vec![0, 0]),
            KeyPart::ObjectId([0; 12]),
        ];
        for (i, a) in ascending.iter().enumerate() {
            for (j, b) in ascending.iter().enumerate() {
                assert_eq!(a.compare(b), i.cmp(&j), "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn a_token_tells_its_time() {
        let time = token("82650000010000000A2B0229296E04").time();
        assert_eq!(time, Some(ClusterTime { seconds: 0x6500_0001, increment: 10 }));
        assert_eq!(token("81").time(), None);
    }

    #[test]
    fn a_position_comes_back_from_its_stored_form() {
        for position in [scan(1, 2), stream("82"), Position::Scan { start: token("82"), key: None }] {
            let stored = serde_json::to_string(&position).expect("a position has a stored form");
            assert_eq!(serde_json::from_str::<Position>(&stored).expect("it reads back"), position);
        }
    }
}
