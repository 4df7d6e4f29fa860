//! With which component events were taken: of the rows of the dedupe window that remember them, which say it of letters, and of
//! what the lanes recorded when they changed theirs. What neither says is not known, and is never guessed.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::Row;
use sqlx::mysql::MySqlRow;

use crate::failure::Failure;
use crate::position::Position;
use crate::readmodel::control::control_db::{ControlDb, ProjectionDb};
use crate::readmodel::control::deployment::LaneChange;
use crate::readmodel::lane::dead_letter;
use crate::readmodel::mysql::error::classify;
use crate::readmodel::mysql::query::RunQuery;

/// How an event was taken, by its row of the dedupe window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenBy {
    /// When, by MySQL's clock.
    pub at: String,
    /// It was a dead letter, and was dealt with by itself.
    pub was_letter: bool,
    /// The component, where that is known.
    pub digest: Option<String>,
}

/// A row of the dedupe window, as far as it tells when and where.
struct TakenRow {
    id: u64,
    lane: u32,
    is_letter: bool,
    bound: Option<Position>,
    /// With which component a letter was applied, where the row says so.
    digest: Option<String>,
    at: String,
}

/// The components of a generation's lanes.
struct LaneComponents {
    /// Those that each lane changed to, behind which position, in their order.
    changes: BTreeMap<u32, Vec<(Position, String)>>,
    /// That of each lane's last batch.
    now: BTreeMap<u32, String>,
}

impl ProjectionDb<'_> {
    /// How the events of these rows were taken, by the rows' ids. Rows that are gone meanwhile are left out.
    pub async fn taken_by(
        &mut self,
        generation: u32,
        rows: &[u64],
    ) -> Result<BTreeMap<u64, TakenBy>, Failure> {
        if rows.is_empty() {
            return Ok(BTreeMap::new());
        }
        let rows = self.taken_rows(rows).await?;
        let changes = self.lane_changes(generation).await?;
        let lanes = self.lane_rows(generation).await?;
        let now = lanes.into_iter().map(|row| (row.lane, row.digest)).collect();
        let components = LaneComponents::new(&changes, now);
        let taken = rows.into_iter().map(|row| {
            let digest = components.of(&row);
            (row.id, TakenBy { at: row.at, was_letter: row.is_letter, digest })
        });
        Ok(taken.collect())
    }
}

/// The version of the control schema since which a row about a letter names its component.
const DIGEST_SINCE: u32 = 12;

impl ControlDb<'_> {
    async fn taken_rows(&mut self, rows: &[u64]) -> Result<Vec<TakenRow>, Failure> {
        let failed = |error: sqlx::Error| classify("reading the dedupe window", &error);
        let places = vec!["?"; rows.len()].join(", ");
        // A control schema that no host of this version has started on yet tells less.
        let version = self.version().await?.unwrap_or_default();
        let digest = if version < DIGEST_SINCE { "NULL" } else { "digest" };
        let sql = self.control.sql(&format!(
            "SELECT id, lane, CAST(events = 0 AS SIGNED), bound, DATE_FORMAT(committed_at, '%Y-%m-%dT%H:%i:%s.%fZ'), {digest} \
             FROM laterna.dedupe WHERE id IN ({places})"
        ));
        let query = rows.iter().fold(sqlx::query(&sql), |query, id| query.bind(*id));
        let found = query.rows(self.connection()).await.map_err(failed)?;
        let read = |row: &MySqlRow| {
            let bound: Option<String> = row.try_get(3)?;
            Ok(TakenRow {
                id: row.try_get(0)?,
                lane: row.try_get(1)?,
                is_letter: row.try_get::<i64, _>(2)? == 1,
                bound: bound.and_then(|text| serde_json::from_str(&text).ok()),
                at: row.try_get(4)?,
                digest: row.try_get(5)?,
            })
        };
        found.iter().map(|row| read(row).map_err(failed)).collect()
    }
}

impl LaneComponents {
    fn new(all: &[LaneChange], now: BTreeMap<u32, String>) -> Self {
        let mut changes: BTreeMap<u32, Vec<(Position, String)>> = BTreeMap::new();
        for LaneChange { lane, digest, position, .. } in all {
            if let Ok(position) = serde_json::from_str(position) {
                changes.entry(*lane).or_default().push((position, digest.clone()));
            }
        }
        Self { changes, now }
    }

    /// The component of a row's events. A batch ends behind the place from which its lane had its component.
    fn of(&self, row: &TakenRow) -> Option<String> {
        if let Some(known) = row.digest.as_deref().or_else(|| self.only()) {
            return Some(known.to_owned());
        }
        // A letter was taken by itself, at any time: where its row does not say with what, nothing does.
        let bound = row.bound.as_ref().filter(|_| !row.is_letter)?;
        let changes = self.changes.get(&row.lane)?;
        let at = changes.iter().rposition(|(from, _)| from.compare(bound).is_lt())?;
        let (_, digest) = &changes[at];
        // A lane that took over others' work went on with their component, and records that only with its next one.
        let is_last = at + 1 == changes.len();
        (!is_last || self.now.get(&row.lane) == Some(digest)).then(|| digest.clone())
    }

    /// The only component that the generation has ever had.
    fn only(&self) -> Option<&str> {
        let changed = self.changes.values().flatten().map(|(_, digest)| digest.as_str());
        let all = changed.chain(self.now.values().map(String::as_str).filter(|digest| !digest.is_empty()));
        let all: BTreeSet<&str> = all.collect();
        all.first().copied().filter(|_| all.len() == 1)
    }
}

/// Who gave an event up, and why.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct GivenUpBy {
    pub by: String,
    pub why: String,
    pub at: String,
}

impl ProjectionDb<'_> {
    /// Who gave events up, by the key of their documents: those of one event.
    pub async fn given_up_by(&mut self, event: &crate::event::Id) -> Result<Option<GivenUpBy>, Failure> {
        let failed = |error: sqlx::Error| classify("reading discarded events", &error);
        let (first, second) =
            (dead_letter::key_of(event), self.seed().await?.mark_of_key(&event.key()).to_be_bytes());
        let sql = self.control.sql(
            "SELECT discarded_by, reason, DATE_FORMAT(discarded_at, '%Y-%m-%dT%H:%i:%s.%fZ') FROM laterna.discarded \
             WHERE projection = ? AND document_key IN (?, ?) AND CAST(event_id AS BINARY) = CAST(? AS BINARY)",
        );
        let query = sqlx::query(&sql).bind(self.projection).bind(&first[..]).bind(&second[..]);
        let row = query.bind(event.to_string()).first(self.connection()).await.map_err(failed)?;
        let read =
            |row: &MySqlRow| Ok(GivenUpBy { by: row.try_get(0)?, why: row.try_get(1)?, at: row.try_get(2)? });
        row.map(|row| read(&row).map_err(failed)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::Token;

    fn at(number: u32) -> Position {
        Position::Stream { token: Token { data: format!("82{number:08X}00000001").into(), type_bits: None } }
    }

    fn change(lane: u32, digest: &str, from: u32) -> LaneChange {
        let position = serde_json::to_string(&at(from)).expect("a position is text");
        LaneChange { lane, digest: digest.into(), position, at: String::new() }
    }

    fn row(lane: u32, bound: Option<u32>) -> TakenRow {
        TakenRow { id: 1, lane, is_letter: false, bound: bound.map(at), digest: None, at: String::new() }
    }

    fn lanes(now: &[(u32, &str)]) -> BTreeMap<u32, String> {
        now.iter().map(|(lane, digest)| (*lane, (*digest).to_owned())).collect()
    }

    #[test]
    fn a_batch_was_taken_by_the_component_that_its_lane_had_where_it_ended() {
        let changes = [change(0, "a", 1), change(1, "a", 1), change(0, "b", 10), change(1, "b", 20)];
        let components = LaneComponents::new(&changes, lanes(&[(0, "b"), (1, "b")]));
        for (lane, bound, digest) in [
            (0, Some(5), Some("a")),
            (0, Some(10), Some("a")),
            (0, Some(11), Some("b")),
            (1, Some(11), Some("a")),
            (1, Some(21), Some("b")),
            (0, Some(1), None),
            (0, None, None),
            (7, Some(11), None),
        ] {
            assert_eq!(components.of(&row(lane, bound)).as_deref(), digest, "lane {lane}, {bound:?}");
        }
        let letter = TakenRow { is_letter: true, ..row(0, Some(11)) };
        assert_eq!(components.of(&letter), None, "nobody wrote down what it was replayed with");
        let said = TakenRow { digest: Some("c".into()), ..letter };
        assert_eq!(components.of(&said).as_deref(), Some("c"), "the row says it");
    }

    #[test]
    fn a_lane_that_took_over_with_anothers_component_says_nothing_it_does_not_know() {
        let changes = [change(0, "a", 1), change(0, "b", 10)];
        let components = LaneComponents::new(&changes, lanes(&[(0, "c"), (1, "c")]));
        assert_eq!(components.of(&row(0, Some(30))), None);
        assert_eq!(components.of(&row(0, Some(5))).as_deref(), Some("a"));
    }

    #[test]
    fn where_there_was_never_another_component_it_was_this_one() {
        let components = LaneComponents::new(&[change(0, "a", 1)], lanes(&[(0, "a"), (1, "a"), (2, "")]));
        let letter = TakenRow { is_letter: true, ..row(1, None) };
        assert_eq!(components.of(&letter).as_deref(), Some("a"));
        let none = LaneComponents::new(&[], lanes(&[(0, "")]));
        assert_eq!(none.of(&row(0, Some(5))), None);
    }
}
