//! The processes: the bank's own program, which is killed, and a MongoDB in which the transactions of the dead end soon.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// How long MongoDB keeps a transaction whose client is gone, with what it has locked: usually it is a minute.
const LIFETIME: &str = "transactionLifetimeLimitSeconds=1";

pub struct Mongod {
    child: Child,
    pub uri: String,
    _folder: tempfile::TempDir,
}

/// The bank, which dies by `kill -9` when it is dropped.
pub struct Served {
    child: Child,
    pub url: String,
}

fn services() -> Command {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dev/services"))
}

impl Mongod {
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("laterna").tempdir().expect("a folder");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = port.expect("a port").port().to_string();
        let log = std::fs::File::create(folder.path().join("log")).expect("a log");
        let mut command = services();
        command.arg("exec-mongod").arg(folder.path().join("data")).arg(&port);
        for parameter in ["enableTestCommands=1", LIFETIME] {
            command.args(["--setParameter", parameter]);
        }
        let errors = log.try_clone().expect("a log");
        let child = command.stdin(Stdio::null()).stdout(log).stderr(errors).spawn().expect("it starts");
        let uri = format!("mongodb://127.0.0.1:{port}/?replicaSet=rs0&directConnection=true");
        let started = Self { child, uri, _folder: folder };
        let initiated = services().args(["initiate-replica-set", &port]).stdout(Stdio::null()).status();
        assert!(initiated.expect("it runs").success(), "the replica set was not initiated");
        started
    }

    /// Starts the bank, and waits until it says where it is: then it has ended what a crash left.
    pub fn serve(&self) -> Served {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bank"));
        command.args(["serve", "127.0.0.1:0"]).env_remove("MYSQL_URL").stdout(Stdio::piped());
        command.env("MONGODB_URI", &self.uri).env("MONGODB_DATABASE", "bank");
        let mut child = command.spawn().expect("it starts");
        let mut line = String::new();
        let said = BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line);
        assert!(said.is_ok() && line.starts_with("http://"), "it says where it is: {line:?}");
        Served { child, url: line.trim().to_owned() }
    }
}

impl Drop for Mongod {
    fn drop(&mut self) {
        kill(&mut self.child);
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        kill(&mut self.child);
    }
}

fn kill(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}
