//! `laterna.toml`: read, overridden by the environment, checked as a whole before anything starts. The settings of the host
//! itself (its listeners, its lease) stand here, those of the servers and projections in a file each.
//!
//! Every value may be overridden: `LATERNA_` + its path in capitals, with two underscores between the parts, e.g.
//! `LATERNA_MYSQL__URL` or `LATERNA_PROJECTION__ACCOUNTS__LANES`. Unknown keys are refused. Secrets may stand in
//! files of their own (`uri_file`, `url_file`, `ddl_url_file`) and never show in logs.

mod check;
mod paths;
mod projection;
mod read;
mod secret;
mod outbox;
mod read_model;
mod taking_over;
#[cfg(test)]
mod random;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Deserialize;

pub use outbox::{Acknowledging, FieldNames, Mongodb, Preset};
pub use projection::{BreakerConfig, HoldSetting, Projection, Start, Upcaster};
use read::Given;
pub use read_model::Mysql;
pub use taking_over::TakenOver;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[serde(default)]
    pub host: HostSettings,
    pub mongodb: Mongodb,
    pub mysql: Mysql,
    /// Upcaster of all projections: it brings events of old versions into the form of today.
    pub upcaster: Option<Upcaster>,
    #[serde(default)]
    pub projection: BTreeMap<String, Projection>,
    #[serde(skip)]
    given: Given,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HostSettings {
    /// Who this host is, for the lease and for people; the machine's name unless given.
    pub id: String,
    /// Where health and metrics are served, for whoever looks after the process.
    pub health: SocketAddr,
    /// Where the API is served.
    pub admin: SocketAddr,
    /// Names that it answers to beside the loopback's, with commas between.
    admin_names: String,
    /// The file with the tokens of the API.
    pub tokens: Option<PathBuf>,
    /// Where compiled components are kept; `.laterna` in the working directory unless given.
    pub state: Option<PathBuf>,
    /// How long a lease is good without being renewed, in seconds.
    pub lease_seconds: u32,
    /// How long a stop may take, in seconds.
    pub stop_seconds: u32,
    /// How much memory the events may take that wait in all projections together, in bytes.
    pub memory_bytes: u32,
    /// After how many days the audit forgets operations that are over; 0: never.
    pub audit_retention_days: u32,
    /// After how many days a component is removed that nothing refers to; 0: never.
    pub component_retention_days: u32,
    pub log: LogFormat,
    /// The lines that are logged, unless `LATERNA_LOG` says it.
    pub log_filter: String,
    /// Where traces are exported to, by OTLP over HTTP, without the path `/v1/traces`.
    pub otlp: Option<String>,
    /// Deploys a component's file when it changes: for development.
    pub watch: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    Text,
    Json,
}

impl HostSettings {
    /// The names that the API answers to beside the loopback's.
    pub fn admin_names(&self) -> Vec<String> {
        let names = self.admin_names.split(',').map(str::trim).filter(|name| !name.is_empty());
        names.map(ToOwned::to_owned).collect()
    }
}

impl Default for HostSettings {
    fn default() -> Self {
        Self {
            id: machine_name(),
            health: SocketAddr::from(([127, 0, 0, 1], 7421)),
            admin: SocketAddr::from(([127, 0, 0, 1], 7420)),
            admin_names: String::new(),
            tokens: None,
            state: None,
            lease_seconds: 10,
            stop_seconds: 20,
            memory_bytes: 256 << 20,
            audit_retention_days: 0,
            component_retention_days: 30,
            log: LogFormat::Text,
            log_filter: "info".to_owned(),
            otlp: None,
            watch: false,
        }
    }
}

impl Config {
    /// Reads a file and the environment, and checks all of it.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let overrides =
            std::env::vars().filter(|(name, _)| name.starts_with("LATERNA_") && name.contains("__"));
        Self::from_sources(path, overrides.collect())
    }

    /// Advice that is no obstacle: each in one line that names the setting and the remedy.
    pub fn advice(&self) -> Vec<String> {
        check::advice(self)
    }

    fn from_sources(
        path: &Path,
        overrides: std::collections::HashMap<String, String>,
    ) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| {
            let path = path.display();
            format!("cannot read the configuration {path}; name another with --config, or write one with `laterna init`")
        })?;
        let read::Read { mut settings, mut problems, given } = read::read::<Self>(&text, overrides);
        let folder = path.parent().unwrap_or(Path::new(""));
        if let Some(settings) = &mut settings {
            settings.resolve_paths(folder);
            settings.given = given;
        }
        problems.extend(settings.iter().flat_map(check::problems));
        match settings {
            Some(settings) if problems.is_empty() => Ok(settings),
            _ => bail!("the configuration {} is not valid:\n  {}", path.display(), problems.join("\n  ")),
        }
    }
}

fn machine_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "laterna".to_owned(),
        name => name.to_owned(),
    }
}
