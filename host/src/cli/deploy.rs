//! `laterna deploy` (with its canary window), `laterna rollback` and `laterna deployments`: a projection's component, changed
//! while it runs.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use tokio::runtime::Runtime;

use super::submit::Patience;
use super::take_up::{self, Ask};
use super::{compose, output, table};
use crate::component::registry::short;
use crate::component::version::{Loaded, LoadedComponent, LoadedUpcaster};
use crate::config::Config;
use crate::operation::{ask, load, shadow};
use crate::projector::Engine;
use crate::readmodel::control::command::{CANARY_SECONDS_DEFAULT, Request};
use crate::readmodel::control::{deployment, registration};
use crate::readmodel::mysql::session::Session;
use crate::servers::Servers;

#[derive(Debug, Args)]
pub struct DeployArguments {
    /// File of the component: a projector, which then runs behind the upcaster in force, or an upcaster for the projector in
    /// force.
    file: PathBuf,
    /// Name of the projection.
    #[arg(long, short)]
    projection: String,
    /// Run it first beside the component in force over the last N documents of the outbox, and show where the two differ.
    /// Nothing is deployed when they do, unless `--anyway` is given.
    #[arg(long, value_name = "N")]
    shadow: Option<u32>,
    /// Run the projector in the file without an upcaster from then on.
    #[arg(long)]
    without_upcaster: bool,
    /// Deploy although the shadow run shows differences.
    #[arg(long, requires = "shadow")]
    anyway: bool,
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

/// Loads and checks the file here before anything is stored.
pub fn deploy(config: &Config, arguments: &DeployArguments, runtime: &Runtime) -> anyhow::Result<ExitCode> {
    let name = &arguments.projection;
    let Some(settings) = config.projection.get(name) else {
        anyhow::bail!("there is no projection `{name}` in the configuration: add [projection.{name}]")
    };
    let engine = compose::engine(config)?;
    let half = load::load_either(&engine, name, &arguments.file, &settings.budget)?;
    if arguments.without_upcaster && matches!(half, LoadedComponent::Upcaster(_)) {
        anyhow::bail!(
            "{} is an upcaster; `--without-upcaster` takes a projector's file",
            arguments.file.display()
        )
    }
    runtime.block_on(async {
        let servers = compose::servers(config)?;
        let mut session = servers.applier.connect().await?;
        ask::registered(&mut session, &servers, name).await?;
        let before = in_force(&mut session, &servers, &engine, settings, name).await?;
        let beside = before.clone().filter(|_| !arguments.without_upcaster);
        let none = || anyhow::anyhow!("no component of `{name}` is in force yet: start the host first");
        let loaded = half.beside(beside).ok_or_else(none)?;
        if let Some(documents) = arguments.shadow {
            let found = shadow::compare(&servers, &before.ok_or_else(none)?, &loaded, documents).await?;
            output::line(&found);
            if found.differs() && !arguments.anyway {
                output::line("Nothing is deployed; `--anyway` deploys all the same.");
                return Ok(ExitCode::FAILURE);
            }
        }
        let digest = loaded.digest();
        loaded.store(&mut session, &servers.control).await?;
        let request = Request::Deploy { digest: digest.to_owned(), canary_seconds: arguments.canary };
        let ask = Ask { config, projection: name, patience: arguments.patience, json: arguments.json };
        take_up::carry_out(&mut session, &servers, &request, ask).await
    })
}

async fn in_force(
    session: &mut Session,
    servers: &Servers,
    engine: &Engine,
    settings: &crate::config::Projection,
    name: &str,
) -> anyhow::Result<Option<Loaded>> {
    let Some(found) = deployment::in_force(session, &servers.control, name).await? else { return Ok(None) };
    let gone = || anyhow::anyhow!("the component in force is not stored whole: deploy it again");
    let halves = deployment::halves(session, &servers.control, &found.digest).await?;
    let bytes = deployment::bytes(session, &servers.control, &halves.projector).await?.ok_or_else(gone)?;
    let upcaster = match &halves.upcaster {
        Some(digest) => Some(deployment::bytes(session, &servers.control, digest).await?.ok_or_else(gone)?),
        None => None,
    };
    let (engine, budget, name) = (engine.clone(), settings.budget.clone(), name.to_owned());
    let loading = tokio::task::spawn_blocking(move || {
        let upcaster = upcaster.map(|bytes| LoadedUpcaster::load(&engine, bytes.into(), &budget));
        Ok(Loaded::load(&engine, &name, bytes.into(), &budget)?.behind(upcaster.transpose()?))
    });
    let loaded = loading.await?.map_err(|problems: Vec<String>| anyhow::anyhow!(problems.join("\n")))?;
    Ok(Some(loaded))
}

pub fn rollback(
    config: &Config,
    arguments: &RollbackArguments,
    runtime: &Runtime,
) -> anyhow::Result<ExitCode> {
    runtime.block_on(async {
        let servers = compose::servers(config)?;
        let mut session = servers.applier.connect().await?;
        ask::registered(&mut session, &servers, &arguments.projection).await?;
        let RollbackArguments { projection, patience, json } = arguments;
        let ask = Ask { config, projection, patience: *patience, json: *json };
        take_up::carry_out(&mut session, &servers, &Request::Rollback, ask).await
    })
}

pub fn list(config: &Config, arguments: &ListArguments, runtime: &Runtime) -> anyhow::Result<ExitCode> {
    runtime.block_on(async {
        let servers = compose::servers(config)?;
        let (control, name) = (&servers.control, &arguments.projection);
        let mut session = servers.applier.connect().await?;
        ask::registered(&mut session, &servers, name).await?;
        let found = deployment::list(&mut session, control, name, arguments.limit).await?;
        let generation = registration::find(&mut session, control, name).await?;
        let generation = generation.map_or(1, |registration| registration.live_generation);
        let lanes = deployment::lane_changes(&mut session, control, name, generation).await?;
        if arguments.json {
            output::line(serde_json::json!({ "deployments": found, "lanes": lanes }));
            return Ok(ExitCode::SUCCESS);
        }
        let mut shown =
            table::table(&["id", "digest", "component", "upcaster", "state", "origin", "by", "at", "lanes"]);
        let in_force = found.iter().find(|deployment| deployment.state == "deployed").map(|one| one.id);
        for one in &found {
            let lanes = lanes.iter().filter(|lane| lane.digest == one.digest).map(|lane| lane.lane);
            let lanes: std::collections::BTreeSet<u32> = lanes.collect();
            let state = match (Some(one.id) == in_force, &one.taken_up_at) {
                (true, Some(_)) => "in force",
                (true, None) => "not taken up",
                (false, _) => &one.state,
            };
            shown.add_row([
                one.id.to_string(),
                short(&one.digest).to_owned(),
                format!("{} {} ({})", one.name, one.version, short(&one.projector)),
                one.upcaster.as_ref().map_or_else(
                    || "-".to_owned(),
                    |upcaster| {
                        format!("{} {} ({})", upcaster.name, upcaster.version, short(&upcaster.digest))
                    },
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
            output::line(format_args!("\n{} {}: {reason}", one.id, one.state));
        }
        if let Some(one) = found.iter().find(|one| Some(one.id) == in_force && one.taken_up_at.is_none()) {
            let reason =
                one.waits.as_deref().unwrap_or("no host has reported that its lanes have taken it up");
            output::line(format_args!("\n{} is in force, and not taken up by all lanes: {reason}", one.id));
        }
        Ok(ExitCode::SUCCESS)
    })
}
