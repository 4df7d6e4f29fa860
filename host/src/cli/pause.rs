//! `laterna pause` and `laterna resume`: rows that survive restarts and take-overs.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::bail;
use clap::Args;
use tokio::runtime::Runtime;

use super::compose;
use super::submit::{self, CommandAnswer, INTERVAL, Patience};
use crate::config::Config;
use crate::operation::ask;
use crate::readmodel::control::command::Request;
use crate::readmodel::control::pause::{self, Pause};
use crate::readmodel::control::{lease, take_up};
use crate::readmodel::mysql::session::Session;
use crate::servers::Servers;

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
pub fn pause(config: &Config, arguments: &PauseArguments, runtime: &Runtime) -> anyhow::Result<ExitCode> {
    let PauseArguments { projection, why, patience, json } = arguments;
    let request = Request::Pause { why: submit::reason(why)? };
    runtime.block_on(async {
        let servers = compose::servers(config)?;
        let mut session = servers.applier.connect().await?;
        ask::registered(&mut session, &servers, projection).await?;
        let asked = (projection.as_str(), &request);
        let answer = submit::answer(&mut session, &servers, config, asked, *patience).await?;
        let CommandAnswer::Done { id, result } = answer else { return Ok(answer.print(*json)) };
        Ok(match until_still(&mut session, &servers, projection, *patience).await? {
            None => CommandAnswer::Done { id, result },
            Some(reason) => CommandAnswer::NotYet { id, reason },
        }
        .print(*json))
    })
}

pub fn resume(config: &Config, arguments: &ResumeArguments, runtime: &Runtime) -> anyhow::Result<ExitCode> {
    let ResumeArguments { projection, patience, json } = arguments;
    runtime.block_on(async {
        let servers = compose::servers(config)?;
        let mut session = servers.applier.connect().await?;
        ask::registered(&mut session, &servers, projection).await?;
        let asked = (projection.as_str(), &Request::Resume);
        submit::carry_out(&mut session, &servers, config, asked, *patience, *json).await
    })
}

/// Waits until no lane takes events any more. What goes on still, where that takes too long.
async fn until_still(
    session: &mut Session,
    servers: &Servers,
    projection: &str,
    patience: Patience,
) -> anyhow::Result<Option<String>> {
    let (control, asked) = (&servers.control, Instant::now());
    if control.version(session).await?.is_none_or(|version| version < take_up::SINCE) {
        let why = "the pause is written down; the hosts are of a version that does not report when their lanes have stopped";
        return Ok(Some(why.to_owned()));
    }
    loop {
        match pause::progress(session, control, projection).await? {
            Pause::Still => return Ok(None),
            Pause::Over => bail!("`{projection}` was resumed again meanwhile"),
            Pause::Asked => {}
        }
        // Whoever takes the lease from now on finds the pause.
        if lease::is_deserted(session, control, projection).await? {
            return Ok(None);
        }
        if asked.elapsed() >= patience.time() {
            let doing = match lease::leader(session, control, projection).await? {
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
