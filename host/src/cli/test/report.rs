//! The result of one recorded event, as text that is SQL and comments, or as JSON.
//!
//! Everything in the text is the same on every machine and for every build of a component, but for the lines that begin
//! with [`ASIDE`]: they are for people, and expected answers do without them.

use std::sync::Arc;

use serde_json::json;
use tracing::Level;

use crate::cli::table;
use crate::event::Event;
use crate::failure::Failure;
use crate::operation::shown_sql;
use crate::projector::Observed;
use crate::statement::{Operation, Schema};

/// How a line begins that is no part of the expected answers.
pub const ASIDE: &str = "-- | ";

pub struct EventReport {
    pub event: Option<Arc<Event>>,
    pub outcome: EventOutcome,
}

pub enum EventOutcome {
    /// The manifest does not name its type.
    PassedBy,
    /// It is no event.
    Failed(Failure),
    Projected {
        judged: Result<Vec<Operation>, Failure>,
        observed: Observed,
        keeps_state: bool,
    },
    Upcast(Upcast),
    /// An upcaster is tried without a projector.
    Shown,
}

/// An upcaster's answer to an event, and the projector's answers to what it became.
pub struct Upcast {
    pub observed: Observed<Event>,
    pub keeps_state: bool,
    pub became: Became,
}

pub enum Became {
    Nothing,
    Failed(Failure),
    Events(Vec<EventReport>),
}

impl EventReport {
    pub fn new(event: Option<Arc<Event>>, outcome: EventOutcome) -> Self {
        Self { event, outcome }
    }

    pub fn failure(&self) -> Option<&Failure> {
        match &self.outcome {
            EventOutcome::Failed(failure)
            | EventOutcome::Projected { judged: Err(failure), .. }
            | EventOutcome::Upcast(Upcast { became: Became::Failed(failure), .. }) => Some(failure),
            // What one event becomes stands or falls together.
            EventOutcome::Upcast(Upcast { became: Became::Events(reports), .. }) => {
                reports.iter().find_map(Self::failure)
            }
            EventOutcome::PassedBy
            | EventOutcome::Shown
            | EventOutcome::Projected { .. }
            | EventOutcome::Upcast(_) => None,
        }
    }

    /// Returns true where the event, or one that it became, was answered otherwise after other events than alone.
    pub fn keeps_state(&self) -> bool {
        match &self.outcome {
            EventOutcome::Projected { keeps_state, .. } => *keeps_state,
            EventOutcome::Upcast(Upcast { keeps_state, became, .. }) => {
                let later =
                    matches!(became, Became::Events(reports) if reports.iter().any(Self::keeps_state));
                *keeps_state || later
            }
            EventOutcome::PassedBy | EventOutcome::Failed(_) | EventOutcome::Shown => false,
        }
    }

    /// The operations that are applied.
    pub fn operations(&self) -> Vec<&Operation> {
        match &self.outcome {
            EventOutcome::Projected { judged: Ok(operations), .. } => operations.iter().collect(),
            EventOutcome::Upcast(Upcast { became: Became::Events(reports), .. })
                if self.failure().is_none() =>
            {
                reports.iter().flat_map(Self::operations).collect()
            }
            _ => Vec::new(),
        }
    }

    pub fn statements(&self, schema: &Schema) -> Vec<String> {
        self.operations().into_iter().map(|operation| shown_sql::statement(schema, operation)).collect()
    }

    /// The lines for the event with this number.
    pub fn text(&self, number: usize, schema: &Schema) -> Vec<String> {
        let mut lines = vec![match &self.event {
            Some(event) => {
                format!("-- {number}: {} of {}, event {}", event.event_type, event.aggregate, event.id)
            }
            None => format!("-- {number}: not an event"),
        }];
        self.answer(&mut lines, schema, true);
        lines
    }

    /// Writes the event's answer. Where something beside it fails, none of its statements is sent.
    fn answer(&self, lines: &mut Vec<String>, schema: &Schema, is_applied: bool) {
        match &self.outcome {
            EventOutcome::Upcast(upcast) => return self.upcast(upcast, lines, schema),
            EventOutcome::Projected { judged: Ok(_), .. } if !is_applied => {
                lines.push("-- not applied: it stands or falls with what fails".to_owned());
            }
            _ => lines.extend(self.statements(schema).into_iter().map(|sql| format!("{sql};"))),
        }
        match &self.outcome {
            EventOutcome::PassedBy => {
                lines.push("-- passed by: the manifest does not name this type".to_owned());
            }
            EventOutcome::Projected { judged: Ok(operations), .. } if operations.is_empty() => {
                lines.push("-- no operation".to_owned());
            }
            _ => {}
        }
        if let Some(failure) = self.failure() {
            lines.extend(failed(failure));
        }
        if let EventOutcome::Projected { observed, keeps_state, .. } = &self.outcome {
            let trapped = matches!(self.failure(), Some(Failure::Trapped { .. }));
            asides(lines, "", observed, *keeps_state, trapped);
        }
    }

    fn upcast(&self, upcast: &Upcast, lines: &mut Vec<String>, schema: &Schema) {
        asides(lines, "upcaster: ", &upcast.observed, upcast.keeps_state, false);
        match &upcast.became {
            Became::Nothing => lines.push("-- ignored: the upcaster makes nothing of it".to_owned()),
            Became::Failed(failure) => lines.extend(failed(failure)),
            Became::Events(reports) => {
                let is_applied = self.failure().is_none();
                for report in reports {
                    lines.extend(report.event.iter().map(|event| becomes(event, self.event.as_deref())));
                    report.answer(lines, schema, is_applied);
                }
            }
        }
    }

    pub fn json(&self, line: usize, schema: &Schema) -> serde_json::Value {
        let mut shown = self.as_json(schema);
        shown["line"] = json!(line);
        shown
    }

    fn as_json(&self, schema: &Schema) -> serde_json::Value {
        let mut shown = json!({ "statements": self.statements(schema) });
        if let Some(event) = &self.event {
            shown["event"] = json!(event.id.to_string());
            shown["type"] = json!(event.event_type);
            shown["aggregate"] = json!(event.aggregate.to_string());
        }
        shown["verdict"] = json!(match (&self.outcome, self.failure()) {
            (_, Some(failure)) => failure.class(),
            (EventOutcome::PassedBy, _) => "passed-by",
            (EventOutcome::Upcast(Upcast { became: Became::Nothing, .. }), _) => "ignored",
            (EventOutcome::Upcast(_), _) => "upcast",
            (EventOutcome::Shown, _) => "shown",
            (_, None) => "applied",
        });
        if let Some(failure) = self.failure() {
            shown["message"] = json!(failure.to_string());
        }
        match &self.outcome {
            EventOutcome::Projected { observed, keeps_state, .. } => took(&mut shown, observed, *keeps_state),
            EventOutcome::Upcast(upcast) => {
                took(&mut shown, &upcast.observed, upcast.keeps_state);
                if let Became::Events(reports) = &upcast.became {
                    shown["became"] = reports.iter().map(|report| report.became_json(schema)).collect();
                }
            }
            _ => {}
        }
        shown
    }

    /// An event that another one became, with all its fields.
    fn became_json(&self, schema: &Schema) -> serde_json::Value {
        let mut shown = self.as_json(schema);
        if let Some(event) = &self.event {
            shown["version"] = json!(event.version);
            shown["sequence"] = json!(event.sequence);
            shown["occurred_at"] = json!(event.occurred_at);
            shown["payload"] = json!(event.payload);
            shown["metadata"] = json!(event.metadata);
        }
        shown
    }
}

/// A line for an event that another one became, with what it has that its event has not.
fn becomes(event: &Event, original: Option<&Event>) -> String {
    let Event { id, event_type, version, payload, .. } = event;
    let mut parts = vec![format!("-- becomes {event_type}, version {version}, event {id}: {payload}")];
    let Some(original) = original else { return parts.concat() };
    if event.sequence != original.sequence {
        let none = "none".to_owned();
        parts.push(format!("sequence {}", event.sequence.map_or(none, |sequence| sequence.to_string())));
    }
    if event.occurred_at != original.occurred_at {
        parts.push(format!("time {}", event.occurred_at.as_deref().unwrap_or("none")));
    }
    if event.metadata != original.metadata {
        parts.push(format!("metadata {}", event.metadata));
    }
    parts.join(", ")
}

/// Adds the cost of a run, for machines.
fn took<M>(shown: &mut serde_json::Value, observed: &Observed<M>, keeps_state: bool) {
    shown["fuel"] = json!(observed.projected.fuel);
    shown["memory_bytes"] = json!(observed.memory_bytes);
    shown["keeps_state"] = json!(keeps_state);
    let output = observed.output.iter().map(|(level, line)| json!([level.to_string(), line]));
    shown["said"] = output.collect();
}

/// Adds the output and the cost of a run, for people.
fn asides<M>(lines: &mut Vec<String>, whose: &str, observed: &Observed<M>, keeps_state: bool, trapped: bool) {
    // The last words of a trap stand in its message already.
    let output = observed.output.iter().filter(|(level, _)| !trapped || *level > Level::WARN);
    lines.extend(output.map(|(level, line)| format!("{ASIDE}{whose}{level} {line}")));
    if keeps_state {
        lines.push(format!(
            "{ASIDE}{whose}KEEPS STATE: after other events it answers otherwise than alone; take statics and the order of \
             hash maps out of it"
        ));
    }
    lines.push(format!(
        "{ASIDE}{whose}fuel {}, memory {} bytes",
        table::number(observed.projected.fuel),
        table::number(observed.memory_bytes as u64)
    ));
}

/// One operation as the statement it stands for. `judge` let it pass, so its statement is declared.
/// The class and the message. Where a guest trapped, its message has places in its source, which change with it.
pub fn failed(failure: &Failure) -> Vec<String> {
    let message = failure.to_string();
    let mut lines = message.lines();
    let mut shown = match failure {
        Failure::Trapped { .. } => vec![format!("-- FAILED, {}", failure.class())],
        _ => vec![format!("-- FAILED, {}: {}", failure.class(), lines.next().unwrap_or_default())],
    };
    shown.extend(lines.map(|line| format!("{ASIDE}{line}")));
    shown
}
