//! Two hosts as processes of their own, one that leads and one that stands by: started, asked, frozen, killed.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::Signal;
use serde::Serialize;
use serde_json::Value;

use crate::host::{leash, signal};

/// How long a host is waited for.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// How long it is looked at; one that is frozen does not answer.
const LOOK_WITHIN: Duration = Duration::from_secs(1);

/// How many lines of its log are shown when something went wrong.
const LAST_LINES: usize = 15;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Runs,
    Frozen,
    Dead,
}

#[derive(Debug)]
struct Process {
    child: Child,
    state: State,
}

/// One host, its configuration and its process.
#[derive(Debug)]
pub struct LiveHost {
    pub name: &'static str,
    pub port: u16,
    program: PathBuf,
    config: PathBuf,
    process: Mutex<Option<Process>>,
}

/// A host as the page shows it.
#[derive(Debug, Clone, Serialize)]
pub struct Shown {
    name: &'static str,
    port: u16,
    pid: Option<u32>,
    state: State,
    pub projections: Value,
}

impl LiveHost {
    pub fn new(name: &'static str, port: u16, program: PathBuf, config: PathBuf) -> Self {
        Self { name, port, program, config, process: Mutex::new(None) }
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts it unless it runs.
    pub fn start(&self) -> anyhow::Result<()> {
        let mut process = self.process();
        if state_of(&mut process) != State::Dead {
            return Ok(());
        }
        let log = self.config.with_extension("log");
        let log = fs::OpenOptions::new().create(true).append(true).open(&log);
        let log: File = log.context("opening the host's log")?;
        // A frozen one hears nothing else.
        let mut command = leash("KILL").unwrap_or_else(|| Command::new(&self.program));
        if command.get_program() != self.program.as_os_str() {
            command.arg(&self.program);
        }
        command.arg("--config").arg(&self.config).arg("run");
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("LATERNA_")) {
                command.env_remove(name);
            }
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).process_group(0);
        let child = command.spawn().with_context(|| format!("starting {}", self.program.display()))?;
        *process = Some(Process { child, state: State::Runs });
        Ok(())
    }

    pub fn state(&self) -> State {
        state_of(&mut self.process())
    }

    /// The end of its log.
    pub fn last_words(&self) -> String {
        let text = fs::read_to_string(self.config.with_extension("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    }

    /// `kill -9`: nothing is flushed, nothing is said.
    pub fn kill(&self) -> anyhow::Result<()> {
        if let Some(Process { child, .. }) = &mut *self.process() {
            child.kill().context("killing the host")?;
            child.wait().context("killing the host")?;
        }
        Ok(())
    }

    /// Its process gets no time any more, or gets it again.
    pub fn freeze(&self, frozen: State) -> anyhow::Result<()> {
        if let Some(Process { child, state }) = &mut *self.process() {
            signal(child.id(), if frozen == State::Frozen { Signal::STOP } else { Signal::CONT })?;
            *state = frozen;
        }
        Ok(())
    }

    fn pid(&self) -> Option<u32> {
        let mut process = self.process();
        (state_of(&mut process) != State::Dead).then(|| process.as_ref().map(|it| it.child.id())).flatten()
    }

    /// What it says of the projections; nothing while it does not answer.
    pub async fn look(&self) -> Shown {
        let state = self.state();
        let projections = match state {
            State::Runs => {
                self.ask("GET", "projections", Body::Nothing, LOOK_WITHIN).await.unwrap_or_default()
            }
            _ => Value::Null,
        };
        Shown { name: self.name, port: self.port, pid: self.pid(), state, projections }
    }

    /// Asks its API.
    pub async fn api(&self, method: &'static str, path: &str, body: Body) -> anyhow::Result<Value> {
        self.ask(method, path, body, ANSWER_WITHIN).await
    }

    async fn ask(
        &self,
        method: &'static str,
        path: &str,
        body: Body,
        within: Duration,
    ) -> anyhow::Result<Value> {
        let url = format!("http://127.0.0.1:{}/api/v1/{path}", self.port);
        tokio::task::spawn_blocking(move || ask(method, &url, body, within)).await.context("asking a host")?
    }
}

fn state_of(process: &mut Option<Process>) -> State {
    let Some(Process { child, state }) = process else { return State::Dead };
    if matches!(child.try_wait(), Ok(None)) { *state } else { State::Dead }
}

impl Shown {
    pub fn state(&self) -> State {
        self.state
    }
}

impl Drop for LiveHost {
    /// A host that is frozen ends as well.
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// What is sent to the API.
#[derive(Debug)]
pub enum Body {
    Nothing,
    Json(Value),
    Component(Vec<u8>),
}

fn ask(method: &str, url: &str, body: Body, within: Duration) -> anyhow::Result<Value> {
    let settings = ureq::Agent::config_builder().timeout_global(Some(within)).http_status_as_error(false);
    let agent: ureq::Agent = settings.build().into();
    let asked = match (method, body) {
        ("GET", _) => agent.get(url).call(),
        (_, Body::Json(json)) => agent.post(url).send_json(&json),
        (_, Body::Component(bytes)) => agent.post(url).content_type("application/wasm").send(&bytes[..]),
        (_, Body::Nothing) => agent.post(url).send_empty(),
    };
    let mut answer = asked.with_context(|| format!("asking {url}"))?;
    let told: Value = answer.body_mut().read_json().with_context(|| format!("the answer of {url}"))?;
    if !answer.status().is_success() {
        bail!("{} ({url})", told["detail"].as_str().unwrap_or("the host said no"));
    }
    Ok(told)
}
