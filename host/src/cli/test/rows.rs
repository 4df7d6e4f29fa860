//! The rows that the events make on a server: statements are run in a scratch schema, event by event, as a host would.

use std::collections::BTreeSet;

use secrecy::SecretString;
use tokio::runtime::Runtime;

use super::report::{EventReport, failed};
use crate::config::Config;
use crate::event::Aggregate;
use crate::failure::{Failure, Fault};
use crate::readmodel::mysql::session::Connector;
use crate::readmodel::tables::trial::{TableRows, Trial, TrialStatement};
use crate::statement::Schema;
use crate::text::harmless;

/// What stands where a cell has no text.
const NULL: &str = "NULL";

pub struct ScratchServer {
    runtime: Runtime,
    trial: Trial,
    /// Aggregates with an event that failed: the later ones wait behind it.
    held: BTreeSet<Aggregate>,
    pub refused: usize,
}

impl ScratchServer {
    /// `url` is empty where the configuration names the server.
    pub fn begin(url: &str, config: &std::path::Path, schema: &Schema) -> anyhow::Result<Self> {
        let connector = if url.is_empty() {
            Connector::new("mysql.ddl_url", &Config::load(config)?.mysql.ddl_url()?)?
        } else {
            Connector::of_an_account("--mysql", &SecretString::from(url))?
        };
        let runtime = Runtime::new()?;
        let trial = runtime.block_on(Trial::begin(&connector, schema))?;
        Ok(Self { runtime, trial, held: BTreeSet::new(), refused: 0 })
    }

    /// Runs an event's statements, and says what the server refuses.
    pub fn apply(&mut self, report: &EventReport, schema: &Schema) -> anyhow::Result<Vec<String>> {
        let Some(event) = &report.event else { return Ok(Vec::new()) };
        let aggregate = event.aggregate.clone();
        if self.held.contains(&aggregate) {
            return Ok(vec![format!("-- held: an earlier event of {aggregate} failed")]);
        }
        if report.failure().is_some() {
            self.held.insert(aggregate);
            return Ok(Vec::new());
        }
        match self.runtime.block_on(self.trial.apply(&statements(report, schema))) {
            Ok(()) => Ok(Vec::new()),
            Err(refused) if refused.fault() == Fault::Event => {
                self.refused += 1;
                self.held.insert(aggregate);
                Ok(failed(&refused))
            }
            Err(failure) => Err(failure.into()),
        }
    }

    /// Runs the statements of a variation, which leaves nothing behind.
    pub fn try_out(&mut self, report: &EventReport, schema: &Schema) -> Result<(), Failure> {
        self.runtime.block_on(self.trial.try_out(&statements(report, schema)))
    }

    /// The rows of all tables, as lines.
    pub fn rows(&mut self, schema: &Schema) -> anyhow::Result<Vec<String>> {
        let tables = self.runtime.block_on(self.trial.rows(schema))?;
        Ok(tables.iter().flat_map(lines).collect())
    }
}

/// Whatever happens, the schema goes. Where the server is gone as well, the next test drops it.
impl Drop for ScratchServer {
    fn drop(&mut self) {
        let _ = self.runtime.block_on(self.trial.clear());
    }
}

/// The statements of the operations that are applied.
fn statements(report: &EventReport, schema: &Schema) -> Vec<TrialStatement> {
    let names = report.operations().into_iter().map(|operation| {
        let declared = usize::try_from(operation.statement).ok().and_then(|at| schema.statements.get(at));
        declared.map_or_else(String::new, |statement| statement.name.clone())
    });
    names.zip(report.statements(schema)).map(|(name, sql)| TrialStatement { name, sql }).collect()
}

/// A table as columns, below its name.
fn lines(TableRows { table, columns, rows }: &TableRows) -> Vec<String> {
    let shown = |cell: &Option<String>| cell.as_deref().map_or(NULL.to_owned(), harmless);
    let mut all = vec![columns.clone()];
    all.extend(rows.iter().map(|row| row.iter().map(shown).collect()));
    let width = |at: usize| all.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        format!("--   {}", cells.join("  ")).trim_end().to_owned()
    };
    let count = match rows.len() {
        1 => "1 row".to_owned(),
        count => format!("{count} rows"),
    };
    std::iter::once(format!("-- table {table}: {count}")).chain(all.iter().map(line)).collect()
}
