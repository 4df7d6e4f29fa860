//! Some rows of the live tables as they are now, for people: found by the server's own comparison, a few at a time, in one
//! snapshot, and not for long. Nothing is written.

use std::time::{Duration, Instant};

use sqlx::mysql::MySqlRow;
use sqlx::{Row, query};

use super::mysql::bind::bind;
use super::mysql::error::{classify, number};
use super::mysql::query::{RunQuery, send};
use super::mysql::session::Session;
use crate::failure::Failure;
use crate::statement::{Column, Sent, Table, Type};

/// How many rows of one condition are shown.
const ROWS_MAX: usize = 20;

/// How many characters of a value are shown.
const CHARACTERS_MAX: usize = 200;

/// How long the server may look for the rows of one condition, and of all: whoever asks holds the session that requests share.
const LOOK_TIMEOUT: Duration = Duration::from_secs(1);
const ALL_TIMEOUT: Duration = Duration::from_secs(2);

/// Codes for a table, and for a column, that is not there.
const NOT_THERE: [u16; 2] = [1146, 1054];

/// Codes where the server gave up a query that takes long: MySQL's, MariaDB's.
const TOOK_TOO_LONG: [u16; 2] = [3024, 1969];

/// Which rows of a table are looked for.
pub struct RowsWanted<'a> {
    pub table: &'a Table,
    pub condition: &'a str,
    pub values: &'a [Sent],
}

/// The rows that were found, each cell as text, or why they cannot be told.
pub type RowsFound = Result<Vec<Vec<Option<String>>>, String>;

/// Looks for rows, all in one snapshot. After a failure the session must not be used again.
pub async fn now(session: &mut Session, wanted: &[RowsWanted<'_>]) -> Result<Vec<RowsFound>, Failure> {
    let failed = |error: sqlx::Error| classify("reading rows of the live tables", &error);
    limit(session, LOOK_TIMEOUT).await.map_err(failed)?;
    for begin in [
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
    ] {
        send(&mut session.connection, begin).await.map_err(failed)?;
    }
    let mut found = Vec::with_capacity(wanted.len());
    let began = Instant::now();
    for one in wanted {
        let is_late = began.elapsed() >= ALL_TIMEOUT;
        let late =
            || Err("the rows before these took MySQL too long, so these were not looked for".to_owned());
        found.push(if is_late { late() } else { look(session, one).await? });
    }
    send(&mut session.connection, "COMMIT").await.map_err(failed)?;
    limit(session, Duration::ZERO).await.map_err(failed)?;
    Ok(found)
}

/// From here on the server gives up a query that takes longer; zero: never.
async fn limit(session: &mut Session, limit: Duration) -> Result<(), sqlx::Error> {
    let sql = if session.is_mariadb() {
        format!("SET SESSION max_statement_time = {}", limit.as_secs_f64())
    } else {
        format!("SET SESSION max_execution_time = {}", limit.as_millis())
    };
    send(&mut session.connection, &sql).await.map(|_| ())
}

async fn look(session: &mut Session, wanted: &RowsWanted<'_>) -> Result<RowsFound, Failure> {
    let columns: Vec<String> = wanted.table.columns.iter().map(shown).collect();
    let sql = format!(
        "SELECT {} FROM `{}` WHERE {} LIMIT {}",
        columns.join(", "),
        wanted.table.name,
        wanted.condition,
        ROWS_MAX + 1
    );
    let asked = wanted.values.iter().fold(query(&sql), bind);
    match asked.rows(&mut session.connection).await {
        Ok(rows) if rows.len() > ROWS_MAX => {
            Ok(Err(format!("they are more than {ROWS_MAX}: ask MySQL for them")))
        }
        Ok(rows) => Ok(Ok(rows.iter().map(cells).collect())),
        Err(error) => match number(&error) {
            Some(code) if NOT_THERE.contains(&code) => {
                Ok(Err("the live tables do not have this table, or one of its columns".to_owned()))
            }
            Some(code) if TOOK_TOO_LONG.contains(&code) => {
                Ok(Err(format!("MySQL did not find them within {} s", LOOK_TIMEOUT.as_secs())))
            }
            // A refused look changes nothing, and its session goes on.
            Some(code) => Ok(Err(format!("MySQL refuses to look for them (error {code})"))),
            None => Err(classify("reading rows of the live tables", &error)),
        },
    }
}

/// A column as text that people read.
fn shown(column: &Column) -> String {
    let name = format!("`{}`", column.name);
    match column.kind {
        Type::Bytes { .. } | Type::Bit { .. } => {
            format!("CONCAT('0x', LOWER(HEX(LEFT({name}, {}))))", CHARACTERS_MAX / 2)
        }
        _ => format!("LEFT(CAST({name} AS CHAR), {})", CHARACTERS_MAX + 1),
    }
}

fn cells(row: &MySqlRow) -> Vec<Option<String>> {
    let cell = |at| {
        // The driver takes a text of a binary collation for bytes.
        let bytes: Option<Vec<u8>> = row.try_get_unchecked(at).ok()?;
        let text = String::from_utf8_lossy(&bytes?).into_owned();
        let is_long = text.chars().count() > CHARACTERS_MAX;
        Some(if is_long { text.chars().take(CHARACTERS_MAX).chain(['…']).collect() } else { text })
    };
    (0..row.len()).map(cell).collect()
}
