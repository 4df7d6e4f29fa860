//! Removes commands that were over long ago, for the audit keeps them no longer than the configuration says.

use crate::failure::Failure;
use crate::readmodel::control::control_db::ProjectionDb;

/// How many are removed in one transaction.
const REMOVED_MAX: u64 = 500;

/// In how many transactions of one turn; what is left then comes with a later one.
const ROUNDS_MAX: u32 = 20;

impl ProjectionDb<'_> {
    /// Removes what was over so many days ago, the oldest first, and returns how many these were. One that is not over stays.
    pub async fn remove_outdated_commands(&mut self, days: u32) -> Result<u64, Failure> {
        let mut removed = 0;
        for state in ["done", "failed"] {
            for _ in 0..ROUNDS_MAX {
                // The oldest are looked at, and no more: they are over in about the order in which they were asked for.
                let sql = self.statement(
                    "removing outdated operations",
                    format!(
                        "DELETE FROM laterna.command WHERE id IN (SELECT id FROM (SELECT id, finished_at FROM laterna.command \
                         WHERE projection = ? AND state = '{state}' ORDER BY id LIMIT {REMOVED_MAX}) AS oldest \
                         WHERE finished_at < CURRENT_TIMESTAMP(6) - INTERVAL ? DAY)"
                    ),
                );
                let done = sql.bind(self.projection).bind(days).run(self.connection()).await?;
                removed += done.rows_affected();
                if done.rows_affected() < REMOVED_MAX {
                    break;
                }
            }
        }
        Ok(removed)
    }
}
