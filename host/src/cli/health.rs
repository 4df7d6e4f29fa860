//! `laterna health`: whether the host at `host.health` is alive, for containers that have no other program to ask with.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::console::Target;
use super::output;
use super::own_host::{agent, reachable};
use crate::admin::LIVE;
use crate::text::harmless_lines;

/// How long the host may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The same where it may be another program, which says nothing.
const PROBE_PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy, Args)]
pub struct HealthArguments {
    /// Asks whether every projection makes progress or stands by, instead of whether the process has to be restarted.
    #[arg(long)]
    ready: bool,
}

/// Exit code 1 where the host says no, or says nothing.
pub fn health(target: &Target, arguments: HealthArguments) -> ExitCode {
    let path = if arguments.ready { "/readyz" } else { "/livez" };
    let url = match target {
        Target::Config(config) => format!("http://{}{path}", reachable(config.host.health)),
        // The listener of the API tells of health, too.
        Target::Host(api) => format!("{}{path}", api.base()),
    };
    match ask(&url, PATIENCE) {
        Ok((200, told)) => {
            output::line(told);
            ExitCode::SUCCESS
        }
        Ok((code, told)) => {
            output::line(format_args!("{url} says {code}: {told}"));
            ExitCode::FAILURE
        }
        Err(error) => {
            output::line(format_args!("{url} does not answer: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Whether a host of Laterna's, and nothing else, listens there.
pub(super) fn is_laterna(address: SocketAddr) -> bool {
    let told = ask(&format!("http://{}/livez", reachable(address)), PROBE_PATIENCE);
    told.is_ok_and(|(_, told)| told.starts_with(LIVE))
}

fn ask(url: &str, patience: Duration) -> Result<(u16, String), ureq::Error> {
    let mut response = agent(patience).get(url).call()?;
    let told = response.body_mut().read_to_string()?;
    Ok((response.status().as_u16(), harmless_lines(told.trim_end())))
}
