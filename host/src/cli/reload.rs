//! `laterna reload`: has the running host read its configuration anew.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::Value;

use super::console::{Call, Target};
use super::output;
use super::own_host::{agent, as_oneself, reachable};
use crate::admin::reload::Reloaded;
use crate::config::Config;
use crate::text::harmless;

/// How long the host may take: it tries the accounts of servers, loads components, and ends what is begun anew.
const PATIENCE: Duration = Duration::from_mins(4);

#[derive(Debug, Clone, Copy, Args)]
pub struct ReloadArguments {
    /// Print what would change, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Exit code 1 where something needs a restart.
pub fn reload(target: &Target, arguments: ReloadArguments) -> anyhow::Result<ExitCode> {
    let ReloadArguments { dry_run, json } = arguments;
    let reloaded = match target {
        Target::Config(config) => ask(config, dry_run)?,
        Target::Host(api) => {
            let path = format!("/api/v1/reload?dry_run={dry_run}");
            api.call(&Call::post(&path, &Value::Null).long())?
        }
    };
    let Reloaded { applied, needs_restart } = &reloaded;
    if json {
        output::line(serde_json::to_string(&reloaded)?);
    } else {
        let done = if dry_run { "would be taken over" } else { "taken over" };
        for name in applied {
            output::line(format_args!("{name}: {done}"));
        }
        for name in needs_restart {
            output::line(format_args!("{name}: differs, and needs a restart"));
        }
        if applied.is_empty() && needs_restart.is_empty() {
            output::line("Nothing differs.");
        }
    }
    Ok(if needs_restart.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn ask(config: &Config, is_dry: bool) -> anyhow::Result<Reloaded> {
    let address = reachable(config.host.admin);
    let asked = agent(PATIENCE).post(format!("http://{address}/api/v1/reload?dry_run={is_dry}"));
    let asked = as_oneself(config, asked);
    let silence = || {
        format!(
            "no host answers on {address}, so nothing is reloaded; `laterna run` reads the configuration when it starts"
        )
    };
    let mut response = asked.send_empty().with_context(silence)?;
    let code = response.status().as_u16();
    let told: Value = response.body_mut().read_json().context("the host's answer is not JSON")?;
    match code {
        200 => serde_json::from_value(told).context("the host's answer is not that of a reload"),
        401 => bail!(
            "the host does not know the token of `host.tokens` yet: send it SIGHUP, or ask the API with one that it knows"
        ),
        _ => bail!("{}", harmless(told["detail"].as_str().unwrap_or("the host refuses"))),
    }
}
