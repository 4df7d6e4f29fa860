//! What became of one recorded event, as text that is SQL and comments, or as JSON.
//!
//! Everything in the text is the same on every machine and for every build of a component, but for the lines that
//! begin with [`ASIDE`]: they are for people, and expected answers do without them.

use std::sync::Arc;

use serde_json::json;
use tracing::Level;

use super::super::table;
use crate::event::Event;
use crate::failure::Failure;
use crate::projection::Loaded;
use crate::projector::Observed;
use crate::readmodel::literal;
use crate::sql;
use crate::statement::{Operation, Schema};

/// How a line begins that is no part of the expected answers.
pub const ASIDE: &str = "-- | ";

pub struct Report {
    event: Option<Arc<Event>>,
    outcome: Outcome,
}

pub enum Outcome {
    /// The manifest does not name its type.
    PassedBy,
    /// It is no event.
    Failed(Failure),
    Projected {
        judged: Result<Vec<Operation>, Failure>,
        observed: Observed,
        keeps_state: bool,
    },
}

impl Outcome {
    pub fn failed(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Report {
    pub fn new(event: Option<Arc<Event>>, outcome: Outcome) -> Self {
        Self { event, outcome }
    }

    fn failure(&self) -> Option<&Failure> {
        match &self.outcome {
            Outcome::Failed(failure) | Outcome::Projected { judged: Err(failure), .. } => Some(failure),
            Outcome::PassedBy | Outcome::Projected { .. } => None,
        }
    }

    fn statements(&self, schema: &Schema) -> Vec<String> {
        match &self.outcome {
            Outcome::Projected { judged: Ok(operations), .. } => {
                operations.iter().map(|operation| statement(schema, operation)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The lines for the event with this number.
    pub fn text(&self, number: usize, schema: &Schema) -> Vec<String> {
        let mut lines = vec![match &self.event {
            Some(event) => {
                format!("-- {number}: {} of {}, event {}", event.event_type, event.aggregate, event.id)
            }
            None => format!("-- {number}: not an event"),
        }];
        lines.extend(self.statements(schema).into_iter().map(|sql| format!("{sql};")));
        match &self.outcome {
            Outcome::PassedBy => lines.push("-- passed by: the manifest does not name this type".to_owned()),
            Outcome::Projected { judged: Ok(operations), .. } if operations.is_empty() => {
                lines.push("-- no operation".to_owned());
            }
            _ => {}
        }
        if let Some(failure) = self.failure() {
            lines.extend(failed(failure));
        }
        if let Outcome::Projected { observed, keeps_state, .. } = &self.outcome {
            // The last words of a trap stand in its message already.
            let trapped = matches!(self.failure(), Some(Failure::Trapped { .. }));
            let said = observed.said.iter().filter(|(level, _)| !trapped || *level > Level::WARN);
            lines.extend(said.map(|(level, line)| format!("{ASIDE}{level} {line}")));
            if *keeps_state {
                lines.push(format!(
                    "{ASIDE}KEEPS STATE: after other events it answers otherwise than alone; take statics and the order of \
                     hash maps out of it"
                ));
            }
            lines.push(format!(
                "{ASIDE}fuel {}, memory {} bytes",
                table::number(observed.projected.fuel),
                table::number(observed.memory_bytes as u64)
            ));
        }
        lines
    }

    pub fn json(&self, line: usize, schema: &Schema) -> serde_json::Value {
        let mut shown = json!({ "line": line, "statements": self.statements(schema) });
        if let Some(event) = &self.event {
            shown["event"] = json!(event.id.to_string());
            shown["type"] = json!(event.event_type);
            shown["aggregate"] = json!(event.aggregate.to_string());
        }
        shown["verdict"] = json!(match (&self.outcome, self.failure()) {
            (Outcome::PassedBy, _) => "passed-by",
            (_, Some(failure)) => failure.class(),
            (_, None) => "applied",
        });
        if let Some(failure) = self.failure() {
            shown["message"] = json!(failure.to_string());
        }
        if let Outcome::Projected { observed, keeps_state, .. } = &self.outcome {
            shown["fuel"] = json!(observed.projected.fuel);
            shown["memory_bytes"] = json!(observed.memory_bytes);
            shown["keeps_state"] = json!(keeps_state);
            let said = observed.said.iter().map(|(level, line)| json!([level.to_string(), line]));
            shown["said"] = said.collect();
        }
        shown
    }
}

/// One operation as the statement it stands for. `judge` let it pass, so its statement is declared.
fn statement(schema: &Schema, operation: &Operation) -> String {
    let declared = usize::try_from(operation.statement).ok().and_then(|at| schema.statements.get(at));
    let literals: Vec<String> = operation.parameters.iter().map(literal).collect();
    declared.map_or_else(String::new, |statement| sql::fill(&statement.sql, &literals))
}

/// The class and the message. Where a guest trapped, its message has places in its source, which change with it.
fn failed(failure: &Failure) -> Vec<String> {
    let message = failure.to_string();
    let mut lines = message.lines();
    let mut shown = match failure {
        Failure::Trapped { .. } => vec![format!("-- FAILED, {}", failure.class())],
        _ => vec![format!("-- FAILED, {}: {}", failure.class(), lines.next().unwrap_or_default())],
    };
    shown.extend(lines.map(|line| format!("{ASIDE}{line}")));
    shown
}

/// What all events came to.
#[derive(Default)]
pub struct Summary {
    pub events: usize,
    pub failed: usize,
    pub keeps_state: usize,
    passed_by: usize,
    operations: usize,
    fuel_max: u64,
}

impl Summary {
    pub fn add(&mut self, report: &Report) {
        self.events += 1;
        self.failed += usize::from(report.failure().is_some());
        match &report.outcome {
            Outcome::PassedBy => self.passed_by += 1,
            Outcome::Failed(_) => {}
            Outcome::Projected { judged, observed, keeps_state } => {
                self.operations += judged.as_ref().map_or(0, Vec::len);
                self.fuel_max = self.fuel_max.max(observed.projected.fuel);
                self.keeps_state += usize::from(*keeps_state);
            }
        }
    }

    pub fn text(&self, loaded: &Loaded) -> String {
        let manifest = &loaded.deployed.manifest;
        let state = if self.keeps_state > 0 { "; it KEEPS STATE" } else { "" };
        format!(
            "{ASIDE}{} {} ({}): {} events, {} statements, {} passed by, {} failed; at most {} of {} fuel{state}",
            manifest.name,
            manifest.version,
            loaded.component.short_digest(),
            self.events,
            self.operations,
            self.passed_by,
            self.failed,
            table::number(self.fuel_max),
            table::number(loaded.component.budget().fuel),
        )
    }
}
