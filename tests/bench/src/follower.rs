//! The two that are compared, each as a process of its own.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail, ensure};

use crate::readmodel::Target;
use crate::{CONTROL, DATABASE};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follower {
    Native,
    Laterna,
}

/// A follower at work. Killed when it is dropped: both are correct under that.
pub struct Running {
    child: Child,
    log: PathBuf,
}

impl Follower {
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Laterna => "laterna",
        }
    }

    pub fn start(self, mongodb: &str, target: &Target) -> anyhow::Result<Running> {
        let (host, work, guests) = places()?;
        let log = work.join(format!("{}.log", self.name()));
        match self {
            Self::Native => {
                let mut command = Command::new(std::env::current_exe()?);
                command.args(["native", mongodb, &target.url()]);
                start(command, &log)
            }
            Self::Laterna => {
                let component = guests.join("balances.wasm");
                let (config, _) = configuration(&work, mongodb, target, "balances", &component)?;
                let mut command = Command::new(host);
                command.arg("--config").arg(config).arg("run");
                start(command, &log)
            }
        }
    }
}

/// The host with this configuration, at work.
pub fn start_host(config: &Path, log: &Path) -> anyhow::Result<Running> {
    let mut command = Command::new(places()?.0);
    command.arg("--config").arg(config).arg("run");
    start(command, log)
}

fn start(mut command: Command, log: &Path) -> anyhow::Result<Running> {
    command.env("RUST_BACKTRACE", "0");
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(log)?).spawn()?;
    Ok(Running { child, log: log.to_owned() })
}

/// The host's program, a folder to work in, and the one with the guests.
pub fn places() -> anyhow::Result<(PathBuf, PathBuf, PathBuf)> {
    let here = std::env::current_exe()?;
    let folder = here.parent().context("a program lies in a folder")?;
    let host = std::env::var_os("BENCH_HOST").map_or_else(|| folder.join("laterna"), PathBuf::from);
    ensure!(host.exists(), "there is no {}: build it with `cargo build --release`", host.display());
    let work = folder.join("../bench");
    std::fs::create_dir_all(&work)?;
    Ok((host, work, folder.join("../guests")))
}

/// The defaults, and what has to be said: where everything is. `BENCH_SETTINGS` is put into the projection's section.
pub fn configuration(
    work: &Path,
    mongodb: &str,
    target: &Target,
    projection: &str,
    component: &Path,
) -> anyhow::Result<(PathBuf, u16)> {
    ensure!(component.exists(), "there is no {}: build it with dev/build-plugins", component.display());
    let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
    let text = format!(
        "[host]\nadmin = \"127.0.0.1:{port}\"\nhealth = \"127.0.0.1:0\"\nstate = \"{}\"\n[mongodb]\nuri = {mongodb:?}\ndatabase = {DATABASE:?}\n\
         [mysql]\nurl = {:?}\ncontrol_schema = {CONTROL:?}\n[projection.{projection}]\ncomponent = \"{}\"\n{}\n",
        work.join("state").display(),
        target.url(),
        component.display(),
        std::env::var("BENCH_SETTINGS").unwrap_or_default(),
    );
    let path = work.join("laterna.toml");
    std::fs::write(&path, text)?;
    Ok((path, port))
}

impl Running {
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// An error with its last words, if it has ended.
    pub fn check(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("the follower ended ({status}): {}", self.last_words()),
        }
    }

    /// The end of its log.
    pub fn last_words(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
