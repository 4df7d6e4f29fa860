//! `laterna dlq`: dead letters, read from MySQL; what is to change is written down as a command and waited for.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::bail;
use clap::{Args, Subcommand};
use tokio::runtime::Runtime;

use super::{output, parts, table};
use crate::config::Config;
use crate::projection::Servers;
use crate::readmodel::Session;
use crate::readmodel::command::{self, Outcome, Request};
use crate::readmodel::dead_letter::{self, Letter, Selection};
use crate::readmodel::registration;

/// How many letters are read at a time.
const PAGE: u32 = 200;

#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists letters: the parked ones, and those held behind them.
    List {
        projection: String,
        #[command(flatten)]
        filter: Filter,
        /// Only the head of each aggregate.
        #[arg(long)]
        heads: bool,
        /// At most so many.
        #[arg(long, default_value_t = 50)]
        limit: usize,
        /// For machines: one JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Shows one letter with its document and its reason.
    Show { projection: String, id: u64 },
    /// Tries letters again with the deployed component: heads first, then what they hold back.
    Replay {
        projection: String,
        #[command(flatten)]
        choice: Choice,
    },
    /// Gives the heads of letters up. What they held back is tried at once.
    Discard {
        projection: String,
        #[command(flatten)]
        choice: Choice,
        /// Why; it is recorded.
        #[arg(long)]
        why: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
struct Filter {
    /// The letters of one aggregate, e.g. account/42.
    #[arg(long)]
    aggregate: Option<String>,
    /// The letters of one class, e.g. trapped.
    #[arg(long)]
    reason: Option<String>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Choice {
    /// One letter, by its id.
    #[arg(long)]
    id: Option<u64>,
    /// The head of one aggregate, e.g. account/42.
    #[arg(long)]
    aggregate: Option<String>,
    /// All heads of one class, e.g. trapped.
    #[arg(long)]
    reason: Option<String>,
    /// All heads.
    #[arg(long)]
    all: bool,
}

impl Choice {
    fn selection(&self) -> Selection {
        Selection {
            id: self.id,
            aggregate: self.aggregate.clone(),
            class: self.reason.clone(),
            heads_only: true,
            after: 0,
        }
    }
}

pub fn dlq(config: &Config, arguments: Arguments, runtime: &Runtime) -> anyhow::Result<ExitCode> {
    runtime.block_on(async {
        let servers = parts::servers(config)?;
        let mut session = servers.applier.connect().await?;
        match arguments.command {
            Command::List { projection, filter, heads, limit, json } => {
                registered(&mut session, &servers, &projection).await?;
                let selection = Selection {
                    aggregate: filter.aggregate,
                    class: filter.reason,
                    heads_only: heads,
                    ..Selection::default()
                };
                list(&mut session, &servers, &projection, selection, limit, json).await
            }
            Command::Show { projection, id } => show(&mut session, &servers, &projection, id).await,
            Command::Replay { projection, choice } => {
                let letters = choice.selection();
                chosen(&mut session, &servers, &projection, &letters).await?;
                carry_out(&mut session, &servers, config, &projection, &Request::Replay { letters }).await
            }
            Command::Discard { projection, choice, why, yes } => {
                let letters = choice.selection();
                let count = chosen(&mut session, &servers, &projection, &letters).await?;
                if !yes && !confirmed(count)? {
                    return Ok(ExitCode::FAILURE);
                }
                carry_out(&mut session, &servers, config, &projection, &Request::Discard { letters, why })
                    .await
            }
        }
    })
}

async fn registered(session: &mut Session, servers: &Servers, projection: &str) -> anyhow::Result<()> {
    match registration::find(session, &servers.control, projection).await? {
        Some(_) => Ok(()),
        None => {
            bail!("there is no projection `{projection}` in the control schema; laterna status lists them")
        }
    }
}

async fn list(
    session: &mut Session,
    servers: &Servers,
    projection: &str,
    mut selection: Selection,
    limit: usize,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let mut letters = Vec::new();
    while letters.len() < limit {
        let page = dead_letter::select(session, &servers.control, projection, &selection, PAGE).await?;
        let Some(last) = page.last() else { break };
        selection.after = last.id;
        letters.extend(page);
    }
    letters.truncate(limit);
    if json {
        for letter in &letters {
            output::line(format_args!("{}", serde_json::to_string(letter)?));
        }
        return Ok(ExitCode::SUCCESS);
    }
    if letters.is_empty() {
        output::line(format_args!("No dead letters."));
        return Ok(ExitCode::SUCCESS);
    }
    let mut rows =
        table::table(&["id", "state", "aggregate", "type", "class", "attempts", "since", "reason"]);
    for letter in &letters {
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
        rows.add_row([
            letter.id.to_string(),
            letter.state.clone(),
            text(&letter.aggregate),
            text(&letter.event_type),
            text(&letter.class),
            letter.attempts.to_string(),
            letter.created_at.chars().take(19).collect(),
            first_line(&text(&letter.reason)),
        ]);
    }
    output::line(rows.trim_fmt());
    Ok(ExitCode::SUCCESS)
}

async fn show(
    session: &mut Session,
    servers: &Servers,
    projection: &str,
    id: u64,
) -> anyhow::Result<ExitCode> {
    let letter = find(session, servers, projection, id).await?;
    output::line(format_args!("{}", serde_json::to_string_pretty(&letter)?));
    output::line(format_args!("document:\n{}", document(&letter)));
    Ok(ExitCode::SUCCESS)
}

async fn find(session: &mut Session, servers: &Servers, projection: &str, id: u64) -> anyhow::Result<Letter> {
    let selection = Selection { id: Some(id), ..Selection::default() };
    let mut found = dead_letter::select(session, &servers.control, projection, &selection, 1).await?;
    match found.pop() {
        Some(letter) => Ok(letter),
        None => {
            bail!("`{projection}` has no dead letter {id}; laterna dlq list {projection} shows those it has")
        }
    }
}

/// The stored document as canonical Extended JSON, or its bytes when it is no document.
fn document(letter: &Letter) -> String {
    match bson::deserialize_from_slice::<bson::Document>(&letter.document) {
        Ok(document) => {
            serde_json::to_string_pretty(&bson::Bson::Document(document).into_canonical_extjson())
                .unwrap_or_default()
        }
        Err(_) => hex::encode(&letter.document),
    }
}

/// How many heads a choice means; an error when there are none, which says why.
async fn chosen(
    session: &mut Session,
    servers: &Servers,
    projection: &str,
    selection: &Selection,
) -> anyhow::Result<usize> {
    registered(session, servers, projection).await?;
    let heads = dead_letter::select(session, &servers.control, projection, selection, PAGE).await?;
    if !heads.is_empty() {
        return Ok(heads.len());
    }
    if let Some(id) = selection.id {
        let letter = find(session, servers, projection, id).await?;
        bail!(
            "letter {id} is held behind an older one of {}; laterna dlq list {projection} --heads shows it",
            letter.aggregate.unwrap_or_default()
        );
    }
    bail!("no dead letter of `{projection}` fits")
}

fn confirmed(count: usize) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("discarding gives events up; say --yes when there is nobody to ask");
    }
    let more = if count >= PAGE as usize { " or more" } else { "" };
    print!("Give up {count}{more} event(s)? Replays of history will skip them, too. [y/N] ");
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "yes"))
}

/// Writes a command down and waits for its result.
async fn carry_out(
    session: &mut Session,
    servers: &Servers,
    config: &Config,
    projection: &str,
    request: &Request,
) -> anyhow::Result<ExitCode> {
    const PATIENCE: Duration = Duration::from_mins(1);
    let user = std::env::var("USER").unwrap_or_else(|_| "unknown".to_owned());
    let by = format!("{user}@{}", config.host.id);
    let id = command::submit(session, &servers.control, projection, request, &by).await?;
    let asked = Instant::now();
    loop {
        match command::outcome(session, &servers.control, id).await? {
            Outcome::Done(result) => {
                output::line(result);
                return Ok(ExitCode::SUCCESS);
            }
            Outcome::Failed(reason) => bail!("command {id} failed: {reason}"),
            Outcome::Pending if asked.elapsed() > PATIENCE => {
                output::line(format_args!(
                    "Command {id} is written down; no host has done it within {} s. It will be done when one runs.",
                    PATIENCE.as_secs()
                ));
                return Ok(ExitCode::FAILURE);
            }
            Outcome::Pending => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

fn first_line(text: &str) -> String {
    const CHARACTERS: usize = 90;
    let line = text.lines().next().unwrap_or_default();
    let mut short: String = line.chars().take(CHARACTERS).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
