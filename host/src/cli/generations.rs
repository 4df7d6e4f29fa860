//! `laterna rebuild` and `laterna generations`: tables made anew beside the live ones, and those that were live before.

use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use tokio::runtime::Runtime;

use super::submit::{self, Patience};
use super::{compose, output, table};
use crate::config::Config;
use crate::event::Named;
use crate::readmodel::control::command::Request;
use crate::readmodel::control::generation::{self, Generation, GenerationState};
use crate::readmodel::control::{deployment, registration};
use crate::readmodel::mysql::session::Session;
use crate::servers::Servers;

#[derive(Debug, Args)]
pub struct RebuildArguments {
    projection: String,
    /// Takes the live one's place though it has dead letters of events that the live one took.
    #[arg(long)]
    accept: bool,
    /// Only events that occurred up to this moment, RFC 3339: to be looked at, it never becomes live.
    #[arg(long, value_name = "TIME", conflicts_with = "accept")]
    until: Option<String>,
    /// Only events of this aggregate: to be looked at, it never becomes live. As account/42 it is each aggregate that reads
    /// so; exactly, the type stands in quotation marks, and an id that is a text as well: '"account"/"42"'.
    #[arg(long, value_name = "TYPE/ID", conflicts_with = "accept", value_parser = aggregate)]
    only_aggregate: Option<String>,
    #[command(flatten)]
    patience: Patience,
    /// For machines.
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
    /// Lists the live generation and those beside it: what they are made with, how far they are, what they wait for.
    List {
        projection: String,
        /// For machines.
        #[arg(long)]
        json: bool,
    },
    /// Lets a generation take the live one's place though it has dead letters of events that the live one took.
    Accept(OneGeneration),
    /// Lets a generation that was live before catch up, and take the live one's place again.
    Return(OneGeneration),
    /// Gives a generation up, with its tables and its dead letters.
    Drop(OneGeneration),
}

#[derive(Debug, Args)]
struct OneGeneration {
    projection: String,
    /// Its number; without it, the only one.
    generation: Option<u32>,
    /// For machines.
    #[arg(long)]
    json: bool,
}

pub fn rebuild(config: &Config, arguments: &RebuildArguments, runtime: &Runtime) -> anyhow::Result<ExitCode> {
    let RebuildArguments { projection, accept, until, only_aggregate, patience, json } = arguments;
    let until = until.as_deref().map(moment).transpose()?;
    let request = Request::Rebuild { accept: *accept, until, aggregate: only_aggregate.clone() };
    runtime.block_on(async {
        let servers = compose::servers(config)?;
        let mut session = servers.applier.connect().await?;
        submit::registered(&mut session, &servers, projection).await?;
        submit::carry_out(&mut session, &servers, config, (projection, &request), *patience, *json).await
    })
}

/// How an aggregate may be named, as long as the control schema takes it.
fn aggregate(text: &str) -> Result<String, String> {
    const CHARACTERS_MAX: usize = 700;
    if text.chars().count() > CHARACTERS_MAX {
        return Err(format!("it has more than {CHARACTERS_MAX} characters"));
    }
    text.parse::<Named>().map(|_| text.to_owned())
}

/// A moment as events have it: in UTC, with milliseconds.
fn moment(text: &str) -> anyhow::Result<String> {
    use time::format_description::well_known::Rfc3339;
    use time::macros::format_description;
    let wrong = || format!("`--until` is {text:?}; it must be like 2026-01-31T12:00:00Z");
    let moment = time::OffsetDateTime::parse(text, &Rfc3339).with_context(wrong)?;
    let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    moment.to_offset(time::UtcOffset::UTC).format(form).with_context(wrong)
}

pub fn generations(
    config: &Config,
    arguments: &GenerationsArguments,
    runtime: &Runtime,
) -> anyhow::Result<ExitCode> {
    runtime.block_on(async {
        let servers = compose::servers(config)?;
        let mut session = servers.applier.connect().await?;
        let one = match &arguments.command {
            GenerationsCommand::List { projection, json } => {
                return list(&mut session, &servers, projection, *json).await;
            }
            GenerationsCommand::Accept(one)
            | GenerationsCommand::Return(one)
            | GenerationsCommand::Drop(one) => one,
        };
        submit::registered(&mut session, &servers, &one.projection).await?;
        let number = match one.generation {
            Some(number) => number,
            None => only(&mut session, &servers, &one.projection).await?,
        };
        let request = match &arguments.command {
            GenerationsCommand::Accept(_) => {
                let shown = Some(lacks(&mut session, &servers, &one.projection, number).await?);
                Request::AcceptGeneration { generation: number, shown }
            }
            GenerationsCommand::Return(_) => Request::ReturnGeneration { generation: number },
            _ => Request::DropGeneration { generation: number },
        };
        let asked = (one.projection.as_str(), &request);
        submit::carry_out(&mut session, &servers, config, asked, Patience::default(), one.json).await
    })
}

/// What a generation is shown to lack; empty where it lacks nothing as far as is known.
async fn lacks(
    session: &mut Session,
    servers: &Servers,
    projection: &str,
    number: u32,
) -> anyhow::Result<String> {
    let standing = generation::list(session, &servers.control, projection).await?;
    let found = standing.into_iter().find(|one| one.generation == number);
    Ok(found.and_then(|one| one.lacks).unwrap_or_default())
}

/// The only generation beside the live one.
async fn only(session: &mut Session, servers: &Servers, projection: &str) -> anyhow::Result<u32> {
    let mut standing = generation::list(session, &servers.control, projection).await?;
    standing.retain(|one| one.state != GenerationState::Dropping);
    match standing.as_slice() {
        [one] => Ok(one.generation),
        [] => anyhow::bail!("`{projection}` has no generation beside the live one"),
        several => {
            let numbers: Vec<String> = several.iter().map(|one| one.generation.to_string()).collect();
            anyhow::bail!(
                "`{projection}` has several generations beside the live one: say which of {}",
                numbers.join(", ")
            )
        }
    }
}

/// A generation as it is listed.
#[derive(serde::Serialize)]
struct ListedGeneration {
    #[serde(flatten)]
    generation: Generation,
    events: u64,
    letters: u64,
    /// How long it will take still, at the pace it has had.
    seconds_left: Option<u64>,
}

async fn list(
    session: &mut Session,
    servers: &Servers,
    projection: &str,
    json: bool,
) -> anyhow::Result<ExitCode> {
    submit::registered(session, servers, projection).await?;
    let control = &servers.control;
    let found = registration::find(session, control, projection).await?;
    let live = found.map_or(1, |found| found.live_generation);
    let digest = deployment::in_force(session, control, projection).await?.map(|found| found.digest);
    let (events, letters) = generation::progress(session, control, projection, live).await?;
    let mut aside = Vec::new();
    for generation in generation::list(session, control, projection).await? {
        let (events, letters) =
            generation::progress(session, control, projection, generation.generation).await?;
        let seconds_left = seconds_left(&generation, events);
        aside.push(ListedGeneration { generation, events, letters, seconds_left });
    }
    if json {
        let live = serde_json::json!({ "generation": live, "digest": digest, "events": events, "letters": letters,
            "place": servers.applier.database() });
        output::line(serde_json::json!({ "live": live, "aside": aside }));
        return Ok(ExitCode::SUCCESS);
    }
    let headings =
        ["generation", "state", "events", "of", "left", "letters", "digest", "schema", "since", "by"];
    let mut shown = table::table(&headings);
    let digest: String = digest.unwrap_or_default().chars().take(12).collect();
    let (events, letters) = (table::number(events), table::number(letters));
    let dash = || "-".to_owned();
    shown.add_row([
        live.to_string(),
        "live".to_owned(),
        events,
        dash(),
        dash(),
        letters,
        digest,
        servers.applier.database().to_owned(),
        dash(),
        dash(),
    ]);
    for one in &aside {
        shown.add_row(one.cells());
    }
    output::line(shown.trim_fmt());
    for one in &aside {
        if let Some(reason) = &one.generation.reason {
            output::line(format_args!("\ngeneration {} waits: {reason}", one.generation.generation));
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl ListedGeneration {
    fn cells(&self) -> [String; 10] {
        let Generation { generation, state, purpose, expected, digest, place, since, by, .. } =
            &self.generation;
        let is_built = *state == GenerationState::Building && *expected > 0;
        let left = self.seconds_left.map_or_else(
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
            table::number(self.events),
            if is_built { table::number(*expected) } else { "-".to_owned() },
            left,
            table::number(self.letters),
            digest.chars().take(12).collect(),
            place.clone(),
            since.clone(),
            by.clone(),
        ]
    }
}

/// How long the rest of history takes at the pace of what was read of it.
fn seconds_left(generation: &Generation, events: u64) -> Option<u64> {
    if generation.state != GenerationState::Building || !generation.part.is_all() || events == 0 {
        return None;
    }
    Some(generation.expected.saturating_sub(events).saturating_mul(generation.seconds.max(1)) / events)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_as_events_have_it() {
        assert_eq!(moment("2026-01-31T12:00:00Z").expect("a moment"), "2026-01-31T12:00:00.000Z");
        assert_eq!(moment("2026-01-31T12:00:00.12+02:00").expect("a moment"), "2026-01-31T10:00:00.120Z");
        let refused = moment("yesterday").expect_err("it is none").to_string();
        assert!(refused.contains("2026-01-31T12:00:00Z"), "{refused}");
    }
}
