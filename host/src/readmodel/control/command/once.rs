//! Commands that whoever asks may ask for again, not knowing whether the first request came: the same key is the same
//! command.

use sqlx::Row;

use super::{Request, written};
use crate::failure::Failure;
use crate::readmodel::control::schema::Control;
use crate::readmodel::mysql::error::classify;
use crate::readmodel::mysql::query::RunQuery;
use crate::readmodel::mysql::session::Session;

/// What a request is known again by: its key, and what was asked for with it. Both are hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnceKey {
    pub key: String,
    pub asked: String,
}

impl OnceKey {
    /// As it is stored: the column takes 100 characters.
    fn stored(&self) -> String {
        format!("{}-{}", self.key, self.asked)
    }
}

/// The command that was written with this key. An error of the inner kind where another one was asked for with it.
pub async fn find_once(
    session: &mut Session,
    control: &Control,
    projection: &str,
    once: &OnceKey,
) -> Result<Result<Option<u64>, u64>, Failure> {
    let failed = |error: sqlx::Error| classify("looking for a command", &error);
    let sql = control.sql(
        "SELECT id, once FROM laterna.command WHERE projection = ? AND once LIKE ? ORDER BY once = ? DESC LIMIT 1",
    );
    let found = sqlx::query(&sql)
        .bind(projection)
        .bind(format!("{}-%", once.key))
        .bind(once.stored())
        .first(&mut session.connection)
        .await
        .map_err(failed)?;
    let Some(row) = found else { return Ok(Ok(None)) };
    let (id, stored): (u64, String) = (row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?);
    Ok(if stored == once.stored() { Ok(Some(id)) } else { Err(id) })
}

/// Writes a command down under a key. Two that come at once are one.
pub async fn submit_as(
    session: &mut Session,
    control: &Control,
    (projection, request): (&str, &Request),
    requested_by: &str,
    once: &OnceKey,
) -> Result<u64, Failure> {
    let text = written(session, request)?;
    let sql = control.sql(
        "INSERT INTO laterna.command (projection, request, requested_by, once) VALUES (?, ?, ?, ?) \
         ON DUPLICATE KEY UPDATE id = LAST_INSERT_ID(id)",
    );
    let inserted = sqlx::query(&sql).bind(projection).bind(text).bind(requested_by).bind(once.stored());
    let inserted = inserted.run(&mut session.connection).await;
    Ok(inserted.map_err(|error| classify("writing a command", &error))?.last_insert_id())
}
