//! `laterna why`: an aggregate's events in their order, what became of each, and the SQL that each becomes, beside its rows.

use std::process::ExitCode;

use clap::Args;

use super::console::{AskedAggregate, Console};
use super::output;
use crate::event::Named;
use crate::operation::why::{self, EVENTS, EVENTS_MAX, EventFate, EventStory, RowsNow, ShownAnswer, Why};
use crate::source::{PageFrom, PageMark};

#[derive(Debug, Args)]
pub struct WhyArguments {
    /// Name of the projection.
    projection: String,
    /// The aggregate, e.g. account/42.
    aggregate: Named,
    /// Show the events before this mark; each page prints its marks.
    #[arg(long, value_name = "MARK", conflicts_with = "after")]
    before: Option<PageMark>,
    /// Show the events after this mark.
    #[arg(long, value_name = "MARK")]
    after: Option<PageMark>,
    /// Show at most this many events, up to 50 [default: the last 20].
    #[arg(long, default_value_t = EVENTS, hide_default_value = true, value_parser = limit)]
    limit: usize,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

fn limit(text: &str) -> Result<usize, String> {
    let limit = text.parse().ok().filter(|limit| (1..=EVENTS_MAX).contains(limit));
    limit.ok_or_else(|| format!("it must be 1 to {EVENTS_MAX}"))
}

pub async fn why(console: &mut impl Console, arguments: WhyArguments) -> anyhow::Result<ExitCode> {
    let WhyArguments { projection: name, aggregate, before, after, limit, json } = arguments;
    let from = match (before, after) {
        (Some(mark), _) => PageFrom::Before(mark),
        (None, Some(mark)) => PageFrom::After(mark),
        (None, None) => PageFrom::Newest,
    };
    let asked = AskedAggregate { projection: &name, aggregate: &aggregate, from, limit };
    let told = console.why(asked).await?;
    if json {
        output::line(serde_json::to_string_pretty(&told)?);
    } else {
        print(&name, &told);
    }
    Ok(ExitCode::SUCCESS)
}

fn print(projection: &str, why: &Why) {
    let again = |option: &str, mark: &str| {
        let name = why.aggregate_exact.replace('\'', "\\u0027");
        format!("laterna why {projection} '{name}' --{option} {mark}")
    };
    if let Some(mark) = &why.before {
        output::line(format_args!("-- earlier events: {}\n", again("before", mark)));
    }
    for story in &why.events {
        event(story, &why.digest);
    }
    if let Some(mark) = &why.after {
        output::line(format_args!("-- later events: {}\n", again("after", mark)));
    }
    for rows in why.rows.iter().flatten() {
        rows_now(rows);
    }
}

fn event(story: &EventStory, in_force: &str) {
    let EventStory { event_id, event_type, sequence, .. } = story;
    let number = sequence.map(|sequence| format!("{sequence}: ")).unwrap_or_default();
    output::line(format_args!(
        "-- {number}{}, event {}",
        event_type.as_deref().unwrap_or("no event"),
        event_id.as_deref().unwrap_or("without an id that can be read")
    ));
    output::line(format_args!("-- {}", became(story)));
    if let Some(unknown) = &story.unknown {
        output::line(format_args!("-- {unknown}"));
    }
    if let Some(given_up) = &story.given_up {
        output::line(format_args!("-- given up by {} at {}: {}", given_up.by, given_up.at, given_up.why));
    }
    if let Some(letter) = &story.letter {
        let class = letter.class.as_deref().unwrap_or("it waits");
        let reason = letter.reason.as_deref().unwrap_or("an earlier event of the aggregate failed");
        output::line(format_args!("-- letter {}, {class}: {reason}", letter.id));
    }
    if story.answered_by.is_some() && story.answered_by != story.digest {
        output::line(format_args!("-- what the component in force, {}, makes of it:", why::short(in_force)));
    }
    answer(&story.answer);
    output::line("");
}

fn became(story: &EventStory) -> String {
    let at = story.at.as_ref().map(|at| format!(" at {at}")).unwrap_or_default();
    let letter = if story.was_letter { ", as a dead letter that was dealt with" } else { "" };
    let with = match story.became {
        EventFate::Applied | EventFate::Ignored | EventFate::Parked => {
            format!(", component {}", story.with())
        }
        _ => String::new(),
    };
    format!("{}{at}{letter}{with}", story.became.name())
}

fn answer(answer: &ShownAnswer) {
    match answer {
        ShownAnswer::Statements { statements, more } => {
            if statements.is_empty() && *more == 0 {
                output::line("-- no operation");
            }
            for statement in statements {
                output::line(format_args!("{};", statement.sql));
            }
            if *more > 0 {
                output::line(format_args!("-- and {more} more statement(s)"));
            }
        }
        ShownAnswer::Unhandled => output::line("-- the projector does not take this type"),
        ShownAnswer::Ignored => output::line("-- the upcaster makes nothing of it"),
        ShownAnswer::Fails { class, reason } => output::line(format_args!("-- FAILED, {class}: {reason}")),
        ShownAnswer::Undecodable { reason } => output::line(format_args!("-- not an event: {reason}")),
    }
}

fn rows_now(RowsNow { table, condition, columns, rows, untold }: &RowsNow) {
    let which = condition.as_ref().map(|condition| format!(" where {condition}")).unwrap_or_default();
    output::line(format_args!("-- now: {table}{which}"));
    if let Some(untold) = untold {
        return output::line(format_args!("--   {untold}"));
    }
    if rows.is_empty() {
        return output::line("--   no row");
    }
    for row in rows {
        let cells = columns.iter().zip(row);
        let cells = cells.map(|(name, cell)| format!("{name} = {}", cell.as_deref().unwrap_or("NULL")));
        output::line(format_args!("--   {}", cells.collect::<Vec<_>>().join(", ")));
    }
}
