//! The MySQL side: made anew for each run, watched, and compared with what it should hold.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use bson::DateTime;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlRow};
use sqlx::types::time::PrimitiveDateTime;
use sqlx::{ConnectOptions, Executor, Row as _};

use crate::follower::Follower;
use crate::machine;
use crate::workload::Row;
use crate::{CONTROL, DATABASE};

/// A server and the way to it.
#[derive(Debug, Clone)]
pub struct Target {
    pub name: &'static str,
    /// An administrator's URL, of the database `mysql`.
    admin: String,
}

impl Target {
    /// What the environment names. Over TCP the driver takes TLS where the server offers it.
    pub fn known() -> Vec<Self> {
        let variable = |name: &str| std::env::var(name).ok();
        // Where MySQL cannot be had, MariaDB takes its place, and is measured as what it is.
        let is_mysql = variable("LATERNA_MYSQL_FLAVOR").is_none_or(|flavor| flavor == "mysql");
        let mysql = is_mysql.then(|| variable("LATERNA_MYSQL_ADMIN_URL")).flatten();
        let tcp = is_mysql.then(|| variable("LATERNA_MYSQL_PORT")).flatten();
        let tcp = tcp.map(|port| format!("mysql://root@127.0.0.1:{port}/mysql"));
        let known = [
            ("mysql-socket", mysql),
            ("mysql-tcp", tcp),
            ("mariadb-socket", variable("LATERNA_MARIADB_ADMIN_URL")),
        ];
        known.into_iter().filter_map(|(name, admin)| Some(Self { name, admin: admin? })).collect()
    }

    /// The URL of the read model's database.
    pub fn url(&self) -> String {
        self.admin.replacen("/mysql", &format!("/{DATABASE}"), 1)
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
    let create = format!("CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin");
    connection.execute(create.as_str()).await?;
    Ok(())
}

pub async fn drop_all(connection: &mut MySqlConnection) -> anyhow::Result<()> {
    for database in [DATABASE, CONTROL] {
        connection.execute(format!("DROP DATABASE IF EXISTS {database}").as_str()).await?;
    }
    Ok(())
}

/// How far a follower has committed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    pub events: u64,
    /// It is done with history and follows the change stream.
    pub streams: bool,
}

/// Nothing yet, as long as there is no table.
pub async fn progress(connection: &mut MySqlConnection, follower: Follower) -> anyhow::Result<Progress> {
    let sql = match follower {
        Follower::Native => format!("SELECT events, position <> '' FROM {DATABASE}.checkpoint"),
        Follower::Laterna => format!(
            "SELECT CAST(COALESCE(SUM(events), 0) AS SIGNED), COALESCE(MIN(position LIKE '{{\"stream\"%'), 0) \
             FROM {CONTROL}.checkpoint"
        ),
    };
    match connection.fetch_optional(sql.as_str()).await {
        Ok(Some(row)) => {
            Ok(Progress { events: u64::try_from(number(&row, 0)?)?, streams: number(&row, 1)? != 0 })
        }
        Ok(None) => Ok(Progress::default()),
        // 42S02: there is no such table. 42000 is what MariaDB says when there is no such database.
        Err(sqlx::Error::Database(error)) if matches!(error.code().as_deref(), Some("42S02" | "42000")) => {
            Ok(Progress::default())
        }
        Err(error) => Err(error).context("reading the checkpoint"),
    }
}

/// Compares the table with what it should hold.
pub async fn verify(
    connection: &mut MySqlConnection,
    expected: &BTreeMap<String, Row>,
) -> anyhow::Result<()> {
    let sql = format!(
        "SELECT account_id, last_event, amount_cents, balance_cents, last_sequence, updated_at FROM {DATABASE}.balances"
    );
    let found = connection.fetch_all(sql.as_str()).await?;
    let found: BTreeMap<String, Row> = found.iter().map(row).collect::<anyhow::Result<_>>()?;
    let different = expected.iter().filter(|(id, row)| found.get(*id) != Some(row)).count();
    let extra = found.keys().filter(|id| !expected.contains_key(*id)).count();
    ensure!(different + extra == 0, "{different} rows are missing or wrong, {extra} are too many");
    Ok(())
}

fn row(row: &MySqlRow) -> anyhow::Result<(String, Row)> {
    let time: PrimitiveDateTime = row.try_get(5)?;
    let milliseconds = i64::try_from(time.assume_utc().unix_timestamp_nanos() / 1_000_000)?;
    let found = Row {
        last_event: row.try_get_unchecked(1)?,
        amount_cents: row.try_get(2)?,
        balance_cents: row.try_get(3)?,
        last_sequence: row.try_get(4)?,
        updated_at: DateTime::from_millis(milliseconds),
    };
    Ok((row.try_get_unchecked(0)?, found))
}

/// Servers do not agree about the type of a number that was calculated, so it is not checked.
fn number(row: &MySqlRow, column: usize) -> anyhow::Result<i64> {
    Ok(row.try_get_unchecked(column)?)
}
