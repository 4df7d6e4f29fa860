//! The letters that an operator was shown before a command about them was written: the command is about these, and no
//! other, whatever is parked meanwhile. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The letters that were shown, and the generation that was live then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownLetters {
    pub generation: u32,
    pub letters: Ids,
    /// How many of them were parked, by class. Older command lines do not say.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub classes: BTreeMap<String, u64>,
}

/// Ids of letters in ascending order. Written as ranges, as in `3-17,20`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Ids(Vec<RangeInclusive<u64>>);

impl Ids {
    /// Adds an id. One that is not greater than all others is refused.
    pub fn push(&mut self, id: u64) -> Result<(), BadIds> {
        let last = self.0.last_mut();
        match last {
            Some(last) if id <= *last.end() => return Err(BadIds),
            Some(last) if id == *last.end() + 1 => *last = *last.start()..=id,
            _ => self.0.push(id..=id),
        }
        Ok(())
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.iter().map(|range| range.end() - range.start() + 1).sum()
    }

    pub fn contains(&self, id: u64) -> bool {
        let at = self.0.partition_point(|range| *range.end() < id);
        self.0.get(at).is_some_and(|range| range.contains(&id))
    }

    /// The next ids behind one, at most `limit`.
    pub fn behind(&self, id: u64, limit: usize) -> Vec<u64> {
        let at = self.0.partition_point(|range| *range.end() <= id);
        self.0[at..].iter().cloned().flatten().filter(|next| *next > id).take(limit).collect()
    }
}

/// The text is no list of ids in ascending order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not ids of letters in ascending order")]
pub struct BadIds;

impl fmt::Display for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (range, comma) in self.0.iter().zip([""].into_iter().chain(std::iter::repeat(","))) {
            write!(f, "{comma}{}", range.start())?;
            if range.end() > range.start() {
                write!(f, "-{}", range.end())?;
            }
        }
        Ok(())
    }
}

/// There may be millions of them.
impl fmt::Debug for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} letter(s)", self.count())
    }
}

impl FromStr for Ids {
    type Err = BadIds;

    fn from_str(text: &str) -> Result<Self, BadIds> {
        let mut ids = Self::default();
        let number = |text: &str| text.parse::<u64>().map_err(|_| BadIds);
        for range in text.split(',').filter(|_| !text.is_empty()) {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let (first, last) = (number(first)?, number(last)?);
            ids.push(first)?;
            if last < first {
                return Err(BadIds);
            }
            let range = ids.0.last_mut().expect("an id was pushed");
            *range = *range.start()..=last;
        }
        Ok(ids)
    }
}

impl TryFrom<String> for Ids {
    type Error = BadIds;

    fn try_from(text: String) -> Result<Self, BadIds> {
        text.parse()
    }
}

impl From<Ids> for String {
    fn from(ids: Ids) -> Self {
        ids.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_are_written_as_ranges() {
        let mut ids = Ids::default();
        for id in [3, 4, 5, 9, 11, 12] {
            ids.push(id).expect("it is the greatest");
        }
        assert_eq!(ids.to_string(), "3-5,9,11-12");
        assert_eq!(ids.push(12), Err(BadIds));
        assert_eq!(Ids::default().to_string(), "");
        for bad in ["3-", "-", "5-3", "3,3", "5,4", "a", "1,,2", "1-3,3"] {
            assert_eq!(bad.parse::<Ids>(), Err(BadIds), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn ids_are_these_and_no_others(all in proptest::collection::btree_set(1_u64..200, 0..80)) {
            let mut ids = Ids::default();
            for id in &all {
                prop_assert_eq!(ids.push(*id), Ok(()));
            }
            prop_assert_eq!(ids.to_string().parse(), Ok(ids.clone()));
            prop_assert_eq!(ids.count(), all.len() as u64);
            for id in 0..201 {
                prop_assert_eq!(ids.contains(id), all.contains(&id));
                let behind: Vec<u64> = all.range(id + 1..).take(7).copied().collect();
                prop_assert_eq!(ids.behind(id, 7), behind);
            }
        }
    }
}
