//! Those who are compared, each as a process of its own.

use std::fs::File;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::crowd;
use crate::options::Places;
use crate::site::Addresses;
use crate::workload::Load;
use crate::{control, database, floor};

/// Workloads whose rows are those of the table `balances`.
const BALANCES: [&str; 4] = ["upserts", "large", "hot", "steps"];

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Follower {
    pub name: String,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The hand-written loop, with so many events a transaction.
    Loop(usize),
    Laterna(Option<u32>),
    Script(Script),
}

/// What a script does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Script {
    /// Projects every workload but those of several projections.
    Projects,
    /// Projects `balances`.
    ProjectsBalances,
    /// Projects `balances`, in runs of a tool that are repeated, without a count of events.
    RepeatsBalances,
    /// Copies the outbox, in runs of a tool that are repeated.
    Copies,
}

/// Where it is seen how far a follower is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// In the loop's checkpoint.
    Checkpoint,
    /// In the host's checkpoints.
    Control,
    /// In the sum of the sequences of all rows of `balances`.
    Balances,
    /// In the number of rows of `outbox_copy`.
    Copy,
}

/// A follower at work. Killed when it is dropped: all are correct under that.
pub struct Running {
    child: Child,
    log: PathBuf,
    /// Where the host serves its page.
    admin: Option<u16>,
}

impl Follower {
    pub fn named(name: &str) -> anyhow::Result<Self> {
        let kind = match name {
            "floor" => Kind::Loop(floor::EVENTS),
            "naive" => Kind::Loop(1),
            "laterna" => Kind::Laterna(None),
            "python-naive" | "python-batched" => Kind::Script(Script::Projects),
            "debezium" => Kind::Script(Script::ProjectsBalances),
            "dlt" => Kind::Script(Script::RepeatsBalances),
            "sling" | "ingestr" => Kind::Script(Script::Copies),
            _ => match name.strip_prefix("laterna-").map(str::parse) {
                Some(Ok(lanes)) => Kind::Laterna(Some(lanes)),
                _ => bail!(
                    "there is no follower `{name}`, only: floor, laterna, laterna-N with N lanes, naive, python-naive, \
                     python-batched, debezium, sling, dlt, ingestr"
                ),
            },
        };
        Ok(Self { name: name.to_owned(), kind })
    }

    /// Whether it can do this work.
    pub fn takes(&self, workload: &str) -> bool {
        match self.kind {
            Kind::Loop(_) | Kind::Laterna(_) => true,
            Kind::Script(Script::Projects) => !workload.starts_with("fan"),
            Kind::Script(Script::ProjectsBalances) => BALANCES.contains(&workload),
            Kind::Script(Script::RepeatsBalances | Script::Copies) => workload == "upserts",
        }
    }

    /// Whether a part of the events is enough for it.
    pub fn is_slow(&self) -> bool {
        match self.kind {
            Kind::Loop(events) => events == 1,
            Kind::Laterna(_) | Kind::Script(Script::ProjectsBalances) => false,
            Kind::Script(Script::Projects) => self.name == "python-naive",
            Kind::Script(_) => true,
        }
    }

    /// Whether it looks for what is new since a time, and needs an index for that.
    pub fn looks_for_times(&self) -> bool {
        matches!(self.kind, Kind::Script(Script::RepeatsBalances | Script::Copies))
    }

    pub fn is_copying(&self) -> bool {
        self.kind == Kind::Script(Script::Copies)
    }

    /// Whether its table has to be made for it: the one that it would make has no key.
    pub fn needs_table(&self) -> bool {
        self.name == "sling"
    }

    pub fn seen(&self) -> Seen {
        match self.kind {
            Kind::Laterna(_) => Seen::Control,
            Kind::Loop(_) | Kind::Script(Script::Projects | Script::ProjectsBalances) => Seen::Checkpoint,
            Kind::Script(Script::RepeatsBalances) => Seen::Balances,
            Kind::Script(Script::Copies) => Seen::Copy,
        }
    }

    pub fn start(&self, places: &Places, addresses: &Addresses, load: &Load) -> anyhow::Result<Running> {
        let (log, mut admin) = (places.work.join(format!("{}.log", self.name)), None);
        let command = match self.kind {
            Kind::Loop(events) => {
                let mut command = Command::new(std::env::current_exe()?);
                command.args([
                    "floor",
                    &load.name,
                    &events.to_string(),
                    &addresses.mongodb,
                    &addresses.mysql,
                ]);
                command
            }
            Kind::Laterna(lanes) => {
                let settings = lanes.map_or_else(String::new, |lanes| format!("lanes = {lanes}\n"));
                let (config, port) = configuration(places, addresses, &load.components(places)?, &settings)?;
                admin = Some(port);
                let mut command = Command::new(&places.host);
                command.arg("--config").arg(config).arg("run");
                command
            }
            Kind::Script(_) => script(&self.name, places, addresses, load)?,
        };
        let mut running = spawn(command, &log)?;
        running.admin = admin;
        Ok(running)
    }
}

/// The host with this configuration, at work.
pub fn start_host(places: &Places, config: &Path, log: &str) -> anyhow::Result<Running> {
    let mut command = Command::new(&places.host);
    command.arg("--config").arg(config).arg("run");
    spawn(command, &places.work.join(log))
}

fn script(name: &str, places: &Places, addresses: &Addresses, load: &Load) -> anyhow::Result<Command> {
    let file = places.scripts.join("run");
    ensure!(file.exists(), "there is no {}", file.display());
    let work = std::path::absolute(places.work.join(format!("{name}-work")))?;
    // What an earlier run remembers is of another outbox.
    let _ = std::fs::remove_dir_all(&work);
    std::fs::create_dir_all(&work)?;
    let mut command = Command::new(file);
    command
        .arg(name)
        .env("BENCH_WORKLOAD", &load.name)
        .env("BENCH_DATABASE", database())
        .env("BENCH_MONGODB", &addresses.mongodb)
        .env("BENCH_MYSQL_PORT", addresses.mysql_port.to_string())
        .env("BENCH_MYSQL_SOCKET", addresses.mysql_socket.as_deref().unwrap_or_default())
        .env("BENCH_PEERS", std::path::absolute(&places.peers)?)
        .env("BENCH_WORK", work);
    Ok(command)
}

fn spawn(mut command: Command, log: &Path) -> anyhow::Result<Running> {
    command.env("RUST_BACKTRACE", "0").process_group(0).stdin(Stdio::null()).stdout(File::create(log)?);
    let program = command.get_program().to_owned();
    let child = command.stderr(File::options().append(true).open(log)?).spawn();
    let child = child.with_context(|| format!("starting {}", program.display()))?;
    Ok(Running { child, log: log.to_owned(), admin: None })
}

/// A configuration with the defaults, and what has to be said: where everything is. Gives the administration's port, too.
pub fn configuration(
    places: &Places,
    addresses: &Addresses,
    projections: &[(String, PathBuf)],
    settings: &str,
) -> anyhow::Result<(PathBuf, u16)> {
    let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
    let (address, tokens) = if places.is_guarded {
        let tokens = std::path::absolute(places.work.join("tokens.toml"))?;
        std::fs::write(&tokens, crowd::tokens())?;
        ("0.0.0.0", format!("tokens = \"{}\"\n", tokens.display()))
    } else {
        ("127.0.0.1", String::new())
    };
    let mut parts = vec![format!(
        "[host]\nadmin = \"{address}:{port}\"\n{tokens}health = \"127.0.0.1:0\"\nstate = \"{}\"\n[mongodb]\nuri = {:?}\ndatabase = {:?}\n\
         [mysql]\nurl = {:?}\ncontrol_schema = {:?}\n",
        std::path::absolute(places.work.join("state"))?.display(),
        addresses.mongodb,
        database(),
        addresses.mysql,
        control(),
    )];
    for (name, component) in projections {
        ensure!(component.exists(), "there is no {}: build it with dev/build-plugins", component.display());
        let component = std::path::absolute(component)?;
        let (component, common) = (component.display(), &places.settings);
        parts.push(format!("[projection.{name}]\ncomponent = \"{component}\"\n{common}\n{settings}\n"));
    }
    let path = places.work.join("laterna.toml");
    std::fs::write(&path, parts.concat())?;
    Ok((path, port))
}

impl Running {
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The port of the page, where the follower is a host with one.
    pub fn admin(&self) -> Option<u16> {
        self.admin
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

/// Its group goes with it: the tools that a script runs.
impl Drop for Running {
    fn drop(&mut self) {
        if let (Ok(None), Some(group)) = (self.child.try_wait(), Pid::from_raw(self.child.id().cast_signed()))
        {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn followers_are_known_by_their_names_and_take_what_they_can() {
        let follower = |name| Follower::named(name).expect("it is known");
        assert_eq!(follower("laterna-16").kind, Kind::Laterna(Some(16)));
        assert!(follower("python-naive").is_slow() && !follower("floor").is_slow());
        assert!(follower("debezium").takes("large") && !follower("debezium").takes("orders"));
        assert!(follower("sling").takes("upserts") && !follower("sling").takes("bank"));
        assert!(Follower::named("laterna-x").is_err() && Follower::named("another").is_err());
    }
}
