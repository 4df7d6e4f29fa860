//! `laterna check --fix`: what fixes what was found, printed, or run where the configured accounts may.

use clap::ValueEnum;

use crate::cli::{compose, grants, output};
use crate::config::Config;
use crate::readmodel::mysql::session::Connector;

/// What becomes of what fixes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum HowToFix {
    /// Print it.
    Print,
    /// Run it.
    Run,
}

/// What fixes a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fix {
    /// Databases, accounts and their grants.
    Accounts,
    /// The index by which history is read; with the sentence that asks for it.
    Index(String),
}

/// Prints what fixes the failures, or runs it.
pub async fn fix(config: &Config, how: HowToFix, fixes: &[Fix]) -> anyhow::Result<()> {
    if fixes.is_empty() {
        output::line("\nThere is nothing that this command can fix.");
        return Ok(());
    }
    if let Some(Fix::Index(asked)) = fixes.iter().find(|fix| matches!(fix, Fix::Index(_))) {
        index(config, how, asked).await?;
    }
    if fixes.contains(&Fix::Accounts) {
        accounts(config, how).await;
    }
    if how == HowToFix::Run {
        output::line("Run `laterna check` again.");
    }
    Ok(())
}

async fn index(config: &Config, how: HowToFix, asked: &str) -> anyhow::Result<()> {
    let script: Vec<&str> = asked.split(", then ").collect();
    let script = format!("use {}\n{}", config.mongodb.database, script.join("\n"));
    if how == HowToFix::Print || script.contains("dropIndex") {
        let why = if how == HowToFix::Print { "" } else { ", since nothing is dropped for you" };
        output::line(format_args!("\nIn mongosh, as an account that may create indexes{why}:\n{script}"));
        return Ok(());
    }
    let servers = compose::servers(config)?;
    match servers.outbox.create_history_index(servers.decoder.fields()).await {
        Ok(()) => output::line("\nThe index for history is created."),
        Err(failure) => {
            output::line(format_args!(
                "\nThe index for history could not be created: {failure}. In mongosh:\n{script}"
            ));
        }
    }
    Ok(())
}

async fn accounts(config: &Config, how: HowToFix) {
    let sql = match grants::of(config, "%") {
        Ok(sql) => sql,
        Err(error) => {
            return output::line(format_args!("\nNo SQL for accounts: {error:#}"));
        }
    };
    if how == HowToFix::Print {
        return output::line(format_args!("\nIn MySQL, as an administrator:\n{sql}"));
    }
    match run(config, &sql).await {
        Ok(()) => output::line("\nDatabases, accounts and grants are made."),
        Err(why) => output::line(format_args!(
            "\nDatabases, accounts and grants are not made: {why}. In MySQL, as an administrator:\n{sql}"
        )),
    }
}

/// Runs the SQL with the account of `mysql.ddl_url`, which may seldom do so.
async fn run(config: &Config, sql: &str) -> anyhow::Result<()> {
    let connector = Connector::new("mysql.ddl_url", &config.mysql.ddl_url()?)?;
    let mut session = connector.connect().await?;
    for statement in grants::statements(sql) {
        session.administer(statement).await?;
    }
    Ok(())
}
