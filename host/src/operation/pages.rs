//! Pages of what is listed: letters, and what was asked for.

use serde::{Deserialize, Serialize};

use super::ask::Refusal;
use super::choice::{self, LetterBoundary};
use crate::failure::Failure;
use crate::readmodel::control::command::{CommandRecord, RecordFilter};
use crate::readmodel::lane::dead_letter::{Letter, Selection};
use crate::readmodel::mysql::session::Session;
use crate::servers::Servers;

/// What a page counts besides the letters that it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counts {
    Nothing,
    /// All letters that fit.
    AllThatFit,
}

/// A page of letters.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LetterPage {
    pub letters: Vec<Letter>,
    /// What `after` of the next page is; none behind the last one.
    next: Option<u64>,
    pub boundary: LetterBoundary,
    /// How many letters fit, those of this page and of the pages behind it; none unless it is asked for.
    pub count: Option<u64>,
}

impl LetterPage {
    /// Reads a page of at most so many letters, and counts all that fit where that is asked for.
    pub async fn read(
        session: &mut Session,
        servers: &Servers,
        projection: &str,
        selection: &Selection,
        limit: u32,
        counts: Counts,
    ) -> Result<Self, Refusal> {
        let boundary = choice::boundary(session, servers, projection).await?;
        // What comes between the two is behind the boundary, and not shown.
        let selection = Selection { until: Some(boundary.until), ..selection.clone() };
        let letters = servers.control.of(session, projection).letters(&selection, limit).await?;
        let next = next(&letters, limit, |letter| letter.id);
        let count = match counts {
            Counts::Nothing => None,
            Counts::AllThatFit => Some(choice::count(session, servers, projection, selection).await?),
        };
        Ok(Self { letters, next, boundary, count })
    }
}

/// The id behind which the next page begins; none behind a page that is not full.
fn next<T>(page: &[T], limit: u32, id: impl Fn(&T) -> u64) -> Option<u64> {
    page.last().map(id).filter(|_| page.len() == limit as usize)
}

/// A page of operations.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct OperationPage {
    pub operations: Vec<CommandRecord>,
    /// What `before` of the next page is; none behind the last one.
    next: Option<u64>,
}

impl OperationPage {
    /// Reads a page of at most so many operations, the newest first.
    pub async fn read(
        session: &mut Session,
        servers: &Servers,
        filter: &RecordFilter,
        limit: u32,
    ) -> Result<Self, Failure> {
        let operations = servers.control.on(session).command_records(filter, limit).await?;
        let next = next(&operations, limit, |operation| operation.id);
        Ok(Self { operations, next })
    }
}
