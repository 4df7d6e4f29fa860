//! How far a scan has come: places that only go forward, whatever the documents' keys are.
//!
//! Pure. The index decides which document comes next; the keys only mark where to go on after a stop.

use std::cmp::Ordering;

use crate::position::{Position, ScanKey, Token};

/// The place of the last document that was handed out.
pub struct ScanPlace {
    start: Token,
    key: Option<ScanKey>,
    beside: u32,
    /// The document whose place is `key` may come again: the scan was opened at it, and nothing was read yet.
    repeats: bool,
}

impl ScanPlace {
    /// Where a scan is opened. Documents behind the key count from it even when its document is gone.
    pub fn at(start: Token, key: Option<ScanKey>) -> Self {
        Self { start, repeats: key.is_some(), key, beside: 0 }
    }

    /// Moves to the next document and gives its position. A document whose key is not greater in this host's order, or
    /// unknown, has its place behind the one before it, so that it is never taken for one that was handed out.
    pub fn advance(&mut self, next: Option<ScanKey>) -> Position {
        let repeats = std::mem::take(&mut self.repeats);
        let order = |key: &ScanKey| self.key.as_ref().map_or(Ordering::Greater, |last| key.compare(last));
        match next {
            Some(key) if order(&key).is_gt() => (self.key, self.beside) = (Some(key), 0),
            Some(key) if repeats && order(&key).is_eq() => {}
            _ => self.beside += 1,
        }
        self.position()
    }

    pub fn position(&self) -> Position {
        Position::Scan { start: self.start.clone(), key: self.key.clone(), beside: self.beside }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::KeyPart;

    fn key(id: i64) -> ScanKey {
        let [id, sequence] = [id, 1].map(KeyPart::Integer);
        ScanKey([KeyPart::Missing, id, sequence, KeyPart::Missing])
    }

    fn keys<const N: usize>(ids: [Option<i64>; N]) -> [Option<ScanKey>; N] {
        ids.map(|id| id.map(key))
    }

    fn from(at: Option<ScanKey>) -> ScanPlace {
        ScanPlace::at(Token { data: "82AA".into(), type_bits: None }, at)
    }

    #[test]
    fn no_document_is_at_a_place_that_was_passed_whatever_its_key() {
        let mut place = from(None);
        let documents = keys([Some(1), Some(5), Some(3), None, Some(5), Some(4), Some(6), Some(6), Some(2)]);
        let places = documents.map(|document| place.advance(document));
        for pair in places.windows(2) {
            assert!(pair[0].compare(&pair[1]).is_lt(), "{pair:?}");
        }
    }

    #[test]
    fn a_scan_goes_on_behind_each_place_with_what_came_behind_it() {
        let documents = keys([Some(1), Some(5), Some(3), None, Some(4), Some(6), Some(2)]);
        let mut place = from(None);
        let places = documents.clone().map(|document| place.advance(document));
        for (at, stopped) in places.iter().enumerate() {
            let Position::Scan { key, .. } = stopped else { panic!("a scan") };
            let opened = documents.iter().position(|document| document == key).expect("its own document");
            let mut place = from(key.clone());
            let again: Vec<Position> =
                documents[opened..].iter().map(|next| place.advance(next.clone())).collect();
            let new: Vec<&Position> = again.iter().filter(|position| !stopped.covers(position)).collect();
            assert_eq!(new, places[at + 1..].iter().collect::<Vec<_>>(), "behind {stopped:?}");
        }
    }

    #[test]
    fn the_document_that_a_scan_was_opened_at_may_be_gone() {
        let mut place = from(Some(key(5)));
        assert!(from(Some(key(5))).position().compare(&place.advance(Some(key(6)))).is_lt());
    }
}
