//! The host as a process: started, asked, killed, stopped.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use super::http::Client;
use super::{PATIENCE, comes_within, until};

/// The host's program.
pub const BINARY: &str = env!("CARGO_BIN_EXE_laterna");

pub struct Host {
    child: Child,
    pub port: u16,
    log: PathBuf,
    stopped: bool,
}

impl Host {
    /// Starts `laterna run`. Its log stands beside its configuration.
    pub fn start(config: &Path, port: u16) -> Self {
        Self::start_as(Command::new(BINARY), config, port)
    }

    /// The same by a command that ends in the binary, or that has an environment of its own.
    pub fn start_as(mut command: Command, config: &Path, port: u16) -> Self {
        command.arg("--config").arg(config).arg("run").env_remove("LATERNA_LOG");
        Self::start_exactly(command, &config.with_extension("log"), port)
    }

    /// The same by a command that is complete, with its log there.
    pub fn start_exactly(mut command: Command, log: &Path, port: u16) -> Self {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(log).expect("a log");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
        let child = command.spawn().expect("the binary runs");
        Self { child, port, log: log.to_owned(), stopped: false }
    }

    /// `kill -9`: nothing is flushed, nothing is said.
    pub fn kill(mut self) {
        // One that ended by itself is no error here: whoever watches it says so.
        let _ = self.child.kill();
        self.child.wait().expect("it is a child");
        self.stopped = true;
    }

    /// SIGTERM, and its exit code. A host that does not stop fails the test.
    pub async fn stop(self) -> ExitStatus {
        self.signal("TERM");
        self.ended().await
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The processor time that it has taken.
    pub fn processor_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id())).expect("it runs");
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |index: usize| fields[index].parse::<u64>().expect("a number");
        Duration::from_millis((ticks(11) + ticks(12)) * 10)
    }

    /// Waits until the process has ended by itself.
    pub async fn ended(mut self) -> ExitStatus {
        until("the host has ended", async || self.child.try_wait().expect("it is a child").is_some()).await;
        self.stopped = true;
        self.child.wait().expect("it is a child")
    }

    /// How it ended, if it did.
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        let status = self.child.try_wait().expect("it is a child");
        self.stopped |= status.is_some();
        status
    }

    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill").arg(format!("-{signal}")).arg(self.child.id().to_string()).status();
        assert!(sent.expect("kill runs").success(), "the host is gone; its log:\n{}", self.log());
    }

    /// Sends a signal, waits until the process has ended, and gives its whole log.
    pub async fn signal_and_log(self, signal: &str) -> String {
        self.signal(signal);
        self.ended_with_log().await.0
    }

    /// Waits until the process has ended, and gives its whole log with its exit code.
    pub async fn ended_with_log(self) -> (String, ExitStatus) {
        let log = self.log.clone();
        let status = self.ended().await;
        (std::fs::read_to_string(log).unwrap_or_default(), status)
    }

    /// What the admin endpoint answers: code and text.
    pub async fn get(&self, path: &str) -> Option<(u16, String)> {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        let asked = tokio::task::spawn_blocking(move || {
            let agent: ureq::Agent = ureq::Agent::config_builder()
                .timeout_global(Some(Duration::from_secs(5)))
                .http_status_as_error(false)
                .build()
                .into();
            let mut response = agent.get(&url).call().ok()?;
            Some((response.status().as_u16(), response.body_mut().read_to_string().ok()?))
        });
        asked.await.expect("asking does not panic")
    }

    /// A projection's state.
    pub async fn status(&self, projection: &str) -> Option<serde_json::Value> {
        let (_, text) = self.get("/status").await?;
        let all: Vec<serde_json::Value> = serde_json::from_str(&text).ok()?;
        all.into_iter().find(|one| one["projection"] == projection)
    }

    /// Waits until a condition holds, and shows the log when it does not come.
    async fn until_it(&self, what: &str, condition: impl AsyncFnMut() -> bool) {
        let comes = comes_within(PATIENCE, condition).await;
        assert!(comes, "waited {PATIENCE:?} in vain until {what}; the log:\n{}", self.log());
    }

    /// Waits until a projection is in a phase.
    pub async fn until_phase(&self, projection: &str, phase: &str) {
        self.until_it(&format!("{projection} is {phase}"), async || {
            self.status(projection).await.is_some_and(|status| status["phase"] == phase)
        })
        .await;
    }

    /// Waits until a projection is in a phase, asked with a client's token.
    pub async fn until_phase_by(&self, client: &Client, projection: &str, phase: &str) {
        self.until_it(&format!("{projection} is {phase}"), async || {
            let asked = client.ask("GET", &format!("/api/v1/projections/{projection}"), b"").await;
            asked.is_some_and(|answer| answer.code == 200 && answer.json()["phase"] == phase)
        })
        .await;
    }

    /// Waits until it answers health checks.
    pub async fn until_healthy(&self, health: &Client) {
        self.until_it("the host is alive", async || {
            health.ask("GET", "/livez", b"").await.is_some_and(|answer| answer.code == 200)
        })
        .await;
    }

    /// What the host logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if !self.stopped {
            if std::thread::panicking() {
                let log = self.log();
                let tail: Vec<&str> = log.lines().rev().take(30).collect();
                eprintln!("the host's last lines, newest first:\n{}", tail.join("\n"));
            }
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
