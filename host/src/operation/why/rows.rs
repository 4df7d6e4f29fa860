//! The rows that statements name, as they are now.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::operation::shown_sql;
use crate::readmodel::mysql::literal::literal;
use crate::readmodel::mysql::session::Session;
use crate::readmodel::rows::{self, RowsWanted};
use crate::sql::{self, NamedRows};
use crate::statement::{FittedOperation, Schema, Sent, Table};

/// How many different conditions are looked up, those of the last statements.
const CONDITIONS_MAX: usize = 20;

/// Some rows of a table as they are now.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RowsNow {
    pub table: String,
    /// Which they are: by the key, or by the condition, that the statement names.
    pub condition: Option<String>,
    pub columns: Vec<String>,
    /// Each cell as text.
    pub rows: Vec<Vec<Option<String>>>,
    /// Why they cannot be told.
    pub untold: Option<String>,
}

/// The rows that are looked for, the last named one last.
#[derive(Debug, Default)]
pub struct WantedRows(Vec<Looked>);

#[derive(Debug)]
struct Looked {
    table: Arc<Table>,
    named: Result<NamedCondition, String>,
}

/// A condition with its values.
#[derive(Debug)]
struct NamedCondition {
    condition: String,
    values: Vec<Sent>,
}

impl WantedRows {
    /// Learns which rows an event's operations name. What was named before is named last now.
    pub(super) fn learn(&mut self, schema: &Schema, operations: &[FittedOperation]) {
        let first = operations.len().saturating_sub(CONDITIONS_MAX);
        for operation in &operations[first..] {
            let Some(statement) = shown_sql::declared(schema, operation) else { continue };
            let Some(table) = schema.tables.iter().find(|table| table.name == statement.table) else {
                continue;
            };
            let named = sql::named_rows(statement, table);
            let named = named.map(|named| values_of(named, operation));
            let named = named.map_err(|why| format!("`{}` does not tell which rows: {why}", statement.name));
            let shown = |named: &Result<NamedCondition, String>| match named {
                Ok(named) => named.shown(),
                Err(untold) => untold.clone(),
            };
            let now = shown(&named);
            self.0.retain(|one| one.table.name != table.name || shown(&one.named) != now);
            self.0.push(Looked { table: Arc::new(table.clone()), named });
        }
        let more = self.0.len().saturating_sub(CONDITIONS_MAX);
        self.0.drain(..more);
    }

    /// Looks the rows up. After a failure the session must not be used again.
    pub async fn look(self, session: &mut Session) -> Result<Vec<RowsNow>, Failure> {
        let conditions = self.0.iter().filter_map(|one| Some((one, one.named.as_ref().ok()?)));
        let wanted = conditions.map(|(one, named)| RowsWanted {
            table: &one.table,
            condition: &named.condition,
            values: &named.values,
        });
        let wanted: Vec<RowsWanted<'_>> = wanted.collect();
        let mut found = rows::now(session, &wanted).await?.into_iter();
        let told = self.0.iter().map(|one| {
            let table = one.table.name.clone();
            let named = match &one.named {
                Ok(named) => named,
                Err(untold) => return RowsNow { table, untold: Some(untold.clone()), ..RowsNow::default() },
            };
            let condition = Some(named.shown());
            let columns = one.table.columns.iter().map(|column| column.name.clone()).collect();
            match found.next().unwrap_or_else(|| Ok(vec![])) {
                Ok(rows) => RowsNow { table, condition, columns, rows, untold: None },
                Err(untold) => RowsNow { table, condition, untold: Some(untold), ..RowsNow::default() },
            }
        });
        Ok(told.collect())
    }
}

impl NamedCondition {
    fn shown(&self) -> String {
        let literals: Vec<String> = self.values.iter().map(literal).collect();
        sql::fill(&self.condition, &literals)
    }
}

fn values_of(named: NamedRows, operation: &FittedOperation) -> NamedCondition {
    let NamedRows { condition, parameters } = named;
    let values = parameters.iter().filter_map(|at| operation.parameters.get(*at).cloned()).collect();
    NamedCondition { condition, values }
}
