//! Writes the host's configuration, as an example to read: what a real one has, and why.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;

use crate::settings::Settings;
use crate::setup::Servers;

/// Where `dev/build-plugins` puts the projector of `plugins/accounts`.
const COMPONENT: &str = "plugins/dist/accounts.wasm";

pub fn write(settings: &Settings, servers: &Servers) -> anyhow::Result<()> {
    if !Path::new(COMPONENT).exists() {
        anyhow::bail!(
            "{COMPONENT} is not here: run dev/build-plugins, and the demo from the repository's folder"
        );
    }
    let path = settings.config();
    // A relative path would start at the configuration's folder.
    let component = std::path::absolute(COMPONENT)?.display().to_string();
    let written = || {
        // For nobody else's eyes: there are passwords in it.
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        file.write_all(text(settings, servers, &component).as_bytes())
    };
    written().with_context(|| format!("writing {}", path.display()))
}

fn text(settings: &Settings, servers: &Servers, component: &str) -> String {
    let Settings { mongodb_uri, port, .. } = settings;
    let Servers { app_url, ddl_url, .. } = servers;
    let (outbox, control) = (settings.mongodb_database(), settings.control_schema());
    format!(
        r#"# The configuration of the demonstration, written by it. examples/laterna.toml explains every setting.

[host]
# Who this host is, where several may run.
id = "demo"
# The API: status, dead letters, changes. Without tokens it listens on the loopback only.
admin = "127.0.0.1:{port}"
# Health and metrics, at any port that is free; elsewhere it is 7421 unless another one is given.
health = "127.0.0.1:0"
# Compiled components are kept here, so that the next start is quick. It may be deleted at any time.
state = "state"

[mongodb]
# A replica set, because only those have change streams; one node is enough.
uri = {mongodb_uri:?}
# The writing side: `accounts` and `outbox` change in the same transactions.
database = {outbox:?}
outbox = "outbox"

[mysql]
# This account changes rows, and no more: SELECT, INSERT, UPDATE, DELETE on the read model's database, which the URL
# names, and on the control schema. A secret may also stand in a file of its own: `url_file`, `ddl_url_file`.
url = {app_url:?}
# This one creates tables: those that projectors declare, the host's own, and those of a scratch schema in which both
# are tried out before anything is touched.
ddl_url = {ddl_url:?}
# The host's own tables: how far it has come, what it has applied, dead letters.
control_schema = {control:?}

# A projection runs one projector into its tables. Its name is what the commands and the metrics call it.
[projection.accounts]
# The sandboxed component. It declares its tables and all of its SQL; `laterna check` tests both on the real database.
component = {component:?}
# Lanes write side by side. The events of one account always go through the same lane, in order.
lanes = 4
# Tables that have never been filled begin with everything the outbox holds.
start = "history"
"#
    )
}
