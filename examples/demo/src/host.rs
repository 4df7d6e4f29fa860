//! The host as a process of its own: checked, started, asked, stopped.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

use crate::settings::Settings;

/// A host finishes what it has begun; `stop_seconds` of its configuration is 20.
const STOP_TIMEOUT: Duration = Duration::from_secs(25);

const POLL: Duration = Duration::from_millis(50);

/// How many lines of its log are shown when something went wrong.
const LAST_LINES: usize = 25;

/// As much of the host's status as is shown here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Status {
    pub phase: String,
    /// Why it is paused.
    pub reason: Option<String>,
    /// What it waits for just now.
    pub trouble: Option<String>,
    pub lag_seconds: u32,
    pub lag_events: u64,
    pub events: u64,
    pub parked: u64,
    pub held: u64,
}

pub struct Host {
    child: Child,
    url: String,
    log: PathBuf,
    pid: PathBuf,
    /// Ends with this process.
    owned: bool,
}

/// Runs `laterna check`; its lines are for the audience.
pub fn check(settings: &Settings) -> anyhow::Result<()> {
    let checked = laterna(settings, None)?.arg("check").status().context("running laterna check")?;
    if !checked.success() {
        bail!("laterna check found something wrong");
    }
    Ok(())
}

/// Runs another command of the host; its lines are for the audience.
pub fn command(settings: &Settings, arguments: &[&str]) -> anyhow::Result<()> {
    let done = laterna(settings, None)?.args(arguments).status().context("running laterna")?;
    if !done.success() {
        bail!("laterna {} failed", arguments.join(" "));
    }
    Ok(())
}

/// Stops the host that an earlier demonstration kept: its databases are about to go.
pub fn stop_kept(settings: &Settings) -> anyhow::Result<()> {
    let Ok(text) = fs::read_to_string(settings.pid()) else { return Ok(()) };
    // A number alone is no proof: meanwhile it may be somebody else's.
    let is_ours = |pid: u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let config = settings.config();
        line.split(|byte| *byte == 0).any(|argument| argument == config.as_os_str().as_encoded_bytes())
    };
    if let Ok(pid) =
        text.trim().parse().map_err(drop).and_then(|pid| if is_ours(pid) { Ok(pid) } else { Err(()) })
    {
        println!("Stopping the host that the last demo kept (process {pid}).");
        signal(pid, Signal::TERM)?;
        let since = Instant::now();
        while is_ours(pid) {
            if since.elapsed() > STOP_TIMEOUT {
                signal(pid, Signal::KILL)?;
            }
            sleep(POLL);
        }
    }
    fs::remove_file(settings.pid()).context("removing the old host's number")
}

impl Host {
    pub fn start(settings: &Settings) -> anyhow::Result<Self> {
        let log = File::create(settings.log()).context("creating the host's log")?;
        // A host that is not to be kept ends even when this process is killed. Where `setpriv` is missing, only then
        // it does not.
        let leash = if settings.keep { None } else { leash("TERM") };
        let child = laterna(settings, leash)?
            .arg("run")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            // The terminal's Ctrl-C is for this process, which then stops the host.
            .process_group(0)
            .spawn()
            .context("starting laterna")?;
        let url = format!("http://127.0.0.1:{}/status", settings.port);
        Ok(Self { child, url, log: settings.log(), pid: settings.pid(), owned: true })
    }

    /// What the host says about its projection; nothing while it does not answer. An error when it has ended.
    pub async fn status(&mut self) -> anyhow::Result<Option<Status>> {
        if let Some(code) = self.child.try_wait()? {
            bail!("the host ended by itself: {code}");
        }
        let url = self.url.clone();
        let asked = tokio::task::spawn_blocking(move || {
            let agent: ureq::Agent =
                ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(2))).build().into();
            agent.get(&url).call().ok()?.body_mut().read_json::<Vec<Status>>().ok()?.pop()
        });
        let status = asked.await.context("asking the host")?;
        match status {
            Some(Status { phase, reason, .. }) if phase == "paused" => {
                bail!("the projection is paused: {}", reason.unwrap_or_default());
            }
            status => Ok(status),
        }
    }

    /// Stops it as an operator would.
    pub fn stop(mut self) -> anyhow::Result<()> {
        let code = self.end()?;
        if !code.success() {
            bail!("the host stopped with {code}");
        }
        Ok(())
    }

    /// Lets it go on alone, and gives its process number.
    pub fn keep(mut self) -> anyhow::Result<u32> {
        let pid = self.child.id();
        fs::write(&self.pid, format!("{pid}\n")).context("noting the host's number")?;
        self.owned = false;
        Ok(pid)
    }

    /// The end of its log.
    pub fn last_words(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
        format!("The host's last words ({}):\n{}", self.log.display(), last.join("\n"))
    }

    fn end(&mut self) -> anyhow::Result<std::process::ExitStatus> {
        self.owned = false;
        if self.child.try_wait()?.is_none() {
            signal(self.child.id(), Signal::TERM)?;
        }
        let since = Instant::now();
        loop {
            if let Some(code) = self.child.try_wait()? {
                return Ok(code);
            }
            if since.elapsed() > STOP_TIMEOUT {
                self.child.kill()?;
            }
            sleep(POLL);
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if !self.owned {
            return;
        }
        if matches!(self.child.try_wait(), Ok(None)) {
            eprintln!("Stopping the host.");
        }
        let _ = self.end();
    }
}

/// A binary that is built together with this one, as short as it can be written.
pub fn binary(name: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    if !path.exists() {
        bail!("{} is not here: cargo build --workspace", path.display());
    }
    let here = std::env::current_dir()?;
    Ok(path.strip_prefix(here).map(Path::to_owned).unwrap_or(path))
}

/// The host with its configuration.
fn laterna(settings: &Settings, leash: Option<Command>) -> anyhow::Result<Command> {
    let binary = binary("laterna")?;
    let mut command = match leash {
        Some(mut leash) => {
            leash.arg(binary);
            leash
        }
        None => Command::new(binary),
    };
    command.arg("--config").arg(settings.config());
    // The file that was written is the whole configuration.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("LATERNA_") && name.contains("__")) {
            command.env_remove(name);
        }
    }
    Ok(command)
}

/// What starts a program that gets a signal when this process ends.
pub fn leash(signal: &str) -> Option<Command> {
    let setpriv = ["/usr/bin/setpriv", "/bin/setpriv"].into_iter().find(|path| Path::new(path).exists())?;
    let mut command = Command::new(setpriv);
    command.args(["--pdeathsig", signal, "--"]);
    Some(command)
}

pub fn signal(pid: u32, signal: Signal) -> anyhow::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).context("no process has this number")?;
    match kill_process(pid, signal) {
        // Somebody else was faster.
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(error) => Err(error).context("sending a signal to the host"),
    }
}
