//! `laterna dlq`: dead letters, listed and shown; what is to change is written down as a command and waited for.

mod export;
mod show;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::console::{Console, LetterFilter};
use super::submit::{self, Patience};
use super::{following, output, table};
use crate::event::Named;
use crate::failure::Failure;
use crate::operation::choice::{LetterBoundary, LetterChoice};
use crate::operation::whole_letter::WholeLetter;
use crate::operation::wish::{LetterWish, Shown, Wish};
use crate::readmodel::lane::dead_letter::Letter;
use crate::text::harmless;

/// How many letters are read at a time.
const PAGE: u32 = 200;

/// How many letters are listed unless more are asked for.
const SHOWN: u64 = 50;

const AGGREGATES: &str = "An aggregate's name is its type and id, as `dlq list` shows it: account/42. If several aggregates read \
    the same (the number 42 and the text \"42\"), give the exact name: the type in quotation marks, and an id that is a text \
    as well: '\"account\"/42' or '\"account\"/\"42\"'. A command is about the letters that exist when you run it; later \
    ones are left as they are.";

#[derive(Debug, Args)]
#[command(after_help = AGGREGATES)]
pub struct DlqArguments {
    #[command(subcommand)]
    command: DlqCommand,
}

#[derive(Debug, Subcommand)]
enum DlqCommand {
    /// List dead letters: the parked ones, and those held behind them.
    #[command(after_help = AGGREGATES)]
    List {
        /// Name of the projection.
        projection: String,
        #[command(flatten)]
        filter: Filter,
        /// Only the head of each aggregate.
        #[arg(long)]
        heads: bool,
        /// Print at most this many letters [default: 50, with `--json` all].
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
        limit: Option<u32>,
        /// Print letters after this id: the next page.
        #[arg(long, default_value_t = 0)]
        after: u64,
        /// Print JSON, one object a line.
        #[arg(long)]
        json: bool,
    },
    /// Show a dead letter with its document and its reason.
    Show {
        /// Name of the projection.
        projection: String,
        /// Number of the dead letter, as `dlq list` shows it.
        id: u64,
        /// Print JSON, with the document in it.
        #[arg(long)]
        json: bool,
    },
    /// Export dead letters with their documents, one JSON object a line.
    #[command(after_help = AGGREGATES)]
    Export {
        /// Name of the projection.
        projection: String,
        #[command(flatten)]
        filter: Filter,
        /// Write to this file instead of standard output; it appears when it is complete.
        #[arg(long, short)]
        output: Option<PathBuf>,
    },
    /// Replay dead letters with the deployed component: heads first, then what they hold back.
    #[command(after_help = AGGREGATES)]
    Replay {
        /// Name of the projection.
        projection: String,
        #[command(flatten)]
        choice: Choice,
        /// Print how many would be applied, and apply nothing; each aggregate is tried by itself.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        patience: Patience,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Discard dead letters for good; what they held back is replayed at once.
    #[command(after_help = AGGREGATES)]
    Discard {
        /// Name of the projection.
        projection: String,
        #[command(flatten)]
        choice: Choice,
        /// Reason, which is recorded.
        #[arg(long)]
        why: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Erase the documents, operations and reasons of dead letters for good (then they can only be
    /// discarded).
    #[command(after_help = AGGREGATES)]
    Erase {
        /// Name of the projection.
        projection: String,
        #[command(flatten)]
        target: EraseTarget,
        /// Reason, which is recorded.
        #[arg(long)]
        why: String,
        /// Print JSON.
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
    #[arg(long)]
    aggregate: Option<Named>,
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
    #[arg(long)]
    aggregate: Option<Named>,
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
    #[arg(long)]
    aggregate: Option<Named>,
    /// The letter of one event, by the event's id.
    #[arg(long)]
    event: Option<String>,
}

/// A class that letters may have.
fn class(text: &str) -> Result<String, String> {
    if Failure::LETTER_CLASSES.contains(&text) {
        return Ok(text.to_owned());
    }
    Err(format!("letters have one of the classes {}", Failure::LETTER_CLASSES.join(", ")))
}

impl Filter {
    fn filter(self) -> LetterFilter {
        let Self { id, aggregate, reason: class } = self;
        LetterFilter { id, aggregate, class, ..LetterFilter::default() }
    }
}

impl Choice {
    fn heads(self) -> LetterChoice {
        let Self { id, aggregate, reason: class, all: _ } = self;
        LetterChoice { id, aggregate, class, heads_only: true, ..LetterChoice::default() }
    }
}

impl DlqCommand {
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

pub async fn dlq(console: &mut impl Console, arguments: DlqArguments) -> anyhow::Result<ExitCode> {
    let name = arguments.command.projection().to_owned();
    console.registered(&name).await?;
    match arguments.command {
        DlqCommand::List { filter, heads: heads_only, limit, after, json, .. } => {
            let filter = LetterFilter { heads_only, after, ..filter.filter() };
            list(console, &name, filter, limit, json).await
        }
        DlqCommand::Show { id, json, .. } => show(console, &name, id, json).await,
        DlqCommand::Export { filter, output, .. } => {
            export::export(console, &name, &filter.filter(), output.as_deref()).await
        }
        DlqCommand::Replay { choice, dry_run, patience, json, .. } => {
            let what = if dry_run { LetterWish::Rehearse } else { LetterWish::Replay };
            let wish = chosen(console, &name, what, choice.heads()).await?;
            following::carry_out(console, &name, wish, patience, json).await
        }
        DlqCommand::Discard { choice, why, yes, json, .. } => {
            let what = LetterWish::Discard { why: submit::reason(&why)? };
            let mut wish = chosen(console, &name, what, choice.heads()).await?;
            if !yes {
                let count = console.would_be_about(&name, &wish).await?;
                if !confirmed(count)? {
                    return Ok(ExitCode::FAILURE);
                }
                if let Wish::Letters { limits, .. } = &mut wish {
                    limits.count = Some(count);
                }
            }
            following::carry_out(console, &name, wish, Patience::default(), json).await
        }
        DlqCommand::Erase { target: EraseTarget { id, aggregate, event }, why, json, .. } => {
            let what = LetterWish::Erase { why: submit::reason(&why)? };
            let target = LetterChoice { id, event, aggregate, ..LetterChoice::default() };
            let wish = chosen(console, &name, what, target).await?;
            following::carry_out(console, &name, wish, Patience::default(), json).await
        }
    }
}

/// What is wished of the letters that there are now, and of no later ones.
async fn chosen(
    console: &mut impl Console,
    projection: &str,
    what: LetterWish,
    choice: LetterChoice,
) -> anyhow::Result<Wish> {
    let LetterBoundary { generation, until } = console.boundary(projection).await?;
    let choice = LetterChoice { until: Some(until), ..choice };
    Ok(Wish::Letters { what, choice, limits: Shown { generation: Some(generation), count: None } })
}

async fn list(
    console: &mut impl Console,
    projection: &str,
    mut filter: LetterFilter,
    limit: Option<u32>,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let mut rows =
        table::table(&["id", "state", "aggregate", "type", "class", "attempts", "since", "reason"]);
    let limit = limit.map_or(if json { u64::MAX } else { SHOWN }, u64::from);
    let mut shown = 0;
    while shown < limit {
        let some = PAGE.min(u32::try_from(limit - shown).unwrap_or(PAGE));
        let page = console.letters(projection, &filter, some).await?;
        let Some(last) = page.last() else { break };
        filter.after = last.id;
        shown += page.len() as u64;
        for letter in &page {
            if json {
                output::line(serde_json::to_string(letter)?);
            } else {
                rows.add_row(cells(letter));
            }
        }
    }
    if json {
        return Ok(ExitCode::SUCCESS);
    }
    if shown == 0 {
        output::line("No dead letters.");
        return Ok(ExitCode::SUCCESS);
    }
    output::line(rows.trim_fmt());
    let rest = console.count(projection, &filter).await?;
    if rest > 0 {
        let (last, all) = (filter.after, shown + rest);
        output::line(format_args!(
            "\n{shown} of {all} are shown: the same with `--after {last}` shows the next ones, with `--limit {all}` all"
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn cells(letter: &Letter) -> [String; 8] {
    let text = |value: &Option<String>| value.as_deref().map_or_else(|| "-".to_owned(), harmless);
    // The lines behind it are a stack, which `show` has.
    let first_line = letter.reason.as_ref().and_then(|reason| reason.lines().next()).map(str::to_owned);
    [
        letter.id.to_string(),
        letter.state.name().to_owned(),
        letter.aggregate_spelled().unwrap_or_else(|| "-".to_owned()),
        text(&letter.event_type),
        text(&letter.class),
        letter.attempts.to_string(),
        letter.created_at.chars().take(19).collect(),
        beginning(&text(&first_line)),
    ]
}

async fn show(console: &mut impl Console, projection: &str, id: u64, json: bool) -> anyhow::Result<ExitCode> {
    let whole = console.letter(projection, id).await?;
    if !json {
        output::line(show::render(whole));
        return Ok(ExitCode::SUCCESS);
    }
    let WholeLetter { letter, remedy, trace_id, document, document_base64, .. } = whole;
    let mut value = serde_json::to_value(&letter)?;
    value["remedy"] = remedy.into();
    value["trace_id"] = trace_id.into();
    let document = document.map(|document| ("document", document));
    let document = document.or_else(|| document_base64.map(|bytes| ("document_base64", bytes)));
    let (name, document) = document.unwrap_or(("document", Value::Null));
    value[name] = document;
    output::line(value);
    Ok(ExitCode::SUCCESS)
}

fn confirmed(count: u64) -> anyhow::Result<bool> {
    let question = format!("Give up {count} event(s)? Replays of history will skip them, too.");
    output::is_confirmed(&question, "discarding gives events up")
}

/// The beginning of a text, cut to what a line of a list has room for.
fn beginning(text: &str) -> String {
    const CHARACTERS: usize = 90;
    let mut short: String = text.chars().take(CHARACTERS).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
