//! The API of `host.admin` and the health of `host.health`, as a program that asks them sees both.

pub mod abuse;
mod access;
mod changes;
mod compiled;
mod document;
mod events;
mod masked;
mod mischief;
mod often;
mod random;
mod reads;
mod repeated;

use std::path::PathBuf;
use std::process::Command;

use crate::support::host::BINARY;
use crate::support::http::Client;
use crate::support::world::free_port;
use crate::support::{Host, World};

/// The tokens of these tests.
pub const VIEWER: &str = "viewer-0123456789abcdef0123456789abcdef";
pub const OPERATOR: &str = "operator-0123456789abcdef0123456789abcdef";

/// A host that takes tokens.
pub struct Guarded {
    pub host: Host,
    pub health: Client,
    /// Without a token.
    pub stranger: Client,
    pub viewer: Client,
    pub operator: Client,
}

impl Guarded {
    pub fn start(world: &World) -> Self {
        Self::start_at(world, "127.0.0.1")
    }

    /// The same where the API is served at this address.
    fn start_at(world: &World, address: &str) -> Self {
        let (health, port, file) = (free_port(), free_port(), tokens(world));
        let settings = [
            ("HOST__ADMIN", format!("{address}:{port}")),
            ("HOST__HEALTH", format!("0.0.0.0:{health}")),
            ("HOST__TOKENS", file.display().to_string()),
        ];
        let mut command = Command::new(BINARY);
        command.envs(settings.iter().map(|(name, value)| (format!("LATERNA_{name}"), value)));
        let host = Host::start_as(command, &world.config(port), port);
        let stranger = Client::new(host.port);
        let (viewer, operator) = (stranger.with_token(VIEWER), stranger.with_token(OPERATOR));
        Self { host, health: Client::new(health), stranger, viewer, operator }
    }
}

/// What stands in the file of tokens.
pub fn tokens_text() -> String {
    let token = |name: &str, role: &str, token: &str| {
        format!("[[token]]\nname = {name:?}\nrole = {role:?}\ntoken = {token:?}\n")
    };
    token("dashboard", "viewer", VIEWER) + &token("on-call", "operator", OPERATOR)
}

/// Writes the file of tokens.
fn tokens(world: &World) -> PathBuf {
    let file = world.folder.path().join("tokens.toml");
    std::fs::write(&file, tokens_text()).expect("it can be written");
    file
}
