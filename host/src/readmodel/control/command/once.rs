//! Commands that whoever asks may ask for again, not knowing whether the first request came: the same key is the same
//! command.

use super::{Request, written};
use crate::failure::Failure;
use crate::readmodel::control::control_db::ProjectionDb;

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

/// What was written with a key before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WrittenBefore {
    Nothing,
    /// This command, for the same request.
    Same(u64),
    /// This command, for another request.
    Another(u64),
}

impl ProjectionDb<'_> {
    /// Finds the command that was written with this key.
    pub async fn find_once(&mut self, once: &OnceKey) -> Result<WrittenBefore, Failure> {
        let sql = self.statement(
            "looking for a command",
            "SELECT id, once FROM laterna.command WHERE projection = ? AND once LIKE ? ORDER BY once = ? DESC LIMIT 1",
        );
        let found = sql
            .bind(self.projection)
            .bind(format!("{}-%", once.key))
            .bind(once.stored())
            .first(self.connection())
            .await?;
        let Some(row) = found else { return Ok(WrittenBefore::Nothing) };
        let (id, stored): (u64, String) = (row.get(0)?, row.get(1)?);
        Ok(if stored == once.stored() { WrittenBefore::Same(id) } else { WrittenBefore::Another(id) })
    }

    /// Writes a command down under a key. Two that come at once are one.
    pub async fn submit_as(
        &mut self,
        request: &Request,
        requested_by: &str,
        once: &OnceKey,
    ) -> Result<u64, Failure> {
        let text = written(self.session, request)?;
        let sql = self.statement(
            "writing a command",
            "INSERT INTO laterna.command (projection, request, requested_by, once) VALUES (?, ?, ?, ?) \
             ON DUPLICATE KEY UPDATE id = LAST_INSERT_ID(id)",
        );
        let inserted = sql.bind(self.projection).bind(text).bind(requested_by).bind(once.stored());
        let inserted = inserted.run(self.connection()).await?;
        Ok(inserted.last_insert_id())
    }
}
