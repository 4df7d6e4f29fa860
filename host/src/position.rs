//! The words for where: a place in the outbox's history or in its change stream, and its order.
//!
//! No I/O and no driver types. How places are read from MongoDB belongs to `source`.

mod key;

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use key::{KeyPart, ScanKey};

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
    /// The token's `_data`: hex digits whose byte order is the order of the stream. All documents of a scan share one.
    #[serde(with = "shared_text")]
    pub data: Arc<str>,
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

    /// Returns true for a high-water mark: it stands before all events of its time, and names none of them. Tokens of
    /// events hold the collection's UUID and the document's id, and are three times as long.
    pub fn is_high_water_mark(&self) -> bool {
        const DIGITS_MAX: usize = 40;
        self.data.len() < DIGITS_MAX
    }
}

/// The stored form of a text that is shared: the text.
mod shared_text {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<str>, D::Error> {
        String::deserialize(deserializer).map(Arc::from)
    }
}

/// A place up to which a lane has committed. History comes before the stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Position {
    /// In history: everything up to this key that was committed before `start`. Without a key: nothing yet.
    Scan {
        start: Token,
        key: Option<ScanKey>,
        /// How many documents that the index has behind the key are covered, but do not stand behind it in this host's
        /// order. None as long as both orders agree.
        #[serde(default)]
        beside: u32,
    },
    /// In the stream: everything up to this token.
    Stream { token: Token },
}

impl Position {
    /// About how many bytes it holds elsewhere.
    pub fn held_bytes(&self) -> usize {
        match self {
            Self::Stream { token } => token.data.len() + token.type_bits.as_ref().map_or(0, String::len),
            // All positions of a scan share its start.
            Self::Scan { key, .. } => key.as_ref().map_or(0, ScanKey::held_bytes),
        }
    }

    /// Returns true where a lane that has committed up to here has committed what stands at the other position.
    pub fn covers(&self, other: &Self) -> bool {
        self.compare(other).is_ge()
    }

    /// The order of positions. No two documents stand at one.
    pub fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Scan { .. }, Self::Stream { .. }) => Ordering::Less,
            (Self::Stream { .. }, Self::Scan { .. }) => Ordering::Greater,
            (Self::Stream { token: mine }, Self::Stream { token }) => mine.data.cmp(&token.data),
            (Self::Scan { key: mine, beside: mine_beside, .. }, Self::Scan { key, beside, .. }) => {
                let keys = match (mine, key) {
                    (Some(mine), Some(key)) => mine.compare(key),
                    (mine, key) => mine.is_some().cmp(&key.is_some()),
                };
                keys.then(mine_beside.cmp(beside))
            }
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

/// For people: the date, and the number of the write within its second.
impl fmt::Display for ClusterTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rfc3339 = &time::format_description::well_known::Rfc3339;
        let date = time::OffsetDateTime::from_unix_timestamp(self.seconds.into());
        match date.ok().and_then(|date| date.format(rfc3339).ok()) {
            Some(date) => write!(f, "{date} #{}", self.increment),
            None => write!(f, "{} s #{}", self.seconds, self.increment),
        }
    }
}

/// For people: history has no date, the stream has one.
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, self.time()) {
            (Self::Scan { .. }, _) => f.write_str("history"),
            (Self::Stream { .. }, Some(time)) => time.fmt(f),
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
        let [id, sequence] = [id, sequence].map(KeyPart::Integer);
        let key = ScanKey([KeyPart::Text("account".into()), id, sequence, KeyPart::Text("e".into())]);
        Position::Scan { start: token("82AA"), key: Some(key), beside: 0 }
    }

    fn stream(data: &str) -> Position {
        Position::Stream { token: token(data) }
    }

    fn nothing() -> Position {
        Position::Scan { start: token("82AA"), key: None, beside: 0 }
    }

    #[test]
    fn history_comes_before_the_stream() {
        assert!(!scan(1, 1).covers(&stream("8200")));
        assert!(stream("8200").covers(&scan(1, 1)));
    }

    #[test]
    fn a_lane_has_committed_what_is_at_or_before_its_checkpoint() {
        assert!(stream("82B0").covers(&stream("82AF")));
        assert!(stream("82B0").covers(&stream("82B0")));
        assert!(!stream("82B0").covers(&stream("82B1")));
        assert!(scan(5, 3).covers(&scan(5, 2)));
        assert!(scan(5, 3).covers(&scan(5, 3)));
        assert!(!scan(5, 3).covers(&scan(10, 1)));
    }

    #[test]
    fn documents_without_a_place_of_their_own_stand_behind_the_one_before_them() {
        let behind = |position: Position, beside: u32| match position {
            Position::Scan { start, key, .. } => Position::Scan { start, key, beside },
            Position::Stream { .. } => position,
        };
        assert!(!scan(1, 1).covers(&behind(scan(1, 1), 1)));
        assert!(behind(scan(1, 1), 1).covers(&scan(1, 1)));
        assert!(!behind(scan(1, 1), 1).covers(&behind(scan(1, 1), 2)));
        assert!(!behind(scan(1, 1), 9).covers(&scan(1, 2)));
        assert!(!nothing().covers(&behind(nothing(), 1)));
    }

    #[test]
    fn every_position_equals_itself() {
        for position in [nothing(), scan(1, 1), stream("82")] {
            assert_eq!(position.compare(&position.clone()), Ordering::Equal, "{position:?}");
        }
        assert_eq!(nothing().compare(&scan(1, 1)), Ordering::Less);
        assert_eq!(scan(1, 1).compare(&nothing()), Ordering::Greater);
    }

    #[test]
    fn a_token_tells_its_time() {
        let time = token("82650000010000000A2B0229296E04").time();
        assert_eq!(time, Some(ClusterTime { seconds: 0x6500_0001, increment: 10 }));
        assert_eq!(token("81").time(), None);
    }

    #[test]
    fn people_see_a_date() {
        assert_eq!(stream("82650000010000000A2B0229296E04").to_string(), "2023-09-12T06:06:57Z #10");
        assert_eq!(scan(1, 1).to_string(), "history");
    }

    #[test]
    fn a_position_comes_back_from_its_stored_form() {
        for position in [scan(1, 2), stream("82"), nothing()] {
            let stored = serde_json::to_string(&position).expect("a position has a stored form");
            assert_eq!(serde_json::from_str::<Position>(&stored).expect("it reads back"), position);
        }
    }
}
