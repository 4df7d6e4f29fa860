//! Commands: an operator's wishes, rows in the control schema until the projection's host has done them.

use serde::{Deserialize, Serialize};
use sqlx::mysql::MySqlConnection;
use sqlx::{Connection, Row};

use super::control::Control;
use super::dead_letter::{Selection, Shown};
use super::deployment::{self, Proposal};
use super::generation::{self, Change, Wanted};
use super::mysql_error::classify;
use super::pause;
use super::query::Run;
use super::session::Session;
use crate::failure::Failure;
use crate::text::harmless;

/// What an operator wants of a projection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
pub enum Request {
    /// Try the heads of the chosen letters again; what they held back follows.
    Replay {
        #[serde(flatten)]
        letters: Letters,
    },
    /// Give the heads of the chosen letters up; what they held back follows.
    Discard {
        #[serde(flatten)]
        letters: Letters,
        why: String,
    },
    /// Tell what a replay would come to, and change nothing.
    Rehearse {
        #[serde(flatten)]
        letters: Letters,
    },
    /// Erase what the chosen letters hold of their events.
    Erase {
        #[serde(flatten)]
        letters: Letters,
        why: String,
    },
    /// Take no events until it is resumed.
    Pause { why: String },
    /// Take events again, also when the breaker is open.
    Resume,
    /// Work with this component, which is stored; for so long, it is taken back where it fails what the one before takes.
    Deploy { digest: String, canary_seconds: u32 },
    /// Work with the component before.
    Rollback,
    /// Make the tables anew, beside the live ones, and let them take their place; with a part of history: to be looked at.
    Rebuild { accept: bool, until: Option<String>, aggregate: Option<String> },
    /// Make the tables anew and compare; where they differ, let them take the live ones' place.
    Verify { repair: bool },
    /// Let a generation take the live one's place whatever dead letters it has.
    AcceptGeneration { generation: u32 },
    /// Let a generation that was live before catch up, and take the live one's place.
    ReturnGeneration { generation: u32 },
    /// Give a generation up, with its tables.
    DropGeneration { generation: u32 },
}

/// Which letters a command is about.
///
/// A host that does not know the first form fails the command: the fields it looks for are not there. It must not take it
/// for the second one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Letters {
    /// Those that were shown, and no other; `like` is what they were chosen by.
    Shown { shown: Shown, like: Selection },
    /// All that fit and were there when the command was written: older command lines write such, and the host itself.
    Fitting { letters: Selection },
}

impl Request {
    /// What is asked for, for the log: no more than the words that the host has for it.
    pub fn told(&self) -> String {
        let letters = |what: &str, letters: &Letters| match letters {
            Letters::Shown { shown, .. } => format!("{what} {} letter(s)", shown.letters.count()),
            Letters::Fitting { .. } => format!("{what} the letters that fit"),
        };
        match self {
            Self::Replay { letters: which } => letters("replay", which),
            Self::Discard { letters: which, .. } => letters("discard", which),
            Self::Rehearse { letters: which } => letters("rehearse", which),
            Self::Erase { letters: which, .. } => letters("erase", which),
            Self::Pause { .. } => "pause".to_owned(),
            Self::Resume => "resume".to_owned(),
            Self::Deploy { digest, .. } => format!("deploy {}", harmless(digest)),
            Self::Rollback => "rollback".to_owned(),
            Self::Rebuild { .. } => "rebuild".to_owned(),
            Self::Verify { repair } => (if *repair { "verify and repair" } else { "verify" }).to_owned(),
            Self::AcceptGeneration { generation } => format!("accept generation {generation}"),
            Self::ReturnGeneration { generation } => format!("return to generation {generation}"),
            Self::DropGeneration { generation } => format!("drop generation {generation}"),
        }
    }
}

/// The longest request, in bytes: the ids of a million letters and more.
const REQUEST_BYTES_MAX: usize = 8 << 20;

/// Who carries a command out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The lanes, of whichever host writes.
    Letters,
    /// Any host: it is one transaction.
    Switches,
    /// Any host, after it has loaded and checked a component: what concerns components and generations.
    Deployments,
}

impl Kind {
    /// The condition that tells them apart. What a generation stands for waits until that is done with.
    fn condition(self) -> String {
        let any = |names: &[&str]| {
            let each = names.iter().map(|name| format!(r#"request LIKE '{{"do":"{name}"%'"#));
            each.collect::<Vec<_>>().join(" OR ")
        };
        match self {
            Self::Letters => format!("NOT ({} OR {})", any(SWITCHES), any(DEPLOYMENTS)),
            Self::Switches => format!("({})", any(SWITCHES)),
            Self::Deployments => format!(
                "({}) AND NOT EXISTS (SELECT 1 FROM laterna.generation g WHERE g.command = command.id)",
                any(DEPLOYMENTS)
            ),
        }
    }
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
    /// What an interrupted try came to so far.
    pub progress: Option<String>,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Not done yet, with what it came to so far.
    Pending(String),
    Done(String),
    Failed(String),
}

/// Writes a command down; it is carried out by whichever host writes for the projection.
pub async fn submit(
    session: &mut Session,
    control: &Control,
    projection: &str,
    request: &Request,
    requested_by: &str,
) -> Result<u64, Failure> {
    let text = serde_json::to_string(request).expect("a request holds only text and numbers");
    if text.len() > REQUEST_BYTES_MAX.min(session.packet_bytes_max / 2) {
        return Err(Failure::Misconfigured {
            reason: "these are more letters than one command can name: choose fewer, e.g. by class with --reason, or raise \
                     MySQL's `max_allowed_packet`"
                .to_owned(),
        });
    }
    let sql = control.sql("INSERT INTO laterna.command (projection, request, requested_by) VALUES (?, ?, ?)");
    let inserted = sqlx::query(&sql)
        .bind(projection)
        .bind(text)
        .bind(requested_by)
        .run(&mut session.connection)
        .await
        .map_err(|error| classify("writing a command", &error))?;
    Ok(inserted.last_insert_id())
}

/// Writes a command down that is to be done once, by its key. False when it was written before.
pub async fn submit_once(
    session: &mut Session,
    control: &Control,
    projection: &str,
    request: &Request,
    requested_by: &str,
    key: &str,
) -> Result<bool, Failure> {
    let failed = |error: sqlx::Error| classify("writing a command", &error);
    let find = control.sql("SELECT 1 FROM laterna.command WHERE projection = ? AND once = ?");
    let found = sqlx::query(&find).bind(projection).bind(key).first(&mut session.connection).await;
    if found.map_err(failed)?.is_some() {
        return Ok(false);
    }
    let text = serde_json::to_string(request).expect("a request holds only text and numbers");
    let sql = control.sql(
        "INSERT INTO laterna.command (projection, request, requested_by, once) VALUES (?, ?, ?, ?) \
         ON DUPLICATE KEY UPDATE id = id",
    );
    let inserted = sqlx::query(&sql).bind(projection).bind(text).bind(requested_by).bind(key);
    inserted.run(&mut session.connection).await.map_err(failed)?;
    Ok(true)
}

/// The oldest command that is not done. One that this version cannot read is failed here.
pub async fn next(
    session: &mut Session,
    control: &Control,
    projection: &str,
    kind: Kind,
) -> Result<Option<Command>, Failure> {
    let failed = |error: sqlx::Error| classify("reading commands", &error);
    let sql = control.sql(&format!(
        "SELECT id, request, requested_by, result FROM laterna.command \
         WHERE projection = ? AND state = 'pending' AND {} ORDER BY id LIMIT 1",
        kind.condition()
    ));
    let row = sqlx::query(&sql).bind(projection).first(&mut session.connection).await.map_err(failed)?;
    let Some(row) = row else { return Ok(None) };
    let id = row.try_get(0).map_err(failed)?;
    let text: String = row.try_get(1).map_err(failed)?;
    match serde_json::from_str(&text) {
        Ok(request) => Ok(Some(Command {
            id,
            request,
            requested_by: row.try_get(2).map_err(failed)?,
            progress: row.try_get(3).map_err(failed)?,
        })),
        Err(error) => {
            let reason = format!("this version of the host does not know the command: {error}");
            finish(session, control, id, &Outcome::Failed(reason)).await?;
            Ok(None)
        }
    }
}

/// Records how far a command is, for the host that has to go on with it.
pub async fn record_progress(
    session: &mut Session,
    control: &Control,
    id: u64,
    progress: &str,
) -> Result<(), Failure> {
    let sql = control.sql("UPDATE laterna.command SET result = ? WHERE id = ? AND state = 'pending'");
    let recorded = sqlx::query(&sql).bind(progress).bind(id).run(&mut session.connection).await;
    recorded.map_err(|error| classify("recording a command's progress", &error))?;
    Ok(())
}

/// Pauses or resumes, and records it as done, in one transaction: several hosts may try it at once.
pub async fn carry_out_switch(
    session: &mut Session,
    control: &Control,
    projection: &str,
    command: &Command,
) -> Result<(), Failure> {
    let failed = |error: sqlx::Error| classify("carrying a command out", &error);
    let mut transaction = session.connection.begin().await.map_err(failed)?;
    if !is_pending(&mut transaction, control, command.id).await? {
        return transaction.rollback().await.map_err(failed);
    }
    let by = &command.requested_by;
    let result = match &command.request {
        Request::Pause { why } => {
            pause::pause(&mut transaction, control, projection, by, why).await?;
            "paused; dead letters can still be replayed and discarded"
        }
        Request::Resume if pause::resume(&mut transaction, control, projection, by).await? => "resumed",
        _ => "nothing paused it: neither an operator nor its breaker",
    };
    done(&mut transaction, control, command.id, result).await?;
    transaction.commit().await.map_err(failed)
}

/// Puts a component in force, and records it as done, in one transaction: several hosts may try it at once.
pub async fn carry_out_deployment(
    session: &mut Session,
    control: &Control,
    command: &Command,
    proposal: Proposal<'_>,
    told: &str,
) -> Result<(), Failure> {
    let failed = |error: sqlx::Error| classify("carrying a command out", &error);
    let mut transaction = session.connection.begin().await.map_err(failed)?;
    if !is_pending(&mut transaction, control, command.id).await? {
        return transaction.rollback().await.map_err(failed);
    }
    deployment::deploy(&mut transaction, control, proposal).await?;
    done(&mut transaction, control, command.id, told).await?;
    transaction.commit().await.map_err(failed)
}

/// What a command comes to that concerns generations.
#[derive(Debug, Clone)]
pub enum Act<'a> {
    Open(Wanted<'a>),
    Change { generation: u32, change: Change },
}

/// Begins or changes a generation, and records the command as done, in one transaction: several hosts may try it at once.
/// A command that waits for what its generation comes to stays as it is. Gives the number, or why not.
pub async fn carry_out_generation(
    session: &mut Session,
    control: &Control,
    projection: &str,
    command: &Command,
    act: Act<'_>,
    told: impl Fn(u32) -> String,
) -> Result<(), Failure> {
    let failed = |error: sqlx::Error| classify("carrying a command out", &error);
    let mut transaction = session.connection.begin().await.map_err(failed)?;
    if !is_pending(&mut transaction, control, command.id).await? {
        return transaction.rollback().await.map_err(failed);
    }
    let waits = matches!(&act, Act::Open(wanted) if wanted.command.is_some());
    if waits && generation::stands_for(&mut transaction, control, command.id).await? {
        // Another host was faster.
        return transaction.rollback().await.map_err(failed);
    }
    let done_with = match act {
        Act::Open(wanted) => generation::open(&mut transaction, control, wanted).await?,
        Act::Change { generation, change } => {
            let changed =
                generation::change(&mut transaction, control, projection, generation, change).await?;
            changed.map(|()| generation)
        }
    };
    match done_with {
        Ok(_) if waits => {}
        Ok(number) => done(&mut transaction, control, command.id, &told(number)).await?,
        Err(why_not) => {
            transaction.rollback().await.map_err(failed)?;
            return finish(session, control, command.id, &Outcome::Failed(why_not)).await;
        }
    }
    transaction.commit().await.map_err(failed)
}

/// Locks a command, and says whether it is still to be done.
async fn is_pending(connection: &mut MySqlConnection, control: &Control, id: u64) -> Result<bool, Failure> {
    let lock = control.sql("SELECT 1 FROM laterna.command WHERE id = ? AND state = 'pending' FOR UPDATE");
    let found = sqlx::query(&lock).bind(id).first(connection).await;
    Ok(found.map_err(|error| classify("carrying a command out", &error))?.is_some())
}

/// Records that a command is done, in the transaction that does it.
async fn done(
    connection: &mut MySqlConnection,
    control: &Control,
    id: u64,
    result: &str,
) -> Result<(), Failure> {
    let sql = control.sql(
        "UPDATE laterna.command SET state = 'done', result = ?, finished_at = CURRENT_TIMESTAMP(6) WHERE id = ?",
    );
    let recorded = sqlx::query(&sql).bind(result).bind(id).run(connection).await;
    recorded.map_err(|error| classify("carrying a command out", &error))?;
    Ok(())
}

/// Records how a command ended, unless that is recorded already.
pub async fn finish(
    session: &mut Session,
    control: &Control,
    id: u64,
    outcome: &Outcome,
) -> Result<(), Failure> {
    let (state, result) = match outcome {
        Outcome::Pending(_) => return Ok(()),
        Outcome::Done(result) => ("done", result),
        Outcome::Failed(reason) => ("failed", reason),
    };
    let sql = control.sql(
        "UPDATE laterna.command SET state = ?, result = ?, finished_at = CURRENT_TIMESTAMP(6) \
         WHERE id = ? AND state = 'pending'",
    );
    sqlx::query(&sql)
        .bind(state)
        .bind(result)
        .bind(id)
        .run(&mut session.connection)
        .await
        .map_err(|error| classify("recording a command's result", &error))?;
    Ok(())
}

/// How a command stands.
pub async fn outcome(session: &mut Session, control: &Control, id: u64) -> Result<Outcome, Failure> {
    let failed = |error: sqlx::Error| classify("reading a command's result", &error);
    let sql = control.sql("SELECT state, COALESCE(result, '') FROM laterna.command WHERE id = ?");
    let row = sqlx::query(&sql).bind(id).row(&mut session.connection).await.map_err(failed)?;
    let (state, result): (String, String) =
        (row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?);
    Ok(match state.as_str() {
        "done" => Outcome::Done(result),
        "failed" => Outcome::Failed(result),
        _ => Outcome::Pending(result),
    })
}
