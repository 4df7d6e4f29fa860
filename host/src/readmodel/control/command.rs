//! Commands: an operator's wishes, rows in the control schema until the projection's host has done them.

mod end;
mod cancel;
pub mod overtake;
mod decide;
mod carry_out;
mod once;
mod outdated;
mod record;
mod request;
mod samples;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::control_db::{ControlDb, ProjectionDb};
use super::control_sql::ControlRow;
use crate::failure::Failure;
use crate::readmodel::lane::dead_letter::Ids;
use crate::readmodel::mysql::session::Session;

pub use cancel::{Cancellation, cancelled_by};
pub use decide::{Act, Step, Tried, decide};
pub use end::{CommandEnd, EndedCommands};
pub use once::{OnceKey, WrittenBefore};
pub use record::{CommandRecord, CommandState, RecordFilter};
pub use request::{CANARY_SECONDS_DEFAULT, Letters, Request};
pub use samples::{ClearedUpTo, remove_samples};

/// The longest request, in bytes: the ids of a million letters and more.
const REQUEST_BYTES_MAX: usize = 8 << 20;

/// Who carries a command out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandKind {
    /// The lanes, of whichever host writes.
    Letters,
    /// Any host: it is one transaction.
    Switches,
    /// Any host, after it has loaded and checked a component: what concerns components and generations. Each by itself, for
    /// some of them wait for a server.
    Deployments,
}

impl CommandKind {
    /// The SQL condition for commands of this kind. A command for which a generation stands waits until that is done with.
    pub(super) fn condition(self) -> String {
        match self {
            Self::Letters => format!("NOT {} AND NOT {}", asks_for(SWITCHES), asks_for(DEPLOYMENTS)),
            Self::Switches => asks_for(SWITCHES),
            Self::Deployments => format!(
                "{} AND NOT EXISTS (SELECT 1 FROM laterna.generation g WHERE g.command = command.id)",
                asks_for(DEPLOYMENTS)
            ),
        }
    }
}

/// The SQL condition for commands whose request is one of these. A request that is no JSON is none of them.
pub(super) fn asks_for(requests: &[&str]) -> String {
    let names: Vec<String> = requests.iter().map(|name| format!("'{name}'")).collect();
    format!(
        "(IF(JSON_VALID(request), COALESCE(JSON_UNQUOTE(JSON_EXTRACT(request, '$.do')), ''), '') IN ({}))",
        names.join(", ")
    )
}

const SWITCHES: &[&str] = &["pause", "resume"];

const DEPLOYMENTS: &[&str] =
    &["deploy", "rollback", "rebuild", "verify", "accept-generation", "return-generation", "drop-generation"];

/// A stored command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    pub id: u64,
    pub request: Request,
    pub requested_by: String,
    /// The result of an interrupted try so far.
    pub progress: Option<String>,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandOutcome {
    /// Not done yet, with what it came to so far.
    Pending(String),
    /// Not done yet, and what it waits for.
    Waits(String),
    Done(String),
    Failed(String),
}

impl CommandOutcome {
    /// Why it failed.
    pub fn error(&self) -> Option<&str> {
        if let Self::Failed(why) = self { Some(why) } else { None }
    }

    /// What became of it, in one line.
    pub fn told(&self) -> String {
        let (what, text) = match self {
            Self::Done(result) => ("is done", result),
            Self::Failed(why) => ("failed", why),
            Self::Pending(progress) => ("goes on", progress),
            Self::Waits(reason) => ("waits", reason),
        };
        format!("the command {what}: {}", text.lines().next().unwrap_or_default())
    }
}

impl ProjectionDb<'_> {
    /// Writes a command down; it is carried out by whichever host writes for the projection.
    pub async fn submit(&mut self, request: &Request, requested_by: &str) -> Result<u64, Failure> {
        let text = written(self.session, request)?;
        let sql = self.statement(
            "writing a command",
            "INSERT INTO laterna.command (projection, request, requested_by) VALUES (?, ?, ?)",
        );
        let inserted = sql.bind(self.projection).bind(text).bind(requested_by).run(self.connection()).await?;
        Ok(inserted.last_insert_id())
    }
}

/// The text of a request, as long as it may be.
fn written(session: &Session, request: &Request) -> Result<String, Failure> {
    let text = serde_json::to_string(request).expect("a request holds only text and numbers");
    if text.len() > REQUEST_BYTES_MAX.min(session.packet_bytes_max / 2) {
        return Err(Failure::misconfigured(
            "these are more letters than one command can name",
            "choose fewer, e.g. by class with --reason, or raise MySQL's `max_allowed_packet`",
        ));
    }
    Ok(text)
}

impl ProjectionDb<'_> {
    /// Writes a command down that is to be done once, by its key. False when it was written before.
    pub async fn submit_once(
        &mut self,
        request: &Request,
        requested_by: &str,
        key: &str,
    ) -> Result<bool, Failure> {
        let find = self.statement(
            "writing a command",
            "SELECT 1 FROM laterna.command WHERE projection = ? AND once = ?",
        );
        let found = find.bind(self.projection).bind(key).first(self.connection()).await?;
        if found.is_some() {
            return Ok(false);
        }
        let text = serde_json::to_string(request).expect("a request holds only text and numbers");
        let sql = self.statement(
            "writing a command",
            "INSERT INTO laterna.command (projection, request, requested_by, once) VALUES (?, ?, ?, ?) \
             ON DUPLICATE KEY UPDATE id = id",
        );
        let inserted = sql.bind(self.projection).bind(text).bind(requested_by).bind(key);
        inserted.run(self.connection()).await?;
        Ok(true)
    }
}

/// How long a host tries a command in vain before it gives it up.
pub const WAIT_MAX: Duration = Duration::from_hours(1);

/// Why a command is given up that has waited for too long.
pub fn given_up(reason: &str) -> String {
    format!(
        "given up after an hour in which it could not be carried out: {reason}; ask again when that is fixed"
    )
}

/// How a command ends that waits: not before it has waited for an hour since somebody first tried it in vain.
pub fn bound(waited: Duration, reason: &str) -> Option<String> {
    (waited >= WAIT_MAX).then(|| given_up(reason))
}

/// How many commands are looked at together.
const PENDING_MAX: u32 = 100;

/// The commands that are not done, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommandsToDo {
    pub commands: Vec<Command>,
    /// Those that this version cannot read, and why they fail.
    pub unreadable: Vec<(u64, CommandOutcome)>,
}

impl ProjectionDb<'_> {
    /// The commands that are not done.
    pub async fn pending_commands(&mut self, kind: CommandKind) -> Result<CommandsToDo, Failure> {
        let sql = self.statement(
            "reading commands",
            format!(
                "SELECT id, request, requested_by, result FROM laterna.command \
             WHERE projection = ? AND state = 'pending' AND {} ORDER BY id LIMIT {PENDING_MAX}",
                kind.condition()
            ),
        );
        let rows = sql.bind(self.projection).rows(self.connection()).await?;
        let mut pending = CommandsToDo::default();
        for row in rows {
            let id = row.get(0)?;
            let text: String = row.get(1)?;
            match serde_json::from_str(&text) {
                Ok(request) => {
                    let (requested_by, progress) = (row.get(2)?, row.get(3)?);
                    pending.commands.push(Command { id, request, requested_by, progress });
                }
                Err(error) => {
                    let reason = format!("this version of the host does not know the command: {error}");
                    pending.unreadable.push((id, CommandOutcome::Failed(reason)));
                }
            }
        }
        Ok(pending)
    }
}

impl ControlDb<'_> {
    /// Records what a command waits for, and returns for how many seconds it has waited since somebody first tried it in
    /// vain. One that is over waits for nothing.
    pub async fn command_waits(&mut self, id: u64, reason: &str) -> Result<u64, Failure> {
        let sql = self.statement(
            "recording what a command waits for",
            "UPDATE laterna.command SET waits = ?, waits_since = COALESCE(waits_since, CURRENT_TIMESTAMP(6)) \
             WHERE id = ? AND state = 'pending'",
        );
        sql.bind(reason).bind(id).run(self.connection()).await?;
        let sql = self.statement(
            "recording what a command waits for",
            "SELECT CAST(GREATEST(COALESCE(TIMESTAMPDIFF(SECOND, waits_since, CURRENT_TIMESTAMP(6)), 0), 0) AS UNSIGNED) \
             FROM laterna.command WHERE id = ? AND state = 'pending'",
        );
        let found = sql.bind(id).first(self.connection()).await?;
        found.map_or(Ok(0), |row| row.get(0))
    }

    /// A command waits for nothing any more.
    pub async fn command_goes_on(&mut self, id: u64) -> Result<(), Failure> {
        let sql = self.statement(
            "recording that a command goes on",
            "UPDATE laterna.command SET waits = NULL, waits_since = NULL WHERE id = ? AND waits IS NOT NULL",
        );
        sql.bind(id).run(self.connection()).await?;
        Ok(())
    }
}

/// A command that is not done, as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct WaitingCommand {
    pub id: u64,
    /// The request, in words.
    pub request: String,
    /// The reason why it waits, where a host has tried it.
    pub reason: Option<String>,
}

impl ProjectionDb<'_> {
    /// The commands that are not done, as no host but MySQL knows them, oldest first.
    pub async fn waiting_commands(&mut self) -> Result<Vec<WaitingCommand>, Failure> {
        let sql = self.statement("reading commands", format!(
            "SELECT id, request, waits FROM laterna.command WHERE projection = ? AND state = 'pending' ORDER BY id \
             LIMIT {PENDING_MAX}"
        ));
        let rows = sql.bind(self.projection).rows(self.connection()).await?;
        let one = |row: &ControlRow| {
            let text: String = row.get(1)?;
            let request = serde_json::from_str::<Request>(&text);
            let request =
                request.map_or_else(|_| "a command of another version".to_owned(), |one| one.told());
            Ok(WaitingCommand { id: row.get(0)?, request, reason: row.get(2)? })
        };
        rows.iter().map(one).collect()
    }
}

impl ControlDb<'_> {
    /// Records that this host tries a command: it is what carries it out, until another one does.
    pub async fn host_takes_command(&mut self, id: u64, host: &str) -> Result<(), Failure> {
        let sql = self.statement(
            "recording who carries a command out",
            "UPDATE laterna.command SET carried_out_by = ? WHERE id = ? AND state = 'pending'",
        );
        sql.bind(host).bind(id).run(self.connection()).await?;
        Ok(())
    }

    /// Records how far this host is with a command, for the one that has to go on with it.
    pub async fn record_command_progress(
        &mut self,
        id: u64,
        progress: &str,
        host: &str,
    ) -> Result<(), Failure> {
        let sql = self.statement(
            "recording a command's progress",
            "UPDATE laterna.command SET result = ?, carried_out_by = ? WHERE id = ? AND state = 'pending'",
        );
        sql.bind(progress).bind(host).bind(id).run(self.connection()).await?;
        Ok(())
    }
}

impl ControlDb<'_> {
    /// How a command stands.
    pub async fn command_outcome(&mut self, id: u64) -> Result<CommandOutcome, Failure> {
        let sql = self.statement(
            "reading a command's result",
            "SELECT CAST(state AS CHAR), COALESCE(result, '') FROM laterna.command WHERE id = ?",
        );
        let row = sql.bind(id).row(self.connection()).await?;
        let (state, result): (String, String) = (row.get(0)?, row.get(1)?);
        Ok(match state.as_str() {
            "done" => CommandOutcome::Done(result),
            "failed" => CommandOutcome::Failed(result),
            _ => {
                let sql = self.statement(
                    "reading a command's result",
                    "SELECT waits FROM laterna.command WHERE id = ? AND waits IS NOT NULL",
                );
                // The hosts may be of a version that does not record it.
                let found = sql.bind(id).first(self.connection()).await.ok().flatten();
                match found.map(|row| row.get(0)).transpose()? {
                    Some(reason) => CommandOutcome::Waits(reason),
                    None => CommandOutcome::Pending(result),
                }
            }
        })
    }
}
