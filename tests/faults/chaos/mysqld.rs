//! A MySQL of the trial's own, on a small disk of its own where that can be had, so that the disk can be full.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::{ConnectOptions, Executor};

use crate::support::proxy::Proxy;
use crate::support::server::{copy, exec, kill, put_back};
use crate::support::until;
use crate::support::world::free_port;

/// What the disk holds: the system tables and logs of an empty server take a third of it.
const DISK: &str = "size=1g";

pub struct Mysqld {
    folder: tempfile::TempDir,
    port: u16,
    child: Option<Child>,
    has_disk: bool,
}

impl Mysqld {
    pub async fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("laterna").tempdir().expect("a folder");
        let disk = folder.path().join("disk");
        std::fs::create_dir(&disk).expect("a folder");
        let has_disk = mount(&["-t", "tmpfs", "-o", DISK, "tmpfs"], &disk);
        let mut mysqld = Self { folder, port: free_port(), child: None, has_disk };
        mysqld.run();
        until("mysqld answers", async || mysqld.admin().await.is_some()).await;
        mysqld
    }

    /// Starts the process; it takes connections a while later.
    pub fn run(&mut self) {
        let text = |path: PathBuf| path.to_str().expect("the folder's path is text").to_owned();
        let (data, socket) = (text(self.data()), text(self.socket()));
        // Names of clients are not looked up: they are told apart by their addresses.
        let arguments = ["exec-mysqld", &data, &self.port.to_string(), &socket, "--skip-name-resolve"];
        self.child = Some(exec(&self.folder.path().join("mysqld.log"), &arguments));
    }

    pub fn kill(&mut self) {
        kill(self.child.take());
    }

    /// Copies what it stores, as it is after a power failure, and goes on.
    pub async fn copy(&mut self) {
        self.kill();
        copy(&self.data(), &self.copied());
        self.run();
        until("mysqld answers", async || self.admin().await.is_some()).await;
    }

    /// Puts the copy in its place, with all that is in it, and goes on.
    pub async fn put_back(&mut self) {
        self.kill();
        put_back(&self.copied(), &self.data());
        self.run();
        until("mysqld answers", async || self.admin().await.is_some()).await;
    }

    /// Whether it ended by itself, as servers do whose disk is full.
    pub fn has_ended(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| !matches!(child.try_wait(), Ok(None)))
    }

    /// Sends a signal, e.g. STOP or CONT.
    pub fn signal(&self, signal: &str) {
        if let Some(child) = &self.child {
            let _ = Command::new("kill").arg(format!("-{signal}")).arg(child.id().to_string()).status();
        }
    }

    /// An administrator's URL.
    pub fn url(&self) -> String {
        format!("mysql://root@localhost/mysql?socket={}", self.socket().display())
    }

    /// A URL that goes through a proxy. In plain text, so that the proxy sees a COMMIT.
    pub fn url_by(proxy: &Proxy, account: &str, password: &str, database: &str) -> String {
        format!("mysql://{account}:{password}@127.0.0.1:{}/{database}?ssl-mode=DISABLED", proxy.port)
    }

    pub async fn proxy(&self, from: Ipv4Addr) -> Proxy {
        Proxy::between(from, self.port).await
    }

    /// An administrator's session, if the server answers.
    pub async fn admin(&self) -> Option<MySqlConnection> {
        admin(&self.url()).await
    }

    /// Whether there is a disk that can be filled.
    pub fn has_disk(&self) -> bool {
        self.has_disk
    }

    /// Shrinks the disk to what is on it.
    pub fn fill_disk(&self) {
        let df = Command::new("df").args(["--output=used", "-k"]).arg(self.disk()).output().expect("df runs");
        let used: u64 = String::from_utf8_lossy(&df.stdout)
            .lines()
            .last()
            .and_then(|line| line.trim().parse().ok())
            .expect("df says how much is used");
        // A little is left, so that the disk is full in the middle of a write and not before it.
        mount(&["-o", &format!("remount,size={}k", used + 256)], &self.disk());
    }

    pub fn make_room(&self) {
        assert!(mount(&["-o", &format!("remount,{DISK}")], &self.disk()), "the disk has its size again");
    }

    fn disk(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    fn data(&self) -> PathBuf {
        self.disk().join("data")
    }

    fn copied(&self) -> PathBuf {
        self.folder.path().join("data.copy")
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("s")
    }
}

impl Drop for Mysqld {
    fn drop(&mut self) {
        self.kill();
        if self.has_disk {
            let _ = Command::new("umount").arg(self.disk()).status();
        }
    }
}

/// An administrator's session, if the server answers.
pub async fn admin(url: &str) -> Option<MySqlConnection> {
    let options: MySqlConnectOptions = url.parse().expect("a URL");
    let options = options.disable_statement_logging();
    let connecting = options.connect();
    let connected = tokio::time::timeout(std::time::Duration::from_secs(5), connecting).await;
    let mut connection = connected.ok()?.ok()?;
    // Never longer than a moment, and never for ever.
    connection.execute("SET SESSION lock_wait_timeout = 5").await.ok()?;
    Some(connection)
}

fn mount(arguments: &[&str], place: &Path) -> bool {
    let mounted = Command::new("mount").args(arguments).arg(place).stderr(Stdio::null()).status();
    mounted.is_ok_and(|status| status.success())
}
