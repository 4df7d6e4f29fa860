//! Waits until every lane works with what was deployed, or prints which do not, and why.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::bail;

use super::output;
use super::submit::{self, CommandAnswer, INTERVAL, Patience};
use crate::component::registry::short;
use crate::config::Config;
use crate::failure::Failure;
use crate::readmodel::control::command::Request;
use crate::readmodel::control::take_up::{self, TakeUp};
use crate::readmodel::control::{lease, pause, registration};
use crate::readmodel::mysql::session::Session;
use crate::servers::Servers;
use crate::status::snapshot::DeploymentSnapshot;

/// The longest time in which a host records what is the case now.
const SETTLED: Duration = Duration::from_secs(2);

/// How a deployment is asked for.
pub struct Ask<'a> {
    pub config: &'a Config,
    pub projection: &'a str,
    pub patience: Patience,
    pub json: bool,
}

/// The end of waiting for a deployment.
enum Came {
    /// Every lane works with it.
    Whole { lanes: u32 },
    /// It is stored and in force, and not what all lanes work with.
    Waits(String),
}

/// Writes a deployment or a rollback down, waits until the lanes have taken it up, and prints that. Exit code 1 when they have
/// not yet.
pub async fn carry_out(
    session: &mut Session,
    servers: &Servers,
    request: &Request,
    ask: Ask<'_>,
) -> anyhow::Result<ExitCode> {
    let Ask { config, projection, patience, json } = ask;
    let answer = submit::answer(session, servers, config, (projection, request), patience).await?;
    let CommandAnswer::Done { id, result } = answer else { return Ok(answer.print(json)) };
    if servers.control.version(session).await?.is_none_or(|version| version < take_up::SINCE) {
        let why = "the hosts are of a version that does not report whether their lanes work with it";
        let advice = format!("`laterna deployments {projection}` shows how many do");
        return Ok(print(id, None, &Came::Waits(format!("{result}; {why}; {advice}")), json));
    }
    match found(session, servers, projection, (id, request)).await? {
        Some(deployment) => {
            let came = wait(session, servers, projection, (&deployment, patience)).await?;
            Ok(print(id, Some(&deployment.digest), &came, json))
        }
        // It has to be built first, or nothing was deployed: its result has that.
        None => Ok(CommandAnswer::Done { id, result }.print(json)),
    }
}

/// The deployment that a command came to. Where the component was in force already, none was made.
async fn found(
    session: &mut Session,
    servers: &Servers,
    projection: &str,
    (command, request): (u64, &Request),
) -> Result<Option<TakeUp>, Failure> {
    let control = &servers.control;
    if let Some(found) = take_up::of_command(session, control, (projection, command)).await? {
        return Ok(Some(found));
    }
    let in_force = take_up::in_force(session, control, projection).await?;
    Ok(in_force.filter(|found| matches!(request, Request::Deploy { digest, .. } if *digest == found.digest)))
}

async fn wait(
    session: &mut Session,
    servers: &Servers,
    projection: &str,
    (deployment, patience): (&TakeUp, Patience),
) -> anyhow::Result<Came> {
    let (control, asked, digest) = (&servers.control, Instant::now(), short(&deployment.digest));
    loop {
        let Some(now) = take_up::find(session, control, deployment.id).await? else {
            bail!("the deployment {} is gone from the control schema", deployment.id)
        };
        if let Some(reason) = now.taken_back {
            bail!("{digest} was deployed and taken back: {reason}")
        }
        let in_force = take_up::in_force(session, control, projection).await?;
        if let Some(later) = in_force.filter(|later| later.id != deployment.id) {
            bail!("{digest} is superseded: {} was deployed after it", short(&later.digest))
        }
        if now.is_whole {
            let registered = registration::find(session, control, projection).await?;
            return Ok(Came::Whole { lanes: registered.map_or(0, |found| found.lanes) });
        }
        if let Some(pause @ Failure::Paused { .. }) = pause::find(session, control, projection).await? {
            return Ok(Came::Waits(format!(
                "the projection is {pause}. It is used when the projection is resumed"
            )));
        }
        // What was true a moment ago is not printed.
        let is_held =
            |waits: &&String| waits.starts_with(DeploymentSnapshot::PAUSED) && asked.elapsed() > SETTLED;
        if let Some(waits) = now.waits.as_ref().filter(is_held) {
            return Ok(Came::Waits(format!("{waits}. It is used when the projection goes on")));
        }
        if asked.elapsed() >= patience.time() {
            let leader = lease::leader(session, control, projection).await?;
            return Ok(Came::Waits(late(leader.as_deref(), now.waits.as_deref(), projection)));
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Why the lanes do not work with it yet, and what is to be done.
fn late(leader: Option<&str>, waits: Option<&str>, projection: &str) -> String {
    let goes_on = format!("It goes on; `laterna status {projection}` shows how it stands");
    match (leader, waits) {
        (None, None) => {
            "no host leads the projection. Start one with `laterna run`: it begins with it".to_owned()
        }
        (None, Some(waits)) => format!(
            "no host leads the projection just now; the last one reported: {waits}. Whichever host leads it next begins with it"
        ),
        (Some(leader), None) => {
            format!(
                "the host `{leader}` leads the projection, and has not reported that its lanes have it. {goes_on}"
            )
        }
        (Some(leader), Some(waits)) => format!("the host `{leader}` reports: {waits}. {goes_on}"),
    }
}

fn print(id: u64, digest: Option<&str>, came: &Came, json: bool) -> ExitCode {
    let name = digest.map(short).unwrap_or_default();
    let (state, text, code) = match came {
        Came::Whole { lanes } => {
            let text = format!("deployed {name}: every lane works with it ({lanes})");
            ("done", text, ExitCode::SUCCESS)
        }
        Came::Waits(why) if digest.is_none() => ("waits", why.clone(), ExitCode::FAILURE),
        Came::Waits(why) => {
            let text = format!("{name} is stored and in force, but not every lane works with it: {why}.");
            ("waits", text, ExitCode::FAILURE)
        }
    };
    if json {
        let taken_up = matches!(came, Came::Whole { .. });
        output::line(serde_json::json!({
            "command": id, "state": state, "result": text, "digest": digest, "taken_up": taken_up
        }));
    } else {
        output::line(text);
    }
    code
}
