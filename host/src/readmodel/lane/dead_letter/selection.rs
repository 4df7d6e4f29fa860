//! Which letters there are: lists page by page, heads, counts. Nothing here reads a document.

use std::collections::HashSet;

use sqlx::mysql::MySqlRow;
use sqlx::{MySql, QueryBuilder, Row};

use super::letter::COLUMNS;
use super::{Letter, LetterState, document_key, second_key};
use crate::event::{Aggregate, Delivery};
use crate::failure::{Failure, RESTORE_TOGETHER};
use crate::fingerprint::Seed;
use crate::readmodel::control::control_db::{ControlDb, ProjectionDb};
use crate::readmodel::control::schema::Control;
use crate::readmodel::lane::Lane;
use crate::readmodel::mysql::error::classify;
use crate::readmodel::mysql::query::RunQuery;

/// Which letters are asked for: those that fit everything that is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Selection {
    pub id: Option<u64>,
    /// The text of the event's id.
    pub event: Option<String>,
    /// The text of the aggregate; several may have the same text.
    pub aggregate: Option<String>,
    /// The aggregate's key, in hexadecimal digits.
    pub aggregate_key: Option<String>,
    pub class: Option<String>,
    pub state: Option<LetterState>,
    pub heads_only: bool,
    /// The letters behind this id.
    pub after: u64,
    /// The letters up to this id.
    pub until: Option<u64>,
    /// These letters only.
    #[serde(skip)]
    pub among: Option<Vec<u64>>,
    /// Those that were there before this command was written, as far as their times show.
    #[serde(skip)]
    pub before_command: Option<u64>,
    /// Those that another component failed.
    pub other_than_digest: Option<String>,
    /// Those that did not fail under this command.
    pub untried_by: Option<u64>,
    /// Those that are not erased; and of these, those that are older than so many days.
    pub not_erased: bool,
    pub older_than_days: Option<u32>,
}

impl ProjectionDb<'_> {
    /// The letters of a projection that a selection fits, in order, at most `limit`.
    pub async fn letters(&mut self, selection: &Selection, limit: u32) -> Result<Vec<Letter>, Failure> {
        let failed = |error: sqlx::Error| classify("reading dead letters", &error);
        let rows = self.selected_letters(COLUMNS, selection, limit).await?;
        rows.iter().map(|row| Letter::read(row).map_err(failed)).collect()
    }

    /// The letters of these events, by their ids' keys, in one generation.
    pub async fn letters_of_events(
        &mut self,
        generation: u32,
        keys: &[&[u8]],
    ) -> Result<Vec<Letter>, Failure> {
        let failed = |error: sqlx::Error| classify("reading dead letters", &error);
        let start = format!("SELECT {COLUMNS} FROM laterna.dead_letter d WHERE d.projection = ");
        let mut sql = QueryBuilder::<MySql>::new(self.control.sql(&start));
        sql.push_bind(self.projection).push(" AND d.generation = ").push_bind(generation);
        sql.push(" AND d.event_key IN (");
        let mut list = sql.separated(", ");
        for key in keys {
            list.push_bind(*key);
        }
        sql.push(")");
        let rows = sql.build().persistent(false).rows(self.connection()).await.map_err(failed)?;
        rows.iter().map(|row| Letter::read(row).map_err(failed)).collect()
    }

    /// The ids of the letters that a selection fits, in order, at most `limit`.
    pub async fn letter_ids(&mut self, selection: &Selection, limit: u32) -> Result<Vec<u64>, Failure> {
        let failed = |error: sqlx::Error| classify("reading dead letters", &error);
        let rows = self.selected_letters("d.id", selection, limit).await?;
        rows.iter().map(|row| row.try_get(0).map_err(failed)).collect()
    }

    /// Columns of the letters that a selection fits, in order, at most `limit`.
    pub(super) async fn selected_letters(
        &mut self,
        columns: &str,
        selection: &Selection,
        limit: u32,
    ) -> Result<Vec<MySqlRow>, Failure> {
        let start = self.control.sql(&format!(
            "SELECT {columns} FROM laterna.dead_letter d JOIN laterna.projection p \
             ON p.projection = d.projection AND p.live_generation = d.generation WHERE d.projection = "
        ));
        let mut sql = QueryBuilder::<MySql>::new(start);
        sql.push_bind(self.projection);
        sql.push(" AND d.id > ").push_bind(selection.after);
        narrow(&mut sql, self.control, selection);
        sql.push(" ORDER BY d.id LIMIT ").push_bind(limit);
        let rows = sql.build().rows(self.connection()).await;
        rows.map_err(|error| classify("reading dead letters", &error))
    }

    /// The aggregates with letters that read so: more than one where, say, the integer 5 and the text "5" are ids.
    pub async fn aggregates_reading(&mut self, text: &str) -> Result<Vec<Aggregate>, Failure> {
        let failed = |error: sqlx::Error| classify("reading dead letters", &error);
        let sql = self.control.sql(
            "SELECT DISTINCT d.aggregate_key FROM laterna.dead_letter d JOIN laterna.projection p \
             ON p.projection = d.projection AND p.live_generation = d.generation \
             WHERE d.projection = ? AND d.aggregate COLLATE utf8mb4_bin = ? AND d.aggregate_key IS NOT NULL",
        );
        let rows = sqlx::query(&sql).bind(self.projection).bind(text).rows(self.connection()).await;
        let keys = rows.map_err(failed)?;
        let keys = keys.iter().map(|row| row.try_get::<Vec<u8>, _>(0).map_err(failed));
        let aggregate = |key: Vec<u8>| {
            Aggregate::from_key(&key).map_err(|error| {
                Failure::misconfigured(
                    format!("a dead letter's aggregate cannot be read: {error}"),
                    RESTORE_TOGETHER,
                )
            })
        };
        let mut all = keys.map(|key| aggregate(key?)).collect::<Result<Vec<_>, _>>()?;
        all.sort();
        Ok(all)
    }
}

/// Adds what is given to the condition.
pub(super) fn narrow(sql: &mut QueryBuilder<'_, MySql>, control: &Control, selection: &Selection) {
    let Selection { id, event, aggregate, class, state, until, other_than_digest, .. } = selection.clone();
    if let Some(ids) = &selection.among {
        sql.push(" AND d.id IN (0");
        for id in ids {
            sql.push(", ").push_bind(*id);
        }
        sql.push(")");
    }
    if let Some(command) = selection.before_command {
        let before =
            control.sql(" AND d.created_at <= (SELECT requested_at FROM laterna.command WHERE id = ");
        sql.push(before).push_bind(command).push(")");
    }
    if let Some(key) = selection.aggregate_key.clone() {
        sql.push(" AND d.aggregate_key = UNHEX(").push_bind(key).push(")");
    }
    if let Some(id) = id {
        sql.push(" AND d.id = ").push_bind(id);
    }
    if let Some(event) = event {
        sql.push(" AND d.event_id COLLATE utf8mb4_bin = ").push_bind(event);
    }
    if let Some(aggregate) = aggregate {
        sql.push(" AND d.aggregate COLLATE utf8mb4_bin = ").push_bind(aggregate);
    }
    if let Some(class) = class {
        sql.push(" AND d.class = ").push_bind(class);
    }
    if let Some(state) = state {
        sql.push(" AND d.state = ").push_bind(state.name());
    }
    if let Some(until) = until {
        sql.push(" AND d.id <= ").push_bind(until);
    }
    if let Some(digest) = other_than_digest {
        sql.push(" AND d.digest <> ").push_bind(digest);
    }
    if let Some(command) = selection.untried_by {
        sql.push(" AND (d.command IS NULL OR d.command <> ").push_bind(command).push(")");
    }
    if selection.not_erased {
        sql.push(" AND d.erased_at IS NULL");
    }
    if let Some(days) = selection.older_than_days {
        sql.push(" AND d.created_at < CURRENT_TIMESTAMP(6) - INTERVAL ").push_bind(days).push(" DAY");
    }
    if selection.heads_only {
        sql.push(control.sql(
            " AND NOT EXISTS (SELECT 1 FROM laterna.dead_letter e WHERE e.projection = d.projection \
             AND e.generation = d.generation AND e.aggregate_key = d.aggregate_key AND e.id < d.id)",
        ));
    }
}

impl ProjectionDb<'_> {
    /// The newest letter's id; 0 where there is none.
    pub async fn newest_letter(&mut self) -> Result<u64, Failure> {
        let failed = |error: sqlx::Error| classify("reading the newest dead letter", &error);
        let sql = self.control.sql(
            "SELECT CAST(COALESCE(MAX(d.id), 0) AS UNSIGNED) FROM laterna.dead_letter d JOIN laterna.projection p \
             ON p.projection = d.projection AND p.live_generation = d.generation WHERE d.projection = ?",
        );
        let row = sqlx::query(&sql).bind(self.projection).row(self.connection()).await.map_err(failed)?;
        row.try_get(0).map_err(failed)
    }

    /// How many letters wait in the row of this one's aggregate, from it on; 1 where it has none.
    pub async fn letters_in_row(&mut self, letter: &Letter) -> Result<u64, Failure> {
        let failed = |error: sqlx::Error| classify("counting an aggregate's dead letters", &error);
        let Some(key) = &letter.aggregate_key else { return Ok(1) };
        let sql = self.control.sql(
            "SELECT COUNT(*) FROM laterna.dead_letter d JOIN laterna.projection p \
             ON p.projection = d.projection AND p.live_generation = d.generation \
             WHERE d.projection = ? AND d.aggregate_key = ? AND d.id >= ?",
        );
        let row = sqlx::query(&sql).bind(self.projection).bind(key).bind(letter.id);
        let row = row.row(self.connection()).await.map_err(failed)?;
        Ok(u64::try_from(row.try_get::<i64, _>(0).map_err(failed)?).unwrap_or_default())
    }
}

impl ControlDb<'_> {
    /// The oldest letter of an aggregate behind an id; behind 0, its head.
    pub async fn letter_behind(
        &mut self,
        lane: &Lane,
        aggregate_key: &[u8],
        after: u64,
    ) -> Result<Option<Letter>, Failure> {
        let failed = |error: sqlx::Error| classify("reading a dead letter", &error);
        let sql = self.control.sql(&format!(
            "SELECT {COLUMNS} FROM laterna.dead_letter d \
             WHERE d.projection = ? AND d.generation = ? AND d.aggregate_key = ? AND d.id > ? ORDER BY d.id LIMIT 1"
        ));
        let row = sqlx::query(&sql)
            .bind(&lane.projection)
            .bind(lane.generation)
            .bind(aggregate_key)
            .bind(after)
            .first(self.connection())
            .await
            .map_err(failed)?;
        row.map(|row| Letter::read(&row).map_err(failed)).transpose()
    }
}

impl ProjectionDb<'_> {
    /// The keys of the aggregates that have letters in a generation.
    pub async fn blocked_aggregates(&mut self, generation: u32) -> Result<Vec<Vec<u8>>, Failure> {
        let failed = |error: sqlx::Error| classify("reading which aggregates have dead letters", &error);
        let sql = self.control.sql(
            "SELECT DISTINCT aggregate_key FROM laterna.dead_letter \
             WHERE projection = ? AND generation = ? AND aggregate_key IS NOT NULL",
        );
        let rows = sqlx::query(&sql).bind(self.projection).bind(generation).rows(self.connection()).await;
        rows.map_err(failed)?.iter().map(|row| row.try_get(0).map_err(failed)).collect()
    }
}

/// The discards of operators: document keys, each with the text of the event's id where that can be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Discarded(HashSet<([u8; 16], Option<String>)>);

impl Discarded {
    pub fn insert(&mut self, document_key: [u8; 16], event_id: Option<String>) {
        self.0.insert((document_key, event_id));
    }

    /// Returns true where this very document was discarded, and not only one with its key.
    pub fn contains(&self, delivery: &Delivery, seed: &Seed) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let event_id = delivery.id().map(ToString::to_string);
        let keys = [document_key(delivery), second_key(delivery, seed)];
        keys.into_iter().any(|key| self.0.contains(&(key, event_id.clone())))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl ProjectionDb<'_> {
    /// The documents that operators discarded.
    pub async fn discarded_events(&mut self) -> Result<Discarded, Failure> {
        let failed = |error: sqlx::Error| classify("reading discarded events", &error);
        let sql =
            self.control.sql("SELECT document_key, event_id FROM laterna.discarded WHERE projection = ?");
        let rows = sqlx::query(&sql).bind(self.projection).rows(self.connection()).await.map_err(failed)?;
        let mut discarded = Discarded::default();
        for row in rows {
            let key: Vec<u8> = row.try_get(0).map_err(failed)?;
            discarded.insert(key.try_into().unwrap_or_default(), row.try_get(1).map_err(failed)?);
        }
        Ok(discarded)
    }
}

/// A letter whose event was given up in another generation, by whom and why.
pub struct GivenUp {
    pub letter: Letter,
    pub who: String,
    pub why: String,
}

impl ProjectionDb<'_> {
    /// The heads of a generation's letters whose events were given up in another generation, at most `limit`.
    pub async fn given_up_letters(&mut self, generation: u32, limit: u32) -> Result<Vec<GivenUp>, Failure> {
        let failed = |error: sqlx::Error| classify("reading letters that were given up", &error);
        let sql = self.control.sql(&format!(
            "SELECT {COLUMNS}, g.discarded_by AS who, g.reason AS why FROM laterna.dead_letter d \
             JOIN laterna.discarded g ON g.projection = d.projection AND g.document_key = d.document_key \
             AND CAST(g.event_id AS BINARY) <=> CAST(d.event_id AS BINARY) WHERE d.projection = ? AND d.generation = ? AND d.state = 'parked' ORDER BY d.id LIMIT ?"
        ));
        let rows = sqlx::query(&sql).bind(self.projection).bind(generation).bind(limit);
        let rows = rows.rows(self.connection()).await.map_err(failed)?;
        let read = |row: &MySqlRow| {
            Ok(GivenUp { letter: Letter::read(row)?, who: row.try_get("who")?, why: row.try_get("why")? })
        };
        rows.iter().map(|row| read(row).map_err(failed)).collect()
    }
}
