//! `laterna status`: the state of the projections, from the running host; without one, from MySQL.

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use tokio::runtime::Runtime;

use super::console::{Call, Target};
use super::{compose, output, own_host, table};
use crate::component::registry::short;
use crate::config::Config;
use crate::projector::TypeCost;
use crate::readmodel::control::command::WaitingCommand;
use crate::readmodel::lane::dead_letter::{ClassCount, Selection, with_remedies};
use crate::status::recently::{LastMinute, Quantiles};
use crate::status::snapshot::{DeploymentSnapshot, LaneSnapshot, Phase, Snapshot};
use crate::status::{TypeCount, misspelled};
use crate::text::harmless;

#[derive(Debug, Args)]
pub struct StatusArguments {
    /// Name of the projection [default: all].
    projection: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Also show each lane.
    #[arg(long)]
    lanes: bool,
    /// Show the fuel of each event type, for this component and the previous one.
    #[arg(long)]
    fuel: bool,
}

pub fn status(target: &Target, arguments: &StatusArguments, runtime: &Runtime) -> anyhow::Result<ExitCode> {
    let (mut snapshots, silent) = match target {
        Target::Host(api) => (api.call(&Call::get("/api/v1/projections"))?, None),
        Target::Config(config) => match own_host::status(config) {
            Ok(snapshots) => (snapshots, None),
            Err(why) => (runtime.block_on(stored(config))?, Some(why)),
        },
    };
    if let Some(name) = &arguments.projection {
        let all: Vec<String> = snapshots.iter().map(|snapshot| snapshot.projection.clone()).collect();
        snapshots.retain(|snapshot| snapshot.projection == *name);
        if snapshots.is_empty() {
            if all.is_empty() {
                bail!("there is no projection `{name}`: none has begun yet");
            }
            bail!("there is no projection `{name}`; there are: {}", all.join(", "));
        }
    }
    if arguments.json {
        output::line(format_args!("{}", serde_json::to_string_pretty(&snapshots)?));
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(why) = silent {
        output::line(format_args!("{why}; this is what MySQL knows.\n"));
    }
    print(&snapshots, arguments);
    Ok(ExitCode::SUCCESS)
}

/// Reads the status from the control schema, where no host answers.
async fn stored(config: &Config) -> anyhow::Result<Vec<Snapshot>> {
    let servers = compose::servers(config)?;
    let mut session = servers.applier.connect().await?;
    let mut snapshots = Vec::new();
    for registration in servers.control.on(&mut session).registrations().await? {
        let (name, generation) = (registration.projection, registration.live_generation);
        let mut db = servers.control.of(&mut session, &name);
        let rows = db.lane_rows(generation).await?;
        let letters = db.count_letters(&Selection::default()).await?;
        // A host of a version before this one has no such count.
        let ignored = db.count_ignored().await.unwrap_or_default();
        // Nor does it show what its commands wait for.
        let commands = db.waiting_commands().await.unwrap_or_default();
        let pause = db.find_pause().await?;
        // Nor whether its lanes work with what is deployed.
        let deployed = db.take_up_in_force().await.ok().flatten();
        let deployment = deployed.map(|found| DeploymentSnapshot {
            digest: found.digest,
            taken_up: found.is_whole,
            waits: found.waits,
            canary: None,
        });
        snapshots.push(Snapshot {
            projection: name,
            phase: pause.map_or(Phase::Stopped, |pause| Phase::Paused { reason: pause.to_string() }),
            trouble: None,
            warning: None,
            oplog: None,
            class: None,
            remedy: None,
            component: String::new(),
            deployment,
            digest: rows.first().map(|row| row.digest.clone()).unwrap_or_default(),
            epoch: rows.first().map(|row| row.epoch).unwrap_or_default(),
            lag_seconds: 0,
            lag_events: 0,
            queued_bytes: 0,
            events_per_second: 0.0,
            last_minute: LastMinute::default(),
            events: rows.iter().map(|row| row.events).sum(),
            ignored,
            unhandled: vec![],
            commit_times: vec![],
            parked: letters.parked(),
            held: letters.held,
            letters: with_remedies(&letters.by_class),
            acknowledgement: None,
            beside: None,
            commands,
            components: vec![],
            lanes: rows
                .iter()
                .map(|row| LaneSnapshot {
                    lane: row.lane,
                    position: row.position.to_string(),
                    events: row.events,
                    waiting: 0,
                    trouble: None,
                    digest: String::new(),
                    doing: None,
                })
                .collect(),
        });
    }
    Ok(snapshots)
}

fn print(snapshots: &[Snapshot], arguments: &StatusArguments) {
    let headings = [
        "projection",
        "phase",
        "lag",
        "behind",
        "events/s",
        "events",
        "parked",
        "held",
        "lanes",
        "component",
        "digest",
    ];
    let mut overview = table::table(&headings);
    for snapshot in snapshots {
        let live = snapshot.phase != Phase::Stopped;
        let if_live = |text: String| if live { text } else { "-".to_owned() };
        overview.add_row([
            snapshot.projection.clone(),
            snapshot.phase.name().to_owned(),
            if_live(format!("{} s", snapshot.lag_seconds)),
            if_live(table::number(snapshot.lag_events)),
            if_live(format!("{:.0}", snapshot.events_per_second)),
            table::number(snapshot.events),
            table::number(snapshot.parked),
            table::number(snapshot.held),
            snapshot.lanes.len().to_string(),
            snapshot.component.clone(),
            snapshot.digest.chars().take(12).collect(),
        ]);
    }
    output::line(overview.trim_fmt());
    for snapshot in snapshots {
        not_taken_up(snapshot);
        notes(snapshot);
    }
    if let ([snapshot], Some(_)) = (snapshots, &arguments.projection) {
        last_minute(snapshot);
    }
    if arguments.lanes {
        output::line("");
        print_lanes(snapshots);
    }
    if arguments.fuel {
        output::line("");
        print_fuel(snapshots);
    }
}

/// Prints how long things took in the last minute, where anything was done.
fn last_minute(snapshot: &Snapshot) {
    let LastMinute { latency_ms, projecting_ms, committing_ms, batch_events, .. } = &snapshot.last_minute;
    let measured = [
        ("latency", latency_ms, " ms"),
        ("projecting a batch", projecting_ms, " ms"),
        ("committing it", committing_ms, " ms"),
        ("events in a batch", batch_events, ""),
    ];
    if measured.iter().all(|(_, quantiles, _)| quantiles.is_none()) {
        return;
    }
    let mut shown = table::table(&["in the last minute", "half", "99 of 100", "measured"]);
    for (name, quantiles, unit) in measured {
        let Some(Quantiles { p50, p99, count }) = quantiles else { continue };
        let figure = |value: f64| {
            if value < 10.0 && !unit.is_empty() {
                format!("{value:.1}{unit}")
            } else {
                format!("{value:.0}{unit}")
            }
        };
        shown.add_row([name.to_owned(), figure(*p50), figure(*p99), table::number(*count)]);
    }
    output::line(format_args!("\n{}", shown.trim_fmt()));
}

/// Prints the deployed component and the ones that lanes still work with.
fn not_taken_up(snapshot: &Snapshot) {
    let Some(deployment) = &snapshot.deployment else { return };
    // While it stands by, this is another host's.
    let is_here = !matches!(snapshot.phase, Phase::Standby { .. } | Phase::Stopped);
    let others: Vec<String> = snapshot
        .lanes
        .iter()
        .filter(|lane| is_here && !lane.digest.is_empty() && lane.digest != deployment.digest)
        .map(|lane| format!("lane {} with {}", lane.lane, short(&lane.digest)))
        .collect();
    if deployment.taken_up && others.is_empty() {
        return;
    }
    let (name, digest) = (&snapshot.projection, short(&deployment.digest));
    let reason =
        deployment.waits.as_deref().unwrap_or("no host has reported that its lanes have taken it up");
    output::line(format_args!("\n{name}: {digest} is deployed, and not taken up by all lanes: {reason}"));
    if !others.is_empty() {
        output::line(format_args!("  others still work: {}", others.join(", ")));
    }
}

fn notes(snapshot: &Snapshot) {
    let name = &snapshot.projection;
    match &snapshot.phase {
        Phase::Paused { reason } => output::line(format_args!("\n{name} is paused: {reason}")),
        Phase::Standby { owner } => {
            output::line(format_args!("\n{name}: the host `{owner}` writes; this one stands by"));
        }
        _ => {}
    }
    if let Some(trouble) = &snapshot.trouble {
        output::line(format_args!("\n{name} waits: {trouble}"));
    }
    if let (Some(class), Some(remedy)) = (&snapshot.class, &snapshot.remedy) {
        output::line(format_args!("  what to do ({class}): {remedy}"));
    }
    if let Some(trouble) = snapshot.acknowledgement.as_ref().and_then(|told| told.trouble.as_ref()) {
        output::line(format_args!("\n{name}: {trouble}"));
    }
    if let Some(warning) = &snapshot.warning {
        output::line(format_args!("\n{name} warns: {warning}"));
    }
    if let Some(beside) = &snapshot.beside {
        let of = (table::number(beside.events), table::number(beside.expected));
        output::line(format_args!(
            "\n{name} has generation {} beside the live one ({}): {} of {} events; laterna generations list {name}",
            beside.generation, beside.purpose, of.0, of.1
        ));
        if let Some(reason) = &beside.waits {
            output::line(format_args!("  it waits: {reason}"));
        }
    }
    for WaitingCommand { id, request, reason } in &snapshot.commands {
        let reason = reason.as_deref().unwrap_or("a host carries it out");
        output::line(format_args!("\n{name}: command {id} ({request}) waits: {reason}"));
    }
    if snapshot.components.first().is_some_and(|component| component.impure) {
        output::line(format_args!(
            "\n{name}: its projector keeps state between events, and so it gets each on a fresh instance, which is slower: \
             take the state out of it and deploy it again"
        ));
    }
    let slower: Vec<String> = snapshot.fuel().filter_map(slower).collect();
    if !slower.is_empty() {
        let all = slower.join("; ");
        output::line(format_args!("\n{name} takes more fuel than with the component before: {all}"));
    }
    if !snapshot.unhandled.is_empty() {
        output::line(format_args!("\n{name}: events that the projector does not take, by their type"));
        for one in &snapshot.unhandled {
            output::line(untaken(one));
        }
    }
    if snapshot.ignored > 0 {
        let ignored = table::number(snapshot.ignored);
        output::line(format_args!("\n{name}: the upcaster made nothing of {ignored} event(s)"));
    }
    if snapshot.parked > 0 {
        output::line(format_args!("\n{name} has dead letters: laterna dlq list {name}"));
        for ClassCount { class, letters, remedy } in &snapshot.letters {
            let letters = table::number(*letters);
            output::line(format_args!("  what to do about {letters} ({class}): {remedy}"));
        }
    }
}

/// A type that the projector does not take, with its events.
fn untaken(TypeCount { event_type, events, alike }: &TypeCount) -> String {
    let alike = alike.as_deref().map_or_else(String::new, misspelled);
    format!("  {} {}{}", table::number(*events), harmless(event_type), harmless(&alike))
}

/// A type whose events take half as much again as before, or more.
fn slower((cost, before): (&TypeCost, Option<u64>)) -> Option<String> {
    let before = before.filter(|before| cost.mean >= before / 2 * 3 && *before > 0)?;
    Some(format!("{} {} -> {}", cost.event_type, table::number(before), table::number(cost.mean)))
}

fn print_fuel(snapshots: &[Snapshot]) {
    let headings = [
        "projection",
        "event type",
        "digest",
        "runs",
        "mean fuel",
        "99 %",
        "highest",
        "before",
        "us in MySQL",
    ];
    let mut fuel = table::table(&headings);
    for snapshot in snapshots {
        let in_mysql = |event_type: &str| {
            let time = snapshot.commit_times.iter().find(|one| one.event_type == event_type);
            time.map(|one| one.mean_us)
        };
        for (cost, before) in snapshot.fuel() {
            fuel.add_row([
                snapshot.projection.clone(),
                cost.event_type.clone(),
                snapshot.digest.chars().take(12).collect(),
                table::number(cost.runs),
                table::number(cost.mean),
                table::number(cost.p99),
                table::number(cost.max),
                before.map(table::number).unwrap_or_default(),
                in_mysql(&cost.event_type).map(table::number).unwrap_or_default(),
            ]);
        }
    }
    output::line(fuel.trim_fmt());
}

fn print_lanes(snapshots: &[Snapshot]) {
    let mut lanes =
        table::table(&["projection", "lane", "position", "events", "waiting", "digest", "doing", "trouble"]);
    for snapshot in snapshots {
        for lane in &snapshot.lanes {
            lanes.add_row([
                snapshot.projection.clone(),
                lane.lane.to_string(),
                lane.position.clone(),
                table::number(lane.events),
                table::number(lane.waiting),
                short(&lane.digest).to_owned(),
                lane.doing.clone().unwrap_or_default(),
                lane.trouble.clone().unwrap_or_default(),
            ]);
        }
    }
    output::line(lanes.trim_fmt());
}
