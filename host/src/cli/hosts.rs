//! `laterna hosts`: who leads which projection, and what the host that is asked does with it.

use std::process::ExitCode;

use clap::Args;

use super::console::Console;
use super::{output, table};
use crate::operation::hosts::Hosts;
use crate::readmodel::control::lease::LeaseRecord;

#[derive(Debug, Args)]
pub struct HostsArguments {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub async fn hosts(console: &mut impl Console, arguments: &HostsArguments) -> anyhow::Result<ExitCode> {
    let found = console.hosts().await?;
    if arguments.json {
        output::line(serde_json::to_string(&found)?);
        return Ok(ExitCode::SUCCESS);
    }
    let Hosts { here, leases, phases, .. } = found;
    let on_here = format!("on {here}");
    let mut shown = table::table(&["projection", "led by", "epoch", "lease", &on_here]);
    for LeaseRecord { projection, owner, epoch, expires_at, held } in leases {
        let phase = phases.get(&projection).map_or("-", String::as_str).to_owned();
        let (led, lease) = if held {
            (owner, format!("until {expires_at}"))
        } else {
            (format!("nobody, last {owner}"), format!("ended {expires_at}"))
        };
        shown.add_row([projection, led, epoch.to_string(), lease, phase]);
    }
    output::line(shown.trim_fmt());
    Ok(ExitCode::SUCCESS)
}
