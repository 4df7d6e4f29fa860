//! Makes the servers ready: databases, accounts, grants, collections, all of them new in each run.
//!
//! It must not drop what it did not make. A database of the same name is dropped only if it carries the mark that an
//! earlier demonstration left in it, or has nothing in it at all; otherwise the demonstration refuses. A mark inside
//! of what it marks cannot outlive it, so it never speaks for somebody else's database.

use std::time::Duration;

use anyhow::{Context, bail};
use bank::Writer;
use bson::Uuid;
use mongodb::Client;
use mongodb::options::ClientOptions;
use sqlx::mysql::MySqlConnection;
use sqlx::{Connection, Executor, Row};

use crate::settings::Settings;

/// The name of an empty table, and of an empty collection.
const MARK: &str = "made_by_the_laterna_demo";

/// The longest wait for somebody who holds a table that is to be dropped.
const LOCK_WAIT: &str = "SET SESSION lock_wait_timeout = 10";

const ROWS: &str = "SELECT, INSERT, UPDATE, DELETE";

const TABLES: &str = "SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, REFERENCES";

/// How long MongoDB may take to be found.
const MONGODB_TIMEOUT: Duration = Duration::from_secs(10);

pub struct Servers {
    pub mongodb: Client,
    pub mongodb_version: String,
    pub mysql_version: String,
    /// What the host connects to MySQL with.
    pub app_url: String,
    pub ddl_url: String,
    /// The one of all accounts that were made.
    pub password: String,
}

impl Servers {
    pub async fn prepare(settings: &Settings) -> anyhow::Result<Self> {
        let (mongodb, mongodb_version) = prepare_mongodb(settings).await?;
        let mut mysql = MySqlConnection::connect(&settings.mysql_admin_url)
            .await
            .context("MySQL does not answer at LATERNA_MYSQL_ADMIN_URL")?;
        // Never the same, because the server may be one that others reach.
        let password = format!("Demo-{}", Uuid::new());
        prepare_mysql(settings, &mut mysql, &password).await.context("preparing MySQL")?;
        let version: String = mysql.fetch_one("SELECT VERSION()").await?.try_get(0)?;
        let url = |user: &str| with_account(&settings.mysql_admin_url, user, &password, &settings.database);
        Ok(Self {
            mongodb,
            mongodb_version,
            mysql_version: version,
            app_url: url(&settings.app_user())?,
            ddl_url: url(&settings.ddl_user())?,
            password,
        })
    }

    /// A connection like the ones that reading applications have.
    pub async fn reader(&self) -> anyhow::Result<MySqlConnection> {
        MySqlConnection::connect(&self.app_url).await.context("connecting to MySQL to read")
    }
}

async fn prepare_mongodb(settings: &Settings) -> anyhow::Result<(Client, String)> {
    let unreachable = "MongoDB does not answer at LATERNA_MONGODB_URI";
    let mut options = ClientOptions::parse(&settings.mongodb_uri).await.context(unreachable)?;
    options.server_selection_timeout.get_or_insert(MONGODB_TIMEOUT);
    let client = Client::with_options(options)?;
    let name = settings.mongodb_database();
    let database = client.database(&name);
    let collections = database.list_collection_names().await.context(unreachable)?;
    if !collections.is_empty() && !collections.iter().any(|name| name == MARK) {
        bail!(
            "the MongoDB database `{name}` was not made by the demo, so it stays; name others with DEMO_DATABASE"
        );
    }
    database.drop().await.context("dropping the last demo's MongoDB database")?;
    database.create_collection(MARK).await?;
    Writer::new(&client, &name).prepare().await.context("preparing the outbox")?;
    let built = database.run_command(bson::doc! { "buildInfo": 1 }).await?;
    Ok((client, built.get_str("version").unwrap_or_default().to_owned()))
}

async fn prepare_mysql(
    settings: &Settings,
    mysql: &mut MySqlConnection,
    password: &str,
) -> anyhow::Result<()> {
    mysql.execute(LOCK_WAIT).await?;
    let (database, control) = (&settings.database, &settings.control_schema());
    drop_beside(mysql, control).await?;
    for name in [database, control] {
        make_anew(mysql, name).await?;
    }
    let (app, ddl, reader) = (settings.app_user(), settings.ddl_user(), settings.reader_user());
    for user in [&app, &ddl, &reader] {
        mysql.execute(format!("DROP USER IF EXISTS '{user}'@'%'").as_str()).await?;
        mysql.execute(format!("CREATE USER '{user}'@'%' IDENTIFIED BY '{password}'").as_str()).await?;
    }
    // The account that lives with the data changes rows, and no more. The one that changes tables also tries them out,
    // in a scratch schema that comes and goes; both work beside the live tables, where tables are built anew.
    let (scratch, beside) = (format!("{control}_scratch"), format!("{control}\\_g%"));
    for (privileges, schemas, user) in [
        (ROWS, &[database, control, &beside][..], &app),
        (TABLES, &[database, control, &scratch, &beside], &ddl),
        ("SELECT", &[database], &reader),
    ] {
        for schema in schemas {
            mysql.execute(format!("GRANT {privileges} ON `{schema}`.* TO '{user}'@'%'").as_str()).await?;
        }
    }
    Ok(())
}

/// Drops the tables that the last demo's hosts built beside the live ones: their names come from the control schema, which
/// carries the mark.
async fn drop_beside(mysql: &mut MySqlConnection, control: &str) -> anyhow::Result<()> {
    let like = format!("{}\\_g%", control.replace('_', "\\_"));
    let named = "SELECT CAST(schema_name AS CHAR) FROM information_schema.schemata \
                 WHERE schema_name LIKE ? OR schema_name = ?";
    let named = sqlx::query_scalar(named).bind(like).bind(format!("{control}_scratch"));
    let named: Vec<String> = named.fetch_all(&mut *mysql).await?;
    let beside: Vec<String> = named.into_iter().filter(|name| is_beside(name, control)).collect();
    if let Some(first) = beside.first()
        && marks(mysql, control).await?.1 == 0
    {
        return not_ours(first);
    }
    for name in beside {
        mysql.execute(format!("DROP DATABASE `{name}`").as_str()).await?;
    }
    Ok(())
}

/// Returns true for the name of a scratch schema or of a generation's: `…_g`, its number, and the projection.
fn is_beside(name: &str, control: &str) -> bool {
    let Some(rest) = name.strip_prefix(control) else { return false };
    let number = rest.strip_prefix("_g").and_then(|rest| rest.split_once('_')).map(|(number, _)| number);
    rest == "_scratch"
        || number
            .is_some_and(|number| !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit()))
}

/// How many tables a database has, and how many of them are the mark.
async fn marks(mysql: &mut MySqlConnection, name: &str) -> anyhow::Result<(i64, i64)> {
    let count = "SELECT COUNT(*), CAST(COALESCE(SUM(table_name = ?), 0) AS SIGNED) \
                 FROM information_schema.tables WHERE table_schema = ?";
    let row = sqlx::query(count).bind(MARK).bind(name).fetch_one(&mut *mysql).await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

fn not_ours(name: &str) -> anyhow::Result<()> {
    bail!(
        "the MySQL database `{name}` was not made by the demo, so it stays; name another with DEMO_DATABASE"
    )
}

async fn make_anew(mysql: &mut MySqlConnection, name: &str) -> anyhow::Result<()> {
    let (tables, marks) = marks(mysql, name).await?;
    if tables > 0 && marks == 0 {
        return not_ours(name);
    }
    for sql in [
        format!("DROP DATABASE IF EXISTS {name}"),
        format!("CREATE DATABASE {name} CHARACTER SET utf8mb4"),
        format!("CREATE TABLE {name}.{MARK} (nothing INT PRIMARY KEY)"),
    ] {
        mysql.execute(sql.as_str()).await?;
    }
    Ok(())
}

/// The same server with another account and another database.
fn with_account(url: &str, user: &str, password: &str, database: &str) -> anyhow::Result<String> {
    let parts = url.split_once("://").and_then(|(scheme, rest)| {
        let (place, rest) = rest.split_once('/')?;
        let server = place.rsplit_once('@').map_or(place, |(_, server)| server);
        Some((scheme, server, rest.split_once('?').map(|(_, parameters)| parameters)))
    });
    let Some((scheme, server, parameters)) = parts else {
        bail!("LATERNA_MYSQL_ADMIN_URL is not like mysql://user:password@host:3306/mysql");
    };
    let parameters = parameters.map(|parameters| format!("?{parameters}")).unwrap_or_default();
    Ok(format!("{scheme}://{user}:{password}@{server}/{database}{parameters}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_put_into_an_address() {
        let check = |url: &str, expect: &str| {
            assert_eq!(with_account(url, "app", "pw", "bank").expect("it is one"), expect);
        };
        check(
            "mysql://root@localhost/mysql?socket=/a/b.sock",
            "mysql://app:pw@localhost/bank?socket=/a/b.sock",
        );
        check("mysql://root:a%40b@db:3307/mysql", "mysql://app:pw@db:3307/bank");
        check("mysql://db/", "mysql://app:pw@db/bank");
        assert!(with_account("db:3306", "app", "pw", "bank").is_err());
    }
}
