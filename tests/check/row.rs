//! One set-up: how it is made, what comes of it, and how both commands are held against each other.

use std::time::{Duration, Instant};

use bson::doc;

use crate::support::world::{event, free_port, laterna, said};
use crate::support::{Host, Options, World, some_time};

/// How long a run may take to say what becomes of it, while other rows use the processor, too.
const PATIENCE: Duration = Duration::from_mins(1);

/// What rows take for a password, and nobody may read in an output.
pub const PASSWORD: &str = "told-nobody";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    MySql,
    MariaDb,
}

pub const BOTH: [Server; 2] = [Server::MySql, Server::MariaDb];

impl Server {
    pub fn name(self) -> &'static str {
        match self {
            Self::MySql => "MySQL",
            Self::MariaDb => "MariaDB",
        }
    }
}

/// What comes of a set-up.
#[derive(Debug, Clone, Copy)]
pub enum Outcome {
    /// The run goes on, and the check says so.
    Runs,
    /// The run goes on, and the check has a note that says this.
    Notes(&'static str),
    /// The run pauses or waits, with a reason that says this; the check fails with the same reason, and this remedy.
    Stops(&'static str, &'static str),
    /// The run ends at once, and both say this, and this remedy.
    Ends(&'static str, &'static str),
}

/// What is done to the outbox.
#[derive(Debug, Clone, Copy)]
pub enum OutboxChange {
    Drop,
    DropIndex,
    /// Keys and options as JSON, in the place of the index for history.
    Index(&'static str, &'static str),
    Capped,
    Event(&'static str),
    View,
}

/// A set-up. `DB` and `CTL` stand for the read model's database and the control schema, `ACCOUNT` for the beginning of an account's name of the row.
#[derive(Debug, Clone)]
pub struct Row {
    pub name: String,
    pub server: Server,
    pub guest: &'static str,
    /// Whether the projection has begun, and applied one event, before anything is broken.
    pub has_begun: bool,
    /// Whether there is an event to read.
    pub has_event: bool,
    /// What an administrator runs.
    pub sql: Vec<String>,
    /// What the accounts of `mysql.url` and `mysql.ddl_url` are granted; none: they are the administrator.
    pub grants: Option<[Vec<String>; 2]>,
    pub outbox: Vec<OutboxChange>,
    /// Lines of the configuration by their beginnings, and others in their place.
    pub lines: Vec<(&'static str, String)>,
    pub outcome: Outcome,
}

impl Row {
    pub fn new(name: &str, server: Server, outcome: Outcome) -> Self {
        Self {
            name: name.to_owned(),
            server,
            guest: "recorder",
            has_begun: false,
            has_event: true,
            sql: vec![],
            grants: None,
            outbox: vec![],
            lines: vec![],
            outcome,
        }
    }

    pub fn guest(self, guest: &'static str) -> Self {
        Self { guest, ..self }
    }

    pub fn begun(self) -> Self {
        Self { has_begun: true, ..self }
    }

    pub fn without_events(self) -> Self {
        Self { has_event: false, ..self }
    }

    pub fn sql(mut self, sql: impl Into<String>) -> Self {
        self.sql.push(sql.into());
        self
    }

    pub fn outbox(mut self, change: OutboxChange) -> Self {
        self.outbox.push(change);
        self
    }

    pub fn line(mut self, line: &'static str, instead: impl Into<String>) -> Self {
        self.lines.push((line, instead.into()));
        self
    }

    /// Makes the set-up, runs both commands, and says how they do not agree.
    pub async fn hold(self) -> Result<(), String> {
        let options = match self.server {
            Server::MySql => Options::mysql(),
            Server::MariaDb => Options::mariadb(),
        };
        let mut world = World::new(self.guest, options).await;
        let held = self.hold_in(&mut world).await;
        for account in ["app", "ddl"] {
            world.run(&format!("DROP USER IF EXISTS {}_{account}@localhost", world.name)).await;
        }
        held
    }

    async fn hold_in(&self, world: &mut World) -> Result<(), String> {
        if self.has_event {
            world.insert([event("e1", "a", 1, doc! {})]).await;
        }
        if self.has_begun {
            let host = world.start();
            if self.has_event {
                world.until_committed(&self.projection(), 1).await;
            }
            host.until_phase(&self.projection(), "streaming").await;
            host.stop().await;
        }
        self.change(world).await;
        let (check, told) = loop {
            let port = free_port();
            let check = laterna(&self.config(world, port), &["check"]);
            let told = said(&check);
            if !is_taken(&told, port) {
                break (check, told.replace(&file_name(port), "FILE"));
            }
        };
        let run = loop {
            let port = free_port();
            match run(&self.config(world, port), port, &self.projection()).await {
                // Another row was faster.
                Run::Ends(text) if is_taken(&text, port) => {}
                Run::Ends(text) => break Run::Ends(text.replace(&file_name(port), "FILE")),
                run => break run,
            }
        };
        if told.contains(PASSWORD) || format!("{run:?}").contains(PASSWORD) {
            return Err(format!("a password is told:\n{run:?}\n{told}"));
        }
        if told.contains("Everything is ready") != check.status.success() {
            return Err(format!("the check contradicts itself:\n{told}"));
        }
        self.compare(&told, &run).map_err(|why| format!("{why}\n--- run: {run:?}\n--- check:\n{told}"))
    }

    fn compare(&self, told: &str, run: &Run) -> Result<(), String> {
        let is_ready = told.contains("Everything is ready");
        let has = |says: &str| {
            if told.contains(says) { Ok(()) } else { Err(format!("the check does not say {says:?}")) }
        };
        match (self.outcome, run) {
            (Outcome::Runs, Run::GoesOn) if is_ready => Ok(()),
            (Outcome::Notes(says), Run::GoesOn) if is_ready => {
                let is_noted = told.lines().any(|line| line.starts_with("note") && line.contains(says));
                if is_noted { Ok(()) } else { Err(format!("nothing is noted that says {says:?}")) }
            }
            (Outcome::Stops(says, remedy), Run::Stops(reason)) if !is_ready => {
                has(says)?;
                has(remedy)?;
                // The run's words, whatever they are, are the check's.
                if !reason.contains(says) {
                    return Err(format!("the run does not say {says:?}"));
                }
                has(reason.trim()).map_err(|_| "the check does not say what the run says".to_owned())
            }
            (Outcome::Ends(says, remedy), Run::Ends(text)) if !is_ready => {
                has(says)?;
                has(remedy)?;
                let (_, error) = text.split_once("error: ").ok_or("the run ends without an error")?;
                if !error.contains(says) {
                    return Err(format!("the run does not say {says:?}"));
                }
                error.lines().map(str::trim).try_for_each(|line| {
                    has(line).map_err(|_| format!("the check does not say what the run says: {line}"))
                })
            }
            _ => Err(format!("{:?} was expected", self.outcome)),
        }
    }

    fn projection(&self) -> String {
        self.guest.replace('-', "_")
    }

    fn in_world(world: &World, text: &str) -> String {
        text.replace("CTL", &world.control()).replace("DB", &world.name).replace("ACCOUNT", &world.name)
    }

    async fn change(&self, world: &mut World) {
        for sql in &self.sql {
            world.run(&Self::in_world(world, sql)).await;
        }
        if let Some(grants) = &self.grants {
            for (name, grants) in ["app", "ddl"].into_iter().zip(grants) {
                let account = format!("{}_{name}@localhost", world.name);
                world.run(&format!("CREATE USER {account}")).await;
                for grant in grants {
                    world.run(&format!("GRANT {} TO {account}", Self::in_world(world, grant))).await;
                }
            }
            let url = |name: &str| world.options.mysql.replacen("root", &format!("{}_{name}", world.name), 1);
            let (app, ddl) = (url("app"), url("ddl"));
            (world.options.host_mysql, world.options.ddl_mysql) = (Some(app), Some(ddl));
        }
        for change in &self.outbox {
            change_outbox(world, *change).await;
        }
    }

    fn config(&self, world: &World, port: u16) -> std::path::PathBuf {
        let path = world.config(port);
        let mut text = std::fs::read_to_string(&path).expect("it was written");
        for (beginning, instead) in &self.lines {
            let line = text.lines().find(|line| line.starts_with(beginning)).map(str::to_owned);
            let line = line.unwrap_or_else(|| panic!("no line begins with {beginning} in\n{text}"));
            let instead = Self::in_world(world, instead).replace("LINE", &line);
            text = text.replacen(&line, &instead, 1);
        }
        std::fs::write(&path, text).expect("it can be written");
        path
    }
}

async fn change_outbox(world: &World, change: OutboxChange) {
    let database = world.client.database(&world.name);
    let json = |text: &str| -> bson::Document { serde_json::from_str(text).expect("a document") };
    let done = match change {
        OutboxChange::Drop => world.outbox.drop().await,
        OutboxChange::DropIndex => world.outbox.drop_indexes().await,
        OutboxChange::Index(keys, options) => {
            world.outbox.drop_indexes().await.expect("they are dropped");
            let mut index = doc! { "key": json(keys) };
            index.extend(json(options));
            let create = doc! { "createIndexes": "outbox", "indexes": [index] };
            database.run_command(create).await.map(|_| ())
        }
        OutboxChange::Capped => {
            let convert = doc! { "convertToCapped": "outbox", "size": 1_000_000 };
            database.run_command(convert).await.map(|_| ())
        }
        OutboxChange::Event(text) => world.outbox.insert_one(json(text)).await.map(|_| ()),
        OutboxChange::View => {
            world.outbox.drop().await.expect("it is dropped");
            let create = doc! { "create": "outbox", "viewOn": "other", "pipeline": [] };
            database.run_command(create).await.map(|_| ())
        }
    };
    done.unwrap_or_else(|error| panic!("{change:?}: {error}"));
}

/// What differs between the configurations of both commands.
fn file_name(port: u16) -> String {
    format!("laterna-{port}.toml")
}

/// Whether another row was faster to take this port.
fn is_taken(told: &str, port: u16) -> bool {
    told.contains(&format!("127.0.0.1:{port}; choose another port: Address already in use"))
}

/// What became of a run in its first seconds.
#[derive(Debug)]
enum Run {
    GoesOn,
    /// It pauses, or tries again and again, and why.
    Stops(String),
    /// The process ended, and its log.
    Ends(String),
}

async fn run(config: &std::path::Path, port: u16, projection: &str) -> Run {
    let mut host = Host::start(config, port);
    let began = Instant::now();
    loop {
        if host.exit_status().is_some() {
            return Run::Ends(host.log());
        }
        if let Some(status) = host.status(projection).await {
            let reason = status["reason"].as_str().unwrap_or_default().to_owned();
            let is_over = match status["phase"].as_str().unwrap_or_default() {
                "streaming" => Some(Run::GoesOn),
                "paused" => Some(Run::Stops(reason)),
                _ => status["trouble"].as_str().map(|trouble| Run::Stops(trouble.to_owned())),
            };
            if let Some(over) = is_over {
                host.kill();
                return over;
            }
        }
        assert!(began.elapsed() < PATIENCE, "the run says nothing:\n{}", host.log());
        some_time(50).await;
    }
}
