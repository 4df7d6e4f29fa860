//! One table, chunk by chunk: first the server's sums of both sides, then the rows of a chunk where these differ.

use std::time::{Duration, Instant};

use super::definition::ComparedTables;
use super::expression::{Encoding, KeyPlace, between, is_same_key, order, place, shown};
use super::report::{Difference, DifferentRow, FoundRows, TableReport};
use super::{Bounds, ReadView, Sides};
use crate::failure::Failure;
use crate::readmodel::mysql::literal::identifier;

/// Rows of the first chunk.
const ROWS_AT_FIRST: u64 = 1000;

/// A statement took too long, and nothing else came of it: MySQL's code, MariaDB's.
const TOOK_TOO_LONG: [u16; 2] = [3024, 1969];

/// The key's columns of some rows.
type Keys = Vec<Vec<Option<String>>>;

pub struct Chunks<'a> {
    view: &'a mut ReadView,
    live: String,
    rebuilt: String,
    table: &'a str,
    pair: &'a ComparedTables,
    encoding: Encoding,
    bounds: Bounds,
    /// How many rows the next chunk has, at most.
    rows: u64,
    /// Everything up to here is done.
    lower: Option<KeyPlace>,
    is_done: bool,
    /// How long the slowest query of this chunk took.
    slowest: Duration,
}

/// The result of one chunk.
#[derive(Default)]
struct RowChunk {
    live_rows: u64,
    rebuilt_rows: u64,
    missing: FoundRows<Vec<Option<String>>>,
    extra: FoundRows<Vec<Option<String>>>,
    different: FoundRows<DifferentRow>,
}

/// The table of one side, and what a statement calls it.
#[derive(Clone, Copy)]
struct AliasedTable<'a> {
    table: &'a str,
    alias: &'a str,
}

impl<'a> Chunks<'a> {
    pub fn new(
        view: &'a mut ReadView,
        sides: Sides<'a>,
        table: &'a str,
        pair: &'a ComparedTables,
        bounds: Bounds,
    ) -> Self {
        let encoding = Encoding::new(&pair.columns, view.packet_bytes_max());
        let name = |schema: &str| format!("{}.{}", identifier(schema), identifier(table));
        Self {
            live: name(sides.live),
            rebuilt: name(sides.rebuilt),
            view,
            table,
            pair,
            encoding,
            bounds,
            rows: ROWS_AT_FIRST.min(bounds.rows).max(1),
            lower: None,
            is_done: false,
            slowest: Duration::ZERO,
        }
    }

    /// Compares the next chunk, and returns true where there was one.
    pub async fn next(&mut self, report: &mut TableReport) -> Result<bool, Failure> {
        if self.is_done {
            return Ok(false);
        }
        let (upper, chunk) = self.small_enough_chunk(report).await?;
        report.live_rows += chunk.live_rows;
        report.rebuilt_rows += chunk.rebuilt_rows;
        add(&mut report.missing, chunk.missing);
        add(&mut report.extra, chunk.extra);
        add(&mut report.different, chunk.different);
        if self.slowest > self.bounds.pace {
            self.rows = (self.rows / 2).max(1);
        } else if self.slowest < self.bounds.pace / 2 {
            self.rows = (self.rows * 2).min(self.bounds.rows).max(1);
        }
        self.is_done = upper.is_none();
        self.lower = upper;
        Ok(true)
    }

    /// The next chunk, made smaller until the server is done with it in time. One row takes as long as it takes.
    async fn small_enough_chunk(
        &mut self,
        report: &TableReport,
    ) -> Result<(Option<KeyPlace>, RowChunk), Failure> {
        loop {
            self.slowest = Duration::ZERO;
            match self.chunk(report).await {
                Err(Failure::TransactionLost { code, .. }) if TOOK_TOO_LONG.contains(&code) => {}
                outcome => return outcome,
            }
            if self.rows == 1 {
                self.view.limit(None).await?;
                let outcome = self.chunk(report).await;
                self.view.limit(Some(self.bounds.limit)).await?;
                return outcome;
            }
            self.rows = (self.rows / 4).max(1);
        }
    }

    async fn chunk(&mut self, report: &TableReport) -> Result<(Option<KeyPlace>, RowChunk), Failure> {
        let upper = self.upper().await?;
        let live = self.sum(&self.live.clone(), upper.as_ref()).await?;
        let rebuilt = self.sum(&self.rebuilt.clone(), upper.as_ref()).await?;
        let mut chunk = RowChunk { live_rows: live.0, rebuilt_rows: rebuilt.0, ..RowChunk::default() };
        if live != rebuilt {
            self.look_closer(upper.as_ref(), report, &mut chunk).await?;
        }
        Ok((upper, chunk))
    }

    /// Where the chunk ends so that neither side has more rows in it than it should; nothing: at the end of both.
    async fn upper(&mut self) -> Result<Option<KeyPlace>, Failure> {
        let live = self.nth(&self.live.clone(), None).await?;
        let sooner = self.nth(&self.rebuilt.clone(), live.as_ref()).await?;
        Ok(sooner.or(live))
    }

    /// The last row of a chunk of one side.
    async fn nth(&mut self, table: &str, upper: Option<&KeyPlace>) -> Result<Option<KeyPlace>, Failure> {
        let key = &self.pair.key;
        // Where only a beginning is in the key, the index does not have the column's order, and to sort would take the
        // whole table. Any row ends a chunk: it is less even then, and misses nothing.
        let order = if key.iter().any(|part| part.is_prefix) {
            String::new()
        } else {
            format!(" ORDER BY {}", order("t", key))
        };
        let sql = format!(
            "SELECT {} FROM {table} t FORCE INDEX (PRIMARY) WHERE {}{order} LIMIT 1 OFFSET {}",
            place(key),
            between("t", key, self.lower.as_ref(), upper),
            self.rows - 1,
        );
        let found = self.ask(&sql).await?.pop();
        found
            .map(|cells| cells.into_iter().collect::<Option<KeyPlace>>().ok_or_else(|| self.odd()))
            .transpose()
    }

    /// How many rows of one side are in the chunk, and their hash.
    async fn sum(&mut self, table: &str, upper: Option<&KeyPlace>) -> Result<(u64, u64), Failure> {
        let sql = format!(
            "SELECT CAST(COUNT(*) AS CHAR), CAST(BIT_XOR({}) AS CHAR) FROM {table} t FORCE INDEX (PRIMARY) WHERE {}",
            self.encoding.hash("t", &self.pair.columns),
            between("t", &self.pair.key, self.lower.as_ref(), upper),
        );
        self.two_numbers(&sql).await
    }

    /// Counts what differs in the chunk, and takes samples where the report has not enough yet.
    async fn look_closer(
        &mut self,
        upper: Option<&KeyPlace>,
        report: &TableReport,
        chunk: &mut RowChunk,
    ) -> Result<(), Failure> {
        let key = &self.pair.key;
        let both = format!(
            "FROM {} l FORCE INDEX (PRIMARY) STRAIGHT_JOIN {} r FORCE INDEX (PRIMARY) ON {} WHERE {}",
            self.live,
            self.rebuilt,
            is_same_key(key),
            between("l", key, self.lower.as_ref(), upper),
        );
        let are_same = self.encoding.are_same(&self.pair.columns);
        let sql =
            format!("SELECT CAST(COUNT(*) AS CHAR), CAST(COALESCE(SUM(NOT ({are_same})), 0) AS CHAR) {both}");
        let (matched, different) = self.two_numbers(&sql).await?;
        let alone = |rows: u64| rows.checked_sub(matched).ok_or_else(|| self.odd());
        let (extra, missing) = (alone(chunk.live_rows)?, alone(chunk.rebuilt_rows)?);
        if extra + missing + different == 0 {
            return Err(self.odd());
        }
        let room = |found: usize| self.bounds.samples.saturating_sub(found);
        let (live, rebuilt) = (self.live.clone(), self.rebuilt.clone());
        let live = AliasedTable { table: &live, alias: "l" };
        let rebuilt = AliasedTable { table: &rebuilt, alias: "r" };
        let (extra_room, missing_room) =
            (room(report.extra.samples.len()), room(report.missing.samples.len()));
        let different_room = room(report.different.samples.len());
        chunk.extra.rows = extra;
        if extra > 0 && extra_room > 0 {
            chunk.extra.samples = self.alone(live, rebuilt, upper, extra_room).await?;
        }
        chunk.missing.rows = missing;
        if missing > 0 && missing_room > 0 {
            chunk.missing.samples = self.alone(rebuilt, live, upper, missing_room).await?;
        }
        chunk.different.rows = different;
        if different > 0 && different_room > 0 {
            let from = format!("{both} AND NOT ({are_same})");
            chunk.different.samples = self.different(&from, different_room).await?;
        }
        Ok(())
    }

    /// The keys of rows that only the first side has.
    async fn alone(
        &mut self,
        mine: AliasedTable<'_>,
        theirs: AliasedTable<'_>,
        upper: Option<&KeyPlace>,
        room: usize,
    ) -> Result<Keys, Failure> {
        let AliasedTable { table, alias: mine } = mine;
        let AliasedTable { table: other, alias: theirs } = theirs;
        let key = &self.pair.key;
        let sql = format!(
            "SELECT {} FROM {table} {mine} FORCE INDEX (PRIMARY) LEFT JOIN {other} {theirs} FORCE INDEX (PRIMARY) \
             ON {} WHERE {} AND {theirs}.{} IS NULL ORDER BY {} LIMIT {room}",
            self.keys(mine),
            is_same_key(key),
            between(mine, key, self.lower.as_ref(), upper),
            identifier(&key[0].column.name),
            order(mine, key),
        );
        self.ask(&sql).await
    }

    async fn different(&mut self, from: &str, room: usize) -> Result<Vec<DifferentRow>, Failure> {
        let columns = &self.pair.columns;
        let value = |at: usize| {
            let is_same = self.encoding.is_same(columns, at);
            let shown = |side| {
                let shown = shown(side, &columns[at], self.bounds.characters);
                format!("IF({is_same}, NULL, {shown})")
            };
            format!("CAST(NOT ({is_same}) AS CHAR), {}, {}", shown("l"), shown("r"))
        };
        let values: Vec<String> = (0..columns.len()).map(value).collect();
        let key = &self.pair.key;
        let sql = format!(
            "SELECT {}, {} {from} ORDER BY {} LIMIT {room}",
            self.keys("l"),
            values.join(", "),
            order("l", key)
        );
        let rows = self.ask(&sql).await?;
        Ok(rows.into_iter().map(|cells| self.different_row(cells)).collect())
    }

    fn different_row(&self, mut cells: Vec<Option<String>>) -> DifferentRow {
        let values = cells.split_off(self.pair.key.len());
        let mut row = DifferentRow { key: cells, differences: Vec::new(), columns: 0 };
        for (column, sides) in self.pair.columns.iter().zip(values.chunks_exact(3)) {
            let [differs, live, rebuilt] = sides else { continue };
            if differs.as_deref() != Some("1") {
                continue;
            }
            row.columns += 1;
            if row.differences.len() < self.bounds.columns {
                row.differences.push(Difference {
                    column: column.name.clone(),
                    live: live.clone(),
                    rebuilt: rebuilt.clone(),
                });
            }
        }
        row
    }

    fn keys(&self, alias: &str) -> String {
        let shown = self.pair.key.iter().map(|part| shown(alias, &part.column, self.bounds.characters));
        shown.collect::<Vec<_>>().join(", ")
    }

    async fn ask(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>, Failure> {
        let began = Instant::now();
        let answer = self.view.ask(&format!("comparing the table `{}`", self.table), sql).await;
        self.slowest = self.slowest.max(began.elapsed());
        answer
    }

    async fn two_numbers(&mut self, sql: &str) -> Result<(u64, u64), Failure> {
        let rows = self.ask(sql).await?;
        let number = |at: usize| rows.first()?.get(at)?.as_ref()?.parse::<u64>().ok();
        number(0).zip(number(1)).ok_or_else(|| self.odd())
    }

    /// The server's answers do not fit together. Never taken for "no difference".
    fn odd(&self) -> Failure {
        Failure::misconfigured(
            format!("comparing the table `{}`: the server's answers contradict each other", self.table),
            "run CHECK TABLE on both, and report this",
        )
    }
}

fn add<T>(all: &mut FoundRows<T>, some: FoundRows<T>) {
    all.rows += some.rows;
    all.samples.extend(some.samples);
}
