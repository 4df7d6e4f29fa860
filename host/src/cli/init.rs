//! `laterna init`: writes a first configuration, and prints what is still to be done.
//!
//! It changes nothing on a server, but what `laterna check` does.

use std::fs::OpenOptions;
use std::io::{IsTerminal, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use url::Url;

use super::{check, output};
use crate::config::{Config, Mongodb};
use crate::source::{Fields, index_of_new_outbox};

#[derive(Debug, Args)]
pub struct InitArguments {
    /// Address of the replica set.
    #[arg(long, value_name = "URI")]
    mongodb: Option<String>,
    /// MongoDB database that has the outbox.
    #[arg(long)]
    database: Option<String>,
    /// Address of MySQL and the database for read models; the file then names two new accounts with random passwords. Or the
    /// URL of an account that exists.
    #[arg(long, value_name = "HOST:PORT/DATABASE")]
    mysql: Option<String>,
    /// Name of the projection.
    #[arg(long)]
    projection: Option<String>,
    /// File of the projector, e.g. dist/customers.wasm.
    #[arg(long)]
    component: Option<String>,
    /// Do not run `laterna check` at the end.
    #[arg(long)]
    no_check: bool,
}

pub fn init(path: &Path, arguments: InitArguments) -> anyhow::Result<ExitCode> {
    if path.exists() {
        bail!("{} is there already; edit it, or name another file with --config", path.display());
    }
    let InitArguments { mongodb, database, mysql, projection, component, no_check } = arguments;
    let mongodb =
        answer("--mongodb", "The replica set's address", "mongodb://127.0.0.1/?replicaSet=rs0", mongodb)?;
    let database = answer("--database", "The MongoDB database that has the outbox", "", database)?;
    let mysql = answer(
        "--mysql",
        "MySQL's address and the database for read models",
        "127.0.0.1:3306/readmodels",
        mysql,
    )?;
    let projection = answer("--projection", "The projection's name", "customers", projection)?;
    let named = format!("dist/{projection}.wasm");
    let component = answer("--component", "The projector's file", &named, component)?;
    let (url, ddl_url) = urls(&mysql)?;
    write(path, &text(&mongodb, &database, [&url, &ddl_url], &projection, &component))?;
    let config = Config::load(path).inspect_err(|_| {
        // An answer is wrong in itself: nothing stays of it.
        let _ = std::fs::remove_file(path);
    })?;
    output::line(format_args!(
        "{} is written. Only you can read it, because it contains passwords.\n",
        path.display()
    ));
    output::line(next(path, &url, &config.mongodb)?);
    if no_check {
        return Ok(ExitCode::SUCCESS);
    }
    output::line("\nThe result of `laterna check` now:\n");
    let runtime = super::runtime()?;
    check::check(&config, &check::CheckArguments::default(), &runtime)
}

/// Returns the option's value, or the answer of somebody at a terminal.
fn answer(option: &str, asked: &str, usual: &str, given: Option<String>) -> anyhow::Result<String> {
    if let Some(given) = given {
        return Ok(given);
    }
    if !std::io::stdin().is_terminal() {
        bail!("{asked} is missing: give {option}");
    }
    let shown = if usual.is_empty() { String::new() } else { format!(" [{usual}]") };
    print!("{asked}{shown}: ");
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    match (answer.trim(), usual) {
        ("", "") => bail!("{asked} is missing: give {option}"),
        ("", usual) => Ok(usual.to_owned()),
        (answer, _) => Ok(answer.to_owned()),
    }
}

/// The URLs of both accounts: one that is given is used for both, an address gets two accounts.
fn urls(mysql: &str) -> anyhow::Result<(String, String)> {
    if mysql.starts_with("mysql://") {
        return Ok((mysql.to_owned(), mysql.to_owned()));
    }
    let wrong = || format!("{mysql:?} is not an address like 127.0.0.1:3306/readmodels, nor a URL");
    let url = |account: &str| -> anyhow::Result<String> {
        Ok(format!("mysql://{account}:{}@{mysql}", password()?))
    };
    let (app, ddl) = (url("laterna_app")?, url("laterna_ddl")?);
    let parsed = Url::parse(&app).ok().with_context(wrong)?;
    if parsed.host_str().is_none_or(str::is_empty) || parsed.path().len() < 2 {
        bail!(wrong());
    }
    Ok((app, ddl))
}

/// A random password that needs no quoting anywhere.
fn password() -> anyhow::Result<String> {
    let mut bytes = [0; 18];
    let mut random = std::fs::File::open("/dev/urandom").context("asking for a random password")?;
    random.read_exact(&mut bytes).context("asking for a random password")?;
    Ok(hex::encode(bytes))
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let written = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(text.as_bytes())
    };
    written().with_context(|| format!("writing {}", path.display()))
}

fn text(
    mongodb: &str,
    database: &str,
    [url, ddl_url]: [&str; 2],
    projection: &str,
    component: &str,
) -> String {
    format!(
        "# Laterna's configuration. Every setting, with its default: examples/laterna.toml.\n\
         # The environment overrides each value, e.g. LATERNA_MYSQL__URL.\n\n\
         [mongodb]\n\
         # The replica set, and the database in which the collection `outbox` is.\n\
         uri = {mongodb:?}\n\
         database = {database:?}\n\n\
         [mysql]\n\
         # This account changes rows and no more; the database holds the read models.\n\
         url = {url:?}\n\
         # This one makes the tables. `laterna grants` prints the SQL for both.\n\
         ddl_url = {ddl_url:?}\n\n\
         # A projection runs one projector into its tables.\n\
         [projection.{projection}]\n\
         # The projector's file; a relative path starts at the folder of this file.\n\
         component = {component:?}\n"
    )
}

/// The next steps of an administrator.
fn next(path: &Path, url: &str, mongodb: &Mongodb) -> anyhow::Result<String> {
    let url = Url::parse(url).context("the URL was written")?;
    let (host, port) = (url.host_str().unwrap_or("127.0.0.1"), url.port().unwrap_or(3306));
    let config = if path == Path::new("laterna.toml") {
        String::new()
    } else {
        format!(" --config {}", path.display())
    };
    let index = index_of_new_outbox(&Fields::default(), &mongodb.outbox);
    Ok(format!(
        "Create the index by which history is read, in mongosh, unless it is there; it makes the outbox with it:\n  \
         use {}\n  \
         {index}\n\
         Create the databases and the accounts, as an administrator of MySQL:\n  \
         laterna{config} grants | mysql --host={host} --port={port} --user=root --password\n\
         Then test everything, and start:\n  \
         laterna{config} check\n  \
         laterna{config} run",
        mongodb.database
    ))
}
