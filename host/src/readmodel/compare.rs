//! Compares all rows of two generations' tables, for `laterna verify`, in one consistent snapshot.
//!
//! Both are cut into the same chunks by primary key. The server counts and hashes the rows of a chunk on either side,
//! and only where that differs are rows looked at, by the server again: what comes here are counts, keys to go on from,
//! and a few samples. A chunk is made smaller when it takes long, so that no query does. Nothing is written.
//!
//! Rows belong together when the server takes their primary keys for equal, by the key's collation. Everything else is
//! compared as it is stored: texts by their bytes, numbers by their exact values, and `-0.0` is not `0.0`. JSON is
//! compared as the server shows it: MySQL's by content, MariaDB's as it was written.

mod report;
mod definition;
mod expression;
mod chunk;

use std::time::Duration;

use super::mysql::error::classify;
use super::mysql::query::{send, text_rows};
use super::mysql::session::Session;
use crate::failure::Failure;
use crate::statement::Schema;
use chunk::Chunks;
use definition::{ComparedTables, Definition};

pub use report::{
    ComparisonReport, Difference, DifferentRow, FoundRows, ReportColumn, TableReport, ValueKind,
};

/// The two schemas on one server whose tables are compared.
#[derive(Debug, Clone, Copy)]
pub struct Sides<'a> {
    /// With the rows that are there.
    pub live: &'a str,
    /// With the rows that a rebuild makes.
    pub rebuilt: &'a str,
}

/// Bounds of one read, and of the report.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Rows of one chunk, at most.
    pub rows: u64,
    /// How long a query should take: chunks grow and shrink towards it.
    pub pace: Duration,
    /// How long the server may work at one query before it gives up. The chunk is tried again, smaller.
    pub limit: Duration,
    /// Rows that are shown of each kind and table.
    pub samples: usize,
    /// Columns that are shown of a row that differs.
    pub columns: usize,
    /// Characters that are shown of a value; half as many bytes of a binary one.
    pub characters: usize,
    /// Length of everything that is shown of rows, about. From there on one row is shown of each kind and table.
    pub bytes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            rows: 20_000,
            pace: Duration::from_millis(200),
            limit: Duration::from_secs(2),
            samples: 20,
            columns: 20,
            characters: 200,
            bytes: 1 << 20,
        }
    }
}

/// How far a comparison is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompareProgress<'a> {
    pub table: &'a str,
    /// Rows of the live tables that are done.
    pub rows: u64,
    /// How many there are in all, about: the server's own estimate.
    pub rows_about: u64,
}

/// A session that sees both schemas as they were when it was made, and can only read.
#[derive(Debug)]
pub struct ReadView {
    session: Session,
}

impl ReadView {
    /// Takes the snapshot now. The longer it is kept, the more old rows the server has to keep for it.
    pub async fn take(mut session: Session) -> Result<Self, Failure> {
        let failed = |error: sqlx::Error| classify("taking a snapshot of the tables", &error);
        // The host's sessions read what is committed; a snapshot takes this level.
        for sql in [
            "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
            "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
        ] {
            send(&mut session.connection, sql).await.map_err(failed)?;
        }
        Ok(Self { session })
    }

    /// The session, e.g. to see what it does, or to end it.
    pub fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    /// The cells of all rows of a query whose columns are texts.
    async fn ask(&mut self, doing: &str, sql: &str) -> Result<Vec<Vec<Option<String>>>, Failure> {
        text_rows(&mut self.session.connection, sql).await.map_err(|error| classify(doing, &error))
    }

    /// From here on the server gives up a query that takes longer; none: never.
    async fn limit(&mut self, limit: Option<Duration>) -> Result<(), Failure> {
        let limit = limit.unwrap_or_default();
        // MySQL counts in milliseconds, MariaDB in seconds.
        let sql = if self.session.version.contains("MariaDB") {
            format!("SET SESSION max_statement_time = {}", limit.as_secs_f64())
        } else {
            format!("SET SESSION max_execution_time = {}", limit.as_millis())
        };
        let sent = send(&mut self.session.connection, &sql).await;
        sent.map_err(|error| classify("limiting the time of queries", &error))?;
        Ok(())
    }

    fn packet_bytes_max(&self) -> usize {
        self.session.packet_bytes_max
    }
}

/// Compares the declared tables, and fills in the tables of a report; the rest of it is the caller's. After a failure
/// the view must not be used again.
pub async fn compare(
    view: &mut ReadView,
    sides: Sides<'_>,
    schema: &Schema,
    bounds: Bounds,
    progress: impl Fn(CompareProgress<'_>) + Send + Sync,
) -> Result<ComparisonReport, Failure> {
    let names: Vec<&str> = schema.tables.iter().map(|table| table.name.as_str()).collect();
    let rows_about = definition::rows_about(view, sides.live, &names).await?;
    let mut report = ComparisonReport::default();
    let (mut done, mut bytes) = (0, 0);
    for table in names {
        let samples = if bytes < bounds.bytes { bounds.samples } else { bounds.samples.min(1) };
        let bounds = Bounds { samples, ..bounds };
        let shown = |rows| progress(CompareProgress { table, rows: done + rows, rows_about });
        let found = compare_table(view, sides, table, bounds, shown).await?;
        done += found.live_rows;
        bytes += found.sample_bytes();
        report.tables.push(found);
    }
    Ok(report)
}

async fn compare_table(
    view: &mut ReadView,
    sides: Sides<'_>,
    table: &str,
    bounds: Bounds,
    shown: impl Fn(u64) + Send + Sync,
) -> Result<TableReport, Failure> {
    let live = Definition::read(view, sides.live, table).await?;
    let rebuilt = Definition::read(view, sides.rebuilt, table).await?;
    let mut report = TableReport { table: table.to_owned(), ..TableReport::default() };
    let pair = match ComparedTables::new(live, rebuilt) {
        Ok(pair) => pair,
        Err(reason) => {
            report.not_compared = Some(reason);
            return Ok(report);
        }
    };
    report.definition.clone_from(&pair.differences);
    report.key = pair.key.iter().map(|part| part.column.report()).collect();
    report.columns = pair.columns.iter().map(definition::ComparedColumn::report).collect();
    view.limit(Some(bounds.limit)).await?;
    let mut chunks = Chunks::new(view, sides, table, &pair, bounds);
    while chunks.next(&mut report).await? {
        shown(report.live_rows);
    }
    view.limit(None).await?;
    Ok(report)
}
