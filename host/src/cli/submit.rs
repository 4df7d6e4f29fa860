//! Writes a command down and waits for what comes of it.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::bail;
use indicatif::ProgressBar;

use super::output;
use crate::config::Config;
use crate::projection::Servers;
use crate::readmodel::command::{self, Outcome, Request};
use crate::readmodel::{Session, registration};

/// How long to wait while nothing happens. A command that makes progress is waited for.
const PATIENCE: Duration = Duration::from_mins(1);

/// A projection that the control schema does not have is refused.
pub async fn registered(session: &mut Session, servers: &Servers, projection: &str) -> anyhow::Result<()> {
    match registration::find(session, &servers.control, projection).await? {
        Some(_) => Ok(()),
        None => {
            bail!("there is no projection `{projection}` in the control schema; laterna status lists them")
        }
    }
}

/// A reason that says nothing is none.
pub fn reason(why: &str) -> anyhow::Result<String> {
    match why.trim() {
        "" => bail!("`--why` is empty; it is recorded, so say why"),
        why => Ok(why.to_owned()),
    }
}

/// What came of a command.
pub enum Answer {
    Done {
        id: u64,
        result: String,
    },
    /// Nobody has done it yet; it stays written down.
    Pending {
        id: u64,
        progress: String,
    },
    /// A host tries it in vain, and will for a while.
    Waits {
        id: u64,
        reason: String,
    },
}

impl Answer {
    /// Tells people or machines.
    pub fn say(self, json: bool) -> ExitCode {
        let (id, state, result, text, code) = match self {
            Self::Done { id, result } => (id, "done", result.clone(), result, ExitCode::SUCCESS),
            Self::Pending { id, progress } => {
                let text = match first_line(&progress).as_str() {
                    "" => format!(
                        "Command {id} is written down; no host has done it within {} s. It will be done when one runs.",
                        PATIENCE.as_secs()
                    ),
                    doing => format!("Command {id} is being carried out: {doing}. It goes on."),
                };
                (id, "pending", progress, text, ExitCode::FAILURE)
            }
            Self::Waits { id, reason } => {
                let text = format!(
                    "Command {id} waits: {reason}. It is tried for an hour; `laterna status` shows how it stands."
                );
                (id, "waits", reason, text, ExitCode::FAILURE)
            }
        };
        if json {
            output::line(serde_json::json!({ "command": id, "state": state, "result": result }));
        } else {
            output::line(text);
        }
        code
    }
}

/// Writes a command down, waits for its result, and tells it.
pub async fn carry_out(
    session: &mut Session,
    servers: &Servers,
    config: &Config,
    projection: &str,
    request: &Request,
    json: bool,
) -> anyhow::Result<ExitCode> {
    Ok(answer(session, servers, config, projection, request).await?.say(json))
}

/// Writes a command down and waits for its result. How far it is stands on a terminal meanwhile.
pub async fn answer(
    session: &mut Session,
    servers: &Servers,
    config: &Config,
    projection: &str,
    request: &Request,
) -> anyhow::Result<Answer> {
    let user = std::env::var("USER").unwrap_or_else(|_| "unknown".to_owned());
    let by = format!("{user}@{}", config.host.id);
    let id = command::submit(session, &servers.control, projection, request, &by).await?;
    let (mut asked, mut seen) = (Instant::now(), String::new());
    let shown = ProgressBar::new_spinner();
    loop {
        shown.tick();
        match command::outcome(session, &servers.control, id).await? {
            Outcome::Done(result) => {
                shown.finish_and_clear();
                return Ok(Answer::Done { id, result });
            }
            Outcome::Failed(reason) => {
                shown.finish_and_clear();
                bail!("command {id} failed: {reason}")
            }
            Outcome::Pending(progress) | Outcome::Waits(progress) if progress != seen => {
                shown.set_message(first_line(&progress));
                (asked, seen) = (Instant::now(), progress);
            }
            Outcome::Pending(progress) if asked.elapsed() > PATIENCE => {
                shown.finish_and_clear();
                return Ok(Answer::Pending { id, progress });
            }
            Outcome::Waits(reason) if asked.elapsed() > PATIENCE => {
                shown.finish_and_clear();
                return Ok(Answer::Waits { id, reason });
            }
            Outcome::Pending(_) | Outcome::Waits(_) => {}
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// How far a command is, as people read it; what is for the host is left out.
fn first_line(progress: &str) -> String {
    let text = progress.lines().next().unwrap_or_default();
    if text.starts_with('{') { String::new() } else { text.to_owned() }
}
