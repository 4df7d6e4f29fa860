//! Compares what the read models are with what they have to be, when all is healed and quiet. It collects: a violation
//! does not hide the next one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::time::Duration;

use sqlx::Row;

use super::ground::{Ground, PROJECTIONS};
use super::load::{ACCOUNTS, Log, OPENING_CENTS, Outcome};
use super::truth::{Recorded, Truth};
use crate::support::some_time;

/// What a host may log: on average while it runs, and in any one second.
const LINES_A_SECOND: u64 = 30;
const LINES_IN_A_SECOND: usize = 300;

/// How many examples of a violation are told.
const EXAMPLES: usize = 4;

/// How long lag and health may take to say that all is well, when all is well.
const PATIENCE: Duration = Duration::from_secs(45);

#[derive(Debug, Default)]
pub struct Violations(pub Vec<String>);

impl Violations {
    pub fn add(&mut self, what: impl Into<String>) {
        self.0.push(what.into());
    }

    pub fn unless(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.add(what());
        }
    }

    /// Two sets that have to be the same.
    fn same<T: Ord + Debug>(&mut self, what: &str, found: &BTreeSet<T>, wanted: &BTreeSet<T>) {
        for (kind, one, other) in [("missing", wanted, found), ("too many", found, wanted)] {
            let differing: Vec<_> = one.difference(other).collect();
            let examples = &differing[..differing.len().min(EXAMPLES)];
            self.unless(differing.is_empty(), || {
                format!("{what}: {} {kind}, e.g. {examples:?}", differing.len())
            });
        }
    }
}

/// The writers' records against the outbox.
pub fn source(log: &Log, truth: &Truth, violations: &mut Violations) {
    for (id, outcome) in &log.outcomes {
        let there = truth.ids.contains(id);
        match outcome {
            Outcome::Acknowledged if !there => {
                violations.add(format!("MongoDB acknowledged {id} and does not have it"));
            }
            Outcome::Failed if there => violations.add(format!("{id} failed for certain and is there")),
            _ => {}
        }
    }
}

/// The rows of every read model, and the letters.
pub async fn read_models(ground: &Ground, log: &Log, truth: &Truth, violations: &mut Violations) {
    violations.same("rows of `recorded`", &recorded(ground).await, &truth.recorded);
    let seen = "SELECT aggregate_id COLLATE utf8mb4_general_ci, sequence, events, disorder FROM last_seen";
    let seen: BTreeSet<(String, [i64; 3])> = ground
        .world
        .rows(seen)
        .await
        .iter()
        .map(|row| (row.get(0), [row.get(1), row.get(2), row.get(3)]))
        .collect();
    let wanted = truth
        .last_seen
        .iter()
        .map(|(id, (last, events, disorder))| (id.clone(), [*last, *events, *disorder]));
    violations.same("rows of `last_seen` (sequence, events, disorder)", &seen, &wanted.collect());
    let counted = "SELECT aggregate_id COLLATE utf8mb4_general_ci, events, total FROM counted";
    let counted: BTreeSet<(String, (i64, i64))> =
        ground.world.rows(counted).await.iter().map(|row| (row.get(0), (row.get(1), row.get(2)))).collect();
    let wanted = truth.counted.iter().map(|(id, counts)| (id.clone(), *counts)).collect();
    violations.same("rows of `counted` (events, total)", &counted, &wanted);
    bank(ground, log, violations).await;
    violations.same("dead letters", &letters(ground).await, &truth.letters);
    order_of_letters(ground, violations).await;
    for (projection, id) in &truth.discarded {
        violations
            .unless(truth.ids.contains(id), || format!("{projection} discarded {id:?}, which nobody wrote"));
    }
    for projection in PROJECTIONS {
        let checkpoints = ground.live("checkpoint");
        let sql = format!("SELECT SUM(events) FROM {checkpoints} WHERE projection = '{projection}'");
        let events = ground.world.number(&sql).await;
        let documents = truth.ids.len();
        violations.unless(usize::try_from(events) == Ok(documents), || {
            format!("the checkpoints of {projection} count {events} events of {documents}")
        });
    }
}

async fn recorded(ground: &Ground) -> BTreeSet<Recorded> {
    let columns = ["aggregate_type", "aggregate_id", "event_id", "event_type"]
        .map(|column| format!("{column} COLLATE utf8mb4_general_ci AS {column}"))
        .join(", ");
    let rows = ground.world.rows(&format!("SELECT {columns}, sequence, ordinal FROM recorded")).await;
    rows.iter().map(|row| (row.get(0), row.get(1), row.get(4), row.get(2), row.get(3), row.get(5))).collect()
}

async fn letters(ground: &Ground) -> BTreeSet<(String, String, String)> {
    let sql = format!(
        "SELECT projection, COALESCE(event_id, '') COLLATE utf8mb4_general_ci, CAST(state AS CHAR) FROM {}",
        ground.live("dead_letter")
    );
    ground.world.rows(&sql).await.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
}

/// However often they were tried again, an aggregate's letters stand in the order of its events, and only the first of
/// them is parked.
async fn order_of_letters(ground: &Ground, violations: &mut Violations) {
    let sql = format!(
        "SELECT projection, COALESCE(aggregate, '') COLLATE utf8mb4_general_ci, CAST(state AS CHAR), \
         COALESCE(event_id, '') COLLATE utf8mb4_general_ci FROM {} ORDER BY id",
        ground.live("dead_letter")
    );
    let mut latest: BTreeMap<(String, String), u64> = BTreeMap::new();
    for row in ground.world.rows(&sql).await {
        let (projection, aggregate): (String, String) = (row.get(0), row.get(1));
        let (state, id): (String, String) = (row.get(2), row.get(3));
        // Each thing has one writer, who numbers what he writes.
        let Some(number) = id.rsplit('-').next().and_then(|number| number.parse().ok()) else { continue };
        let before = latest.insert((projection.clone(), aggregate.clone()), number);
        violations.unless(before < Some(number), || {
            format!("{projection}: of {aggregate}, the letter of {id} stands behind a later one")
        });
        violations.unless((state == "parked") == before.is_none(), || {
            format!(
                "{projection}: of {aggregate}, the letter of {id} is {state}, and {before:?} stands before it"
            )
        });
    }
}

/// Row for row as the bank's model says, and no money made or lost.
async fn bank(ground: &Ground, log: &Log, violations: &mut Violations) {
    let (rows, model) = (ground.world.accounts().await, log.model());
    let wrong: Vec<_> =
        model.rows.iter().filter(|(id, row)| rows.get(*id) != Some(row)).map(|(id, _)| id).collect();
    violations.unless(wrong.is_empty() && rows.len() == model.rows.len(), || {
        format!(
            "rows of `accounts`: {} of {} differ, {} are there; {wrong:?}",
            wrong.len(),
            model.rows.len(),
            rows.len()
        )
    });
    let sum: i64 = rows.values().map(|row| row.balance_cents).sum();
    let rowless = i64::try_from(log.without_rows.len()).expect("a few");
    let opened: i64 = model.rows.values().map(|row| row.balance_cents).sum();
    let wanted = if rowless == 0 { ACCOUNTS * OPENING_CENTS } else { opened };
    violations.unless(sum == wanted && i64::try_from(rows.len()) == Ok(ACCOUNTS - rowless), || {
        format!("{} accounts together have {sum} cents, not {wanted}; {rowless} have no row", rows.len())
    });
}

/// What the hosts say and what MySQL still holds, when all is well.
pub async fn health(ground: &Ground, violations: &mut Violations) {
    let began = std::time::Instant::now();
    loop {
        match unwell(ground).await {
            None => break,
            Some(what) if began.elapsed() > PATIENCE => {
                violations.add(format!("{PATIENCE:?} after everything was applied: {what}"));
                break;
            }
            Some(_) => some_time(250).await,
        }
    }
    let old =
        "SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_started < NOW() - INTERVAL 30 SECOND";
    let old = ground.world.number(old).await;
    violations.unless(old == 0, || format!("{old} transactions are open for longer than 30 s"));
}

async fn unwell(ground: &Ground) -> Option<String> {
    if let Err(what) = ground.fleet.ready().await {
        return Some(format!("not ready: {what}"));
    }
    for projection in PROJECTIONS {
        let statuses = ground.fleet.statuses(projection).await;
        let writing: Vec<_> = statuses.iter().filter(|status| status["phase"] == "streaming").collect();
        match writing[..] {
            [status] if status["lag_events"] == 0 && status["lag_seconds"].as_u64() <= Some(1) => {}
            [status] => {
                return Some(format!(
                    "{projection} lags by {} events, {} s",
                    status["lag_events"], status["lag_seconds"]
                ));
            }
            _ => return Some(format!("{} hosts write for {projection}", writing.len())),
        }
    }
    None
}

/// The hosts' logs: without the password, and not a flood. Gives the most lines in one second.
pub fn logs(ground: &Ground, seconds: u64, violations: &mut Violations) -> usize {
    let mut most = 0;
    for (host, log) in ground.fleet.logs() {
        violations
            .unless(!log.contains(&ground.password), || format!("the log of {host} tells the password"));
        violations.unless(!log.contains("panicked"), || format!("{host} panicked"));
        let lines = log.lines().count() as u64;
        violations.unless(lines <= LINES_A_SECOND * seconds.max(1), || {
            format!("{host} logged {lines} lines in {seconds} s")
        });
        let mut by_second: BTreeMap<&str, usize> = BTreeMap::new();
        for line in log.lines() {
            *by_second.entry(line.get(..19).unwrap_or_default()).or_default() += 1;
        }
        let (second, count) = by_second.into_iter().max_by_key(|(_, count)| *count).unwrap_or_default();
        violations.unless(count <= LINES_IN_A_SECOND, || {
            format!("{host} logged {count} lines in the second {second}")
        });
        most = most.max(count);
    }
    most
}
