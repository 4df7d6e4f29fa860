//! What the compliance suite asks: the outbox in each language, by lines of JSON. Those in JavaScript and Python are
//! processes, the one in Rust is asked in this one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::rust::Rust;

pub const LANGUAGES: [&str; 3] = ["rust", "node", "python"];

pub struct Subject {
    pub language: &'static str,
    way: Way,
}

enum Way {
    Here(Rust),
    Process(Box<Process>),
}

struct Process {
    /// The process ends with its test.
    _child: Child,
    asks: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    _folder: tempfile::TempDir,
}

impl Subject {
    /// One that is connected to a database.
    pub async fn connected(language: &'static str, uri: &str, database: &str) -> Self {
        let way = if language == "rust" {
            Way::Here(Rust::default())
        } else {
            Way::Process(Box::new(Process::start(language)))
        };
        let mut subject = Self { language, way };
        subject.does(json!({ "do": "connect", "uri": uri, "database": database })).await;
        subject
    }

    /// The answer, whatever it is: `{ok}`, or `{error, says}`.
    pub async fn ask(&mut self, request: Value) -> Value {
        match &mut self.way {
            Way::Here(rust) => rust.ask(request).await,
            Way::Process(process) => process.ask(&request).await,
        }
    }

    /// What it gives for something that succeeds.
    pub async fn does(&mut self, request: Value) -> Value {
        let mut answer = self.ask(request.clone()).await;
        assert!(answer.get("ok").is_some(), "{}: {request} gives {answer}", self.language);
        answer["ok"].take()
    }

    /// What it says about something that fails with an error of this name.
    pub async fn fails(&mut self, error: &str, request: Value) -> String {
        let answer = self.ask(request.clone()).await;
        assert_eq!(answer["error"], error, "{}: {request} gives {answer}", self.language);
        answer["says"].as_str().expect("a sentence").to_owned()
    }
}

impl Process {
    fn start(language: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let drivers = root.join("target/toolchains/drivers");
        assert!(drivers.exists(), "there are no drivers: run dev/build-plugins");
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = Command::new(drivers.join(language));
        if language == "node" {
            // A module is looked for beside the file that names it.
            std::os::unix::fs::symlink(drivers.join("node_modules"), folder.path().join("node_modules"))
                .expect("a link");
            for file in files(&root.join("examples/outbox/node")) {
                fs::copy(&file, folder.path().join(file.file_name().expect("a name"))).expect("a copy");
            }
            let subject = folder.path().join("subject.mjs");
            fs::copy(root.join("tests/outbox/subject.mjs"), &subject).expect("a copy");
            command.arg(subject);
        } else {
            command.arg("-B").arg(root.join("tests/outbox/subject.py"));
            command.arg(root.join("examples/outbox/python"));
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the language runs");
        let (asks, answers) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
        let answers = BufReader::new(answers).lines();
        Self { _child: child, asks, answers, _folder: folder }
    }

    async fn ask(&mut self, request: &Value) -> Value {
        self.asks.write_all(format!("{request}\n").as_bytes()).await.expect("it listens");
        let line = self.answers.next_line().await.expect("a pipe").expect("it goes on");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.filter(|path| path.is_file()).collect()
}
