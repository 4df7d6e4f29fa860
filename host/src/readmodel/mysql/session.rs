//! A connection with the session settings the host depends on, set and read back.
//!
//! No pool: each lane has one session, and a session in which anything failed is dropped, never reused. A
//! cancelled or timed-out call leaves sqlx's MySQL connections unusable.

pub mod kept;
pub mod presence;
mod server_settings;

use std::str::FromStr;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlSslMode};
use sqlx::{ConnectOptions, Connection, Row};

use super::error::classify;
use super::query::{RunQuery, send};
use crate::failure::Failure;
use crate::statement::TextOrder;
use crate::text::is_this_machine;

/// How long making a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Silence of a session after which it is lost, while MySQL waits for it.
const SILENCE: Duration = Duration::from_secs(4);

/// The longest transaction of a lane, where the configuration sets no other.
const TRANSACTION_SECONDS: u64 = 30;

/// How many statements a session keeps prepared, at most and at least.
const STATEMENTS_KEPT: usize = 512;
const STATEMENTS_KEPT_MIN: usize = 8;

/// The server's `max_prepared_stmt_count`, until it was asked.
const STATEMENTS_OF_A_SERVER: usize = 16_382;

/// All sessions of a host keep the server's number of statements divided by this: other hosts and programs have theirs, too.
const SHARE_OF_STATEMENTS: usize = 4;

const SQL_MODE: &str =
    "STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ZERO_DATE,NO_ZERO_IN_DATE,NO_ENGINE_SUBSTITUTION";

/// Bounds what is asked of MySQL: a server that is gone without a word would be waited for without end. Whatever was
/// asked in must not be used again.
pub async fn within<T>(
    limit: Duration,
    doing: &str,
    asked: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let silence = |_| {
        let message = format!("{doing}: no answer within {} s", limit.as_secs());
        Err(Failure::TimedOut { message })
    };
    tokio::time::timeout(limit, asked).await.unwrap_or_else(silence)
}

/// Makes sessions for one account.
#[derive(Debug, Clone)]
pub struct Connector {
    /// The account and how it is reached; all connectors that were made of one share it.
    account: Arc<RwLock<MySqlConnectOptions>>,
    /// The setting that names the account in messages, never a secret.
    setting: &'static str,
    database: String,
    /// Its numbers; all connectors that were made of one share them.
    figures: Arc<ConnectorFigures>,
}

#[derive(Debug)]
struct ConnectorFigures {
    /// How many seconds a lane's transaction may take.
    seconds: AtomicU64,
    /// How many connections the host needs in all; 0 where that is not known.
    needs: AtomicU32,
    /// The server's `max_prepared_stmt_count`, as it was last.
    statements: AtomicUsize,
}

/// The remedy where the URL names a database that is not there.
pub const CREATE_DATABASE: &str = "create it, or correct the URL";

impl Connector {
    /// `setting` is where the URL came from, e.g. `mysql.url`.
    pub fn new(setting: &'static str, url: &SecretString) -> Result<Self, Failure> {
        let options = parsed(setting, url)?;
        match options.get_database() {
            Some(database) if !database.is_empty() => Ok(Self::of(setting, database.to_owned(), options)),
            _ => Err(Failure::misconfigured(
                format!("`{setting}` names no database"),
                "end it with /DATABASE, where the read models are",
            )),
        }
    }

    /// The same where all that is done has a schema of its own: the URL may name any database, or none.
    pub fn of_an_account(setting: &'static str, url: &SecretString) -> Result<Self, Failure> {
        Ok(Self::of(setting, "information_schema".to_owned(), parsed(setting, url)?))
    }

    fn of(setting: &'static str, database: String, options: MySqlConnectOptions) -> Self {
        let options = options
            .pipes_as_concat(false)
            .no_engine_substitution(false)
            .timezone(None)
            .disable_statement_logging();
        let account = Arc::new(RwLock::new(options));
        let figures = Arc::new(ConnectorFigures {
            seconds: AtomicU64::new(TRANSACTION_SECONDS),
            needs: AtomicU32::new(0),
            statements: AtomicUsize::new(STATEMENTS_OF_A_SERVER),
        });
        Self { account, setting, database, figures }
    }

    /// Gives each transaction of a lane so much time.
    #[must_use]
    pub fn giving(self, seconds: u32) -> Self {
        self.figures.seconds.store(seconds.into(), Ordering::Relaxed);
        self
    }

    /// Sets how many connections the host needs in all, for the message when one is refused.
    #[must_use]
    pub fn of_a_host_that_needs(self, needs: u32) -> Self {
        self.figures.needs.store(needs, Ordering::Relaxed);
        self
    }

    /// How many connections the host needs in all.
    pub fn needs(&self) -> u32 {
        self.figures.needs.load(Ordering::Relaxed)
    }

    /// How long a lane's transaction may take; beyond, it is ended.
    pub fn time(&self) -> Duration {
        Duration::from_secs(self.figures.seconds.load(Ordering::Relaxed))
    }

    /// The database that holds the read models.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// Returns a connector of this account in another database.
    #[must_use]
    pub fn in_database(&self, database: &str) -> Self {
        Self { database: database.to_owned(), ..self.clone() }
    }

    /// Returns true where the other one reaches the same account at the same server: a password may differ, and TLS.
    pub fn is_same_account(&self, other: &Self) -> bool {
        let (own, others) = (self.options(), other.options());
        let user = |options: &MySqlConnectOptions| options.get_username().to_owned();
        self.place() == other.place() && user(&own) == user(&others) && self.database == other.database
    }

    /// Makes sessions from now on as the other one does, also in its copies; those that there are stay.
    pub fn takes_over(&self, other: &Self) {
        let options = other.options();
        *self.account.write().unwrap_or_else(PoisonError::into_inner) = options;
    }

    /// Gives lanes as much time as the other one does, and counts as many connections, also in its copies.
    pub fn takes_figures_of(&self, other: &Self) {
        self.figures.seconds.store(other.time().as_secs(), Ordering::Relaxed);
        self.figures.needs.store(other.needs(), Ordering::Relaxed);
    }

    fn options(&self) -> MySqlConnectOptions {
        let account = self.account.read().unwrap_or_else(PoisonError::into_inner);
        account.clone().database(&self.database)
    }

    /// Advice where the connection may pass other machines in plain text.
    pub fn exposed(&self) -> Option<String> {
        let options = self.options();
        let host = options.get_host();
        if is_this_machine(host) || options.get_socket().is_some() {
            return None;
        }
        let how = match options.get_ssl_mode() {
            MySqlSslMode::Disabled => "is not encrypted",
            MySqlSslMode::Preferred => "is encrypted only if whoever answers wants it to be",
            _ => return None,
        };
        let setting = self.setting;
        Some(format!("the connection of `{setting}` to {host} {how}: end it with ?ssl-mode=VERIFY_IDENTITY"))
    }

    /// Where the server is: host and port, or its socket.
    fn place(&self) -> String {
        let options = self.options();
        match options.get_socket() {
            Some(socket) => socket.display().to_string(),
            None => format!("{}:{}", options.get_host(), options.get_port()),
        }
    }

    /// How many statements a session keeps prepared.
    fn statements_kept(&self) -> usize {
        let sessions = usize::try_from(self.needs()).unwrap_or(usize::MAX).max(1);
        let share = self.figures.statements.load(Ordering::Relaxed) / SHARE_OF_STATEMENTS / sessions;
        share.clamp(STATEMENTS_KEPT_MIN, STATEMENTS_KEPT)
    }

    pub async fn connect(&self) -> Result<Session, Failure> {
        let kept = self.statements_kept();
        let session = self.connect_keeping(kept).await?;
        // The server has a lower limit than it was thought to have.
        let less = self.statements_kept();
        if less < kept { self.connect_keeping(less).await } else { Ok(session) }
    }

    /// Takes a kept session out of its place, or makes one where there is none. Whoever is done with it puts it back: one in which
    /// something failed, or that was given up, is not kept.
    pub async fn kept_or_new(&self, kept: &mut Option<Session>) -> Result<Session, Failure> {
        match kept.take() {
            Some(session) => Ok(session),
            None => self.connect().await,
        }
    }

    async fn connect_keeping(&self, statements: usize) -> Result<Session, Failure> {
        let doing = format!("connecting to MySQL at {} with `{}`", self.place(), self.setting);
        let options = self.options().statement_cache_capacity(statements);
        let connecting = async {
            let mut connection = MySqlConnection::connect_with(&options).await?;
            send(&mut connection, &settings()).await?;
            let row = sqlx::query(
                "SELECT CAST(CONNECTION_ID() AS UNSIGNED), VERSION(), @@SESSION.sql_mode, \
                 CAST(@@GLOBAL.read_only AS SIGNED), CAST(@@SESSION.max_allowed_packet AS SIGNED), \
                 CAST(@@SESSION.autocommit AS SIGNED), @@SESSION.time_zone, CURRENT_USER(), \
                 CAST(@@GLOBAL.max_prepared_stmt_count AS SIGNED)",
            )
            .row(&mut connection)
            .await?;
            Ok((connection, row))
        };
        let timeout = |_| Failure::ConnectionLost { message: format!("{doing}: no answer within 10 s") };
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await.map_err(timeout)?;
        let (connection, row) = connected.map_err(|error| self.refused(&doing, &error))?;
        let read = |error: sqlx::Error| classify(&doing, &error);
        let (mode, zone): (String, String) = (row.try_get(2).map_err(read)?, row.try_get(6).map_err(read)?);
        let autocommit = row.try_get::<i64, _>(5).map_err(read)? == 1;
        if !mode.split(',').any(|one| one == "STRICT_ALL_TABLES") || zone != "+00:00" || !autocommit {
            return Err(Failure::misconfigured(
                format!(
                    "{doing}: the session's settings do not hold: sql_mode {mode}, time_zone {zone}, autocommit \
                     {autocommit}"
                ),
                "connect to the server itself, without a proxy that changes or shares sessions",
            ));
        }
        let statements = usize::try_from(row.try_get::<i64, _>(8).map_err(read)?).unwrap_or(0);
        self.figures.statements.store(statements, Ordering::Relaxed);
        Ok(Session {
            id: row.try_get(0).map_err(read)?,
            version: row.try_get(1).map_err(read)?,
            read_only: row.try_get::<i64, _>(3).map_err(read)? != 0,
            packet_bytes_max: usize::try_from(row.try_get::<i64, _>(4).map_err(read)?).unwrap_or(0),
            account: row.try_get(7).map_err(read)?,
            connection,
        })
    }
}

impl Connector {
    /// Why there is no session.
    fn refused(&self, doing: &str, error: &sqlx::Error) -> Failure {
        if let sqlx::Error::Protocol(text) = error
            && let Some((_, rest)) = text.split_once("unknown authentication plugin: ")
        {
            // The driver adds where it found out.
            let plugin = rest.split(' ').next().unwrap_or_default();
            let options = self.options();
            let account = options.get_username();
            return Failure::misconfigured(
                format!(
                    "{doing}: the account `{account}` logs in by the plugin `{plugin}`, which the host does not have"
                ),
                "give the account one that it has: ALTER USER ... IDENTIFIED WITH caching_sha2_password BY '...' (MySQL), or \
                 ... IDENTIFIED VIA mysql_native_password USING PASSWORD('...') (MariaDB)",
            );
        }
        match classify(doing, error) {
            Failure::SchemaMismatch { code: 1049, message } => {
                Failure::misconfigured(message, CREATE_DATABASE)
            }
            Failure::LimitReached { code, message } if self.needs() > 0 => {
                let needs = self.needs();
                let message = format!(
                    "{message}; this host's projections need {needs} connections, and for each generation that is built as many \
                     more as it has lanes, and one"
                );
                Failure::LimitReached { code, message }
            }
            failure => failure,
        }
    }

    /// Ends when a session that was asked something is found idle or gone: the question or its answer was lost on
    /// the way, and nobody would ever report it. MySQL at work, however slow, or not to be asked, is waited for.
    pub async fn until_lost(&self, id: u64) {
        tokio::time::sleep(SILENCE).await;
        loop {
            let asked = async { self.connect().await?.is_idle(id, SILENCE).await };
            if within(SILENCE, "looking for a session", asked).await == Ok(true) {
                return;
            }
            tokio::time::sleep(SILENCE / 4).await;
        }
    }
}

/// What a URL says. A message never repeats it.
fn parsed(setting: &str, url: &SecretString) -> Result<MySqlConnectOptions, Failure> {
    MySqlConnectOptions::from_str(url.expose_secret()).map_err(|_| {
        Failure::misconfigured(
            format!("`{setting}` is not a URL like mysql://user:password@host:3306/database"),
            "correct it",
        )
    })
}

/// MariaDB cuts what a column has no digits for, MySQL rounds it unless its `sql_mode` forbids that: a day could become the next.
fn settings() -> String {
    format!(
        "SET NAMES utf8mb4; \
         SET SESSION sql_mode = CONCAT('{SQL_MODE}', IF(VERSION() LIKE '%MariaDB%', '', ',TIME_TRUNCATE_FRACTIONAL')), \
         time_zone = '+00:00', innodb_lock_wait_timeout = 5, \
         lock_wait_timeout = 10, wait_timeout = 180, autocommit = 1; \
         SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"
    )
}

/// One connection to MySQL.
#[derive(Debug)]
pub struct Session {
    /// MySQL's `CONNECTION_ID()`: with it another session can end this one.
    pub id: u64,
    pub version: String,
    pub read_only: bool,
    /// The server's `max_allowed_packet`: a larger statement costs the connection.
    pub packet_bytes_max: usize,
    /// The account that MySQL took the session for, as `CURRENT_USER()` names it.
    pub account: String,
    pub connection: MySqlConnection,
}

impl Session {
    pub fn is_mariadb(&self) -> bool {
        self.version.contains("MariaDB")
    }

    /// Whether the server is still there, and this session with it.
    pub async fn answers(&mut self) -> bool {
        self.connection.ping().await.is_ok()
    }

    /// Runs a statement about accounts or databases, for an administrator.
    pub async fn administer(&mut self, sql: &str) -> Result<(), Failure> {
        // A password stands in it, so the statement itself is not told.
        let ran = send(&mut self.connection, sql).await;
        ran.map_err(|error| classify("making databases, accounts and grants", &error))?;
        Ok(())
    }

    /// How this server compares texts in tables whose author left it open.
    pub fn text_order(&self) -> TextOrder {
        if self.is_mariadb() { TextOrder::MariaDb } else { TextOrder::MySql }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_says_where_the_server_is() {
        let place = |url: &str| Connector::new("mysql.url", &url.to_owned().into()).expect("a URL").place();
        assert_eq!(place("mysql://app:secret@db.example/bank"), "db.example:3306");
        assert_eq!(place("mysql://app:secret@[::1]:3307/bank"), "[::1]:3307");
        assert_eq!(place("mysql://app@db.example/bank?socket=/run/mysqld.sock"), "/run/mysqld.sock");
    }

    #[test]
    fn all_sessions_of_a_host_keep_a_quarter_of_the_servers_prepared_statements() {
        let url = "mysql://app@db.example/bank".to_owned().into();
        let connector = Connector::new("mysql.url", &url).expect("a URL");
        assert_eq!(connector.statements_kept(), 512);
        let of = |needs| connector.clone().of_a_host_that_needs(needs).statements_kept();
        assert_eq!([1, 15, 75, 1000].map(of), [512, 273, 54, 8]);
        connector.figures.statements.store(240, Ordering::Relaxed);
        assert_eq!([1, 3, 75].map(of), [60, 20, 8]);
    }

    #[test]
    fn a_connection_to_another_machine_is_encrypted_or_that_is_told() {
        let exposed = |rest: &str| {
            let url = format!("mysql://app@{rest}").into();
            Connector::new("mysql.url", &url).expect("a URL").exposed()
        };
        for rest in [
            "localhost/bank",
            "127.0.0.1/bank",
            "127.4.5.6/bank?ssl-mode=DISABLED",
            "[::1]/bank",
            "db.example/bank?socket=/run/mysqld.sock",
            "db.example/bank?ssl-mode=VERIFY_IDENTITY",
            "db.example/bank?ssl-mode=REQUIRED",
        ] {
            assert_eq!(exposed(rest), None, "{rest}");
        }
        for (rest, says) in [
            ("db.example/bank", "`mysql.url` to db.example is encrypted only if"),
            ("10.1.2.3/bank?ssl-mode=PREFERRED", "to 10.1.2.3 is encrypted only if"),
            ("db.example/bank?ssl-mode=DISABLED", "is not encrypted: end it with ?ssl-mode=VERIFY_IDENTITY"),
        ] {
            let told = exposed(rest).unwrap_or_else(|| panic!("{rest} is not told"));
            assert!(told.contains(says), "{told}");
        }
    }
}
