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

/// Prints what fixes the failures, or runs it. Returns true where something was made.
pub async fn fix(config: &Config, how: HowToFix, fixes: &[Fix]) -> anyhow::Result<bool> {
    if fixes.is_empty() {
        output::line("\nThere is nothing that this command can fix.");
        return Ok(false);
    }
    let mut is_made = false;
    if let Some(Fix::Index(asked)) = fixes.iter().find(|fix| matches!(fix, Fix::Index(_))) {
        is_made |= index(config, how, asked).await?;
    }
    if fixes.contains(&Fix::Accounts) {
        is_made |= accounts(config, how).await;
    }
    if how == HowToFix::Run && !is_made {
        output::line("Then run `laterna check` again.");
    }
    Ok(is_made)
}

async fn index(config: &Config, how: HowToFix, asked: &str) -> anyhow::Result<bool> {
    let script: Vec<&str> = asked.split(", then ").collect();
    let script = format!("use {}\n{}", config.mongodb.database, script.join("\n"));
    if how == HowToFix::Print || script.contains("dropIndex") {
        let why = if how == HowToFix::Print { "" } else { ", since nothing is dropped for you" };
        output::line(format_args!("\nIn mongosh, as an account that may create indexes{why}:\n{script}"));
        return Ok(false);
    }
    let servers = compose::servers(config)?;
    let made = servers.outbox.create_history_index(servers.decoder.fields()).await;
    let is_made = made.is_ok();
    match made {
        Ok(()) => output::line("\nThe index for history is created."),
        Err(failure) => {
            output::line(format_args!(
                "\nThe index for history could not be created: {failure}. In mongosh:\n{script}"
            ));
        }
    }
    Ok(is_made)
}

async fn accounts(config: &Config, how: HowToFix) -> bool {
    let (is_made, line) = match (grants::of(config, "%"), how) {
        (Err(error), _) => (false, format!("No SQL for accounts: {error:#}")),
        (Ok(sql), HowToFix::Print) => (false, format!("In MySQL, as an administrator:\n{sql}")),
        (Ok(sql), HowToFix::Run) => match run(config, &sql).await {
            Ok(()) => (true, "Databases, accounts and grants are made.".to_owned()),
            Err(why) => {
                let not = "Databases, accounts and grants are not made";
                (false, format!("{not}: {why}. In MySQL, as an administrator:\n{sql}"))
            }
        },
    };
    output::line(format_args!("\n{line}"));
    is_made
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
