//! Writes a command down and waits for what comes of it.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::bail;

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

/// Writes a command down and waits for its result.
pub async fn carry_out(
    session: &mut Session,
    servers: &Servers,
    config: &Config,
    projection: &str,
    request: &Request,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let user = std::env::var("USER").unwrap_or_else(|_| "unknown".to_owned());
    let by = format!("{user}@{}", config.host.id);
    let id = command::submit(session, &servers.control, projection, request, &by).await?;
    let (mut asked, mut seen) = (Instant::now(), String::new());
    loop {
        match command::outcome(session, &servers.control, id).await? {
            Outcome::Done(result) => {
                say(json, id, "done", &result, result.clone());
                return Ok(ExitCode::SUCCESS);
            }
            Outcome::Failed(reason) => bail!("command {id} failed: {reason}"),
            Outcome::Pending(progress) if progress != seen => {
                (asked, seen) = (Instant::now(), progress);
            }
            Outcome::Pending(_) if asked.elapsed() > PATIENCE => {
                let text = format!(
                    "Command {id} is written down; no host has done it within {} s. It will be done when one runs.",
                    PATIENCE.as_secs()
                );
                say(json, id, "pending", &seen, text);
                return Ok(ExitCode::FAILURE);
            }
            Outcome::Pending(_) => {}
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn say(json: bool, command: u64, state: &str, result: &str, text: String) {
    if json {
        output::line(serde_json::json!({ "command": command, "state": state, "result": result }));
    } else {
        output::line(text);
    }
}
