//! Changes that are over at once, as the audit keeps them: rows beside those of commands, which nobody carries out, for none is ever
//! pending.

use serde::{Deserialize, Serialize};
use sqlx::mysql::MySqlConnection;

use super::control_db::{ControlDb, ProjectionTransaction};
use super::schema::Control;
use crate::failure::Failure;
use crate::text::harmless;

const DOING: &str = "recording a change";

const REMOVING: &str = "removing outdated operations";

/// The first version of the control schema whose rows say who carried something out. Until a host has made it so, a command line
/// leaves that out.
const CARRIED_OUT_SINCE: u32 = 17;

/// How many are removed at a time.
const REMOVED_MAX: u64 = 500;

/// A change as it is stored. Hosts that do not know one read the word for it only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
pub enum RecordedChange {
    /// A component was stored that was not there. It has its own name and version.
    Upload { digest: String, name: String, version: String },
    /// A host read its configuration anew; where it refused that, nothing was applied.
    Reload { applied: Vec<String>, needs_restart: Vec<String> },
    /// All but the tables of a projection went, with so many letters and generations beside the live one.
    Forget { tables: Vec<String>, letters: u64, generations: usize },
}

impl RecordedChange {
    /// The change in the host's own words.
    pub fn told(&self) -> String {
        match self {
            Self::Upload { digest, name, version } => {
                format!("upload {} {} {}", harmless(name), harmless(version), harmless(digest))
            }
            Self::Reload { .. } => "reload".to_owned(),
            Self::Forget { .. } => "forget".to_owned(),
        }
    }
}

/// Who changed something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangedBy<'a> {
    /// The projection that it concerns; empty: the host as a whole.
    pub projection: &'a str,
    /// Who asked for it.
    pub who: &'a str,
    /// The host that did it, or who ran the command line that did it by itself.
    pub carried_out_by: &'a str,
}

/// Records a change with what came of it, or why it was refused; also in the transaction that makes it.
pub(in crate::readmodel) async fn record(
    connection: &mut MySqlConnection,
    control: &Control,
    by: ChangedBy<'_>,
    change: &RecordedChange,
    result: Result<&str, &str>,
) -> Result<(), Failure> {
    let version = control.statement(
        DOING,
        format!(
            "SELECT CAST(COALESCE(MAX(version), 0) >= {CARRIED_OUT_SINCE} AS SIGNED) FROM laterna.version"
        ),
    );
    let says_who = version.rows(connection).await?.first().map_or(Ok(false), |row| row.is(0))?;
    let (state, text) = match result {
        Ok(text) => ("done", text),
        Err(text) => ("failed", text),
    };
    let (column, place) = if says_who { (", carried_out_by", ", ?") } else { ("", "") };
    let sql = control.statement(
        DOING,
        format!(
            "INSERT INTO laterna.command (projection, request, state, result, requested_by, finished_at{column}) \
             VALUES (?, ?, ?, ?, ?, CURRENT_TIMESTAMP(6){place})"
        ),
    );
    let request = serde_json::to_string(change).expect("a change holds only text and numbers");
    let row = sql.bind(by.projection).bind(request).bind(state).bind(text).bind(by.who);
    let row = if says_who { row.bind(by.carried_out_by) } else { row };
    row.run(connection).await?;
    Ok(())
}

impl ControlDb<'_> {
    /// Records a change that was made, or refused, without a transaction.
    pub async fn record_change(
        &mut self,
        by: ChangedBy<'_>,
        change: &RecordedChange,
        result: Result<&str, &str>,
    ) -> Result<(), Failure> {
        let control = self.control;
        record(self.connection(), control, by, change, result).await
    }

    /// Removes changes that were made so many days ago and belong to no projection that there is: of hosts, and of projections
    /// that were forgotten. Those of the others go with their commands. Returns how many these were.
    pub async fn remove_outdated_changes(&mut self, days: u32) -> Result<u64, Failure> {
        // Without a lock: where several hosts look, they seldom meet.
        let sql = self.statement(
            REMOVING,
            format!(
                "SELECT c.id FROM (SELECT DISTINCT projection FROM laterna.command) AS n \
                 JOIN laterna.command c ON c.projection = n.projection \
                 AND c.finished_at < CURRENT_TIMESTAMP(6) - INTERVAL ? DAY \
                 WHERE n.projection NOT IN (SELECT projection FROM laterna.projection) AND c.state <> 'pending' \
                 AND (n.projection = '' OR c.request LIKE '{{\"do\":\"forget\"%') ORDER BY c.id LIMIT {REMOVED_MAX}"
            ),
        );
        let outdated = sql.bind(days).rows(self.connection()).await?;
        let remove = self.statement(REMOVING, "DELETE FROM laterna.command WHERE id = ?");
        let mut removed = 0;
        for row in &outdated {
            removed += remove.bind(row.get::<u64>(0)?).run(self.connection()).await?.rows_affected();
        }
        Ok(removed)
    }
}

impl ProjectionTransaction<'_> {
    /// Records a change of the projection with the others that the transaction makes.
    pub(in crate::readmodel) async fn record_change(
        &mut self,
        by: ChangedBy<'_>,
        change: &RecordedChange,
        result: &str,
    ) -> Result<(), Failure> {
        let control = self.control;
        record(self, control, by, change, Ok(result)).await
    }
}
