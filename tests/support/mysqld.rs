//! A MySQL or MariaDB of a test's own, which it may kill, freeze, fill up or set back, beside the shared MongoDB.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use sqlx::mysql::MySqlConnectOptions;
use sqlx::{ConnectOptions, Connection};

use super::clock::Clock;
use super::server::{exec_in, kill};
use super::until;
use super::world::{Options, free_port};

pub struct Mysqld {
    folder: tempfile::TempDir,
    /// Where its data is.
    pub data: PathBuf,
    pub port: u16,
    flavor: &'static str,
    /// Further arguments of the server.
    pub arguments: Vec<String>,
    /// What it is started with.
    environment: Vec<(String, String)>,
    child: Option<Child>,
}

impl Mysqld {
    pub async fn mysql() -> Self {
        Self::start_in("mysql", None).await
    }

    pub async fn mariadb() -> Self {
        Self::start_in("mariadb", None).await
    }

    /// With its data in a folder that is the test's to fill and to remove.
    pub async fn start_in(flavor: &'static str, data: Option<&Path>) -> Self {
        Self::start_with(flavor, data, vec![]).await
    }

    /// With a clock of its own.
    pub async fn by_clock(clock: &Clock) -> Self {
        let mut environment = clock.environment();
        // What the library would mend for other servers makes this one wait without end.
        environment.push(("FAKETIME_FORCE_MONOTONIC_FIX".to_owned(), "0".to_owned()));
        Self::start_with("mysql", None, environment).await
    }

    async fn start_with(
        flavor: &'static str,
        data: Option<&Path>,
        environment: Vec<(String, String)>,
    ) -> Self {
        // A socket's path is bounded at about 100 bytes, so the folder is where paths are short.
        let folder = tempfile::Builder::new().prefix("laterna").tempdir().expect("a folder");
        let data = data.map_or_else(|| folder.path().join("data"), Path::to_path_buf);
        let (port, arguments) = (free_port(), vec![]);
        let mut server = Self { data, port, flavor, arguments, environment, child: None, folder };
        server.start();
        while !server.comes_up().await {
            std::fs::remove_file(server.folder.path().join("log")).expect("it has logged why");
            server.port = free_port();
            server.start();
        }
        server
    }

    /// False where something else has taken the port since it was found free.
    async fn comes_up(&mut self) -> bool {
        let mut has_ended = false;
        until("the private server answers, or has ended", async || {
            has_ended = !self.is_running();
            has_ended || self.answers().await
        })
        .await;
        let log = self.log();
        assert!(!has_ended || log.contains("Address already in use"), "the server has ended:\n{log}");
        !has_ended
    }

    async fn answers(&self) -> bool {
        let url: MySqlConnectOptions = self.options().mysql.parse().expect("a URL");
        let Ok(connection) = url.connect().await else { return false };
        let _ = connection.close().await;
        true
    }

    /// The shared MongoDB and this server.
    pub fn options(&self) -> Options {
        let mysql = format!("mysql://root@localhost/mysql?socket={}", self.folder.path().join("s").display());
        Options { mysql, ..Options::mysql() }
    }

    /// A URL over TCP, in plain text, at the server's port or a proxy's.
    pub fn url_at(port: u16) -> String {
        format!("mysql://root@127.0.0.1:{port}/mysql?ssl-mode=DISABLED")
    }

    /// Sends a signal, e.g. STOP or CONT.
    pub fn signal(&self, signal: &str) {
        let child = self.child.as_ref().expect("it runs");
        let sent = Command::new("kill").arg(format!("-{signal}")).arg(child.id().to_string()).status();
        assert!(sent.expect("kill runs").success(), "mysqld is gone");
    }

    pub fn kill(&mut self) {
        kill(self.child.take());
    }

    /// A clean stop.
    pub async fn stop(&mut self) {
        self.signal("TERM");
        until("mysqld has stopped", async || !self.is_running()).await;
        self.child = None;
    }

    /// Whether it has neither stopped nor crashed.
    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.try_wait().expect("it is a child").is_none())
    }

    pub fn start(&mut self) {
        let (data, port) = (self.data.display().to_string(), self.port.to_string());
        let socket = self.folder.path().join("s").display().to_string();
        let command = if self.flavor == "mysql" { "exec-mysqld" } else { "exec-mariadbd" };
        let fixed = [command, &data, &port, &socket];
        let arguments: Vec<&str> =
            fixed.into_iter().chain(self.arguments.iter().map(String::as_str)).collect();
        self.child = Some(exec_in(&self.environment, &self.folder.path().join("log"), &arguments));
    }

    pub async fn until_ready(&self) {
        until("the private server answers", async || self.answers().await).await;
    }

    /// What the server logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Mysqld {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(15).collect();
            eprintln!("the server's last lines, newest first:\n{}", tail.join("\n"));
        }
        self.kill();
    }
}
