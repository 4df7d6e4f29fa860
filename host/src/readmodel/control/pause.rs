//! Pauses that an operator or the breaker ordered: rows, so that restarts and take-overs keep them. Every other reason to pause is a
//! `Failure`, which nobody writes down: whoever starts meets it again.

use super::control_db::{LeaderDb, ProjectionDb, ProjectionTransaction};
use super::control_sql::ControlRow;
use crate::failure::Failure;

/// Class of a pause by an operator.
const BY_OPERATOR: &str = "paused";

/// Class of a pause by the breaker.
const BY_BREAKER: &str = "breaker-open";

impl ProjectionDb<'_> {
    /// Finds the pause that keeps a projection from taking events, if there is one. An operator's comes before the
    /// breaker's.
    pub async fn find_pause(&mut self) -> Result<Option<Failure>, Failure> {
        let sql = self.statement(
            "reading whether the projection is paused",
            "SELECT class AS pause_class, reason AS pause_reason, paused_by, \
             DATE_FORMAT(paused_at, '%Y-%m-%dT%H:%i:%sZ') AS paused_since FROM laterna.pause \
             WHERE projection = ? AND resumed_at IS NULL ORDER BY class DESC LIMIT 1",
        );
        let row = sql.bind(self.projection).first(self.connection()).await?;
        let Some(row) = row else { return Ok(None) };
        let class: &str = row.get("pause_class")?;
        Ok(Some(from_row(&row, self.projection, class)?))
    }
}

/// The pause of a class that a row describes.
pub(super) fn from_row(row: &ControlRow, projection: &str, class: &str) -> Result<Failure, Failure> {
    let text = |column: &str| row.get::<String>(column);
    Ok(match class {
        BY_BREAKER => Failure::BreakerOpen { reason: text("pause_reason")?, digest: None },
        _ => Failure::Paused {
            projection: projection.to_owned(),
            by: text("paused_by")?,
            since: text("paused_since")?,
            why: text("pause_reason")?,
        },
    })
}

impl ProjectionTransaction<'_> {
    /// Pauses a projection, in the transaction that carries the command out.
    pub(in crate::readmodel) async fn pause(&mut self, by: &str, why: &str) -> Result<(), Failure> {
        let sql = self.statement(
            "pausing the projection",
            "INSERT INTO laterna.pause (projection, class, reason, paused_by) VALUES (?, ?, ?, ?) \
             ON DUPLICATE KEY UPDATE reason = VALUES(reason), paused_by = VALUES(paused_by), \
             paused_at = CURRENT_TIMESTAMP(6), resumed_by = NULL, resumed_at = NULL, still_at = NULL",
        );
        sql.bind(self.projection).bind(BY_OPERATOR).bind(why).bind(by).run(self).await?;
        Ok(())
    }

    /// Ends whatever pauses a projection. False when nothing did.
    pub(super) async fn resume(&mut self, by: &str) -> Result<bool, Failure> {
        let sql = self.statement(
            "resuming the projection",
            "UPDATE laterna.pause SET resumed_by = ?, resumed_at = CURRENT_TIMESTAMP(6) \
             WHERE projection = ? AND resumed_at IS NULL",
        );
        let resumed = sql.bind(by).bind(self.projection).run(self).await?;
        Ok(resumed.rows_affected() > 0)
    }
}

/// How far an operator's pause has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// It is written down. Lanes that ran then may still commit what they have.
    Asked,
    /// The host that writes has recorded that no lane takes events.
    Still,
    /// It was ended.
    Over,
}

impl LeaderDb<'_> {
    /// Records of a pause that no lane takes events. The caller's lanes take none while it stands, and those of all epochs
    /// before cannot commit any more. After a failure the session must not be used again; it may be repeated.
    pub async fn record_still(&mut self) -> Result<(), Failure> {
        let mut transaction = self.begin("recording that the lanes stand still").await?;
        let sql = transaction.statement(
            "recording that the lanes stand still",
            "UPDATE laterna.pause SET still_at = CURRENT_TIMESTAMP(6) \
             WHERE projection = ? AND class = ? AND resumed_at IS NULL AND (still_at IS NULL OR still_at < paused_at)",
        );
        sql.bind(transaction.projection).bind(BY_OPERATOR).run(&mut transaction).await?;
        transaction.commit().await
    }
}

impl ProjectionDb<'_> {
    /// How far an operator's pause has come. The record of an earlier one does not count.
    pub async fn pause_progress(&mut self) -> Result<Pause, Failure> {
        let sql = self.statement(
            "reading whether the projection is paused",
            "SELECT CAST(COALESCE(still_at >= paused_at, 0) AS SIGNED) FROM laterna.pause \
             WHERE projection = ? AND class = ? AND resumed_at IS NULL",
        );
        let query = sql.bind(self.projection).bind(BY_OPERATOR);
        let row = query.first(self.connection()).await?;
        let Some(row) = row else { return Ok(Pause::Over) };
        let is_still = row.is(0)?;
        Ok(if is_still { Pause::Still } else { Pause::Asked })
    }
}

impl LeaderDb<'_> {
    /// Records that the breaker opened under a component.
    pub async fn open_breaker(&mut self, digest: &str, reason: &str) -> Result<(), Failure> {
        let mut transaction = self.begin("recording the open breaker").await?;
        let sql = transaction.statement(
            "recording the open breaker",
            "INSERT INTO laterna.pause (projection, class, digest, reason, paused_by) VALUES (?, ?, ?, ?, 'breaker') \
             ON DUPLICATE KEY UPDATE digest = VALUES(digest), reason = VALUES(reason), \
             paused_at = CURRENT_TIMESTAMP(6), resumed_by = NULL, resumed_at = NULL",
        );
        let opened = sql.bind(transaction.projection).bind(BY_BREAKER).bind(digest).bind(reason);
        opened.run(&mut transaction).await?;
        transaction.commit().await
    }

    /// Closes a breaker that opened under another component than this one. Whether it did.
    pub async fn close_breaker_of_others(&mut self, digest: &str) -> Result<bool, Failure> {
        let mut transaction = self.begin("closing the breaker").await?;
        let sql = transaction.statement(
            "closing the breaker",
            "DELETE FROM laterna.pause WHERE projection = ? AND class = ? AND digest <> ?",
        );
        let closed =
            sql.bind(transaction.projection).bind(BY_BREAKER).bind(digest).run(&mut transaction).await?;
        let closed = closed.rows_affected() > 0;
        transaction.commit().await?;
        Ok(closed)
    }
}

impl ProjectionDb<'_> {
    /// Returns true where an operator resumed this component after its breaker opened: it does not open again for it.
    pub async fn breaker_is_muted(&mut self, digest: &str) -> Result<bool, Failure> {
        let sql = self.statement(
            "reading the breaker",
            "SELECT 1 FROM laterna.pause WHERE projection = ? AND class = ? AND digest = ? AND resumed_at IS NOT NULL",
        );
        let found = sql.bind(self.projection).bind(BY_BREAKER).bind(digest).first(self.connection());
        Ok(found.await?.is_some())
    }
}
