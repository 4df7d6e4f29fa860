//! A component run beside the one in force over documents that are in the outbox, to see what it would do otherwise.
//! Nothing is written.

use std::fmt;

use crate::component::version::Loaded;
use crate::failure::Failure;
use crate::pipeline::ports::Version;
use crate::projector::{Answer, Made};
use crate::servers::Servers;
use crate::statement::Operation;
use crate::text::harmless;

/// How many differences are told.
const TOLD_MAX: usize = 20;

/// How many documents are projected at a time.
const CHUNK: usize = 200;

/// What came of it.
pub struct Shadow {
    pub events: usize,
    pub differences: usize,
    told: Vec<String>,
}

impl Shadow {
    /// The first differences, in words.
    pub fn told(&self) -> &[String] {
        &self.told
    }

    pub fn differs(&self) -> bool {
        self.differences > 0
    }
}

impl fmt::Display for Shadow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { events, differences, told } = self;
        writeln!(f, "{differences} of the last {events} events would be projected otherwise.")?;
        for difference in told {
            writeln!(f, "{difference}")?;
        }
        if *differences > told.len() {
            writeln!(f, "... and {} more", differences - told.len())?;
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
        ([before.start()?, next.start()?], Shadow { events: events.len(), differences: 0, told: vec![] });
    for events in events.chunks(CHUNK) {
        let mut told = Vec::with_capacity(2);
        for (loaded, worker) in [before, next].into_iter().zip(&mut workers) {
            let deployed = &loaded.deployed;
            let handled: Vec<_> =
                events.iter().filter(|event| deployed.takes(&event.event_type)).cloned().collect();
            let mut answers = worker.project(handled).await?.into_iter();
            let said = events.iter().map(|event| {
                if !deployed.takes(&event.event_type) {
                    return "not handled".to_owned();
                }
                answers.next().map_or_else(String::new, |answer| said(loaded, answer))
            });
            told.push(said.collect::<Vec<_>>());
        }
        for ((event, before), next) in events.iter().zip(&told[0]).zip(&told[1]) {
            if before != next {
                found.differences += 1;
                if found.told.len() < TOLD_MAX {
                    found.told.push(format!(
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

/// Operations as people read them, by the statements' texts: numbers and names may differ between components.
fn said(loaded: &Loaded, answer: Answer) -> String {
    let operations = match answer {
        Ok(Made::Operations(operations)) => operations,
        Ok(Made::Unhandled) => return "not handled".to_owned(),
        Ok(Made::Ignored) => return "ignored by the upcaster".to_owned(),
        Err(failure) => return format!("{}: {failure}", failure.class()),
    };
    let one = |operation: &Operation| {
        let statement = loaded.deployed.schema.statements.get(operation.statement as usize);
        let sql = statement.map_or("an unknown statement", |statement| statement.sql.as_str());
        format!("{sql} {:?}", operation.parameters)
    };
    operations.iter().map(one).collect::<Vec<_>>().join("; ")
}
