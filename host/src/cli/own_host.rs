//! The host of this configuration, where it runs, as a program beside it asks it.

use std::time::Duration;

use anyhow::Context;
use secrecy::ExposeSecret;

use crate::admin::tokens;
use crate::config::Config;
use crate::status::snapshot::Snapshot;

/// Who asks at this machine, for the record.
pub fn who(config: &Config) -> String {
    let user = std::env::var("USER").unwrap_or_else(|_| "unknown".to_owned());
    format!("{user}@{}", config.host.id)
}

/// Reads the status of its projections.
pub fn status(config: &Config) -> anyhow::Result<Vec<Snapshot>> {
    let agent: ureq::Agent =
        ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(3))).build().into();
    let mut asked = agent.get(format!("http://{}/status", config.host.admin));
    if let Some(token) = tokens::own(config.host.tokens.as_deref()) {
        asked = asked.header("Authorization", format!("Bearer {}", token.expose_secret()));
    }
    let mut response = asked.call()?;
    response.body_mut().read_json().context("the endpoint's answer is not a status")
}
