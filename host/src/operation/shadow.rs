//! A component run beside the one in force over documents that are in the outbox, to see what it would do otherwise.
//! Nothing is written.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::shown_sql;
use crate::component::version::Loaded;
use crate::failure::Failure;
use crate::pipeline::ports::Version;
use crate::projector::Outcome;
use crate::servers::Servers;
use crate::statement::{Operation, Value};
use crate::text::harmless;

/// Differences that are shown: of each type, and of how many types.
const SHOWN_MAX: usize = 3;
const TYPES_MAX: usize = 30;

/// Statements of an event that are shown, and characters of each.
const STATEMENTS_MAX: usize = 10;
const CHARACTERS_MAX: usize = 2_000;

/// How many documents are projected at a time.
const CHUNK: usize = 200;

/// How two components differ.
#[derive(Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ShadowReport {
    /// How many events were projected by both.
    pub events: usize,
    /// How many of them otherwise than by the component in force.
    pub differences: usize,
    /// The first of these: the event, and the operations of both.
    pub told: Vec<String>,
    /// The same by type of event: what each makes of the first events that differ, as SQL.
    pub types: Vec<TypeDifferences>,
}

/// What a shadow run has found so far.
#[derive(Default)]
struct Shadow {
    events: usize,
    differences: usize,
    by_type: BTreeMap<String, TypeDifferences>,
}

/// How two components differ about the events of one type.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TypeDifferences {
    pub event_type: String,
    /// How many events of it were projected by both.
    pub events: usize,
    /// How many of them otherwise.
    pub differences: usize,
    /// The first of these.
    pub shown: Vec<EventDifference>,
}

/// What two components make of one event.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EventDifference {
    /// The event's id.
    pub event: String,
    /// What the component in force makes of it, a line each.
    pub before: Vec<String>,
    /// What the other one makes of it.
    pub next: Vec<String>,
}

impl ShadowReport {
    pub fn differs(&self) -> bool {
        self.differences > 0
    }
}

impl Shadow {
    /// The report; it has the types of which nothing is projected otherwise, too.
    fn report(self) -> ShadowReport {
        let told = self.told();
        let types = self.by_type.into_values().collect();
        ShadowReport { events: self.events, differences: self.differences, told, types }
    }

    /// The first differences, in words.
    fn told(&self) -> Vec<String> {
        let all = self.by_type.values().flat_map(|of| of.shown.iter().map(move |one| (&of.event_type, one)));
        let told = all.map(|(event_type, EventDifference { event, before, next })| {
            let lines = |sign: &str, lines: &[String]| {
                let lines: Vec<String> = lines.iter().map(|line| format!("\n{sign} {line}")).collect();
                lines.concat()
            };
            format!("{} {event}{}{}", harmless(event_type), lines("-", before), lines("+", next))
        });
        told.collect()
    }

    fn count(&mut self, event_type: &str, difference: Option<EventDifference>) {
        self.events += 1;
        self.differences += usize::from(difference.is_some());
        let is_known = self.by_type.contains_key(event_type) || self.by_type.len() < TYPES_MAX;
        let name = if is_known { event_type } else { "(others)" };
        let of = self.by_type.entry(name.to_owned()).or_default();
        name.clone_into(&mut of.event_type);
        of.events += 1;
        of.differences += usize::from(difference.is_some());
        of.shown.extend(difference.filter(|_| of.shown.len() < SHOWN_MAX));
    }
}

impl fmt::Display for ShadowReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { events, differences, told, .. } = self;
        writeln!(f, "{differences} of the last {events} events would be projected otherwise.")?;
        for difference in told {
            writeln!(f, "\n{difference}")?;
        }
        if *differences > told.len() {
            writeln!(f, "\n... and {} more", differences - told.len())?;
        }
        Ok(())
    }
}

/// Compares the operations of two components for the last documents of the outbox.
pub async fn compare(
    servers: &Servers,
    before: &Loaded,
    next: &Loaded,
    documents: u32,
) -> Result<ShadowReport, Failure> {
    let documents = servers.outbox.last(documents).await?;
    let events: Vec<_> =
        documents.iter().filter_map(|document| servers.decoder.decode(document).ok()).collect();
    let (mut workers, mut found) = ([before.start()?, next.start()?], Shadow::default());
    for events in events.chunks(CHUNK) {
        let mut both = Vec::with_capacity(2);
        for (loaded, worker) in [before, next].into_iter().zip(&mut workers) {
            let deployed = &loaded.deployed;
            let handled: Vec<_> =
                events.iter().filter(|event| deployed.takes(&event.event_type)).cloned().collect();
            let mut answers = worker.project(handled).await?.into_iter();
            let answered = events.iter().map(|event| {
                let answer = deployed.takes(&event.event_type).then(|| answers.next()).flatten();
                answer.map_or(ShadowAnswer::Unhandled, |answer| ShadowAnswer::of(loaded, answer))
            });
            both.push(answered.collect::<Vec<_>>());
        }
        for ((event, before), next) in events.iter().zip(&both[0]).zip(&both[1]) {
            let difference = (before != next).then(|| EventDifference {
                event: event.id.spelled(),
                before: before.lines(),
                next: next.lines(),
            });
            found.count(&event.event_type, difference);
        }
    }
    Ok(found.report())
}

/// The answer of one component to an event, as it can be compared with another one's: by the statements' texts, since
/// numbers and names may differ between components.
#[derive(Debug, PartialEq)]
enum ShadowAnswer {
    Operations(Vec<ShadowOperation>),
    Unhandled,
    Ignored,
    Fails(ShadowFailure),
}

/// A failure without its places in the source, which move with every line that is written above them.
#[derive(Debug)]
struct ShadowFailure(Failure);

impl ShadowFailure {
    /// What is compared. Of a trap the class alone is: its words are the place, too.
    fn said(&self) -> Option<String> {
        match &self.0 {
            Failure::Trapped { .. } => None,
            failure => failure.to_string().lines().next().map(str::to_owned),
        }
    }
}

impl PartialEq for ShadowFailure {
    fn eq(&self, other: &Self) -> bool {
        self.0.class() == other.0.class() && self.said() == other.said()
    }
}

#[derive(Debug)]
struct ShadowOperation {
    sql: String,
    parameters: Vec<Value>,
    /// The statement with its values.
    shown: String,
}

impl ShadowAnswer {
    fn of(loaded: &Loaded, outcome: Outcome) -> Self {
        let one = |operation: Operation| {
            let statement = loaded.deployed.schema.statements.get(operation.statement as usize);
            let sql = statement.map_or("an unknown statement", |statement| statement.sql.as_str());
            let shown = shown_sql::statement(&loaded.deployed.schema, &operation);
            let shown = if shown.is_empty() { format!("{sql} {:?}", operation.parameters) } else { shown };
            ShadowOperation { sql: sql.to_owned(), shown, parameters: operation.parameters }
        };
        match outcome {
            Outcome::Apply(operations) => Self::Operations(operations.into_iter().map(one).collect()),
            Outcome::Unhandled => Self::Unhandled,
            Outcome::Ignored => Self::Ignored,
            Outcome::Failed(failure) => Self::Fails(ShadowFailure(failure)),
        }
    }
}

impl PartialEq for ShadowOperation {
    fn eq(&self, other: &Self) -> bool {
        self.sql == other.sql && self.parameters == other.parameters
    }
}

impl ShadowAnswer {
    /// The answer for people, a line a statement.
    fn lines(&self) -> Vec<String> {
        match self {
            Self::Operations(operations) if operations.is_empty() => vec!["no statement".to_owned()],
            Self::Operations(operations) => {
                let shown = operations.iter().take(STATEMENTS_MAX).map(|one| cut(&one.shown));
                let more = operations.len().saturating_sub(STATEMENTS_MAX);
                shown.chain((more > 0).then(|| format!("and {more} more statement(s)"))).collect()
            }
            Self::Unhandled => vec!["not handled".to_owned()],
            Self::Ignored => vec!["ignored by the upcaster".to_owned()],
            Self::Fails(ShadowFailure(failure)) => vec![format!("{}: {failure}", failure.class())],
        }
    }
}

fn cut(text: &str) -> String {
    text.char_indices()
        .nth(CHARACTERS_MAX)
        .map_or_else(|| text.to_owned(), |(end, _)| format!("{}…", &text[..end]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_that_only_moved_to_another_line_is_the_same() {
        let rejected =
            |reason: &str| ShadowFailure(Failure::Rejected { kind: "invalid", reason: reason.to_owned() });
        let trapped = |message: &str| ShadowFailure(Failure::Trapped { message: message.to_owned() });
        assert_eq!(
            rejected("it has no cents\n  at OrderPlaced (projector.js:27)"),
            rejected("it has no cents\n  at OrderPlaced (projector.js:31)")
        );
        assert_ne!(rejected("it has no cents"), rejected("it has no price"));
        assert_eq!(trapped("panicked at src/lib.rs:27"), trapped("panicked at src/lib.rs:31"));
        assert_ne!(trapped("it has no cents"), rejected("it has no cents"));
    }
}
