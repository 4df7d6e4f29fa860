//! The configuration of the two hosts: three projections, from projectors in three languages.

use std::fmt::Write as _;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// A projection, what it is written in, and the component it begins with.
#[derive(Debug, Clone, Copy)]
pub struct Projection {
    pub name: &'static str,
    pub component: &'static str,
}

pub const PROJECTIONS: [Projection; 3] = [
    Projection { name: "accounts", component: "accounts.wasm" },
    Projection { name: "statement", component: "statement-js.wasm" },
    Projection { name: "audit", component: "audit-py.wasm" },
];

/// The next version of `accounts`: one more column.
pub const WIDER: &str = "accounts-currency.wasm";

/// `statement` with a mistake.
pub const BROKEN: &str = "statement-broken-js.wasm";

/// What a configuration says.
#[derive(Debug)]
pub struct HostConfig<'a> {
    pub name: &'a str,
    pub port: u16,
    pub mongodb_uri: &'a str,
    pub mongodb_database: &'a str,
    pub app_url: &'a str,
    pub ddl_url: &'a str,
    pub control_schema: &'a str,
    pub components: &'a Path,
    /// Compiled components.
    pub state: &'a Path,
}

impl HostConfig<'_> {
    /// Writes it for nobody else's eyes: there are passwords in it.
    pub fn write(&self, folder: &Path) -> anyhow::Result<PathBuf> {
        let path = folder.join(format!("{}.toml", self.name));
        let text = self.text()?;
        let written = || {
            let mut options = fs::OpenOptions::new();
            let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&path)?;
            file.write_all(text.as_bytes())
        };
        written().with_context(|| format!("writing {}", path.display()))?;
        Ok(path)
    }

    fn text(&self) -> anyhow::Result<String> {
        let Self { name, port, mongodb_uri, mongodb_database, app_url, ddl_url, control_schema, .. } = self;
        let state = self.state.display().to_string();
        let mut text = format!(
            r#"# A host of the demo, written by it. examples/laterna.toml explains every setting.

[host]
id = {name:?}
admin = "127.0.0.1:{port}"
health = "127.0.0.1:0"
state = {state:?}
# Shorter than usual, so that nobody waits long for the one that stands by.
lease_seconds = 4

[mongodb]
uri = {mongodb_uri:?}
database = {mongodb_database:?}

[mysql]
url = {app_url:?}
ddl_url = {ddl_url:?}
control_schema = {control_schema:?}
"#
        );
        for Projection { name, component } in PROJECTIONS {
            let path = self.components.join(component);
            if !path.exists() {
                bail!("{} is not here: run dev/build-plugins plugins", path.display());
            }
            let path = path.display().to_string();
            write!(text, "\n[projection.{name}]\ncomponent = {path:?}\nlanes = 4\n")?;
        }
        Ok(text)
    }
}
