//! `laterna audit`: who asked for what, when, and what came of it; from the control schema, or from a host that is asked.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::console::Console;
use super::{output, table};
use crate::readmodel::control::command::{CommandRecord, CommandState, RecordFilter};
use crate::readmodel::lane::dead_letter::ClassCount;
use crate::text::harmless;

/// What stands in the place of a projection where a host as a whole is concerned.
const HOST: &str = "(host)";

/// How many commands are read at a time.
const PAGE: u32 = 200;

#[derive(Debug, Args)]
pub struct AuditArguments {
    /// Only what was asked for this projection.
    projection: Option<String>,
    /// Only what this person or token asked for: a token's name, or USER@HOST.
    #[arg(long)]
    by: Option<String>,
    /// Only commands of this kind, e.g. discard.
    #[arg(long)]
    kind: Option<String>,
    /// Only those in this state.
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(CommandState::NAMES))]
    state: Option<String>,
    /// Only those before this id: the next page.
    #[arg(long, value_name = "ID")]
    before: Option<u64>,
    /// Print at most this many, the newest first.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Print JSON, one object a line.
    #[arg(long)]
    json: bool,
}

pub async fn audit(console: &mut impl Console, arguments: AuditArguments) -> anyhow::Result<ExitCode> {
    let AuditArguments { projection, by, kind, state, before, limit, json } = arguments;
    let state = state.as_deref().and_then(CommandState::from_name);
    let mut filter = RecordFilter { projection, by, kind, state, before, ..RecordFilter::default() };
    let mut shown =
        table::table(&["id", "at", "by", "projection", "what", "state", "carried out by", "what came of it"]);
    let mut remedies = BTreeMap::new();
    let mut left = limit;
    while left > 0 {
        let page = console.operations(&filter, left.min(PAGE)).await?;
        let Some(last) = page.last() else {
            // One that was forgotten is there no more, and the audit has that.
            if let Some(name) = filter.projection.as_deref().filter(|_| left == limit && before.is_none()) {
                console.registered(name).await?;
            }
            break;
        };
        filter.before = Some(last.id);
        left = left.saturating_sub(u32::try_from(page.len()).unwrap_or(u32::MAX));
        for record in &page {
            if json {
                output::line(serde_json::to_string(record)?);
            } else {
                shown.add_row(cells(record));
                remedies.extend(record.letters.iter().map(|one| (one.class.clone(), one.remedy.clone())));
            }
        }
    }
    if !json {
        output::line(shown.trim_fmt());
        for (class, remedy) in remedies {
            output::line(format_args!("what to do about letters ({class}): {remedy}"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn cells(record: &CommandRecord) -> [String; 8] {
    const CHARACTERS: usize = 80;
    let why = record.parameters.get("why").and_then(Value::as_str);
    let classes: Vec<String> =
        record.letters.iter().map(|ClassCount { class, letters, .. }| format!("{letters} {class}")).collect();
    let classes = if classes.is_empty() { String::new() } else { format!(" ({})", classes.join(", ")) };
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    let what = format!("{}{classes}{why}", record.request);
    let came = match &record.result {
        Some(Value::String(text)) => text.lines().next().unwrap_or_default().to_owned(),
        Some(_) => "a report".to_owned(),
        None => record.waits.clone().or_else(|| record.progress.clone()).unwrap_or_default(),
    };
    let short = |text: &str| harmless(text).chars().take(CHARACTERS).collect();
    [
        record.id.to_string(),
        record.requested_at.chars().take(19).collect(),
        short(&record.requested_by),
        if record.projection.is_empty() { HOST.to_owned() } else { record.projection.clone() },
        short(&what),
        record.state.name().to_owned(),
        short(record.carried_out_by.as_deref().unwrap_or_default()),
        short(&came),
    ]
}
