//! `laterna pause` and `laterna resume`: rows that survive restarts and take-overs.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::bail;
use clap::Args;

use super::console::{Console, HostIsAway};
use super::following;
use super::progress::Progress;
use super::submit::{self, CommandAnswer, INTERVAL, Patience};
use crate::operation::standstill::PauseStep;
use crate::operation::wish::Wish;

#[derive(Debug, Args)]
pub struct PauseArguments {
    /// Name of the projection.
    projection: String,
    /// Reason, which is shown and recorded.
    #[arg(long)]
    why: String,
    #[command(flatten)]
    patience: Patience,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub struct ResumeArguments {
    /// Name of the projection.
    projection: String,
    #[command(flatten)]
    patience: Patience,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Exit code 1 when lanes may still commit what they have.
pub async fn pause(console: &mut impl Console, arguments: &PauseArguments) -> anyhow::Result<ExitCode> {
    let PauseArguments { projection, why, patience, json } = arguments;
    let wish = Wish::Pause { why: submit::reason(why)? };
    let answer = submit::answer(console, projection, wish, *patience).await?;
    let CommandAnswer::Done { id, result } = answer else { return Ok(answer.print(*json)) };
    Ok(match until_still(console, projection, *patience).await? {
        None => CommandAnswer::Done { id, result },
        Some(reason) => CommandAnswer::NotYet { id, reason },
    }
    .print(*json))
}

pub async fn resume(console: &mut impl Console, arguments: &ResumeArguments) -> anyhow::Result<ExitCode> {
    let ResumeArguments { projection, patience, json } = arguments;
    following::carry_out(console, projection, Wish::Resume, *patience, *json).await
}

/// Waits until no lane takes events any more. What goes on still, where that takes too long.
async fn until_still(
    console: &mut impl Console,
    projection: &str,
    patience: Patience,
) -> anyhow::Result<Option<String>> {
    let (asked, shown) = (Instant::now(), Progress::new());
    shown.show("the lanes finish what they have begun");
    loop {
        let answer = submit::unless_away(asked, patience.time(), async || console.pause(projection).await);
        let pause = match answer.await {
            Err(error) if error.is::<HostIsAway>() => {
                let holds = "the pause is written down, and holds for whatever begins from now on";
                return Ok(Some(format!("{holds}; whether the lanes have stopped is not known: {error}")));
            }
            pause => pause?,
        };
        match pause.step {
            PauseStep::Still => return Ok(None),
            PauseStep::None => bail!("`{projection}` was resumed again meanwhile"),
            PauseStep::Unreported => {
                let why = "the pause is written down; the hosts are of a version that does not report when their lanes have stopped";
                return Ok(Some(why.to_owned()));
            }
            PauseStep::Asked => {}
        }
        if asked.elapsed() >= patience.time() {
            let doing = match pause.leader {
                Some(leader) => format!("the host `{leader}` has not reported that its lanes have stopped"),
                None => {
                    "no host leads the projection, but a session of one that did is still there".to_owned()
                }
            };
            return Ok(Some(format!(
                "the pause is written down, and holds for whatever begins from now on, but {doing}: what was begun before may \
                 still be committed. It goes on; `laterna status {projection}` shows how it stands"
            )));
        }
        tokio::time::sleep(INTERVAL).await;
    }
}
