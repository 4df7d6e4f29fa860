//! `laterna rebuild` and `laterna generations`: tables made anew beside the live ones, and those that were live before.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::console::Console;
use super::submit::Patience;
use super::{following, output, table};
use crate::operation::ask;
use crate::operation::standing::{Generations, ListedGeneration};
use crate::operation::wish::Wish;
use crate::readmodel::control::generation::{Generation, GenerationState};

#[derive(Debug, Args)]
pub struct RebuildArguments {
    /// Name of the projection.
    projection: String,
    /// Swap the tables in even if they have dead letters of events that the live ones have applied.
    #[arg(long)]
    accept: bool,
    /// Rebuild from events up to this moment only (RFC 3339, e.g. 2026-01-31T12:00:00Z), to look at; these tables never become live.
    #[arg(long, value_name = "TIME", conflicts_with = "accept")]
    until: Option<String>,
    /// Rebuild from events of this aggregate only, to look at; these tables never become live. account/42 means each aggregate
    /// that reads so; in an exact name the type is in quotation marks, and an id that is a text as well: '"account"/"42"'.
    #[arg(long, value_name = "TYPE/ID", conflicts_with = "accept", value_parser = ask::aggregate)]
    only_aggregate: Option<String>,
    #[command(flatten)]
    patience: Patience,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub struct GenerationsArguments {
    #[command(subcommand)]
    command: GenerationsCommand,
}

#[derive(Debug, Subcommand)]
enum GenerationsCommand {
    /// List the live generation and those beside it, with component, progress and what they wait for.
    List {
        /// Name of the projection.
        projection: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Accept a generation although it lacks events that the live one has.
    Accept(OneGeneration),
    /// Return to a generation that was live before: it catches up, and is swapped in again.
    Return(OneGeneration),
    /// Drop a generation with its tables and its dead letters.
    Drop(OneGeneration),
}

#[derive(Debug, Args)]
struct OneGeneration {
    /// Name of the projection.
    projection: String,
    /// Number of the generation [default: the only one].
    generation: Option<u32>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub async fn rebuild(console: &mut impl Console, arguments: &RebuildArguments) -> anyhow::Result<ExitCode> {
    let RebuildArguments { projection, accept, until, only_aggregate, patience, json } = arguments;
    let wrong = |text: &str| anyhow::anyhow!("`--until` is {text:?}; it must be like 2026-01-31T12:00:00Z");
    let moment = |text: &str| ask::moment(text).ok_or_else(|| wrong(text));
    let until = until.as_deref().map(moment).transpose()?;
    let wish = Wish::Rebuild { accept: *accept, until, aggregate: only_aggregate.clone() };
    following::carry_out(console, projection, wish, *patience, *json).await
}

pub async fn generations(
    console: &mut impl Console,
    arguments: &GenerationsArguments,
) -> anyhow::Result<ExitCode> {
    let one = match &arguments.command {
        GenerationsCommand::List { projection, json } => return list(console, projection, *json).await,
        GenerationsCommand::Accept(one) | GenerationsCommand::Return(one) | GenerationsCommand::Drop(one) => {
            one
        }
    };
    let shown = console.generations(&one.projection).await?;
    let generation = match one.generation {
        Some(number) => number,
        None => shown.only(&one.projection)?,
    };
    let wish = match &arguments.command {
        GenerationsCommand::Accept(_) => Wish::Accept { generation, shown: shown.lacks(generation) },
        GenerationsCommand::Return(_) => Wish::Return { generation },
        _ => Wish::Drop { generation },
    };
    following::carry_out(console, &one.projection, wish, Patience::default(), one.json).await
}

async fn list(console: &mut impl Console, projection: &str, json: bool) -> anyhow::Result<ExitCode> {
    let Generations { live, aside } = console.generations(projection).await?;
    if json {
        output::line(serde_json::json!({ "live": live, "aside": aside }));
        return Ok(ExitCode::SUCCESS);
    }
    let headings =
        ["generation", "state", "events", "of", "left", "letters", "digest", "schema", "since", "by"];
    let mut shown = table::table(&headings);
    let digest: String = live.digest.unwrap_or_default().chars().take(12).collect();
    let (events, letters) = (table::number(live.events), table::number(live.letters));
    let dash = || "-".to_owned();
    shown.add_row([
        live.generation.to_string(),
        "live".to_owned(),
        events,
        dash(),
        dash(),
        letters,
        digest,
        live.place,
        dash(),
        dash(),
    ]);
    for one in &aside {
        shown.add_row(cells(one));
    }
    output::line(shown.trim_fmt());
    for one in &aside {
        if let Some(reason) = &one.generation.reason {
            output::line(format_args!("\ngeneration {} waits: {reason}", one.generation.generation));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn cells(listed: &ListedGeneration) -> [String; 10] {
    let Generation { generation, state, purpose, expected, digest, place, since, by, .. } =
        &listed.generation;
    let is_built = *state == GenerationState::Building && *expected > 0;
    let left = listed.seconds_left.map_or_else(
        || "-".to_owned(),
        |left| humantime::format_duration(std::time::Duration::from_secs(left)).to_string(),
    );
    [
        generation.to_string(),
        if *state == GenerationState::Building {
            format!("building ({})", purpose.name())
        } else {
            state.name().to_owned()
        },
        table::number(listed.events),
        if is_built { table::number(*expected) } else { "-".to_owned() },
        left,
        table::number(listed.letters),
        digest.chars().take(12).collect(),
        place.clone(),
        since.clone(),
        by.clone(),
    ]
}
