//! Removes components that nothing refers to any more. Deployments, letters and the audit keep their digests.

use std::collections::BTreeSet;

use super::control_db::ControlDb;
use crate::failure::Failure;

/// How many deployments of a projection keep their components, however old they are: a rollback goes back by one, and so
/// does a canary that is taken back, which may have been put in behind other canaries.
const DEPLOYMENTS_KEPT: u32 = 10;

/// How many components are removed at a time; what is left then comes with a later look.
const REMOVED_MAX: usize = 5;

const DOING: &str = "removing components that nothing refers to";

impl ControlDb<'_> {
    /// Removes components that were stored so many days ago and that nothing has referred to since, and returns their digests.
    /// After a failure the session must not be used again.
    pub async fn remove_unused_components(&mut self, days: u32) -> Result<Vec<String>, Failure> {
        let sql = self.statement(
            DOING,
            "SELECT digest FROM laterna.component WHERE stored_at < CURRENT_TIMESTAMP(6) - INTERVAL ? DAY \
             ORDER BY stored_at, digest",
        );
        let old = sql.bind(days).rows(self.connection()).await?;
        if old.is_empty() {
            return Ok(vec![]);
        }
        let kept = self.digests_in_use(days).await?;
        let mut removed = vec![];
        for row in old {
            let digest: String = row.get(0)?;
            if !kept.contains(&digest) && self.remove_unused_component(&digest, days).await? {
                removed.push(digest);
            }
            if removed.len() == REMOVED_MAX {
                break;
            }
        }
        Ok(removed)
    }

    /// The digests that something refers to: of projectors, of upcasters, and of both together.
    async fn digests_in_use(&mut self, days: u32) -> Result<BTreeSet<String>, Failure> {
        let last = |column: &str| {
            format!(
                "SELECT d.digest FROM (SELECT {column} AS digest, ROW_NUMBER() OVER (PARTITION BY projection ORDER BY id DESC) \
                 AS place FROM laterna.deployment WHERE state = 'deployed') AS d WHERE d.place <= {DEPLOYMENTS_KEPT}"
            )
        };
        let lately = |column: &str| {
            format!(
                "SELECT {column} FROM laterna.deployment WHERE deployed_at >= CURRENT_TIMESTAMP(6) - INTERVAL {days} DAY"
            )
        };
        let references = [
            // What is in force, what a rollback goes back to, and what was in force at any time since.
            last("digest"),
            last("previous"),
            lately("digest"),
            lately("previous"),
            // What lanes and generations work with.
            "SELECT digest FROM laterna.checkpoint".to_owned(),
            "SELECT digest FROM laterna.generation".to_owned(),
            // What letters failed with, and what replayed ones were applied with: `laterna why` runs it again.
            "SELECT DISTINCT digest FROM laterna.dead_letter".to_owned(),
            "SELECT DISTINCT digest FROM laterna.dedupe WHERE digest IS NOT NULL".to_owned(),
            // What is still to be deployed.
            "SELECT CAST(IF(JSON_VALID(request), JSON_UNQUOTE(JSON_EXTRACT(request, '$.digest')), NULL) AS CHAR) FROM laterna.command \
             WHERE state = 'pending'"
                .to_owned(),
        ];
        let mut kept = BTreeSet::new();
        for reference in references {
            let sql = self.statement(DOING, reference);
            for row in sql.rows(self.connection()).await? {
                kept.extend(row.get::<Option<String>>(0)?);
            }
        }
        let pairs = self.statement(DOING, "SELECT digest, projector, upcaster FROM laterna.pair");
        for row in pairs.rows(self.connection()).await? {
            if kept.contains(&row.get::<String>(0)?) {
                kept.extend([row.get::<String>(1)?, row.get::<String>(2)?]);
            }
        }
        Ok(kept)
    }

    /// Removes one with all its parts, unless it was stored again meanwhile.
    async fn remove_unused_component(&mut self, digest: &str, days: u32) -> Result<bool, Failure> {
        let mut transaction = self.begin(DOING).await?;
        let whole = transaction.statement(
            DOING,
            "DELETE FROM laterna.component WHERE digest = ? AND stored_at < CURRENT_TIMESTAMP(6) - INTERVAL ? DAY",
        );
        let done = whole.bind(digest).bind(days).run(&mut transaction).await?;
        let parts = transaction.statement(DOING, "DELETE FROM laterna.component_part WHERE digest = ?");
        if done.rows_affected() > 0 {
            parts.bind(digest).run(&mut transaction).await?;
        }
        transaction.commit().await?;
        Ok(done.rows_affected() > 0)
    }
}
