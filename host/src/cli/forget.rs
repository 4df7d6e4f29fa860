//! `laterna forget`: takes a projection that is not wanted any more out of the control schema.

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use tokio::runtime::Runtime;

use super::{compose, output, own_host};
use crate::config::Config;
use crate::operation::ask;
use crate::readmodel::forget::Forgotten;
use crate::readmodel::lane::dead_letter::Selection;
use crate::servers::Servers;

#[derive(Debug, Args)]
pub struct ForgetArguments {
    /// Name of the projection.
    projection: String,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

pub fn forget(config: &Config, arguments: &ForgetArguments, runtime: &Runtime) -> anyhow::Result<ExitCode> {
    runtime.block_on(carry_out(config, arguments))
}

async fn carry_out(
    config: &Config,
    ForgetArguments { projection, yes }: &ForgetArguments,
) -> anyhow::Result<ExitCode> {
    let servers = compose::servers(config)?;
    let mut session = servers.applier.connect().await?;
    ask::registered(&mut session, &servers, projection).await?;
    let mut db = servers.control.of(&mut session, projection);
    let letters = db.count_letters(&Selection::default()).await?.all();
    if !yes && !is_confirmed(projection, letters)? {
        return Ok(ExitCode::FAILURE);
    }
    let Servers { ddl, control, .. } = &servers;
    match control.of(&mut session, projection).forget(ddl, &config.host.id, &own_host::who(config)).await? {
        Forgotten::Done { tables, generations } => {
            output::line(format_args!("`{projection}` is forgotten."));
            if generations > 0 {
                output::line(format_args!("{generations} generation(s) beside the live one were dropped."));
            }
            if !tables.is_empty() {
                output::line(format_args!(
                    "Its tables stay as they are, in `{}`: {}. Drop them when nobody reads them.",
                    servers.applier.database(),
                    tables.join(", ")
                ));
            }
            if config.projection.contains_key(projection) {
                output::line(format_args!(
                    "The configuration still has [projection.{projection}]: `laterna run` would begin it anew."
                ));
            }
            Ok(ExitCode::SUCCESS)
        }
        Forgotten::Runs { owner } => {
            let leases = control.on(&mut session).leases().await?;
            let own = leases.into_iter().find(|lease| lease.projection == *projection);
            let until = own.map(|lease| lease.expires_at).unwrap_or_default();
            bail!(
                "`{projection}` is run by the host `{owner}`: take it out of that host's configuration and restart it, or stop the \
                 host. If the host has ended already, and could not give its lease back, the lease runs out at {until} (a host \
                 that runs renews it): run this again then"
            )
        }
    }
}

fn is_confirmed(projection: &str, letters: u64) -> anyhow::Result<bool> {
    let question = format!(
        "Forget `{projection}`: its checkpoints, its {letters} dead letter(s) and what was discarded? Its tables stay."
    );
    output::is_confirmed(&question, "a projection that is forgotten cannot be brought back")
}
