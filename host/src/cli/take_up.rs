//! Waits until every lane works with what was deployed, or prints which do not, and why.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::bail;

use super::console::{Console, HostIsAway};
use super::progress::Progress;
use super::submit::{self, CommandAnswer, INTERVAL, Patience};
use super::{following, output};
use crate::component::registry::short;
use crate::operation::deployments::Deployments;
use crate::operation::standstill::PauseStep;
use crate::operation::wish::Wish;
use crate::readmodel::control::deployment::{Deployment, DeploymentState};
use crate::status::snapshot::DeploymentSnapshot;

/// The longest time in which a host records what is the case now.
const SETTLED: Duration = Duration::from_secs(2);

/// Among how many of the last deployments one is looked for.
const LOOKED_AT: u32 = 50;

/// How a deployment is asked for.
pub struct Ask<'a> {
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

/// Asks for a deployment or a rollback, waits until the lanes have taken it up, and prints that. Exit code 1 when they have
/// not yet.
pub async fn carry_out(console: &mut impl Console, wish: Wish, ask: Ask<'_>) -> anyhow::Result<ExitCode> {
    let Ask { projection, patience, json } = ask;
    let digest = if let Wish::Deploy { digest, .. } = &wish { Some(digest.clone()) } else { None };
    let answer = submit::answer(console, projection, wish, patience).await?;
    let CommandAnswer::Done { id, result } = answer else { return Ok(answer.print(json)) };
    let since = Instant::now();
    let unknown = |error: anyhow::Error| {
        error.context(format!(
            "command {id} is done ({result}), and whether the lanes work with it is not known"
        ))
    };
    let reports = async || console.reports_take_up().await;
    if !submit::unless_away(since, patience.time(), reports).await.map_err(unknown)? {
        let why = "the hosts are of a version that does not report whether their lanes work with it";
        let advice = format!("`laterna deployments {projection}` shows how many do");
        return Ok(print(id, None, &Came::Waits(format!("{result}; {why}; {advice}")), json));
    }
    let answer = async || console.deployments(projection, LOOKED_AT).await;
    let all = submit::unless_away(since, patience.time(), answer).await.map_err(unknown)?;
    let Some(deployment) = found(&all, id, digest.as_deref()) else {
        // It has to be built first, or nothing was deployed: its result has that.
        let done = CommandAnswer::Done { id, result };
        return Ok(following::to_the_end(console, projection, done, patience).await?.print(json));
    };
    let came = match wait(console, projection, deployment, patience).await {
        Err(error) if error.is::<HostIsAway>() => {
            Came::Waits(format!("whether they do is not known: {error}"))
        }
        came => came?,
    };
    Ok(print(id, Some(&deployment.digest), &came, json))
}

fn in_force(all: &Deployments) -> Option<&Deployment> {
    all.deployments.iter().find(|one| one.state == DeploymentState::Deployed)
}

/// The deployment that a command came to. Where the component was in force already, none was made.
fn found<'a>(all: &'a Deployments, command: u64, digest: Option<&str>) -> Option<&'a Deployment> {
    let is_it = |one: &&Deployment| one.command == Some(command) && one.state != DeploymentState::Refused;
    let made = all.deployments.iter().find(is_it);
    made.or_else(|| in_force(all).filter(|one| Some(one.digest.as_str()) == digest))
}

async fn wait(
    console: &mut impl Console,
    projection: &str,
    deployment: &Deployment,
    patience: Patience,
) -> anyhow::Result<Came> {
    let (asked, digest, shown) = (Instant::now(), short(&deployment.digest), Progress::new());
    loop {
        let answer = async || console.deployments(projection, LOOKED_AT).await;
        let all = submit::unless_away(asked, patience.time(), answer).await?;
        let now = all.deployments.iter().find(|one| one.id == deployment.id);
        if let Some(reason) =
            now.filter(|now| now.state == DeploymentState::TakenBack).map(|now| now.reason.as_deref())
        {
            bail!("{digest} was deployed and taken back: {}", reason.unwrap_or_default())
        }
        if let Some(later) = in_force(&all).filter(|later| later.id != deployment.id) {
            bail!("{digest} is superseded: {} was deployed after it", short(&later.digest))
        }
        let Some(now) = now else {
            bail!("the deployment {} is gone from the control schema", deployment.id)
        };
        if now.taken_up_at.is_some() {
            return Ok(Came::Whole { lanes: all.lane_count });
        }
        let answer = async || console.pause(projection).await;
        let pause = submit::unless_away(asked, patience.time(), answer).await?;
        if let Some(reason) = pause.reason.filter(|_| pause.step != PauseStep::None) {
            return Ok(Came::Waits(format!(
                "the projection is {reason}. It is used when the projection is resumed"
            )));
        }
        // What was true a moment ago is not printed.
        let is_held =
            |waits: &&String| waits.starts_with(DeploymentSnapshot::PAUSED) && asked.elapsed() > SETTLED;
        if let Some(waits) = now.waits.as_ref().filter(is_held) {
            return Ok(Came::Waits(format!("{waits}. It is used when the projection goes on")));
        }
        shown.show(&format!("{digest}: {}", now.waits.as_deref().unwrap_or("the lanes take it up")));
        if asked.elapsed() >= patience.time() {
            return Ok(Came::Waits(late(pause.leader.as_deref(), now.waits.as_deref(), projection)));
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
