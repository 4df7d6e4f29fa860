//! What requests were answered that may come twice and are no commands: the same key gets the same answer.

use super::command::OnceKey;
use super::control_db::ControlDb;
use crate::failure::Failure;

/// How many days an answer is kept: whoever asks again does so soon.
const KEPT_DAYS: u32 = 7;

/// How many outdated answers are removed when one comes.
const REMOVED_MAX: u32 = 100;

/// What was answered under a key before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnsweredBefore {
    Nothing,
    /// This, to the same request.
    Same(String),
    /// Something else was asked for.
    Another,
}

impl ControlDb<'_> {
    /// Finds what was answered under a key. `scope` is what the request is about, e.g. a projection.
    pub async fn find_answer(&mut self, scope: &str, once: &OnceKey) -> Result<AnsweredBefore, Failure> {
        let sql = self.statement(
            "looking for an answer",
            "SELECT asked, body FROM laterna.answer WHERE scope = ? AND once = ?",
        );
        let found = sql.bind(scope).bind(&*once.key).first(self.connection()).await?;
        let Some(row) = found else { return Ok(AnsweredBefore::Nothing) };
        let (asked, body): (String, String) = (row.get(0)?, row.get(1)?);
        Ok(if asked == once.asked { AnsweredBefore::Same(body) } else { AnsweredBefore::Another })
    }

    /// Keeps an answer, and returns the one that counts: of two that come at once, the first.
    pub async fn keep_answer(
        &mut self,
        scope: &str,
        once: &OnceKey,
        body: &str,
    ) -> Result<AnsweredBefore, Failure> {
        let sql = self.statement(
            "keeping an answer",
            "INSERT INTO laterna.answer (scope, once, asked, body) VALUES (?, ?, ?, ?) ON DUPLICATE KEY UPDATE scope = scope",
        );
        let kept = sql.bind(scope).bind(&*once.key).bind(&*once.asked).bind(body);
        kept.run(self.connection()).await?;
        let sql = self.statement(
            "removing outdated answers",
            format!(
                "DELETE FROM laterna.answer WHERE answered_at < CURRENT_TIMESTAMP(6) - INTERVAL ? DAY \
                 ORDER BY answered_at LIMIT {REMOVED_MAX}"
            ),
        );
        sql.bind(KEPT_DAYS).run(self.connection()).await?;
        self.find_answer(scope, once).await
    }

    /// Forgets what was answered under a key: it is true no more.
    pub async fn forget_answer(&mut self, scope: &str, once: &OnceKey) -> Result<(), Failure> {
        let sql =
            self.statement("forgetting an answer", "DELETE FROM laterna.answer WHERE scope = ? AND once = ?");
        sql.bind(scope).bind(&*once.key).run(self.connection()).await?;
        Ok(())
    }
}
