//! The host of this configuration, where it runs, as a program beside it asks it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use secrecy::ExposeSecret;
use ureq::RequestBuilder;

use crate::admin::tokens;
use crate::config::Config;
use crate::status::snapshot::Snapshot;

/// How long the host may take to tell its status.
const PATIENCE: Duration = Duration::from_secs(3);

/// Why there is no status of the host's own.
#[derive(Debug, thiserror::Error)]
pub enum StatusUntold {
    #[error("No host answers on {at}")]
    NoHost { at: SocketAddr },
    #[error("What listens on {at} does not tell the status of its projections ({why})")]
    Refused { at: SocketAddr, why: String },
}

/// Who asks at this machine, for the record.
pub fn who(config: &Config) -> String {
    let user = std::env::var("USER").unwrap_or_else(|_| "unknown".to_owned());
    format!("{user}@{}", config.host.id)
}

/// Reads the status of its projections.
pub fn status(config: &Config) -> Result<Vec<Snapshot>, StatusUntold> {
    let at = reachable(config.host.admin);
    let asked = as_oneself(config, agent(PATIENCE).get(format!("http://{at}/status")));
    let mut response = match asked.call() {
        Ok(response) => response,
        Err(ureq::Error::Timeout(_)) => {
            let why = format!("nothing within {} s", PATIENCE.as_secs());
            return Err(StatusUntold::Refused { at, why });
        }
        Err(_) => return Err(StatusUntold::NoHost { at }),
    };
    let why = match response.status().as_u16() {
        200 => match response.body_mut().read_json() {
            Ok(snapshots) => return Ok(snapshots),
            Err(_) => "its answer is not a status".to_owned(),
        },
        401 => {
            "it does not know the token of `host.tokens`, or this account may not read that file".to_owned()
        }
        code => format!("it says {code}"),
    };
    Err(StatusUntold::Refused { at, why })
}

/// A client for programs of this machine: nothing stands between, whatever proxies the environment names.
pub fn agent(patience: Duration) -> ureq::Agent {
    let settings = ureq::Agent::config_builder().timeout_global(Some(patience)).http_status_as_error(false);
    settings.proxy(None).build().into()
}

/// The request with the token that the configuration's own file has for it, if there is one.
pub fn as_oneself<Body>(config: &Config, request: RequestBuilder<Body>) -> RequestBuilder<Body> {
    match tokens::own(config.host.tokens.as_deref()) {
        Some(token) => request.header("Authorization", format!("Bearer {}", token.expose_secret())),
        None => request,
    }
}

/// Where an address is reached from this machine, that may stand for all of its addresses.
pub fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
