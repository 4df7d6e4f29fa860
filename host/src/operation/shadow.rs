//! A component run beside the one in force over documents that are in the outbox, to see what it would do otherwise.
//! Nothing is written.

use std::fmt;

use crate::component::version::Loaded;
use crate::failure::Failure;
use crate::pipeline::ports::Version;
use crate::projector::{Answer, Made};
use crate::servers::Servers;
use crate::statement::{Operation, Value};
use crate::text::harmless;

/// Differences that are shown.
const SHOWN_MAX: usize = 20;

/// How many documents are projected at a time.
const CHUNK: usize = 200;

/// The result of a shadow run.
pub struct Shadow {
    pub events: usize,
    pub differences: usize,
    shown: Vec<String>,
}

impl Shadow {
    /// The first differences, in words.
    pub fn told(&self) -> &[String] {
        &self.shown
    }

    pub fn differs(&self) -> bool {
        self.differences > 0
    }
}

impl fmt::Display for Shadow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { events, differences, shown } = self;
        writeln!(f, "{differences} of the last {events} events would be projected otherwise.")?;
        for difference in shown {
            writeln!(f, "{difference}")?;
        }
        if *differences > shown.len() {
            writeln!(f, "... and {} more", differences - shown.len())?;
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
) -> Result<Shadow, Failure> {
    let documents = servers.outbox.last(documents).await?;
    let events: Vec<_> =
        documents.iter().filter_map(|document| servers.decoder.decode(document).ok()).collect();
    let (mut workers, mut found) =
        ([before.start()?, next.start()?], Shadow { events: events.len(), differences: 0, shown: vec![] });
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
            if before != next {
                found.differences += 1;
                if found.shown.len() < SHOWN_MAX {
                    found.shown.push(format!(
                        "\n{} {}\n- {before}\n+ {next}",
                        harmless(&event.event_type),
                        event.id.spelled()
                    ));
                }
            }
        }
    }
    Ok(found)
}

/// The answer of one component to an event, as it can be compared with another one's: by the statements' texts, since
/// numbers and names may differ between components.
#[derive(Debug, PartialEq)]
enum ShadowAnswer {
    Operations(Vec<ShadowOperation>),
    Unhandled,
    Ignored,
    Fails(Failure),
}

#[derive(Debug, PartialEq)]
struct ShadowOperation {
    sql: String,
    parameters: Vec<Value>,
}

impl ShadowAnswer {
    fn of(loaded: &Loaded, answer: Answer) -> Self {
        let one = |operation: Operation| {
            let statement = loaded.deployed.schema.statements.get(operation.statement as usize);
            let sql = statement.map_or("an unknown statement", |statement| statement.sql.as_str());
            ShadowOperation { sql: sql.to_owned(), parameters: operation.parameters }
        };
        match answer {
            Ok(Made::Operations(operations)) => Self::Operations(operations.into_iter().map(one).collect()),
            Ok(Made::Unhandled) => Self::Unhandled,
            Ok(Made::Ignored) => Self::Ignored,
            Err(failure) => Self::Fails(failure),
        }
    }
}

impl fmt::Display for ShadowAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operations(operations) => {
                for (number, ShadowOperation { sql, parameters }) in operations.iter().enumerate() {
                    let between = if number == 0 { "" } else { "; " };
                    write!(f, "{between}{sql} {parameters:?}")?;
                }
                Ok(())
            }
            Self::Unhandled => f.write_str("not handled"),
            Self::Ignored => f.write_str("ignored by the upcaster"),
            Self::Fails(failure) => write!(f, "{}: {failure}", failure.class()),
        }
    }
}
