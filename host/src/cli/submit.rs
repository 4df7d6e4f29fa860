//! Asks for an operation and waits for what comes of it.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::bail;
use serde_json::Value;

use super::console::{Console, HostIsAway};
use super::output;
use super::progress::{self, Progress};
use crate::operation::wish::Wish;
use crate::readmodel::control::command::{CommandRecord, CommandState};

/// How long to wait for what was asked for.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct Patience {
    /// Wait to the end, and at most this long without progress [default: to the end at a terminal, else for the command's
    /// result; 60 s].
    #[arg(long, value_name = "SECONDS")]
    wait: Option<u32>,
    /// Write the command down, and do not wait for its result.
    #[arg(long, conflicts_with = "wait")]
    no_wait: bool,
}

/// The longest wait without progress unless another one is asked for, in seconds.
const WAIT_DEFAULT: u32 = 60;

impl Patience {
    /// The longest wait without progress.
    pub fn time(self) -> Duration {
        Duration::from_secs(if self.no_wait { 0 } else { self.wait.unwrap_or(WAIT_DEFAULT).into() })
    }

    /// Whether to wait also for what goes on when the command is done: tables that are built.
    pub fn is_to_the_end(self) -> bool {
        !self.no_wait && (self.wait.is_some() || progress::is_watched())
    }
}

/// Interval in which the result is looked for.
pub const INTERVAL: Duration = Duration::from_millis(100);

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
                let text = match (progress.as_str(), leader) {
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

/// Asks for what is wished and waits for its result. How far it is stands on a terminal meanwhile.
pub async fn answer(
    console: &mut impl Console,
    projection: &str,
    wish: Wish,
    patience: Patience,
) -> anyhow::Result<CommandAnswer> {
    let id = console.ask(projection, wish).await?;
    let waited = patience.time();
    let CommandRecord { state, result, waits, progress, .. } = settled(console, id, waited).await?;
    let result = match result {
        Some(Value::String(text)) => text,
        Some(report) => report.to_string(),
        None => String::new(),
    };
    match state {
        CommandState::Done => Ok(CommandAnswer::Done { id, result }),
        CommandState::Failed | CommandState::Cancelled => bail!("command {id} failed: {result}"),
        CommandState::Waits => Ok(CommandAnswer::Waits { id, reason: waits.unwrap_or_default() }),
        CommandState::Pending => {
            let leader = console.pause(projection).await?.leader;
            Ok(CommandAnswer::Pending { id, progress: progress.unwrap_or_default(), waited, leader })
        }
    }
}

/// Asks a host that may be started anew meanwhile, until the patience is over.
pub async fn unless_away<T>(
    since: Instant,
    patience: Duration,
    mut ask: impl AsyncFnMut() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    loop {
        match ask().await {
            Err(error) if error.is::<HostIsAway>() && since.elapsed() < patience => {
                tokio::time::sleep(INTERVAL).await;
            }
            answer => return answer,
        }
    }
}

/// Waits for a command's end, or until nothing has happened for some time.
async fn settled(console: &mut impl Console, id: u64, patience: Duration) -> anyhow::Result<CommandRecord> {
    let (mut asked, mut seen, shown) = (Instant::now(), String::new(), Progress::new());
    loop {
        let record =
            unless_away(asked, patience, async || console.operation(id).await).await.map_err(|error| {
                error.context(format!("command {id} is written down, and what became of it is not known"))
            })?;
        if !matches!(record.state, CommandState::Pending | CommandState::Waits) {
            return Ok(record);
        }
        let now = record.waits.as_ref().or(record.progress.as_ref()).cloned().unwrap_or_default();
        if now != seen {
            shown.show(&now);
            (asked, seen) = (Instant::now(), now);
        }
        if asked.elapsed() >= patience {
            return Ok(record);
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_host_that_is_started_anew_is_asked_again_while_there_is_patience() {
        for (patience, asked) in [(Duration::from_mins(1), 3), (Duration::ZERO, 1)] {
            let mut times = 0;
            let answer = unless_away(Instant::now(), patience, async || {
                times += 1;
                if times < 3 { Err(HostIsAway::for_a_test().into()) } else { Ok(()) }
            });
            assert_eq!(answer.await.is_ok(), asked == 3);
            assert_eq!(times, asked);
        }
        let refused = unless_away(Instant::now(), Duration::from_mins(1), async || {
            Err::<(), _>(anyhow::anyhow!("refused"))
        });
        assert_eq!(refused.await.expect_err("that is an answer").to_string(), "refused");
    }
}
