//! Servers of a test's own, which it may kill: a MongoDB replica set of one and a MySQL, in a folder that goes
//! with the test.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use mongodb::bson::doc;
use sqlx::mysql::MySqlConnectOptions;
use sqlx::{ConnectOptions, Connection};

use super::until;
use super::world::{Options, free_port};

pub struct PrivateServers {
    folder: tempfile::TempDir,
    mongod_port: u16,
    mysqld_port: u16,
    mongod: Option<Child>,
    mysqld: Option<Child>,
}

/// The library that gives a process a clock of its own, where it can be had.
pub fn faketime() -> Option<PathBuf> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    let find = || {
        let found = services().arg("faketime").output().expect("it runs");
        let path = String::from_utf8_lossy(&found.stdout).trim().to_owned();
        (!path.is_empty()).then(|| path.into())
    };
    FOUND.get_or_init(find).clone()
}

impl PrivateServers {
    pub async fn start() -> Self {
        // A socket's path is bounded at about 100 bytes, so the folder is where paths are short.
        let folder = tempfile::Builder::new().prefix("laterna").tempdir().expect("a folder");
        let mut servers =
            Self { folder, mongod_port: free_port(), mysqld_port: free_port(), mongod: None, mysqld: None };
        servers.start_mongod();
        servers.start_mysqld();
        let port = servers.mongod_port.to_string();
        let initiated = tokio::task::spawn_blocking(move || {
            services().args(["initiate-replica-set", &port]).stdout(Stdio::null()).status()
        });
        assert!(
            initiated.await.expect("it ran").expect("it runs").success(),
            "the replica set was not initiated"
        );
        servers.until_ready().await;
        servers
    }

    pub fn options(&self) -> Options {
        Options {
            mongodb: format!(
                "mongodb://127.0.0.1:{}/?replicaSet=rs0&directConnection=true",
                self.mongod_port
            ),
            mysql: format!("mysql://root@localhost/mysql?socket={}", self.socket().display()),
            ..Options::mysql()
        }
    }

    /// Where MySQL listens; over TCP, an account without a password needs no TLS (`?ssl-mode=DISABLED`).
    pub fn mysql_port(&self) -> u16 {
        self.mysqld_port
    }

    pub fn mongodb_port(&self) -> u16 {
        self.mongod_port
    }

    /// Sends a signal, e.g. STOP or CONT, to mysqld.
    pub fn signal_mysqld(&self, signal: &str) {
        let child = self.mysqld.as_ref().expect("it runs");
        let sent = Command::new("kill").arg(format!("-{signal}")).arg(child.id().to_string()).status();
        assert!(sent.expect("kill runs").success(), "mysqld is gone");
    }

    pub fn kill_mongod(&mut self) {
        kill(self.mongod.take());
    }

    pub fn kill_mysqld(&mut self) {
        kill(self.mysqld.take());
    }

    pub fn start_mongod(&mut self) {
        let data = self.data("mongod");
        self.mongod = Some(exec(
            &self.data("mongod.log"),
            &["exec-mongod", text(&data), &self.mongod_port.to_string()],
        ));
    }

    /// Copies what MongoDB stores, while it does not run.
    pub fn copy_mongod(&self) {
        copy(&self.data("mongod"), &self.data("mongod.copy"));
    }

    /// Puts the copy in its place, while it does not run.
    pub fn put_mongod_back(&self) {
        put_back(&self.data("mongod.copy"), &self.data("mongod"));
    }

    pub fn start_mysqld(&mut self) {
        let (data, socket) = (self.data("mysqld"), self.socket());
        let arguments = ["exec-mysqld", text(&data), &self.mysqld_port.to_string(), text(&socket)];
        self.mysqld = Some(exec(&self.data("mysqld.log"), &arguments));
    }

    /// Waits until both answer.
    pub async fn until_ready(&self) {
        let options = self.options();
        until("the private servers answer", async || {
            let url: MySqlConnectOptions = options.mysql.parse().expect("a URL");
            let Ok(connection) = url.connect().await else { return false };
            let _ = connection.close().await;
            let Ok(client) = mongodb::Client::with_uri_str(&options.mongodb).await else { return false };
            let hello = client.database("admin").run_command(doc! { "hello": 1 }).await;
            hello.is_ok_and(|hello| hello.get_bool("isWritablePrimary").unwrap_or_default())
        })
        .await;
    }

    fn data(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn socket(&self) -> PathBuf {
        self.data("s")
    }
}

impl Drop for PrivateServers {
    fn drop(&mut self) {
        kill(self.mongod.take());
        kill(self.mysqld.take());
    }
}

/// Starts a server in the foreground of a process, with `dev/services exec-…`.
pub fn exec(log: &Path, arguments: &[&str]) -> Child {
    exec_in(&[], log, arguments)
}

/// The same with an environment of its own, e.g. another clock.
pub fn exec_in(environment: &[(String, String)], log: &Path, arguments: &[&str]) -> Child {
    let file = std::fs::OpenOptions::new().create(true).append(true).open(log).expect("a log");
    let errors = file.try_clone().expect("a log");
    let mut command = services();
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    command.args(arguments).stdin(Stdio::null()).stdout(file).stderr(errors);
    command.spawn().expect("the server starts")
}

pub fn services() -> Command {
    Command::new(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../dev/services"))
}

/// Puts a copy of a folder in the folder's place.
pub fn put_back(copied: &Path, place: &Path) {
    std::fs::remove_dir_all(place).expect("what it stores is removed");
    copy(copied, place);
}

/// Copies a folder with all that is in it.
pub fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(copied.expect("cp runs").success(), "{} is not copied", from.display());
}

/// `kill -9`.
pub fn kill(child: Option<Child>) {
    if let Some(mut child) = child {
        let _ = child.kill();
        let _ = child.wait();
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("the folder's path is text")
}
