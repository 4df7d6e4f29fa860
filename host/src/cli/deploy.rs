//! `laterna deploy` (with its canary window), `laterna rollback` and `laterna deployments`: a projection's component, changed
//! while it runs.

mod dry_run;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::console::{CandidateFile, Console};
use super::submit::Patience;
use super::take_up::{self, Ask};
use super::{output, table};
use crate::component::registry::short;
use crate::operation::deployments::Deployments;
use crate::operation::wish::Wish;
use crate::readmodel::control::command::CANARY_SECONDS_DEFAULT;
use crate::readmodel::control::deployment::DeploymentState;

#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
#[derive(Debug, Args)]
pub struct DeployArguments {
    /// File of the component: a projector, which then runs behind the upcaster in force, or an upcaster for the projector in
    /// force.
    file: PathBuf,
    /// Name of the projection.
    #[arg(long, short)]
    projection: String,
    /// First run the new component and the one in force over the last N documents of the outbox, and show where they differ.
    /// If they do, deploy nothing, unless `--anyway` is given.
    #[arg(long, value_name = "N")]
    shadow: Option<u32>,
    /// Run the projector in the file without an upcaster from then on.
    #[arg(long)]
    without_upcaster: bool,
    /// Deploy although the shadow run shows differences.
    #[arg(long, requires = "shadow")]
    anyway: bool,
    /// Print what it is, what it declares otherwise than the component in force, and, with `--shadow`, what it would do
    /// otherwise. Nothing is deployed.
    #[arg(long)]
    dry_run: bool,
    /// Canary window: if the new component fails an event that the previous one accepts, roll back, and park nothing; 0: no
    /// window.
    #[arg(long, value_name = "SECONDS", default_value_t = CANARY_SECONDS_DEFAULT)]
    canary: u32,
    #[command(flatten)]
    patience: Patience,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub struct RollbackArguments {
    /// Name of the projection.
    projection: String,
    #[command(flatten)]
    patience: Patience,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub struct ListArguments {
    /// Name of the projection.
    projection: String,
    /// Print at most this many, the newest first.
    #[arg(long, default_value_t = 20)]
    limit: u32,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// The file is loaded and checked before anything is deployed.
pub async fn deploy(console: &mut impl Console, arguments: &DeployArguments) -> anyhow::Result<ExitCode> {
    let DeployArguments {
        file,
        projection,
        shadow,
        without_upcaster,
        anyway,
        dry_run,
        canary,
        patience,
        json,
    } = arguments;
    let file = CandidateFile { projection, file, without_upcaster: *without_upcaster };
    let candidate = console.candidate(file).await?;
    if *dry_run {
        return dry_run::look(console, &candidate, arguments).await;
    }
    if let Some(documents) = shadow {
        let found = console.shadow(projection, &candidate, *documents).await?;
        let stops = found.differs() && !anyway;
        if *json {
            output::line(serde_json::json!({ "shadow": found }));
        } else {
            output::line(&found);
        }
        if stops && !json {
            output::line("Nothing is deployed; `--anyway` deploys all the same.");
        }
        if stops {
            return Ok(ExitCode::FAILURE);
        }
    }
    let digest = console.store(projection, candidate).await?;
    let wish = Wish::Deploy { digest, canary_seconds: *canary };
    take_up::carry_out(console, wish, Ask { projection, patience: *patience, json: *json }).await
}

pub async fn rollback(console: &mut impl Console, arguments: &RollbackArguments) -> anyhow::Result<ExitCode> {
    let RollbackArguments { projection, patience, json } = arguments;
    take_up::carry_out(console, Wish::Rollback, Ask { projection, patience: *patience, json: *json }).await
}

pub async fn list(console: &mut impl Console, arguments: &ListArguments) -> anyhow::Result<ExitCode> {
    let Deployments { deployments: found, lanes, .. } =
        console.deployments(&arguments.projection, arguments.limit).await?;
    if arguments.json {
        output::line(serde_json::json!({ "deployments": found, "lanes": lanes }));
        return Ok(ExitCode::SUCCESS);
    }
    let mut shown =
        table::table(&["id", "digest", "component", "upcaster", "state", "origin", "by", "at", "lanes"]);
    let in_force =
        found.iter().find(|deployment| deployment.state == DeploymentState::Deployed).map(|one| one.id);
    for one in &found {
        let lanes = lanes.iter().filter(|lane| lane.digest == one.digest).map(|lane| lane.lane);
        let lanes: std::collections::BTreeSet<u32> = lanes.collect();
        let state = match (Some(one.id) == in_force, &one.taken_up_at) {
            (true, Some(_)) => "in force",
            (true, None) => "not taken up",
            (false, _) => one.state.name(),
        };
        shown.add_row([
            one.id.to_string(),
            short(&one.digest).to_owned(),
            format!("{} {} ({})", one.name, one.version, short(&one.projector)),
            one.upcaster.as_ref().map_or_else(
                || "-".to_owned(),
                |upcaster| format!("{} {} ({})", upcaster.name, upcaster.version, short(&upcaster.digest)),
            ),
            state.to_owned(),
            one.origin.clone(),
            one.by.clone(),
            one.at.clone(),
            lanes.len().to_string(),
        ]);
    }
    output::line(shown);
    for one in found.iter().filter(|one| one.reason.is_some()) {
        let reason = one.reason.as_deref().unwrap_or_default();
        output::line(format_args!("\n{} {}: {reason}", one.id, one.state.name()));
    }
    if let Some(one) = found.iter().find(|one| Some(one.id) == in_force && one.taken_up_at.is_none()) {
        let reason = one.waits.as_deref().unwrap_or("no host has reported that its lanes have taken it up");
        output::line(format_args!("\n{} is in force, and not taken up by all lanes: {reason}", one.id));
    }
    Ok(ExitCode::SUCCESS)
}
