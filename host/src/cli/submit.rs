//! Writes a command down and waits for what comes of it.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::bail;
use indicatif::ProgressBar;

use super::output;
use crate::config::Config;
use crate::readmodel::control::command::{self, CommandOutcome, Request, first_line};
use crate::readmodel::control::lease;
use crate::readmodel::mysql::session::Session;
use crate::servers::Servers;

/// How long to wait for what was asked for.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Patience {
    /// Longest wait without progress.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    wait: u32,
    /// Write the command down, and do not wait for its result.
    #[arg(long, conflicts_with = "wait")]
    no_wait: bool,
}

impl Default for Patience {
    fn default() -> Self {
        Self { wait: 60, no_wait: false }
    }
}

impl Patience {
    pub fn time(self) -> Duration {
        Duration::from_secs(if self.no_wait { 0 } else { self.wait.into() })
    }
}

/// Interval in which the result is looked for.
pub const INTERVAL: Duration = Duration::from_millis(100);

/// Who asks, for the record.
pub fn who(config: &Config) -> String {
    let user = std::env::var("USER").unwrap_or_else(|_| "unknown".to_owned());
    format!("{user}@{}", config.host.id)
}

/// An empty reason is none.
pub fn reason(why: &str) -> anyhow::Result<String> {
    match why.trim() {
        "" => bail!("`--why` is empty: give a reason, which is recorded"),
        why => Ok(why.to_owned()),
    }
}

/// The end of a command, as far as it was waited for.
pub enum CommandAnswer {
    Done {
        id: u64,
        result: String,
    },
    /// Nobody has done it yet; it stays written down.
    Pending {
        id: u64,
        progress: String,
        waited: Duration,
        /// The host that leads the projection.
        leader: Option<String>,
    },
    /// It is written down and holds, and what it is for has not come yet.
    NotYet {
        id: u64,
        reason: String,
    },
    /// A host tries it in vain, and will for a while.
    Waits {
        id: u64,
        reason: String,
    },
}

impl CommandAnswer {
    /// Prints the answer for people or for machines.
    pub fn print(self, json: bool) -> ExitCode {
        let (id, state, result, text, code) = match self {
            Self::Done { id, result } => (id, "done", result.clone(), result, ExitCode::SUCCESS),
            Self::Pending { id, progress, waited, leader } => {
                let text = match (first_line(&progress).unwrap_or_default().as_str(), leader) {
                    ("", _) if waited.is_zero() => {
                        format!("Command {id} is written down; `laterna status` shows what becomes of it.")
                    }
                    ("", None) => format!(
                        "Command {id} is written down; no host has done it within {} s, and none leads the projection. It \
                         will be done when one runs: laterna run",
                        waited.as_secs()
                    ),
                    ("", Some(leader)) => format!(
                        "Command {id} is written down; no host has done it within {} s. The host `{leader}` leads the \
                         projection; it will be done when it gets to it.",
                        waited.as_secs()
                    ),
                    (doing, _) => format!("Command {id} is being carried out: {doing}. It goes on."),
                };
                (id, "pending", progress, text, ExitCode::FAILURE)
            }
            Self::NotYet { id, reason } => {
                let text = format!("Not yet: {reason}.");
                (id, "waits", reason, text, ExitCode::FAILURE)
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

/// Writes a command down, waits for its result, and prints it.
pub async fn carry_out(
    session: &mut Session,
    servers: &Servers,
    config: &Config,
    (projection, request): (&str, &Request),
    patience: Patience,
    json: bool,
) -> anyhow::Result<ExitCode> {
    Ok(answer(session, servers, config, (projection, request), patience).await?.print(json))
}

/// Writes a command down and waits for its result. How far it is stands on a terminal meanwhile.
pub async fn answer(
    session: &mut Session,
    servers: &Servers,
    config: &Config,
    (projection, request): (&str, &Request),
    patience: Patience,
) -> anyhow::Result<CommandAnswer> {
    let by = who(config);
    let id = command::submit(session, &servers.control, projection, request, &by).await?;
    let (waited, shown) = (patience.time(), ProgressBar::new_spinner());
    let outcome = settled(session, servers, id, (waited, &shown)).await;
    shown.finish_and_clear();
    match outcome? {
        CommandOutcome::Done(result) => Ok(CommandAnswer::Done { id, result }),
        CommandOutcome::Failed(reason) => bail!("command {id} failed: {reason}"),
        CommandOutcome::Waits(reason) => Ok(CommandAnswer::Waits { id, reason }),
        CommandOutcome::Pending(progress) => {
            let leader = lease::leader(session, &servers.control, projection).await?;
            Ok(CommandAnswer::Pending { id, progress, waited, leader })
        }
    }
}

/// Waits for a command's end, or until nothing has happened for some time.
async fn settled(
    session: &mut Session,
    servers: &Servers,
    id: u64,
    (patience, shown): (Duration, &ProgressBar),
) -> anyhow::Result<CommandOutcome> {
    let (mut asked, mut seen) = (Instant::now(), String::new());
    loop {
        shown.tick();
        let outcome = command::outcome(session, &servers.control, id).await?;
        match &outcome {
            CommandOutcome::Done(_) | CommandOutcome::Failed(_) => return Ok(outcome),
            CommandOutcome::Pending(progress) | CommandOutcome::Waits(progress) if *progress != seen => {
                shown.set_message(first_line(progress).unwrap_or_default());
                (asked, seen) = (Instant::now(), progress.clone());
            }
            CommandOutcome::Pending(_) | CommandOutcome::Waits(_) => {}
        }
        if asked.elapsed() >= patience {
            return Ok(outcome);
        }
        tokio::time::sleep(INTERVAL).await;
    }
}
