//! Removes components that nothing refers to any more. Deployments, letters and the audit keep their digests.

use std::collections::{BTreeMap, BTreeSet};

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
        let pairs = self.pairs().await?;
        let mut removed = vec![];
        for row in old {
            let digest: String = row.get(0)?;
            // Its own digest, and those of the pairs that it belongs to.
            let mut names = vec![digest.clone()];
            names.extend(pairs.get(&digest).into_iter().flatten().cloned());
            let is_unused = !names.iter().any(|name| kept.contains(name))
                && !self.is_remembered(&names).await?
                && self.remove_unused_component(&digest, days).await?;
            if is_unused {
                removed.push(digest);
            }
            if removed.len() == REMOVED_MAX {
                break;
            }
        }
        Ok(removed)
    }

    /// The digests that something refers to but letters and marks: of projectors, of upcasters, and of both together.
    ///
    /// Each place is read before those that its references go to, so none is missed on its way: a command becomes a generation
    /// or a deployment, a generation a deployment, and lanes leave a component only for one that is deployed, whose row names the
    /// one before. Letters and marks get what lanes work with, so they are read after the lanes. Where a reference begins anew, as
    /// with an older component that is deployed again, the component counts as stored now, and is not removed.
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
            // What is still to be deployed.
            "SELECT CAST(IF(JSON_VALID(request), JSON_UNQUOTE(JSON_EXTRACT(request, '$.digest')), NULL) AS CHAR) FROM laterna.command \
             WHERE state = 'pending'"
                .to_owned(),
            // What generations and lanes work with.
            "SELECT digest FROM laterna.generation".to_owned(),
            "SELECT digest FROM laterna.checkpoint".to_owned(),
            // What is in force, what a rollback goes back to, and what was in force at any time since.
            last("digest"),
            last("previous"),
            lately("digest"),
            lately("previous"),
        ];
        let mut kept = BTreeSet::new();
        for reference in references {
            let sql = self.statement(DOING, reference);
            for row in sql.rows(self.connection()).await? {
                kept.extend(row.get::<Option<String>>(0)?);
            }
        }
        Ok(kept)
    }

    /// The digests of the pairs that each component belongs to.
    async fn pairs(&mut self) -> Result<BTreeMap<String, Vec<String>>, Failure> {
        let sql = self.statement(DOING, "SELECT digest, projector, upcaster FROM laterna.pair");
        let mut pairs: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for row in sql.rows(self.connection()).await? {
            let pair: String = row.get(0)?;
            for half in [row.get(1)?, row.get(2)?] {
                pairs.entry(half).or_default().push(pair.clone());
            }
        }
        Ok(pairs)
    }

    /// Whether a letter failed with one of these digests, or a replayed one was applied with it: `laterna why` runs it again.
    /// Both tables may be large: each digest is looked up in an index.
    async fn is_remembered(&mut self, digests: &[String]) -> Result<bool, Failure> {
        let tables = ["dead_letter", "dedupe"];
        let found = tables.map(|table| format!("EXISTS (SELECT 1 FROM laterna.{table} WHERE digest = ?)"));
        let sql = self.statement(DOING, format!("SELECT CAST({} AS SIGNED)", found.join(" OR ")));
        for digest in digests {
            if sql.bind_each(digest).row(self.connection()).await?.is(0)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Removes one with all its parts, unless it was stored again or referred to meanwhile: its row is asked, which whoever does so
    /// has locked until then.
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
