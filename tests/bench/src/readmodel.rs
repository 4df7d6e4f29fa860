//! The MySQL side: made anew for each run, watched, and compared with what it should hold.

use anyhow::{Context, ensure};
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlRow};
use sqlx::types::time::PrimitiveDateTime;
use sqlx::{Column, ConnectOptions, Executor, Row as _, TypeInfo};

use crate::follower::Seen;
use crate::machine;
use crate::workload::{Load, Rows};
use crate::{control, database};

/// A server and the way to it.
#[derive(Debug, Clone)]
pub struct Target {
    pub name: String,
    /// An administrator's URL, of the database `mysql`.
    admin: String,
    /// Where it listens for TCP.
    pub port: u16,
}

impl Target {
    /// What the environment names. Over TCP the driver takes TLS where the server offers it.
    pub fn known() -> Vec<Self> {
        let variable = |name: &str| std::env::var(name).ok();
        // Where MySQL cannot be had, MariaDB takes its place, and is measured as what it is.
        let is_mysql = variable("LATERNA_MYSQL_FLAVOR").is_none_or(|flavor| flavor == "mysql");
        let server = |prefix: &str| {
            let admin = variable(&format!("LATERNA_{prefix}_ADMIN_URL"))?;
            let port: u16 = variable(&format!("LATERNA_{prefix}_PORT"))?.parse().ok()?;
            let name = prefix.to_lowercase();
            let socket = Self { name: format!("{name}-socket"), admin, port };
            Some([Self { name: format!("{name}-tcp"), ..socket.at(port) }, socket])
        };
        let mysql = is_mysql.then(|| server("MYSQL")).flatten();
        mysql.into_iter().chain(server("MARIADB")).flatten().collect()
    }

    /// The same server over TCP, through a port of this machine.
    pub fn at(&self, port: u16) -> Self {
        Self { name: self.name.clone(), admin: format!("mysql://root@127.0.0.1:{port}/mysql"), port }
    }

    /// The URL of the read model's database.
    pub fn url(&self) -> String {
        self.admin.replacen("/mysql", &format!("/{}", database()), 1)
    }

    /// The socket's file, where that is the way.
    pub fn socket(&self) -> Option<String> {
        let (_, socket) = self.admin.split_once("socket=")?;
        Some(socket.split('&').next().unwrap_or(socket).to_owned())
    }

    pub async fn connect(&self) -> anyhow::Result<MySqlConnection> {
        let options: MySqlConnectOptions = self.admin.parse()?;
        options.disable_statement_logging().connect().await.context("connecting to the read model's server")
    }
}

pub async fn description(target: &Target) -> anyhow::Result<String> {
    let mut connection = target.connect().await?;
    let row =
        connection.fetch_one("SELECT VERSION(), @@sync_binlog, @@innodb_flush_log_at_trx_commit").await?;
    let (version, binlog, log): (String, i64, i64) = (row.try_get(0)?, number(&row, 1)?, number(&row, 2)?);
    let cipher = connection.fetch_one("SHOW SESSION STATUS LIKE 'Ssl_cipher'").await?;
    let tls = if cipher.try_get::<String, _>(1)?.is_empty() { "no TLS" } else { "TLS" };
    Ok(format!("{version}, {tls}, sync_binlog {binlog}, innodb_flush_log_at_trx_commit {log}"))
}

/// The server's process, if it is one of this machine's.
pub async fn process(connection: &mut MySqlConnection) -> Option<u32> {
    let row = connection.fetch_one("SELECT @@pid_file").await.ok()?;
    let id = std::fs::read_to_string(row.try_get::<String, _>(0).ok()?).ok()?;
    id.trim().parse().ok().filter(|id| machine::is_process(*id, &["mysqld", "mariadbd"]))
}

/// Empty databases. The table's collation is the one that the host would choose.
pub async fn prepare(connection: &mut MySqlConnection) -> anyhow::Result<()> {
    drop_all(connection).await?;
    let create = format!("CREATE DATABASE {} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", database());
    connection.execute(create.as_str()).await?;
    Ok(())
}

/// The table of one who only copies.
pub async fn prepare_copy(connection: &mut MySqlConnection) -> anyhow::Result<()> {
    let table = format!(
        "CREATE TABLE {}.outbox_copy (aggregateId VARCHAR(64) NOT NULL, sequence BIGINT NOT NULL, type VARCHAR(64), \
         ms VARCHAR(20), amountCents BIGINT, balanceCents BIGINT, PRIMARY KEY (aggregateId, sequence), KEY (ms))",
        database()
    );
    connection.execute(table.as_str()).await?;
    Ok(())
}

pub async fn drop_all(connection: &mut MySqlConnection) -> anyhow::Result<()> {
    // A generation that is left keeps the next host's tables from changing places.
    let sql = "SELECT CONVERT(schema_name USING utf8mb4) FROM information_schema.schemata WHERE schema_name REGEXP ?";
    let found = sqlx::query(sql).bind(format!("^{}_g[0-9]+_", control()));
    let found = found.fetch_all(&mut *connection).await?;
    let mut schemas: Vec<String> =
        found.iter().map(|row| row.try_get_unchecked(0)).collect::<Result<_, _>>()?;
    // Tools that copy put what they have fetched into a schema beside.
    schemas.extend([database().to_owned(), control().to_owned(), format!("{}_staging", database())]);
    for name in schemas {
        connection.execute(format!("DROP DATABASE IF EXISTS `{name}`").as_str()).await?;
    }
    Ok(())
}

/// How far a follower has committed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    pub events: u64,
    /// It is done with history and follows the change stream.
    pub streams: bool,
    /// How many transactions that were; 0 where it does not count them.
    pub commits: u64,
}

/// Nothing yet, as long as there is no table.
pub async fn progress(connection: &mut MySqlConnection, seen: Seen, load: &Load) -> anyhow::Result<Progress> {
    let sql = match seen {
        Seen::Checkpoint => format!("SELECT events, position <> '', commits FROM {}.checkpoint", database()),
        // That of the slowest projection.
        Seen::Control => format!(
            "SELECT CAST(IF(COUNT(*) < {}, 0, MIN(events)) AS SIGNED), COALESCE(MIN(streams), 0), \
             CAST(COALESCE(SUM(batches), 0) AS SIGNED) FROM (SELECT SUM(events) AS events, SUM(batch) AS batches, \
             MIN(position LIKE '{{\"stream\"%') AS streams FROM {}.checkpoint GROUP BY projection) AS projections",
            load.projections.len(),
            control()
        ),
        Seen::Balances => {
            format!(
                "SELECT CAST(COALESCE(SUM(last_sequence), 0) AS SIGNED), 1, 0 FROM {}.balances",
                database()
            )
        }
        Seen::Copy => format!("SELECT COUNT(*), 1, 0 FROM {}.outbox_copy", database()),
    };
    match connection.fetch_optional(sql.as_str()).await {
        Ok(Some(row)) => {
            let (found, streams) = (number(&row, 0)?, number(&row, 1)? != 0);
            let events = if seen == Seen::Balances { load.events(found) } else { u64::try_from(found)? };
            Ok(Progress { events, streams, commits: u64::try_from(number(&row, 2)?)? })
        }
        Ok(None) => Ok(Progress::default()),
        // 42S02: there is no such table. 42000 is what MariaDB says when there is no such database.
        Err(sqlx::Error::Database(error)) if matches!(error.code().as_deref(), Some("42S02" | "42000")) => {
            Ok(Progress::default())
        }
        Err(error) => Err(error).context("reading how far it is"),
    }
}

/// How many statements the server has had so far, from everybody.
pub async fn statements(connection: &mut MySqlConnection) -> anyhow::Result<u64> {
    let row = connection.fetch_one("SHOW GLOBAL STATUS LIKE 'Questions'").await?;
    let count: String = row.try_get_unchecked(1)?;
    count.parse().with_context(|| format!("the number of statements is {count:?}"))
}

/// Compares the tables with what they should hold.
pub async fn verify(connection: &mut MySqlConnection, expected: &[(String, Rows)]) -> anyhow::Result<()> {
    connection.execute(format!("USE {}", database()).as_str()).await?;
    for (sql, expected) in expected {
        let found = connection.fetch_all(sql.as_str()).await?;
        let found: Rows = found.iter().map(cells).collect::<anyhow::Result<_>>()?;
        let missing: Vec<_> = expected.difference(&found).collect();
        let extra: Vec<_> = found.difference(expected).collect();
        ensure!(
            missing.is_empty() && extra.is_empty(),
            "{} rows are missing or wrong, {} are wrong or too many: {sql}; one of each: {:?}, {:?}",
            missing.len(),
            extra.len(),
            missing.first(),
            extra.first()
        );
    }
    Ok(())
}

/// The cells of a row as text; a time as milliseconds.
fn cells(row: &MySqlRow) -> anyhow::Result<Vec<String>> {
    let cell = |column: &sqlx::mysql::MySqlColumn| -> anyhow::Result<String> {
        let at = column.ordinal();
        Ok(match column.type_info().name() {
            "DATETIME" => {
                let time: PrimitiveDateTime = row.try_get(at)?;
                (time.assume_utc().unix_timestamp_nanos() / 1_000_000).to_string()
            }
            "BIGINT" => row.try_get::<i64, _>(at)?.to_string(),
            _ => row.try_get_unchecked(at)?,
        })
    };
    row.columns().iter().map(cell).collect()
}

/// Servers do not agree about the type of a number that was calculated, so it is not checked.
fn number(row: &MySqlRow, column: usize) -> anyhow::Result<i64> {
    Ok(row.try_get_unchecked(column)?)
}
