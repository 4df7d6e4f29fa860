//! `laterna grants`: the SQL that makes the databases and the accounts of a configuration, for an administrator to run.
//!
//! It talks to no server and changes nothing.

use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::output;
use crate::config::Config;
use crate::readmodel::mysql::grant::{ROWS, TABLES, pattern};

/// The name of the administrator's account.
const ADMINISTRATOR: &str = "root";

#[derive(Debug, Args)]
pub struct GrantsArguments {
    /// Hosts that the accounts may connect from, as MySQL writes them, e.g. 10.0.0.%.
    #[arg(long, default_value = "%")]
    from: String,
}

pub fn grants(config: &Config, arguments: &GrantsArguments) -> anyhow::Result<ExitCode> {
    output::line(of(config, &arguments.from)?);
    Ok(ExitCode::SUCCESS)
}

/// The SQL for a configuration whose accounts connect from these hosts.
pub fn of(config: &Config, from: &str) -> anyhow::Result<String> {
    let (app, database) = account("mysql.url", &config.mysql.url()?)?;
    let ddl_url = config.mysql.ddl_url()?;
    let ddl = if is_administrator(&ddl_url) { None } else { Some(account("mysql.ddl_url", &ddl_url)?.0) };
    Ok(sql(&app, ddl.as_ref(), &database, &config.mysql.control_schema, from))
}

/// Its statements, one by one.
pub fn statements(sql: &str) -> impl Iterator<Item = &str> {
    sql.lines()
        .filter(|line| !line.starts_with("--"))
        .map(|line| line.trim_end_matches(';'))
        .filter(|line| !line.is_empty())
}

#[derive(Debug, PartialEq, Eq)]
struct Account {
    name: String,
    password: String,
}

/// Returns true where the URL's account may do everything, and needs no grants.
fn is_administrator(url: &SecretString) -> bool {
    Url::parse(url.expose_secret()).is_ok_and(|url| url.username() == ADMINISTRATOR)
}

/// The account and the database that a URL names.
fn account(setting: &str, url: &SecretString) -> anyhow::Result<(Account, String)> {
    let wrong = || format!("`{setting}` is not a URL like mysql://user:password@host:3306/database");
    let url = Url::parse(url.expose_secret()).ok().with_context(wrong)?;
    let decoded = |text: &str| percent_decode_str(text).decode_utf8().map(Into::into).with_context(wrong);
    let name: String = decoded(url.username())?;
    let password: String = decoded(url.password().unwrap_or_default())?;
    let database: String = decoded(url.path().trim_start_matches('/'))?;
    if name.is_empty() || name == ADMINISTRATOR {
        bail!("`{setting}` names no account of its own: let it begin with mysql://laterna_app:password@");
    }
    if password.is_empty() {
        bail!("`{setting}` has no password, and an account without one is anybody's: give it one");
    }
    if database.is_empty() {
        bail!("`{setting}` names no database: end it with /DATABASE, where the read models are");
    }
    Ok((Account { name, password }, database))
}

fn sql(app: &Account, ddl: Option<&Account>, database: &str, control: &str, from: &str) -> String {
    let who = |account: &Account| format!("{}@{}", text(&account.name), text(from));
    let user = |account: &Account| {
        let (who, password) = (who(account), text(&account.password));
        format!(
            "CREATE USER IF NOT EXISTS {who} IDENTIFIED BY {password};\nALTER USER {who} IDENTIFIED BY {password};\n"
        )
    };
    let grant = |privileges: &str, schema: &str, account: &Account| {
        format!("GRANT {privileges} ON {schema}.* TO {};\n", who(account))
    };
    let (rows, tables) = (ROWS.join(", "), TABLES.join(", "));
    let generations = format!("`{}\\_g%`", pattern(control));
    let [live, own, scratch] = [database.to_owned(), control.to_owned(), format!("{control}_scratch")]
        .map(|name| format!("`{}`", pattern(&name)));
    let create =
        format!("CREATE DATABASE IF NOT EXISTS `{}` CHARACTER SET utf8mb4;", database.replace('`', "``"));
    let mut sql = "-- For an administrator of MySQL or MariaDB. It holds the passwords of the configuration, and may be \
                   run again.\n"
        .to_owned();
    sql += &create;
    sql += "\n\n";
    sql += "-- This account changes rows and no more. It is the one that works all the time.\n";
    sql += &user(app);
    for schema in [&live, &own, &generations] {
        sql += &grant(&rows, schema, app);
    }
    let Some(ddl) = ddl else {
        sql += "\n-- `mysql.ddl_url` names the administrator, who makes the tables and needs no grants.";
        return sql;
    };
    sql += "\n-- This one makes tables: those that projectors declare, and the host's own.\n";
    if ddl != app {
        sql += &user(ddl);
    }
    // Who may not see a trigger on a projection's table cannot be told of it.
    sql += &grant(&format!("{tables}, TRIGGER"), &live, ddl);
    for schema in [&own, &scratch, &generations] {
        sql += &grant(&tables, schema, ddl);
    }
    sql.trim_end().to_owned()
}

/// A text in quotation marks, as MySQL and MariaDB read it by default.
fn text(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str) -> anyhow::Result<(Account, String)> {
        account("mysql.url", &url.to_owned().into())
    }

    #[test]
    fn an_account_is_what_the_url_says_decoded() {
        let (account, database) = of("mysql://laterna_app:p%40ss%27w%C3%B6rd@db/bank").expect("it is a URL");
        assert_eq!(account, Account { name: "laterna_app".into(), password: "p@ss'wörd".into() });
        assert_eq!(database, "bank");
    }

    #[test]
    fn what_would_make_an_account_of_everybody_is_refused() {
        for (url, says) in [
            ("mysql://root:x@db/bank", "no account of its own"),
            ("mysql://db/bank", "no account of its own"),
            ("mysql://app@db/bank", "no password"),
            ("mysql://app:x@db", "no database"),
            ("nonsense", "is not a URL"),
        ] {
            let refused = format!("{:#}", of(url).expect_err(url));
            assert!(refused.contains(says) && refused.contains("mysql.url"), "{url}: {refused}");
        }
    }

    #[test]
    fn names_and_passwords_are_quoted_for_where_they_stand() {
        let account = |name: &str| Account { name: name.into(), password: r"it's a \ word".into() };
        let sql = sql(&account("app"), Some(&account("ddl")), "my_bank", "laterna", "10.0.0.%");
        for line in [
            "CREATE DATABASE IF NOT EXISTS `my_bank` CHARACTER SET utf8mb4;",
            r"CREATE USER IF NOT EXISTS 'app'@'10.0.0.%' IDENTIFIED BY 'it''s a \\ word';",
            r"GRANT SELECT, INSERT, UPDATE, DELETE ON `my\_bank`.* TO 'app'@'10.0.0.%';",
            r"GRANT SELECT, INSERT, UPDATE, DELETE ON `laterna\_g%`.* TO 'app'@'10.0.0.%';",
        ] {
            assert!(sql.lines().any(|found| found == line), "{line} is missing in\n{sql}");
        }
    }

    #[test]
    fn one_account_for_both_is_made_once() {
        let account = || Account { name: "one".into(), password: "x".into() };
        let sql = sql(&account(), Some(&account()), "bank", "laterna", "%");
        assert_eq!(sql.matches("CREATE USER").count(), 1);
    }

    #[test]
    fn an_administrator_who_makes_the_tables_is_granted_nothing() {
        assert!(is_administrator(&"mysql://root:x@db/bank".to_owned().into()));
        assert!(!is_administrator(&"mysql://ddl:x@db/root".to_owned().into()));
        let app = Account { name: "app".into(), password: "x".into() };
        let sql = sql(&app, None, "bank", "laterna", "%");
        assert!(!sql.contains("root") && !sql.contains("TRIGGER"), "{sql}");
        assert!(sql.ends_with("who makes the tables and needs no grants."), "{sql}");
    }
}
