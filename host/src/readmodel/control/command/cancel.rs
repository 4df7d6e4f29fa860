//! Cancels a command: in one transaction where nothing of it was begun, or where what it began can be given up; by a word to the
//! host that carries it out where that goes letter by letter.

use super::{EndedCommands, Request};
use crate::failure::Failure;
use crate::readmodel::control::control_db::{ControlDb, ControlTransaction};
use crate::readmodel::control::generation::{Generation, GenerationState};

/// The state of a command that is not over.
const PENDING: &str = "pending";

/// How a cancellation comes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cancellation {
    /// The command is over, and nothing more comes of it.
    Over,
    /// The host that carries it out ends it before the next letter.
    Asked,
    /// Nothing changes: why, and what can be done instead.
    TooLate(String),
    /// There is no command of this number.
    NotThere,
}

/// What a cancellation changes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum CancelStep {
    End,
    /// Gives the generation up that stands for it.
    GiveUp(u32),
    /// Leaves a word for the host that carries it out.
    Ask,
    /// Was cancelled before.
    Nothing(Cancellation),
}

/// A command, as far as its cancellation depends on it.
struct CancelledRow {
    projection: String,
    /// None where another version wrote it.
    request: Option<Request>,
    state: String,
    is_begun: bool,
    is_cancelled: bool,
}

impl ControlDb<'_> {
    /// Cancels a command, and tells whether that ended it. With `is_dry`, nothing changes.
    pub async fn cancel_command(
        &mut self,
        id: u64,
        by: &str,
        is_dry: bool,
    ) -> Result<(Cancellation, EndedCommands), Failure> {
        let mut transaction = self.begin("cancelling a command").await?;
        let Some(row) = transaction.lock_cancelled(id).await? else {
            transaction.rollback().await?;
            return Ok((Cancellation::NotThere, EndedCommands::default()));
        };
        let is_pending = row.state == PENDING;
        let mut ended = EndedCommands::none(&row.projection);
        let mut transaction = transaction.of(&row.projection);
        let standing = transaction.lock_generations().await?;
        let of_it = |one: &&Generation| one.command == Some(id) || one.opened_by == Some(id);
        let step = decide(&row, standing.iter().find(of_it));
        let cancelled = match &step {
            _ if is_dry => told(step),
            CancelStep::End => {
                ended = transaction.cancel_locked(id, by, &cancelled_by(by), is_pending).await?;
                Cancellation::Over
            }
            CancelStep::GiveUp(number) => {
                let why = cancelled_by(by);
                transaction.give_up_generations(&[*number], &why).await?;
                let result = format!("{why}; generation {number}, which it began, is given up");
                ended = transaction.cancel_locked(id, by, &result, is_pending).await?;
                Cancellation::Over
            }
            CancelStep::Ask => {
                let sql = transaction.statement(
                    "cancelling a command",
                    "UPDATE laterna.command SET cancelled_by = ?, cancelled_at = CURRENT_TIMESTAMP(6) WHERE id = ?",
                );
                sql.bind(by).bind(id).run(&mut transaction).await?;
                Cancellation::Asked
            }
            CancelStep::Nothing(cancelled) => cancelled.clone(),
        };
        transaction.commit().await?;
        Ok((cancelled, ended))
    }
}

/// The words for the end of a command that was cancelled.
pub fn cancelled_by(by: &str) -> String {
    format!("cancelled by {by}")
}

impl ControlDb<'_> {
    /// Who wants a command to end, or has ended it; none while it is to go on.
    pub async fn command_ended_by(&mut self, id: u64) -> Result<Option<String>, Failure> {
        let sql = self.statement(
            "looking whether a command was cancelled",
            "SELECT IF(state = 'pending', cancelled_by, COALESCE(cancelled_by, 'another host')) FROM laterna.command \
             WHERE id = ?",
        );
        let found = sql.bind(id).first(self.connection()).await?;
        found.map_or(Ok(Some("whoever removed it".to_owned())), |row| row.get(0))
    }
}

fn told(step: CancelStep) -> Cancellation {
    match step {
        CancelStep::End | CancelStep::GiveUp(_) => Cancellation::Over,
        CancelStep::Ask => Cancellation::Asked,
        CancelStep::Nothing(cancelled) => cancelled,
    }
}

/// Decides what a cancellation changes; `of_it` is the generation that the command began.
fn decide(row: &CancelledRow, of_it: Option<&Generation>) -> CancelStep {
    let too_late = |why: String| CancelStep::Nothing(Cancellation::TooLate(why));
    let is_pending = row.state == PENDING;
    if row.is_cancelled {
        let is_over = if is_pending { Cancellation::Asked } else { Cancellation::Over };
        return CancelStep::Nothing(is_over);
    }
    if row.state == "failed" {
        return too_late("it has failed, and nothing of it goes on".to_owned());
    }
    let list = format!("`laterna generations list {}` shows it", row.projection);
    match of_it.map(|one| (one.generation, one.state)) {
        Some((number, GenerationState::Building | GenerationState::Meeting | GenerationState::Comparing)) => {
            return CancelStep::GiveUp(number);
        }
        Some((number, GenerationState::CuttingOver)) => {
            return too_late(format!("generation {number} is just taking the live one's place; {list}"));
        }
        Some((number, GenerationState::Kept)) => {
            return too_late(format!("generation {number} is built; {list}, and `drop` gives it up"));
        }
        Some((_, GenerationState::Dropping)) | None => {}
    }
    match &row.request {
        _ if !is_pending => too_late(format!("it is done; {}", instead(row))),
        Some(request) if row.is_begun && request.is_about_letters() => CancelStep::Ask,
        _ => CancelStep::End,
    }
}

/// What can be done where a command is done.
fn instead(row: &CancelledRow) -> String {
    let name = &row.projection;
    match &row.request {
        Some(Request::Deploy { .. } | Request::Rollback) => {
            format!("`laterna rollback {name}` goes back to the component before")
        }
        Some(Request::Pause { .. }) => format!("`laterna resume {name}` ends the pause"),
        Some(Request::Resume) => format!("`laterna pause {name}` pauses it again"),
        Some(request) if request.is_about_letters() => {
            format!("`laterna dlq list {name}` shows the letters that are left")
        }
        None => "nothing of it goes on".to_owned(),
        _ => format!("`laterna generations list {name}` shows what stands beside the live tables"),
    }
}

impl ControlTransaction<'_> {
    async fn lock_cancelled(&mut self, id: u64) -> Result<Option<CancelledRow>, Failure> {
        let sql = self.statement(
            "cancelling a command",
            "SELECT projection, request, CAST(state AS CHAR), CAST(result IS NOT NULL AS SIGNED), \
             CAST(cancelled_by IS NOT NULL AS SIGNED) FROM laterna.command WHERE id = ? FOR UPDATE",
        );
        let Some(row) = sql.bind(id).first(self).await? else {
            return Ok(None);
        };
        let request: String = row.get(1)?;
        Ok(Some(CancelledRow {
            projection: row.get(0)?,
            request: serde_json::from_str(&request).ok(),
            state: row.get(2)?,
            is_begun: row.is(3)?,
            is_cancelled: row.is(4)?,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::readmodel::control::command::Letters;
    use crate::readmodel::lane::dead_letter::Selection;

    fn row(request: Request, state: &str) -> CancelledRow {
        CancelledRow {
            projection: "accounts".into(),
            request: Some(request),
            state: state.into(),
            is_begun: false,
            is_cancelled: false,
        }
    }

    fn replay() -> Request {
        Request::Replay { letters: Letters::Fitting { letters: Selection::default() } }
    }

    fn rebuild() -> Request {
        Request::Rebuild { accept: false, until: None, aggregate: None }
    }

    fn is_late(step: &CancelStep, why: &str) -> bool {
        matches!(step, CancelStep::Nothing(Cancellation::TooLate(told)) if told.contains(why))
    }

    #[test]
    fn what_waits_ends_at_once_and_what_deals_with_letters_between_two_of_them() {
        assert_eq!(decide(&row(replay(), "pending"), None), CancelStep::End);
        let begun = CancelledRow { is_begun: true, ..row(replay(), "pending") };
        assert_eq!(decide(&begun, None), CancelStep::Ask);
        let again = CancelledRow { is_cancelled: true, ..begun };
        assert_eq!(decide(&again, None), CancelStep::Nothing(Cancellation::Asked));
        assert_eq!(decide(&row(Request::Rollback, "pending"), None), CancelStep::End);
        let unknown = CancelledRow { request: None, ..row(replay(), "pending") };
        assert_eq!(decide(&unknown, None), CancelStep::End, "also where another version wrote it");
    }

    #[test]
    fn what_is_being_built_is_given_up_until_it_takes_the_live_ones_place() {
        let at = |state| {
            let of_it = Generation { opened_by: Some(5), ..Generation::plain(2, state) };
            decide(&row(rebuild(), "done"), Some(&of_it))
        };
        for state in [GenerationState::Building, GenerationState::Meeting, GenerationState::Comparing] {
            assert_eq!(at(state), CancelStep::GiveUp(2));
        }
        assert!(is_late(&at(GenerationState::CuttingOver), "just taking the live one's place"));
        assert!(is_late(&at(GenerationState::Kept), "`drop` gives it up"));
        assert!(is_late(&at(GenerationState::Dropping), "it is done"));
    }

    #[test]
    fn what_is_done_says_what_can_be_done_instead() {
        let deploy = Request::Deploy { digest: "d".into(), canary_seconds: 0 };
        for (request, way) in [
            (deploy, "laterna rollback accounts"),
            (Request::Pause { why: "x".into() }, "laterna resume accounts"),
            (replay(), "laterna dlq list accounts"),
            (rebuild(), "laterna generations list accounts"),
        ] {
            assert!(is_late(&decide(&row(request, "done"), None), way), "{way}");
        }
        assert!(is_late(&decide(&row(replay(), "failed"), None), "it has failed"));
    }
}
