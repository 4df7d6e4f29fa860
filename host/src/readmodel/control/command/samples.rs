//! Takes sampled rows out of results of comparisons, where nothing else erases their values.

use super::asks_for;
use crate::failure::Failure;
use crate::readmodel::control::control_db::ProjectionDb;

/// How long the rows stay in the result of a comparison, whose values nothing else erases.
const SAMPLES_MINUTES: u32 = 60;

/// How many commands that are over are read at a time.
const PAGE: u32 = 500;

/// How many pages one look reads; a later look goes on behind them.
const PAGES_MAX: u32 = 20;

/// The end of the last command that was looked at, and its id: no look reads what is before it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClearedUpTo {
    finished_at: String,
    id: u64,
}

impl Default for ClearedUpTo {
    /// Before all commands.
    fn default() -> Self {
        Self { finished_at: "1970-01-02 00:00:00.000000".to_owned(), id: 0 }
    }
}

impl ProjectionDb<'_> {
    /// Takes the sampled rows out of results of comparisons that are older than they may be, behind those that were looked at;
    /// what was counted stays.
    pub async fn clear_samples(&mut self, cleared: &mut ClearedUpTo) -> Result<(), Failure> {
        for _ in 0..PAGES_MAX {
            if self.clear_page_of_samples(cleared).await? < PAGE as usize {
                break;
            }
        }
        Ok(())
    }

    /// Looks at one page, and returns how many commands it had.
    async fn clear_page_of_samples(&mut self, cleared: &mut ClearedUpTo) -> Result<usize, Failure> {
        let sql = self.statement(
            "clearing the samples of comparisons",
            format!(
                "SELECT id, DATE_FORMAT(finished_at, '%Y-%m-%d %H:%i:%s.%f'), IF(state = 'done' AND {} \
             AND IF(JSON_VALID(result), JSON_EXTRACT(result, '$**.samples[0]'), NULL) IS NOT NULL, result, NULL) \
             FROM laterna.command WHERE projection = ? AND finished_at >= ? AND (finished_at > ? OR id > ?) \
             AND finished_at < CURRENT_TIMESTAMP(6) - INTERVAL {SAMPLES_MINUTES} MINUTE ORDER BY finished_at, id LIMIT {PAGE}",
                asks_for(&["verify"])
            ),
        );
        let after =
            sql.bind(self.projection).bind(&cleared.finished_at).bind(&cleared.finished_at).bind(cleared.id);
        let rows = after.rows(self.connection()).await?;
        let clear = self.statement(
            "clearing the samples of comparisons",
            "UPDATE laterna.command SET result = ? WHERE id = ? AND state = 'done'",
        );
        for row in &rows {
            let (id, result): (u64, Option<String>) = (row.get(0)?, row.get(2)?);
            if let Some(result) = result {
                clear.bind(without_samples(&result)).bind(id).run(self.connection()).await?;
            }
        }
        if let Some(last) = rows.last() {
            *cleared = ClearedUpTo { id: last.get(0)?, finished_at: last.get(1)? };
        }
        Ok(rows.len())
    }
}

/// Takes the sampled rows out of a report, wherever they stand in it.
pub fn remove_samples(report: &mut serde_json::Value) {
    match report {
        serde_json::Value::Object(fields) => {
            for (name, value) in fields {
                if name == "samples" {
                    *value = serde_json::Value::Array(vec![]);
                } else {
                    remove_samples(value);
                }
            }
        }
        serde_json::Value::Array(values) => values.iter_mut().for_each(remove_samples),
        _ => {}
    }
}

/// A stored report without its sampled rows, whichever host wrote it.
fn without_samples(report: &str) -> String {
    match serde_json::from_str(report) {
        Ok(mut report) => {
            remove_samples(&mut report);
            report.to_string()
        }
        Err(_) => "what it found is not kept any longer".to_owned(),
    }
}
