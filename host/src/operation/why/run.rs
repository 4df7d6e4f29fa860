//! What components make of events, run again in the sandbox.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::rows::WantedRows;
use crate::component::version::Loaded;
use crate::event::{Event, Undecodable};
use crate::failure::Failure;
use crate::operation::shown_sql;
use crate::pipeline::ports::Version;
use crate::projector::Outcome;
use crate::readmodel::lane::dead_letter::MASKED;
use crate::statement::{FittedOperation, Schema};

/// How many statements of an event are shown.
const STATEMENTS_MAX: usize = 50;

/// How many characters of a statement are shown.
const CHARACTERS_MAX: usize = 4_000;

/// How many characters of statements a page shows.
const PAGE_CHARACTERS_MAX: usize = 1 << 20;

/// A component's answer to an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case", tag = "answer")]
pub enum ShownAnswer {
    /// Statements, none where the projector makes nothing of it.
    Statements {
        statements: Vec<ShownStatement>,
        /// How many more there are that are not shown.
        more: usize,
    },
    /// The projector does not take its type.
    Unhandled,
    /// The upcaster makes nothing of it.
    Ignored,
    Fails {
        class: String,
        reason: String,
    },
    /// The document is no event.
    Undecodable {
        reason: String,
    },
}

/// A statement with its values, or masked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ShownStatement {
    /// The name under which the projector declares it.
    pub name: String,
    pub sql: String,
    /// The declared text.
    #[serde(skip)]
    declared: String,
}

impl ShownAnswer {
    /// Takes out what the event said.
    pub fn mask(&mut self) {
        match self {
            Self::Statements { statements, .. } => {
                for statement in statements {
                    statement.sql.clone_from(&statement.declared);
                }
            }
            Self::Fails { reason, .. } | Self::Undecodable { reason } => MASKED.clone_into(reason),
            Self::Unhandled | Self::Ignored => {}
        }
    }

    fn failure(failure: &Failure) -> Self {
        Self::Fails { class: failure.class().to_owned(), reason: failure.to_string() }
    }
}

/// The answers to these events, each of the component at its index; and which rows the statements name.
pub(super) async fn answers(
    components: &[&Loaded],
    events: &[Result<Arc<Event>, Undecodable>],
    answering: &[usize],
) -> Result<(Vec<ShownAnswer>, WantedRows), Failure> {
    let mut told: Vec<Option<Outcome>> = vec![None; events.len()];
    for (at, loaded) in components.iter().enumerate() {
        let own = events.iter().zip(answering).enumerate().filter(|(_, (_, by))| **by == at);
        let own = own.filter_map(|(place, (event, _))| Some((place, event.as_ref().ok()?.clone())));
        let (places, asked): (Vec<usize>, Vec<Arc<Event>>) =
            own.filter(|(_, event)| loaded.deployed.takes(&event.event_type)).unzip();
        if asked.is_empty() {
            continue;
        }
        for (place, answer) in places.into_iter().zip(loaded.start()?.project(asked).await?) {
            told[place] = Some(answer);
        }
    }
    let (mut room, mut wanted) = (PAGE_CHARACTERS_MAX, WantedRows::default());
    let answers = events.iter().zip(told).zip(answering).map(|((event, told), by)| {
        let schema = &components[*by].deployed.schema;
        if let Err(Undecodable { reason, .. }) = event {
            return ShownAnswer::Undecodable { reason: reason.clone() };
        }
        match told.map(|outcome| outcome.judged(schema)) {
            None | Some(Outcome::Unhandled) => ShownAnswer::Unhandled,
            Some(Outcome::Ignored) => ShownAnswer::Ignored,
            Some(Outcome::Failed(failure)) => ShownAnswer::failure(&failure),
            Some(Outcome::Apply(operations)) => {
                wanted.learn(schema, &operations);
                statements(schema, &operations, &mut room)
            }
        }
    });
    let answers = answers.collect();
    Ok((answers, wanted))
}

fn statements(schema: &Schema, operations: &[FittedOperation], room: &mut usize) -> ShownAnswer {
    let mut statements = Vec::new();
    for operation in operations.iter().take(STATEMENTS_MAX) {
        let Some(declared) = shown_sql::declared(schema, operation) else { continue };
        let sql = cut(shown_sql::filled(declared, &operation.parameters));
        let Some(left) = room.checked_sub(sql.len()) else { break };
        *room = left;
        statements.push(ShownStatement { name: declared.name.clone(), sql, declared: declared.sql.clone() });
    }
    let more = operations.len() - statements.len();
    ShownAnswer::Statements { statements, more }
}

fn cut(text: String) -> String {
    match text.char_indices().nth(CHARACTERS_MAX) {
        None => text,
        Some((end, _)) => format!("{} … ({} bytes in all)", &text[..end], text.len()),
    }
}
