//! What the environment says: where the servers are, how much is shown. No I/O besides
//! the lock.

use std::env;
use std::fmt::Display;
use std::fs::{self, File, TryLockError};
use std::net::TcpListener;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, anyhow, bail};

/// Where people look first; another one is taken when somebody listens there.
const PORT: u16 = 7420;

#[derive(Debug)]
pub struct Settings {
    /// `LATERNA_MONGODB_URI`.
    pub mongodb_uri: String,
    /// `LATERNA_MYSQL_ADMIN_URL`: may create databases and accounts.
    pub mysql_admin_url: String,
    /// `DEMO_DATABASE`: the read model's database in MySQL. All other names are made from it.
    pub database: String,
    /// `DEMO_EVENTS`: how many events the writers write together.
    pub events: u64,
    /// `DEMO_RATE`: how many they write in a second; 0 is as many as they can.
    pub rate: u64,
    /// `DEMO_WRITERS`: how many writers there are.
    pub writers: u64,
    /// `DEMO_KEEP`: the host goes on when the demonstration is over.
    pub keep: bool,
    /// `DEMO_POISON`: at the end, an event is written that cannot be applied.
    pub poison: bool,
    /// `DEMO_PORT`: where the demo serves its page, or `demo stream` its host's status. 0 until it is chosen.
    pub port: u16,
    /// `DEMO_ALSO_AT`: a name or an address of this machine at which the pages are reached as well, at the same ports: a
    /// container's, for whoever is outside.
    pub also_at: Option<String>,
    /// `DEMO_TOUR`: it ends with the tour, also at a terminal.
    pub tour: bool,
    /// Where it leaves its files.
    pub folder: PathBuf,
}

impl Settings {
    pub fn from_environment() -> anyhow::Result<Self> {
        let address = |name: &str| {
            env::var(name)
                .map_err(|_| anyhow!("{name} is not set: use `make demo`, or eval \"$(dev/services env)\""))
        };
        let database = database(env::var("DEMO_DATABASE").unwrap_or_else(|_| "bank".to_owned()))?;
        Ok(Self {
            folder: folder(&database),
            mongodb_uri: address("LATERNA_MONGODB_URI")?,
            mysql_admin_url: address("LATERNA_MYSQL_ADMIN_URL")?,
            database,
            events: number("DEMO_EVENTS", 6000, &1)?,
            rate: number("DEMO_RATE", 400, &0)?,
            writers: number("DEMO_WRITERS", 4, &1)?,
            keep: switch("DEMO_KEEP"),
            poison: switch("DEMO_POISON"),
            port: number("DEMO_PORT", 0, &1)?,
            also_at: env::var("DEMO_ALSO_AT").ok().filter(|name| !name.is_empty()),
            tour: switch("DEMO_TOUR"),
        })
    }

    /// The usual port, or one that nobody listens on, unless one is given.
    pub fn choose_port(&mut self) -> anyhow::Result<()> {
        if self.port == 0 {
            let bound =
                TcpListener::bind(("127.0.0.1", PORT)).or_else(|_| TcpListener::bind(("127.0.0.1", 0)));
            let address = bound.and_then(|listener| listener.local_addr());
            self.port = address.context("there is no free port on the loopback")?.port();
        }
        Ok(())
    }

    /// The host's own tables in MySQL.
    pub fn control_schema(&self) -> String {
        format!("{}_demo_control", self.database)
    }

    /// The account that changes rows.
    pub fn app_user(&self) -> String {
        format!("{}_demo_app", self.database)
    }

    /// The account that creates tables.
    pub fn ddl_user(&self) -> String {
        format!("{}_demo_ddl", self.database)
    }

    /// The account that reads: the bank's queries.
    pub fn reader_user(&self) -> String {
        format!("{}_demo_read", self.database)
    }

    /// The writing side's database in MongoDB.
    pub fn mongodb_database(&self) -> String {
        format!("{}_demo", self.database)
    }

    pub fn config(&self) -> PathBuf {
        self.folder.join("laterna.toml")
    }

    pub fn log(&self) -> PathBuf {
        self.folder.join("laterna.log")
    }

    /// One demonstration at a time: the next one makes everything anew. It ends with the file that is given.
    pub fn lock(&self) -> anyhow::Result<File> {
        let path = self.folder.join("lock");
        let opened = fs::create_dir_all(&self.folder).and_then(|()| File::create(&path));
        let file = opened.with_context(|| format!("creating {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => {
                bail!(
                    "another demo is running here: wait for its end, or name another database with DEMO_DATABASE"
                )
            }
            Err(TryLockError::Error(error)) => Err(error).context("locking the demo's folder"),
        }
    }

    /// Where a host that was kept can be found again.
    pub fn pid(&self) -> PathBuf {
        self.folder.join("laterna.pid")
    }
}

/// Below the folder it is run in.
fn folder(database: &str) -> PathBuf {
    match database {
        "bank" => "target/demo".into(),
        other => format!("target/demo-{other}").into(),
    }
}

/// MySQL's names of accounts have at most 32 characters.
fn database(name: String) -> anyhow::Result<String> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if !name.starts_with(|first: char| first.is_ascii_lowercase())
        || !name.bytes().all(plain)
        || name.len() > 21
    {
        bail!("DEMO_DATABASE is {name:?}; it must be a lower-case letter, then up to 20 of a-z, 0-9 and _");
    }
    Ok(name)
}

fn number<N: FromStr + PartialOrd + Display>(name: &str, default: N, least: &N) -> anyhow::Result<N> {
    let Ok(text) = env::var(name) else { return Ok(default) };
    match text.parse() {
        Ok(number) if number >= *least => Ok(number),
        _ => bail!("{name} is {text:?}; it must be a number of at least {least}"),
    }
}

fn switch(name: &str) -> bool {
    env::var(name).is_ok_and(|value| !matches!(value.as_str(), "" | "0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_a_plain_name() {
        for name in ["", "1a", "Bank", "a b", "a`b", "a23456789_123456789_123"] {
            assert!(database(name.to_owned()).is_err(), "{name}");
        }
        assert!(database("bank_2".to_owned()).is_ok());
    }
}
