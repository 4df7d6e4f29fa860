//! `laterna dlq`: dead letters, read from MySQL; what is to change is written down as a command and waited for.

mod export;

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Subcommand};
use tokio::runtime::Runtime;

use super::{output, parts, submit, table};
use crate::config::Config;
use crate::failure::Failure;
use crate::projection::Servers;
use crate::readmodel::Session;
use crate::readmodel::command::Request;
use crate::readmodel::dead_letter::{self, Letter, Selection};

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
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
        /// Those behind this id: the next page.
        #[arg(long, default_value_t = 0)]
        after: u64,
        /// For machines: one JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Shows one letter with its document and its reason.
    Show {
        projection: String,
        id: u64,
        /// For machines: one JSON object with the document in it.
        #[arg(long)]
        json: bool,
    },
    /// Writes letters with their documents, one JSON object a line.
    Export {
        projection: String,
        #[command(flatten)]
        filter: Filter,
        /// To this file instead of standard output. It is there when it is complete.
        #[arg(long, short)]
        output: Option<PathBuf>,
    },
    /// Tries letters again with the deployed component: heads first, then what they hold back.
    Replay {
        projection: String,
        #[command(flatten)]
        choice: Choice,
        /// Only tell how many it would take. Each aggregate is tried by itself, and nothing stays of it.
        #[arg(long)]
        dry_run: bool,
        /// For machines.
        #[arg(long)]
        json: bool,
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
        /// For machines.
        #[arg(long)]
        json: bool,
    },
    /// Erases the documents, operations and reasons of letters, for good. They keep their places, and can only be
    /// discarded then.
    Erase {
        projection: String,
        #[command(flatten)]
        target: EraseTarget,
        /// Why; it is recorded.
        #[arg(long)]
        why: String,
        /// For machines.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
struct Filter {
    /// One letter, by its id.
    #[arg(long)]
    id: Option<u64>,
    /// The letters of one aggregate, e.g. account/42.
    #[arg(long, value_parser = aggregate)]
    aggregate: Option<String>,
    /// The letters of one class, e.g. trapped.
    #[arg(long, value_parser = class)]
    reason: Option<String>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Choice {
    /// One letter, by its id.
    #[arg(long)]
    id: Option<u64>,
    /// The head of one aggregate, e.g. account/42.
    #[arg(long, value_parser = aggregate)]
    aggregate: Option<String>,
    /// All heads of one class, e.g. trapped.
    #[arg(long, value_parser = class)]
    reason: Option<String>,
    /// All heads.
    #[arg(long)]
    all: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct EraseTarget {
    /// One letter, by its id.
    #[arg(long)]
    id: Option<u64>,
    /// All letters of one aggregate, e.g. account/42.
    #[arg(long, value_parser = aggregate)]
    aggregate: Option<String>,
    /// The letter of one event, by the event's id.
    #[arg(long)]
    event: Option<String>,
}

/// An aggregate as lists show it.
fn aggregate(text: &str) -> Result<String, String> {
    match text.split_once('/') {
        Some((kind, _)) if !kind.is_empty() => Ok(text.to_owned()),
        _ => Err("an aggregate is its type and its id, as in account/42".to_owned()),
    }
}

/// A class that letters may have.
fn class(text: &str) -> Result<String, String> {
    if Failure::LETTER_CLASSES.contains(&text) {
        return Ok(text.to_owned());
    }
    Err(format!("letters have one of the classes {}", Failure::LETTER_CLASSES.join(", ")))
}

impl Filter {
    fn selection(self) -> Selection {
        let Self { id, aggregate, reason: class } = self;
        Selection { id, aggregate, class, ..Selection::default() }
    }
}

impl Choice {
    fn selection(self) -> Selection {
        let Self { id, aggregate, reason: class, all: _ } = self;
        Selection { id, aggregate, class, heads_only: true, ..Selection::default() }
    }
}

impl Command {
    fn projection(&self) -> &str {
        match self {
            Self::List { projection, .. }
            | Self::Show { projection, .. }
            | Self::Export { projection, .. }
            | Self::Replay { projection, .. }
            | Self::Discard { projection, .. }
            | Self::Erase { projection, .. } => projection,
        }
    }
}

pub fn dlq(config: &Config, arguments: Arguments, runtime: &Runtime) -> anyhow::Result<ExitCode> {
    runtime.block_on(async {
        let servers = parts::servers(config)?;
        let mut session = servers.applier.connect().await?;
        let name = arguments.command.projection().to_owned();
        submit::registered(&mut session, &servers, &name).await?;
        let (session, servers) = (&mut session, &servers);
        match arguments.command {
            Command::List { filter, heads: heads_only, limit, after, json, .. } => {
                let selection = Selection { heads_only, after, ..filter.selection() };
                list(session, servers, &name, selection, limit as usize, json).await
            }
            Command::Show { id, json, .. } => show(session, servers, &name, id, json).await,
            Command::Export { filter, output, .. } => {
                export::export(session, servers, &name, filter.selection(), output.as_deref()).await
            }
            Command::Replay { choice, dry_run, json, .. } => {
                let letters = choice.selection();
                chosen(session, servers, &name, &letters).await?;
                let request =
                    if dry_run { Request::Rehearse { letters } } else { Request::Replay { letters } };
                submit::carry_out(session, servers, config, &name, &request, json).await
            }
            Command::Discard { choice, why, yes, json, .. } => {
                let (letters, why) = (choice.selection(), submit::reason(&why)?);
                let count = chosen(session, servers, &name, &letters).await?;
                if !yes && !confirmed(count)? {
                    return Ok(ExitCode::FAILURE);
                }
                let request = Request::Discard { letters, why };
                submit::carry_out(session, servers, config, &name, &request, json).await
            }
            Command::Erase { target: EraseTarget { id, aggregate, event }, why, json, .. } => {
                let letters = Selection { id, event, aggregate, ..Selection::default() };
                let why = submit::reason(&why)?;
                chosen(session, servers, &name, &letters).await?;
                let request = Request::Erase { letters, why };
                submit::carry_out(session, servers, config, &name, &request, json).await
            }
        }
    })
}

async fn list(
    session: &mut Session,
    servers: &Servers,
    projection: &str,
    mut selection: Selection,
    limit: usize,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let mut rows =
        table::table(&["id", "state", "aggregate", "type", "class", "attempts", "since", "reason"]);
    let mut left = limit;
    while left > 0 {
        let some = PAGE.min(u32::try_from(left).unwrap_or(PAGE));
        let page = dead_letter::select(session, &servers.control, projection, &selection, some).await?;
        let Some(last) = page.last() else { break };
        selection.after = last.id;
        left -= page.len();
        for letter in &page {
            if json {
                output::line(serde_json::to_string(letter)?);
            } else {
                rows.add_row(cells(letter));
            }
        }
    }
    match (json, left == limit) {
        (true, _) => {}
        (false, true) => output::line("No dead letters."),
        (false, false) => output::line(rows.trim_fmt()),
    }
    Ok(ExitCode::SUCCESS)
}

fn cells(letter: &Letter) -> [String; 8] {
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    [
        letter.id.to_string(),
        letter.state.clone(),
        text(&letter.aggregate),
        text(&letter.event_type),
        text(&letter.class),
        letter.attempts.to_string(),
        letter.created_at.chars().take(19).collect(),
        first_line(&text(&letter.reason)),
    ]
}

async fn show(
    session: &mut Session,
    servers: &Servers,
    projection: &str,
    id: u64,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let letter = find(session, servers, projection, id).await?;
    let mut value = serde_json::to_value(&letter)?;
    let bytes = dead_letter::document(session, &servers.control, &letter).await?.unwrap_or_default();
    let (name, document) = export::document(bytes);
    if json {
        value[name] = document;
        output::line(value);
        return Ok(ExitCode::SUCCESS);
    }
    output::line(serde_json::to_string_pretty(&value)?);
    match letter.erased_at {
        Some(_) => output::line("The document was erased."),
        None => output::line(format_args!("{name}:\n{}", serde_json::to_string_pretty(&document)?)),
    }
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

/// How many letters a choice means; an error when there are none, which says why.
async fn chosen(
    session: &mut Session,
    servers: &Servers,
    projection: &str,
    selection: &Selection,
) -> anyhow::Result<usize> {
    let letters = dead_letter::select(session, &servers.control, projection, selection, PAGE).await?;
    if !letters.is_empty() {
        return Ok(letters.len());
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

fn first_line(text: &str) -> String {
    const CHARACTERS: usize = 90;
    let line = text.lines().next().unwrap_or_default();
    let mut short: String = line.chars().take(CHARACTERS).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
